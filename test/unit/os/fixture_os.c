#include "unit/os/fixture_os.h"

static void on_emit(struct log *log, const struct log_event *event)
{
	(void)event;
	CONTAINER_OF(log, struct fixture, log)->log_count++;
}

void fixture_init(struct fixture *f, int64_t rate)
{
	*f = (struct fixture){ .log = { .level = LOG_DEBUG, .emit = on_emit } };
	struct os_env_params params = { .rate = rate,
		.origin_real_ms = os_real_ms(),
		.origin_wall_ms = os_real_ms(),
		.log = &f->log,
		.metrics = &f->metrics };
	assert_int_equal(os_env_init(&f->os, &params), OK);
	f->env = &f->os.env;
}

void fixture_fini(struct fixture *f)
{
	assert_int_equal(os_env_fini(&f->os), 0);
}

struct deadline {
	struct timer timer;
	bool has_fired;
};

static void on_deadline(struct timer *t)
{
	CONTAINER_OF(t, struct deadline, timer)->has_fired = true;
}

void fixture_wait_count(struct fixture *f, const size_t *count, size_t at_least)
{
	struct deadline d = { .timer.on_fire = on_deadline };

	env_timer_after(f->env, &d.timer, 10 * SECOND_MS);
	while (*count < at_least && !d.has_fired)
		os_env_run_once(&f->os);
	env_timer_stop(f->env, &d.timer);
	assert_true(*count >= at_least);
}

void fixture_wait(struct fixture *f, const bool *is_done)
{
	struct deadline d = { .timer.on_fire = on_deadline };

	env_timer_after(f->env, &d.timer, 10 * SECOND_MS);
	while (!*is_done && !d.has_fired)
		os_env_run_once(&f->os);
	env_timer_stop(f->env, &d.timer);
	assert_true(*is_done);
}
