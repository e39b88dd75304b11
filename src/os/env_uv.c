/*
 * env_uv - the loop: one turn is wait, input and output events, deferred calls, timers, turn hooks.
 *
 * All timers live in base/timer's heap; libuv sees one. The prepare callback (just before the wait)
 * runs the turn hooks and sets the wait; the check callback (just after it) runs what is due. So
 * nothing the core asked for is ever run from inside a call of its own. What can fail is the
 * creation of the loop's descriptors, at init.
 */
#include "env_uv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "os/os_secret.h"

/* A suspended machine's timers sleep too: look at the clock at least this often. */
#define WAIT_MAX_MS 60000

static const int signal_numbers[ENV_SIGNAL_COUNT] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1 };

static int64_t read_clock_ms(clockid_t id)
{
	struct timespec t;

	CHECK(clock_gettime(id, &t) == 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t os_real_ms(void)
{
	return read_clock_ms(CLOCK_REALTIME);
}

/* CLOCK_BOOTTIME counts the time a machine was suspended: eight hours of sleep are no clock jump.
 */
static struct mono on_now(struct env *env)
{
	(void)env;
	return (struct mono){ read_clock_ms(CLOCK_BOOTTIME) };
}

static struct wall on_wall(struct env *env)
{
	struct clock *clock = &os_env_of(env)->uv->clock;
	struct mono now = on_now(env);

	if (clock_must_steer(clock, now)) {
		int64_t jump_ms = clock_steer(clock, now, os_real_ms());
		if (jump_ms != 0) {
			metric_add(env->metrics, METRIC_clock_jumps_total, 1);
			log_text(env->log, LOG_WARNING, "outlastd",
				"the system clock jumped by %lld s: ignored",
				(long long)(jump_ms / 1000));
		}
	}
	return clock_read(clock, now);
}

struct wall os_env_stamp(const struct env *env)
{
	const struct os_env *e = (const struct os_env *)(const void *)env;

	if (env->rate == 1)
		return (struct wall){ os_real_ms() };
	/* The base of a fast clock does not change after init: no lock. */
	return clock_read(&e->uv->clock, (struct mono){ read_clock_ms(CLOCK_BOOTTIME) });
}

static void on_random(struct env *env, void *out, size_t len)
{
	char *at = out;

	(void)env;
	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);
		CHECK(n > 0 || errno == EINTR);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

static void on_timer_start(struct env *env, struct timer *t, struct mono when)
{
	timers_start(&os_env_of(env)->uv->timers, t, when);
}

static void on_timer_stop(struct env *env, struct timer *t)
{
	timers_stop(&os_env_of(env)->uv->timers, t);
}

static void on_defer(struct env *env, struct deferred *d)
{
	timers_defer(&os_env_of(env)->uv->timers, d);
}

static void on_undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&os_env_of(env)->uv->timers, d);
}

static void on_wake_asked(struct env *env)
{
	uv_async_send(&os_env_of(env)->uv->async);
}

static const struct env_ops env_uv_ops = {
	.now = on_now,
	.wall = on_wall,
	.random = on_random,
	.timer_start = on_timer_start,
	.timer_stop = on_timer_stop,
	.defer = on_defer,
	.undefer = on_undefer,
	.wake = on_wake_asked,
	.work = env_uv_work,
};

