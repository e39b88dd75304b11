/* fixture_net - a listener on loopback and two sides that note what happens to them. */
#ifndef FIXTURE_NET_H
#define FIXTURE_NET_H

#include <netinet/in.h>
#include <stdio.h>

#include "base/buf.h"
#include "os/os_net.h"
#include "unit/os/fixture_os.h"

enum side_event { ON_OPEN = 1, ON_READ = 2, ON_END = 4, ON_DRAINED = 8, ON_TLS = 16 };

struct side {
	struct net *net;
	struct conn *conn; /* NULL: none, or closed */
	struct buf input;
	size_t read_count;
	size_t drained_count;
	bool is_opened; /* connected, refused, or accepted */
	enum err open;
	bool is_ended;
	enum err end;
	bool has_tls; /* on_tls was called */
	enum err tls;
	bool is_verified;
	bool is_resumed;
	enum tls_fault fault;
	char protocol[16];
	char peer[64];
	char problem[256];
	bool is_echo;
	unsigned closes_on; /* enum side_event */
	bool closes_flushed;
	bool starts_tls_on_read; /* a server: answers "go" and begins */
};

struct net_fixture {
	struct fixture base;
	struct os_net net;
	struct listener *listener;
	struct endpoint at;
	struct side client, server;
	struct timer tick;
};

extern const struct listener_handler side_listener;

void net_fixture_init(struct net_fixture *f, const char *place);
void net_fixture_init_inherited(struct net_fixture *f, const struct endpoint *at, int fd);
void net_fixture_fini(struct net_fixture *f);
void net_fixture_connect(struct net_fixture *f); /* both sides open */
void net_fixture_wait_input(struct net_fixture *f, const struct side *s, size_t count);
void net_fixture_wait_conns(struct net_fixture *f, size_t count);
/* net_fixture_turn - one turn of the loop of a few milliseconds at most. */
void net_fixture_turn(struct net_fixture *f);

void side_connect(struct side *s, struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms);
void side_write(struct side *s, const char *text);
size_t side_unsent(struct side *s);
void side_close(struct side *s, bool is_flushed);
void side_start_tls(struct side *s, bool is_server, enum tls_check check, const char *name);

#endif
