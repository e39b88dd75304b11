/* rng - a small seeded generator (xoshiro256**) for jitter and random choice; never for secrets. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* uniform in [0, bound), bound > 0 */
/* rng_jitter - value changed by at most percent of itself either way, uniformly. */
int64_t rng_jitter(struct rng *r, int64_t value, unsigned percent);

#endif
