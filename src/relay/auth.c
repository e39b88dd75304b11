/*
 * auth - see auth.h.
 *
 * A check is answered at once (deferred) when its client had too many wrong ones, when its success is remembered, or when
 * too many wait; else it waits for its turn on another thread. What waited while its client went over the limit is not
 * looked at any more, so that guessing in many sessions at a time gains nothing.
 */
#include "relay/auth.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "queue/strikes.h"

#define REMEMBERED_MAX 1024 /* a success takes the place of another one's: 40 octets each */
#define REMEMBERED_MS (5 * MINUTE_MS)

struct remembered {
	uint8_t mac[SECRET_BYTES];
	struct mono until;
};

struct auth {
	struct env *env;
	uint8_t key[SECRET_BYTES];
	uint64_t seed;
	struct strikes strikes;
	struct list waiting;  /* of struct check, for a thread */
	struct list deferred; /* of struct check, whose answer is known */
	uint32_t waiting_count, running_count;
	bool is_overrun_said;
	struct remembered remembered[REMEMBERED_MAX];
};

struct check {
	struct list link;
	struct env_work work;
	struct deferred deferred;
	struct auth *auth;
	const struct secret_ops *secret; /* all that the other thread needs beside these two */
	char *password, *hash;
	bool is_known; /* the name exists */
	bool is_good;
	uint8_t mac[SECRET_BYTES];
	enum smtp_auth_result result;
	struct strikes_key strikes_key;
	uint32_t failures_max;
	struct str where; /* "name[address]" */
	struct str mechanism, name;
	struct arena arena;
	void (*on_done)(void *user, enum smtp_auth_result result);
	void *user;
};

static void on_run(struct env_work *w);
static void on_work_done(struct env_work *w);
static void on_deferred(struct deferred *d);
static void start_waiting(struct auth *a);
static void check_free(struct check *c);

struct auth *auth_new(struct env *env)
{
	struct auth *a = mem_zalloc(sizeof(*a));

	a->env = env;
	env_random(env, a->key, sizeof(a->key));
	env_random(env, &a->seed, sizeof(a->seed));
	strikes_init(&a->strikes, a->seed);
	list_init(&a->waiting);
	list_init(&a->deferred);
	return a;
}

/* A check on another thread stays until that is done with it: it is lost with the process. */
void auth_free(struct auth *a)
{
	LIST_FOR_EACH_SAFE (link, &a->waiting)
		check_free(CONTAINER_OF(link, struct check, link));
	LIST_FOR_EACH_SAFE (link, &a->deferred) {
		struct check *c = CONTAINER_OF(link, struct check, link);

		env_undefer(a->env, &c->deferred);
		check_free(c);
	}
	strikes_fini(&a->strikes);
	mem_wipe(a, sizeof(*a));
	free(a);
}

static void check_free(struct check *c)
{
	list_remove(&c->link);
	mem_wipe(c->password, strlen(c->password));
	free(c->password);
	free(c->hash);
	arena_fini(&c->arena);
	free(c);
}

/* ---- what is remembered ---- */

static void set_mac(struct check *c, struct str password)
{
	struct buf octets;

	buf_init(&octets, c->name.len + password.len + strlen(c->hash) + 64);
	buf_append_counted(&octets, c->name);
	buf_append_counted(&octets, str_from_c(c->hash));
	buf_append_counted(&octets, password);
	c->secret->mac(c->auth->key, buf_str(&octets), c->mac);
	mem_wipe(octets.data, octets.cap);
	buf_fini(&octets);
}

static struct remembered *place_of(struct auth *a, const uint8_t mac[SECRET_BYTES])
{
	return &a->remembered[(mac[0] | (size_t)mac[1] << 8) % REMEMBERED_MAX];
}

/* All octets are looked at, whatever differs: the time tells nothing. */
static bool is_same_mac(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t difference = 0;

	for (size_t i = 0; i < SECRET_BYTES; i++)
		difference = (uint8_t)(difference | (a[i] ^ b[i]));
	return difference == 0;
}

static bool is_remembered(struct auth *a, const struct check *c)
{
	const struct remembered *place = place_of(a, c->mac);

	return c->is_known && env_now(a->env).ms < place->until.ms &&
	       is_same_mac(place->mac, c->mac);
}

static void remember(struct auth *a, const struct check *c)
{
	struct remembered *place = place_of(a, c->mac);

	memcpy(place->mac, c->mac, sizeof(place->mac));
	place->until = mono_add(env_now(a->env), REMEMBERED_MS);
}

/* ---- wrong ones ---- */

static void log_failure(const struct check *c)
{
	struct buf line;

	/* The words, and their order, are Postfix's: fail2ban's filter of that name finds the address by them. */
	buf_init(&line, 2048);
	buf_printf(&line, "warning: %.*s: SASL %.*s authentication failed: ", STR_FMT(c->where),
		STR_FMT(c->mechanism));
	buf_printf(&line, "%s, sasl_username=%.*s", c->is_known ? "wrong password" : "no such user",
		STR_FMT(c->name));
	log_text(c->auth->env->log, LOG_WARNING, "smtpd", "%s", buf_cstr(&line));
	buf_fini(&line);
}

