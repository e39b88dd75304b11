/*
 * clock - the arithmetic of wall(): monotonic time from a base, steered to the system's clock.
 *
 * Standing still instead of running slowly would make timers that wait for wall() fire again and
 * again without getting anywhere, so a clock that is ahead still advances, at half speed.
 */
#include "clock.h"

#include "base/check.h"

struct wall clock_origin(
	int64_t rate, int64_t origin_real_ms, int64_t origin_wall_ms, int64_t real_ms)
{
	int64_t elapsed_ms = real_ms > origin_real_ms ? real_ms - origin_real_ms : 0;

	return (struct wall){ origin_wall_ms + elapsed_ms * rate };
}

void clock_init(struct clock *c, int64_t rate, struct mono now, struct wall wall)
{
	CHECK(rate >= 1);
	*c = (struct clock){ .rate = rate, .base_mono = now, .base_wall = wall };
}

struct wall clock_read(const struct clock *c, struct mono now)
{
	int64_t elapsed_ms = now.ms - c->base_mono.ms;
	int64_t slow_ms = elapsed_ms / 2 < c->debt_ms ? elapsed_ms / 2 : c->debt_ms;

	return (struct wall){ c->base_wall.ms + elapsed_ms * c->rate - slow_ms };
}

bool clock_must_steer(const struct clock *c, struct mono now)
{
	return c->rate == 1 && now.ms - c->base_mono.ms >= CLOCK_STEER_MS;
}

int64_t clock_steer(struct clock *c, struct mono now, int64_t real_ms)
{
	struct wall wall = clock_read(c, now);
	int64_t ahead_ms = real_ms - wall.ms;
	int64_t jump_ms = 0;

	c->base_mono = now;
	c->base_wall = wall;
	c->debt_ms = 0;
	if (ahead_ms > -CLOCK_JUMP_MS && ahead_ms < CLOCK_JUMP_MS) {
		c->ignored_ms = 0;
		if (ahead_ms > 0)
			c->base_wall.ms = real_ms;
		else
			c->debt_ms = -ahead_ms;
		return 0;
	}
	int64_t change_ms = ahead_ms - c->ignored_ms;
	if (change_ms <= -CLOCK_JUMP_MS || change_ms >= CLOCK_JUMP_MS) {
		jump_ms = ahead_ms;
		c->ignored_ms = ahead_ms;
	}
	return jump_ms;
}
