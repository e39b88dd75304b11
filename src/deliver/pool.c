/*
 * pool - see deliver/pool.h.
 *
 * Idle sessions lie in order of arrival and are taken from the back: the youngest is the likeliest
 * to live. The pool keeps at most as many as conf allows connections in all, the memory of bad
 * addresses at most BAD_MAX; the oldest make room.
 */
#include "deliver/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

#define BAD_FIRST_MS MINUTE_MS
#define BAD_LAST_MS (10 * MINUTE_MS)
#define BAD_MAX 4096
#define AVOIDED_MAX_MS HOUR_MS /* whatever happens to the clock */
#define ENDPOINT_BYTES_MAX 128

struct pool {
	struct env *env;
	struct conf *conf;
	struct list idle; /* oldest first */
	uint32_t idle_count;
	struct map bad;
	enum address_family avoided; /* FAMILY_NONE: none */
	struct wall avoided_until;
};

struct idle {
	struct list link;
	struct pool *pool;
	struct smtp_client *client;
	struct endpoint to;
	struct timer timer;
};

struct bad {
	struct map_entry by_address;
	struct arena arena;
	struct wall until;
	int64_t step_ms;
};

struct pool *pool_new(struct env *env, struct net *net, struct conf *conf)
{
	struct pool *p = mem_zalloc(sizeof(*p));
	uint64_t seed;

	(void)net; /* sessions are opened by attempts */
	env_random(env, &seed, sizeof(seed));
	p->env = env;
	p->conf = conf_ref(conf);
	list_init(&p->idle);
	map_init(&p->bad, seed);
	return p;
}

void pool_set_conf(struct pool *p, struct conf *conf)
{
	struct conf *old = p->conf;

	p->conf = conf_ref(conf);
	conf_unref(old);
}

/* ---- idle sessions ---- */

/* Ends the entry; the client goes on. */
static struct smtp_client *idle_free(struct idle *i)
{
	struct smtp_client *c = i->client;

	env_timer_stop(i->pool->env, &i->timer);
	list_remove(&i->link);
	i->pool->idle_count--;
	free(i);
	return c;
}

static void idle_close(struct idle *i)
{
	struct pool *p = i->pool;

	smtp_client_close(idle_free(i));
	metric_sub(p->env->metrics, METRIC_connections_open, 1);
}

static void on_idle_over(struct timer *t)
{
	idle_close(CONTAINER_OF(t, struct idle, timer));
}

static void on_idle_ready(void *user, struct smtp_client *c)
{
	(void)user;
	(void)c;
	check_failed("an idle session is ready already", __FILE__, __LINE__);
}

static void on_idle_died(void *user, struct smtp_client *c, const struct outcome *outcome)
{
	struct idle *i = user;
	struct pool *p = i->pool;

	(void)c;
	(void)outcome;
	idle_free(i);
	metric_sub(p->env->metrics, METRIC_connections_open, 1);
}

static const struct smtp_client_handler idle_handler = { on_idle_ready, on_idle_died };

struct smtp_client *pool_take(struct pool *p, const struct endpoint *to, struct str session_key)
{
	for (struct list *link = p->idle.prev; link != &p->idle; link = link->prev) {
		struct idle *i = CONTAINER_OF(link, struct idle, link);

		if (!endpoint_equal(&i->to, to) ||
			!str_equal(smtp_client_session_key(i->client), session_key))
			continue;
		metric_add(p->env->metrics, METRIC_connections_reused_total, 1);
		return idle_free(i);
	}
	return NULL;
}

void pool_give(struct pool *p, struct smtp_client *c, const struct endpoint *to,
	uint32_t messages_max, int64_t idle_ms)
{
	struct idle *i;

	if (smtp_client_info(c)->jobs >= messages_max || idle_ms <= 0 ||
		p->conf->client.connections_max == 0) {
		smtp_client_close(c);
		metric_sub(p->env->metrics, METRIC_connections_open, 1);
		return;
	}
	while (p->idle_count >= p->conf->client.connections_max)
		idle_close(CONTAINER_OF(p->idle.next, struct idle, link));

	i = mem_zalloc(sizeof(*i));
	i->pool = p;
	i->client = c;
	i->to = *to;
	i->timer.on_fire = on_idle_over;
	list_push_back(&p->idle, &i->link);
	p->idle_count++;
	smtp_client_set_user(c, &idle_handler, i);
	env_timer_after(p->env, &i->timer, idle_ms);
}