static void note_failure(struct auth *a, const struct check *c)
{
	metric_add(a->env->metrics, METRIC_smtpd_auth_failures_total, 1);
	log_failure(c);
	if (!strikes_add(&a->strikes, &c->strikes_key, c->failures_max, env_now(a->env)))
		return;
	log_text(a->env->log, LOG_WARNING, "smtpd",
		"warning: %.*s: %u wrong passwords within ten minutes: AUTH is answered 454 until "
		"they are over",
		STR_FMT(c->where), c->failures_max);
}

static bool is_out(struct auth *a, const struct check *c)
{
	return strikes_are_out(&a->strikes, &c->strikes_key, c->failures_max, env_now(a->env));
}

/* ---- the way of a check ---- */

static void finish(struct check *c)
{
	void (*on_done)(void *user, enum smtp_auth_result result) = c->on_done;
	void *user = c->user;
	enum smtp_auth_result result = c->result;

	if (result == SMTP_AUTH_BAD)
		note_failure(c->auth, c);
	check_free(c);
	on_done(user, result);
}

static void answer_later(struct check *c, enum smtp_auth_result result)
{
	c->result = result;
	list_remove(&c->link);
	list_push_back(&c->auth->deferred, &c->link);
	env_defer(c->auth->env, &c->deferred);
}

static void on_deferred(struct deferred *d)
{
	finish(CONTAINER_OF(d, struct check, deferred));
}

static void start_waiting(struct auth *a)
{
	while (a->running_count < AUTH_RUNNING_MAX && !list_is_empty(&a->waiting)) {
		struct check *c = CONTAINER_OF(a->waiting.next, struct check, link);

		a->waiting_count--;
		if (is_out(a, c)) {
			answer_later(c, SMTP_AUTH_LATER);
			continue;
		}
		list_remove(&c->link);
		a->running_count++;
		env_work(a->env, &c->work);
	}
	if (a->waiting_count == 0)
		a->is_overrun_said = false;
}

/* Another thread: nothing here but what belongs to the check. */
static void on_run(struct env_work *w)
{
	struct check *c = CONTAINER_OF(w, struct check, work);

	c->is_good = c->secret->fits(c->password, c->hash);
}

static void on_work_done(struct env_work *w)
{
	struct check *c = CONTAINER_OF(w, struct check, work);
	struct auth *a = c->auth;

	a->running_count--;
	c->result = c->is_good && c->is_known ? SMTP_AUTH_GOOD : SMTP_AUTH_BAD;
	if (c->result == SMTP_AUTH_GOOD)
		remember(a, c);
	finish(c);
	start_waiting(a);
}

static void wait_for_turn(struct auth *a, struct check *c)
{
	if (a->waiting_count >= AUTH_WAITING_MAX) {
		if (!a->is_overrun_said)
			log_text(a->env->log, LOG_WARNING, "smtpd",
				"warning: more than %d passwords wait to be checked: AUTH is "
				"answered 454",
				AUTH_WAITING_MAX);
		a->is_overrun_said = true;
		answer_later(c, SMTP_AUTH_LATER);
		return;
	}
	a->waiting_count++;
	list_push_back(&a->waiting, &c->link);
	start_waiting(a);
}

static char *copy(struct str s)
{
	char *p = mem_alloc(s.len + 1);

	memcpy(p, s.data, s.len);
	p[s.len] = '\0';
	return p;
}

static void set_client(struct check *c, const struct smtp_server_info *client)
{
	struct buf where;

	buf_init(&where, 1024);
	smtp_server_append_client(&where, client);
	c->where = arena_dup(&c->arena, buf_str(&where));
	c->mechanism = arena_dup(&c->arena, client->mechanism);
	buf_fini(&where);
}

static struct check *check_new(struct auth *a, const struct auth_request *q)
{
	struct check *c = mem_zalloc(sizeof(*c));
	/* Of somebody: an unknown name takes as long as a wrong password, whatever the method. */
	struct str hash = q->conf->user_count > 0 ? q->conf->users[0].hash : STR("*");

	for (uint32_t i = 0; i < q->conf->user_count; i++)
		if (str_equal(q->conf->users[i].name, q->name)) {
			hash = q->conf->users[i].hash;
			c->is_known = true;
		}
	c->auth = a;
	c->secret = a->env->secret;
	c->password = copy(q->password);
	c->hash = copy(hash);
	c->name = arena_dup(&c->arena, q->name);
	c->failures_max = q->conf->auth_failures_max;
	c->strikes_key = strikes_key(
		&q->client->client, q->client->is_trusted ? str_hash(q->name, a->seed) : 0);
	set_client(c, q->client);
	set_mac(c, q->password);
	c->on_done = q->on_done;
	c->user = q->user;
	c->work = (struct env_work){ .run = on_run, .on_done = on_work_done };
	c->deferred.on_run = on_deferred;
	return c;
}

void auth_check(struct auth *a, const struct auth_request *q)
{
	struct check *c = check_new(a, q);

	if (is_out(a, c))
		answer_later(c, SMTP_AUTH_LATER);
	else if (str_find(q->password, '\0') < q->password.len)
		answer_later(c, SMTP_AUTH_BAD); /* crypt(3) would see the part before it */
	else if (is_remembered(a, c))
		answer_later(c, SMTP_AUTH_GOOD);
	else
		wait_for_turn(a, c);
}
