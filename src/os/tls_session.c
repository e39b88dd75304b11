/*
 * tls_session - sessions of ours with next hops, kept so that the next connection need not shake hands in full.
 *
 * A session is found again by all that was asked of the first connection: its session_key, the check, the names, the
 * records. So one that was not verified never stands in for one that must be, and a policy that changed begins anew.
 * Those of TLS 1.3 are used once (RFC 8446 section C.4); the others until they are too old. A handshake that fails
 * takes the sessions of its key with it: the peer may have stumbled over them.
 *
 * Bounds: SESSIONS_MAX in all, SESSIONS_OF_KEY_MAX of one key, SESSION_LIFETIME_MS; the key unused for longest goes first.
 */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tls_private.h"

#define SESSIONS_MAX 1000
#define SESSIONS_OF_KEY_MAX 32 /* as many connections to one host may begin at a time */
#define SESSION_LIFETIME_MS (HOUR_MS)

struct shelf {
	struct map_entry by_key;
	unsigned char key[TLS_SESSION_KEY_BYTES];
	unsigned count;
	struct {
		SSL_SESSION *session;
		struct mono until;
	} held[SESSIONS_OF_KEY_MAX]; /* oldest first */
};

void tls_sessions_init(struct net_uv *net)
{
	uint64_t seed;

	env_random(&net->env->env, &seed, sizeof(seed));
	map_init(&net->sessions, seed);
}

static void drop_at(struct net_uv *net, struct shelf *s, unsigned at)
{
	SSL_SESSION_free(s->held[at].session);
	s->count--;
	net->session_count--;
	memmove(&s->held[at], &s->held[at + 1], (s->count - at) * sizeof(s->held[0]));
}

static void drop_shelf(struct net_uv *net, struct shelf *s)
{
	while (s->count > 0)
		drop_at(net, s, s->count - 1);
	map_remove(&net->sessions, &s->by_key);
	free(s);
}

static struct shelf *find(struct net_uv *net, const struct tls *tls)
{
	struct map_entry *e = map_find(
		&net->sessions, str_of((const char *)tls->session_key, sizeof(tls->session_key)));

	return e ? CONTAINER_OF(e, struct shelf, by_key) : NULL;
}

void tls_sessions_clear(struct net_uv *net)
{
	struct map_entry *e;

	while ((e = map_first(&net->sessions)))
		drop_shelf(net, CONTAINER_OF(e, struct shelf, by_key));
}

void tls_sessions_fini(struct net_uv *net)
{
	tls_sessions_clear(net);
	map_fini(&net->sessions);
}

/* --- the key --- */

static void set_key(struct tls *tls, const struct tls_want *want)
{
	struct buf b;

	buf_init(&b, (size_t)1024 * 1024);
	buf_append_number(&b, want->check, 1);
	buf_append_char(&b, want->is_unjudged ? 'u' : 'j');
	buf_append_counted(&b, want->session_key);
	buf_append_counted(&b, want->server_name);
	for (uint32_t i = 0; i < want->name_count; i++)
		buf_append_counted(&b, want->names[i]);
	buf_append_char(&b, '/');
	for (uint32_t i = 0; i < want->tlsa_count; i++) {
		const struct net_tlsa *r = &want->tlsa[i];
		const unsigned char head[] = { r->usage, r->selector, r->matching };
		buf_append(&b, head, sizeof(head));
		buf_append_counted(&b, r->data);
	}
	tls->has_session_key = !b.is_full;
	SHA256((const unsigned char *)b.data, b.len, tls->session_key);
	buf_fini(&b);
}

/* --- a connection begins --- */

static bool is_single_use(const SSL_SESSION *session)
{
	return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

static void offer_last(struct net_uv *net, struct shelf *s, SSL *ssl)
{
	unsigned last = s->count - 1;
	SSL_SESSION *session = s->held[last].session;

	SSL_set_session(
		ssl, session); /* fails for one that is not resumable: a handshake in full */
	if (is_single_use(session))
		drop_at(net, s, last);
}

void tls_session_offer(struct conn *c, const struct tls_want *want)
{
	struct net_uv *net = c->net;
	struct tls *tls = c->tls;

	if (want->session_key.len == 0)
		return;
	set_key(tls, want);
	struct shelf *s = find(net, tls);
	if (!s || !tls->has_session_key)
		return;
	struct mono now = env_now(&net->env->env);
	while (s->count > 0 && s->held[0].until.ms <= now.ms)
		drop_at(net, s, 0);
	if (s->count > 0)
		offer_last(net, s, tls->ssl);
	map_remove(&net->sessions, &s->by_key);
	if (s->count > 0)
		map_insert(&net->sessions, &s->by_key, s->by_key.key);
	else
		free(s);
}

void tls_session_forget(struct conn *c)
{
	struct shelf *s = c->tls->has_session_key ? find(c->net, c->tls) : NULL;

	if (s)
		drop_shelf(c->net, s);
}

/* --- a session comes --- */

static struct shelf *find_or_make(struct net_uv *net, const struct tls *tls)
{
	struct shelf *s = find(net, tls);

	if (s)
		return s;
	s = mem_zalloc(sizeof(*s));
	memcpy(s->key, tls->session_key, sizeof(s->key));
	map_insert(&net->sessions, &s->by_key, str_of((const char *)s->key, sizeof(s->key)));
	return s;
}

static void make_room(struct net_uv *net, const struct shelf *kept)
{
	while (net->session_count > SESSIONS_MAX) {
		struct map_entry *e = map_first(&net->sessions);
		if (e == &kept->by_key)
			e = map_next(&net->sessions, e);
		drop_shelf(net, CONTAINER_OF(e, struct shelf, by_key));
	}
}

/* Returns 1: the session is ours now. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct conn *c = SSL_get_app_data(ssl);
	struct net_uv *net = c->net;

	if (!c->tls || !c->tls->has_session_key)
		return 0;
	/* After a reload the authorities may be others. */
	if (SSL_get_SSL_CTX(ssl) !=
		(c->tls->check == TLS_CHECK_NONE ? net->lax_context : net->client_context))
		return 0;
	struct shelf *s = find_or_make(net, c->tls);
	if (s->count == SESSIONS_OF_KEY_MAX || (s->count > 0 && !is_single_use(session)))
		drop_at(net, s, 0);
	s->held[s->count].session = session;
	s->held[s->count].until = mono_add(env_now(&net->env->env), SESSION_LIFETIME_MS);
	s->count++;
	net->session_count++;
	make_room(net, s);
	return 1;
}

void tls_session_set_up(SSL_CTX *client)
{
	SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client, on_session);
}
