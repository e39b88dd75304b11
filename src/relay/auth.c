/* auth - see auth.h. The remembered successes are keyed by a random seed and live AUTH_CACHE_MS. */
#include "relay/auth.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define AUTH_CACHE_SLOTS 64
#define AUTH_CACHE_MS (5 * MINUTE_MS)

struct remembered {
	uint64_t key;
	struct mono until;
};

struct auth {
	struct env *env;
	uint64_t seed[2];
	struct remembered slots[AUTH_CACHE_SLOTS];
};

struct check {
	struct env_work work;
	struct deferred deferred;
	struct auth *auth;
	char *password, *hash;
	bool is_known; /* the name exists */
	bool is_good;
	uint64_t key;
	void (*on_done)(void *user, bool is_good);
	void *user;
};

struct auth *auth_new(struct env *env)
{
	struct auth *a = mem_zalloc(sizeof(*a));

	a->env = env;
	env_random(env, a->seed, sizeof(a->seed));
	return a;
}

void auth_free(struct auth *a)
{
	free(a);
}

static uint64_t cache_key(
	const struct auth *a, struct str name, struct str password, struct str hash)
{
	return str_hash(name, a->seed[0]) ^ (str_hash(password, a->seed[1]) * 3) ^
	       (str_hash(hash, a->seed[0] + 1) * 5);
}

static void check_free(struct check *c)
{
	memset(c->password, 0, strlen(c->password));
	free(c->password);
	free(c->hash);
	free(c);
}

static void finish(struct check *c)
{
	struct auth *a = c->auth;

	if (c->is_good)
		a->slots[c->key % AUTH_CACHE_SLOTS] =
			(struct remembered){ c->key, mono_add(env_now(a->env), AUTH_CACHE_MS) };
	c->on_done(c->user, c->is_good);
	check_free(c);
}

static void on_run(struct env_work *w)
{
	struct check *c = CONTAINER_OF(w, struct check, work);
	struct crypt_data *data = mem_zalloc(sizeof(*data));
	const char *got = crypt_r(c->password, c->hash, data);

	c->is_good = c->is_known && got && got[0] != '*' && strcmp(got, c->hash) == 0;
	free(data);
}

static void on_work_done(struct env_work *w)
{
	finish(CONTAINER_OF(w, struct check, work));
}

static void on_deferred(struct deferred *d)
{
	finish(CONTAINER_OF(d, struct check, deferred));
}

static char *copy(struct str s)
{
	char *p = mem_alloc(s.len + 1);

	memcpy(p, s.data, s.len);
	p[s.len] = '\0';
	return p;
}

void auth_check(struct auth *a, const struct conf *conf, struct str name, struct str password,
	void (*on_done)(void *user, bool is_good), void *user)
{
	/* A hash nobody has the password of: an unknown name takes as long as a wrong password. */
	struct str hash = STR("$6$outlast.nobody$x");
	struct check *c = mem_zalloc(sizeof(*c));
	const struct remembered *slot;

	for (uint32_t i = 0; i < conf->user_count; i++)
		if (str_equal(conf->users[i].name, name)) {
			hash = conf->users[i].hash;
			c->is_known = true;
		}
	if (str_find(password, '\0') < password.len)
		c->is_known = false;
	c->auth = a;
	c->password = copy(password);
	c->hash = copy(hash);
	c->on_done = on_done;
	c->user = user;
	c->key = cache_key(a, name, password, hash);
	c->work = (struct env_work){ .run = on_run, .on_done = on_work_done };
	c->deferred.on_run = on_deferred;
	slot = &a->slots[c->key % AUTH_CACHE_SLOTS];
	if (c->is_known && slot->key == c->key && env_now(a->env).ms < slot->until.ms) {
		c->is_good = true;
		env_defer(a->env, &c->deferred);
		return;
	}
	env_work(a->env, &c->work);
}
