/*
 * fixture_net - port/net with scripted SMTP servers at the other end.
 *
 * A server answers each line by the first rule whose verb the line starts with; without one by a
 * usual server's reply. The verb "" is the greeting, "." the reply to content. Special replies:
 * "CLOSE", "RESET", "SILENT"; a last line "CLOSE" behind others closes after them.
 */
#ifndef TEST_UNIT_DELIVER_FIXTURE_NET_H
#define TEST_UNIT_DELIVER_FIXTURE_NET_H

#include "base/buf.h"
#include "fixture_env.h"
#include "port/net.h"

#define FIXTURE_RULES_MAX 12
#define FIXTURE_SERVERS_MAX 8

struct fixture_rule {
	const char *verb;
	const char *reply; /* lines parted by '\n', each with its code */
	unsigned times;    /* 0: always */
};

struct fixture_server {
	struct endpoint at;
	enum err connect_err; /* OK, ERR_REFUSED, ERR_TIMEOUT (no answer), ... */
	enum err tls_err;
	enum tls_fault tls_fault; /* what a check of its certificate finds */
	enum tls_check wanted;    /* of the last handshake */
	struct fixture_rule rules[FIXTURE_RULES_MAX];
	unsigned connects, open, delivered;
	struct endpoint source; /* of the last connect */
	struct buf heard; /* commands, one a line */
};

struct fixture_net {
	struct net net;
	struct fixture_env *env;
	struct fixture_server servers[FIXTURE_SERVERS_MAX];
	unsigned server_count;
	struct list conns;
};

void fixture_net_init(struct fixture_net *n, struct fixture_env *env);
void fixture_net_fini(struct fixture_net *n); /* CHECKs that every conn was closed */
/* fixture_net_add - a server at "ip:port". */
struct fixture_server *fixture_net_add(struct fixture_net *n, const char *at);
void fixture_server_rule(
	struct fixture_server *s, const char *verb, const char *reply, unsigned times);
/* fixture_server_hang_up - closes every connection to it. */
void fixture_server_hang_up(struct fixture_net *n, struct fixture_server *s);

#endif
