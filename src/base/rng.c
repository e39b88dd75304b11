/*
 * rng - xoshiro256** by Blackman and Vigna, its state filled by splitmix64.
 *
 * splitmix64 never yields four zeros in a row, the one state xoshiro cannot leave.
 */
#include "base/rng.h"

#include "base/check.h"

static uint64_t rotate_left(uint64_t x, unsigned bits);

void rng_init(struct rng *r, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) {
		seed += UINT64_C(0x9e3779b97f4a7c15);
		uint64_t z = seed;
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		r->state[i] = z ^ (z >> 31);
	}
}

uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t shifted = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return result;
}

/* The lowest 2^64 mod bound draws are thrown away: the rest divides evenly among the results. */
uint64_t rng_below(struct rng *r, uint64_t bound)
{
	CHECK(bound > 0);
	uint64_t uneven = -bound % bound;
	uint64_t draw;
	do {
		draw = rng_next(r);
	} while (draw < uneven);
	return draw % bound;
}

int64_t rng_jitter(struct rng *r, int64_t value, unsigned percent)
{
	CHECK(percent <= 100);
	CHECK(value > INT64_MIN);
	int64_t span = value / 100 * (int64_t)percent + value % 100 * (int64_t)percent / 100;
	if (span < 0)
		span = -span;
	uint64_t draw = rng_below(r, 2 * (uint64_t)span + 1);
	if (draw <= (uint64_t)span) /* downwards */
		return value >= INT64_MIN + (int64_t)draw ? value - (int64_t)draw : INT64_MIN;
	int64_t up = (int64_t)(draw - (uint64_t)span);
	return value <= INT64_MAX - up ? value + up : INT64_MAX;
}

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
	return (x << bits) | (x >> (64 - bits));
}
