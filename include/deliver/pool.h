/*
 * pool - idle sessions to next hops, kept for reuse; and the count of all open ones.
 *
 * Sessions are kept by address and by the key they were opened with (route_key_of: TLS rule, credentials, route, source, name
 * in EHLO), so that policies never mix. A session is
 * reused until messages-per-connection or its idle time is reached; an idle one may die at any time. Also keeps
 * the memory of addresses that failed: skipped for 1 to 10 minutes while others work (wall time, doubling).
 */
#ifndef DELIVER_POOL_H
#define DELIVER_POOL_H

#include "conf/conf.h"
#include "deliver/route.h"
#include "port/env.h"
#include "port/net.h"
#include "smtp/client.h"

struct pool;

struct pool *pool_new(struct env *env, struct net *net, struct conf *conf);
void pool_set_conf(struct pool *p, struct conf *conf);
void pool_free(struct pool *p); /* closes idle sessions */
/* pool_take - an idle session to the target that was opened with that key, or NULL. */
struct smtp_client *pool_take(struct pool *p, const struct endpoint *to, struct str session_key);
/* pool_give - an idle session back; it is kept for idle_ms or closed if it served messages_max jobs. */
void pool_give(struct pool *p, struct smtp_client *c, const struct endpoint *to,
	uint32_t messages_max, int64_t idle_ms);
/* pool_close_to - closes idle sessions to an address (it failed, or its site went down). */
void pool_close_to(struct pool *p, const struct endpoint *to);
/* pool_close_idle - closes all of them: the relay is about to end. */
void pool_close_idle(struct pool *p);
uint32_t pool_idle_count(const struct pool *p);
void pool_note_address(struct pool *p, const struct endpoint *to, bool has_worked);
/* pool_avoid_family - addresses of that family count as bad until then: it does not work here. */
void pool_avoid_family(struct pool *p, enum address_family family, struct wall until);
bool pool_is_address_bad(const struct pool *p, const struct endpoint *to);

#endif
