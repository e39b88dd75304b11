/* sim_env - see sim_env.h. */
#include "sim/sim_env.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TRACE_LINE_MAX 1024

struct work {
	struct list link;
	struct deferred deferred;
	struct env_work *work;
};

/* ---- the clock ---- */

struct mono sim_now(const struct sim_clock *c)
{
	return (struct mono){ SIM_MONO_START_MS + c->now_ms };
}

void sim_clock_init(struct sim_clock *c, uint64_t seed, FILE *trace)
{
	*c = (struct sim_clock){ .hash = UINT64_C(0xcbf29ce484222325), .file = trace };
	timers_init(&c->timers);
	rng_init(&c->rng, seed);
}

void sim_clock_fini(struct sim_clock *c)
{
	timers_fini(&c->timers);
}

void sim_after(struct sim_clock *c, struct timer *t, int64_t ms)
{
	timers_start(&c->timers, t, mono_add(sim_now(c), ms));
}

void sim_stop(struct sim_clock *c, struct timer *t)
{
	timers_stop(&c->timers, t);
}

void sim_trace(struct sim_clock *c, const char *format, ...)
{
	char line[TRACE_LINE_MAX];
	int head = snprintf(line, sizeof(line), "%lld ", (long long)c->now_ms);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line + head, sizeof(line) - (size_t)head, format, args);
	va_end(args);
	for (const char *p = line; *p; p++)
		c->hash = (c->hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	c->line_count++;
	if (c->file)
		fprintf(c->file, "%s\n", line);
}

/* ---- the port ---- */

static struct sim_env *self(struct env *env)
{
	return CONTAINER_OF(env, struct sim_env, env);
}

static struct mono env_op_now(struct env *env)
{
	return sim_now(self(env)->clock);
}

static struct wall env_op_wall(struct env *env)
{
	return (struct wall){ SIM_EPOCH_MS + self(env)->wall_ms + self(env)->clock->now_ms };
}

static void env_op_random(struct env *env, void *out, size_t len)
{
	unsigned char *octets = out;

	for (size_t i = 0; i < len; i++)
		octets[i] = (unsigned char)rng_next(&self(env)->rng);
}

static void env_op_timer_start(struct env *env, struct timer *t, struct mono when)
{
	timers_start(&self(env)->timers, t, when);
}

static void env_op_timer_stop(struct env *env, struct timer *t)
{
	timers_stop(&self(env)->timers, t);
}

static void env_op_defer(struct env *env, struct deferred *d)
{
	timers_defer(&self(env)->timers, d);
}

static void env_op_undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&self(env)->timers, d);
}

static void on_wake(struct deferred *d)
{
	struct sim_env *e = CONTAINER_OF(d, struct sim_env, wake);

	if (e->env.on_wake)
		e->env.on_wake(&e->env);
}

static void env_op_wake(struct env *env)
{
	timers_defer(&self(env)->timers, &self(env)->wake);
}

static void on_worked(struct deferred *d)
{
	struct work *w = CONTAINER_OF(d, struct work, deferred);
	struct env_work *work = w->work;

	list_remove(&w->link);
	free(w);
	work->run(work);
	work->on_done(work);
}

static void env_op_work(struct env *env, struct env_work *work)
{
	struct sim_env *e = self(env);
	struct work *w = mem_zalloc(sizeof(*w));

	w->work = work;
	w->deferred.on_run = on_worked;
	list_push_back(&e->works, &w->link);
	timers_defer(&e->timers, &w->deferred);
}

static const struct env_ops sim_env_ops = {
	.now = env_op_now,
	.wall = env_op_wall,
	.random = env_op_random,
	.timer_start = env_op_timer_start,
	.timer_stop = env_op_timer_stop,
	.defer = env_op_defer,
	.undefer = env_op_undefer,
	.wake = env_op_wake,
	.work = env_op_work,
};

/* Nothing here is secret: the hash of a password is "$sim$" and the password. */
static bool on_fits(const char *password, const char *hash)
{
	return strncmp(hash, "$sim$", 5) == 0 && strcmp(hash + 5, password) == 0;
}

static void on_mac(const uint8_t key[SECRET_BYTES], struct str octets, uint8_t out[SECRET_BYTES])
{
	for (size_t i = 0; i < SECRET_BYTES; i += sizeof(uint64_t)) {
		uint64_t hash = str_hash(octets, key[i] + i);

		memcpy(out + i, &hash, sizeof(hash));
	}
}

static const struct secret_ops secret = { .fits = on_fits, .mac = on_mac };

static void on_emit(struct log *log, const struct log_event *event)
{
	struct sim_env *e = CONTAINER_OF(log, struct sim_env, log);
	struct buf line;

	e->log_count++;
	buf_init(&line, TRACE_LINE_MAX);
	log_format_text(&line, event);
	sim_trace(e->clock, "log %s", buf_cstr(&line));
	buf_fini(&line);
}

void sim_env_init(struct sim_env *e, struct sim_clock *clock, int64_t wall_ms)
{
	memset(e, 0, sizeof(*e));
	e->clock = clock;
	e->wall_ms = wall_ms;
	e->log = (struct log){ .level = LOG_INFO, .emit = on_emit };
	e->env = (struct env){
		.ops = &sim_env_ops,
		.rate = 1,
		.log = &e->log,
		.metrics = &e->metrics,
		.fault = &e->fault,
		.secret = &secret,
	};
	e->wake.on_run = on_wake;
	list_init(&e->works);
	timers_init(&e->timers);
	rng_init(&e->rng, rng_next(&clock->rng));
}

void sim_env_fini(struct sim_env *e)
{
	struct list *link;

	while ((link = list_pop_front(&e->works)) != NULL) {
		struct work *w = CONTAINER_OF(link, struct work, link);

		timers_undefer(&e->timers, &w->deferred);
		free(w);
	}
	timers_undefer(&e->timers, &e->wake);
	timers_fini(&e->timers);
}