static void on_async(uv_async_t *async)
{
	struct os_env *e = async->data;

	if (e->env.on_wake && !e->uv->is_draining)
		e->env.on_wake(&e->env);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

static void on_uv_timer(uv_timer_t *timer)
{
	(void)timer; /* it only ends the wait */
}

static void end_turn(struct env_uv *uv)
{
	LIST_FOR_EACH_SAFE (link, &uv->turn_hooks) {
		struct turn_hook *hook = CONTAINER_OF(link, struct turn_hook, link);
		hook->on_turn_end(hook);
	}
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct os_env *e = prepare->data;
	struct env_uv *uv = e->uv;

	end_turn(uv);
	struct mono next = timers_next(&uv->timers);
	int64_t wait_ms = WAIT_MAX_MS;
	if (next.ms != INT64_MAX && !uv->is_draining) {
		wait_ms = next.ms - on_now(&e->env).ms;
		wait_ms = wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : wait_ms;
	}
	if (wait_ms <= 0) {
		CHECK(uv_idle_start(&uv->idle, on_idle) == 0);
		return;
	}
	uv_idle_stop(&uv->idle);
	/* libuv counts from its cached time of the turn's begin: a long turn would make the wait
	 * too short. */
	uv_update_time(&uv->loop);
	CHECK(uv_timer_start(&uv->timer, on_uv_timer, (uint64_t)wait_ms, 0) == 0);
}

static void on_check(uv_check_t *check)
{
	struct os_env *e = check->data;

	if (!e->uv->is_draining)
		timers_run(&e->uv->timers, on_now(&e->env));
}

static void start_handles(struct os_env *e)
{
	struct env_uv *uv = e->uv;

	CHECK(uv_prepare_init(&uv->loop, &uv->prepare) == 0);
	CHECK(uv_check_init(&uv->loop, &uv->check) == 0);
	CHECK(uv_idle_init(&uv->loop, &uv->idle) == 0);
	CHECK(uv_timer_init(&uv->loop, &uv->timer) == 0);
	uv->prepare.data = uv->check.data = e;
	CHECK(uv_prepare_start(&uv->prepare, on_prepare) == 0);
	CHECK(uv_check_start(&uv->check, on_check) == 0);
	for (size_t i = 0; i < ENV_SIGNAL_COUNT; i++)
		CHECK(uv_signal_init(&uv->loop, &uv->signals[i]) == 0);
}

enum err os_env_init(struct os_env *e, const struct os_env_params *params)
{
	CHECK(params->rate >= 1 && params->rate <= OS_ENV_RATE_MAX);
	CHECK(params->log && params->metrics);

	struct env_uv *uv = mem_zalloc(sizeof(*uv));
	int status = uv_loop_init(&uv->loop);
	if (status < 0)
		goto fail_memory;
	status = uv_async_init(&uv->loop, &uv->async, on_async);
	if (status < 0)
		goto fail_loop;
	uv->async.data = e;
	*e = (struct os_env){
		.env = { .ops = &env_uv_ops,
			.rate = params->rate,
			.log = params->log,
			.metrics = params->metrics,
			.fault = params->fault,
			.secret = &os_secret },
		.uv = uv,
	};
	timers_init(&uv->timers);
	list_init(&uv->turn_hooks);
	start_handles(e);
	struct wall wall = { os_real_ms() };
	if (params->rate != 1)
		wall = clock_origin(
			params->rate, params->origin_real_ms, params->origin_wall_ms, wall.ms);
	clock_init(&uv->clock, params->rate, on_now(&e->env), wall);
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	return OK;

fail_loop:
	CHECK(uv_loop_close(&uv->loop) == 0);
fail_memory:
	free(uv);
	return err_from_uv(status);
}

static void on_uv_signal(uv_signal_t *handle, int number)
{
	struct os_env *e = handle->data;

	e->uv->on_signal(e->uv->signal_user, number);
}

void os_env_on_signal(struct os_env *e, void (*on_signal)(void *user, int number), void *user)
{
	e->uv->on_signal = on_signal;
	e->uv->signal_user = user;
	for (size_t i = 0; i < ENV_SIGNAL_COUNT; i++) {
		e->uv->signals[i].data = e;
		CHECK(uv_signal_start(&e->uv->signals[i], on_uv_signal, signal_numbers[i]) == 0);
	}
}

static void turn(struct os_env *e, uv_run_mode mode)
{
	e->uv->is_turning = true;
	uv_run(&e->uv->loop, mode);
	e->uv->is_turning = false;
	end_turn(e->uv); /* the last one ended without a wait */
}

void os_env_run(struct os_env *e)
{
	turn(e, UV_RUN_DEFAULT);
}

void os_env_run_once(struct os_env *e)
{
	turn(e, UV_RUN_ONCE);
}

void os_env_stop(struct os_env *e)
{
	uv_stop(&e->uv->loop);
}

void env_uv_drain(struct os_env *e, const size_t *count_open)
{
	e->uv->is_draining = true;
	while (*count_open > 0)
		turn(e, UV_RUN_ONCE);
	e->uv->is_draining = false;
}

static void close_leaked(uv_handle_t *handle, void *count)
{
	if (uv_is_closing(handle))
		return;
	uv_close(handle, NULL);
	++*(unsigned *)count;
}

unsigned os_env_fini(struct os_env *e)
{
	struct env_uv *uv = e->uv;
	unsigned leaked_count = 0;

	if (!uv)
		return 0;
	uv->is_draining = true;
	uv_close((uv_handle_t *)&uv->prepare, NULL);
	uv_close((uv_handle_t *)&uv->check, NULL);
	uv_close((uv_handle_t *)&uv->idle, NULL);
	uv_close((uv_handle_t *)&uv->timer, NULL);
	uv_close((uv_handle_t *)&uv->async, NULL);
	for (size_t i = 0; i < ENV_SIGNAL_COUNT; i++)
		uv_close((uv_handle_t *)&uv->signals[i], NULL);
	uv_walk(&uv->loop, close_leaked, &leaked_count);
	uv_run(&uv->loop, UV_RUN_DEFAULT);
	CHECK(uv_loop_close(&uv->loop) == 0);
	timers_fini(&uv->timers);
	free(uv);
	e->uv = NULL;
	return leaked_count;
}

enum err err_from_uv(int status)
{
	switch (status) {
	case 0:
		return OK;
	case UV_EOF:
		return ERR_EOF;
	case UV_ECONNREFUSED:
		return ERR_REFUSED;
	case UV_ETIMEDOUT:
		return ERR_TIMEOUT;
	case UV_ENETUNREACH:
	case UV_EHOSTUNREACH:
	case UV_ENETDOWN:
	case UV_EADDRNOTAVAIL:
	case UV_EAFNOSUPPORT:
		return ERR_UNREACHABLE;
	case UV_EACCES:
	case UV_EPERM:
		return ERR_PERMISSION;
	case UV_EADDRINUSE:
	case UV_EEXIST:
		return ERR_EXISTS;
	case UV_ENOENT:
		return ERR_NOT_FOUND;
	case UV_EMFILE:
	case UV_ENFILE:
	case UV_ENOMEM:
	case UV_ENOBUFS:
		return ERR_NO_FDS;
	case UV_ECANCELED:
		return ERR_CANCELED;
	case UV_EAGAIN:
		return ERR_BUSY;
	default:
		return ERR_RESET;
	}
}