void pool_close_to(struct pool *p, const struct endpoint *to)
{
	LIST_FOR_EACH_SAFE (link, &p->idle) {
		struct idle *i = CONTAINER_OF(link, struct idle, link);

		if (endpoint_equal(&i->to, to))
			idle_close(i);
	}
}

void pool_close_idle(struct pool *p)
{
	while (!list_is_empty(&p->idle))
		idle_close(CONTAINER_OF(p->idle.next, struct idle, link));
}

uint32_t pool_idle_count(const struct pool *p)
{
	return p->idle_count;
}

/* ---- bad addresses ---- */

static struct bad *find_bad(const struct pool *p, const struct endpoint *to)
{
	struct map_entry *at;
	struct buf key;

	if (p->bad.count == 0)
		return NULL;
	buf_init(&key, ENDPOINT_BYTES_MAX);
	endpoint_format(&key, to);
	at = map_find(&p->bad, buf_str(&key));
	buf_fini(&key);
	return at ? CONTAINER_OF(at, struct bad, by_address) : NULL;
}

static void bad_free(struct pool *p, struct bad *b)
{
	map_remove(&p->bad, &b->by_address);
	arena_fini(&b->arena);
	free(b);
}

static struct bad *bad_new(struct pool *p, const struct endpoint *to)
{
	struct bad *b = mem_zalloc(sizeof(*b));
	struct buf key;

	if (p->bad.count >= BAD_MAX)
		bad_free(p, CONTAINER_OF(map_first(&p->bad), struct bad, by_address));
	buf_init(&key, ENDPOINT_BYTES_MAX);
	endpoint_format(&key, to);
	map_insert(&p->bad, &b->by_address, arena_dup(&b->arena, buf_str(&key)));
	buf_fini(&key);
	return b;
}

/* A clock that was set back does not keep an address bad for as long as it was set back. */
static bool is_bad_at(const struct bad *b, struct wall now)
{
	return now.ms < b->until.ms && b->until.ms - now.ms <= b->step_ms;
}

void pool_note_address(struct pool *p, const struct endpoint *to, bool has_worked)
{
	struct wall now = env_wall(p->env);
	struct bad *b = find_bad(p, to);

	if (has_worked) {
		if (b)
			bad_free(p, b);
		return;
	}
	/* Deliveries that were under way together are one failure. */
	if (b && is_bad_at(b, now))
		return;
	if (!b)
		b = bad_new(p, to);
	b->step_ms = b->step_ms == 0 ? BAD_FIRST_MS : 2 * b->step_ms;
	if (b->step_ms > BAD_LAST_MS)
		b->step_ms = BAD_LAST_MS;
	b->until = wall_add(now, b->step_ms);
}

void pool_avoid_family(struct pool *p, enum address_family family, struct wall until)
{
	p->avoided = family;
	p->avoided_until = until;
}

static bool is_avoided(const struct pool *p, enum address_family family)
{
	int64_t left_ms;

	if (p->avoided == FAMILY_NONE || family != p->avoided)
		return false;
	left_ms = p->avoided_until.ms - env_wall(p->env).ms;
	return left_ms > 0 && left_ms <= AVOIDED_MAX_MS;
}

bool pool_is_address_bad(const struct pool *p, const struct endpoint *to)
{
	const struct bad *b = find_bad(p, to);

	if (is_avoided(p, to->family))
		return true;
	return b && is_bad_at(b, env_wall(p->env));
}

void pool_free(struct pool *p)
{
	struct map_entry *at;

	if (!p)
		return;
	pool_close_idle(p);
	while ((at = map_first(&p->bad)))
		bad_free(p, CONTAINER_OF(at, struct bad, by_address));
	map_fini(&p->bad);
	conf_unref(p->conf);
	free(p);
}
