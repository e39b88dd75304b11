/*
 * fixture_net - env and net in memory: virtual time, deferred deliveries, input cut at will.
 *
 * The test is the peer: it feeds octets to a conn and reads what the session wrote. Nothing is delivered from inside a
 * call; fixture_settle runs turns until nothing more happens, fixture_advance lets time pass.
 */
#ifndef TEST_UNIT_SMTP_FIXTURE_NET_H
#define TEST_UNIT_SMTP_FIXTURE_NET_H

#include "base/buf.h"
#include "port/env.h"
#include "port/net.h"

#define FIXTURE_CONNS_MAX 8

struct fixture;

struct conn {
	struct fixture *f;
	const struct conn_handler *handler;
	void *user;
	struct endpoint peer;
	struct buf input;  /* fed, not yet delivered */
	struct buf output; /* written by the session, not yet taken by the test */
	struct buf all;    /* everything it ever wrote */
	bool is_reading;
	bool is_opening;
	bool is_handshaking;
	bool is_stalled; /* what is written does not leave */
	bool has_end;    /* after the input: on_end(end) */
	enum err end;
	size_t unsent;
	struct mono opens_by;
	bool is_closed, is_closed_flushed;
};

struct fixture {
	struct env env;
	struct net net;
	struct timers timers;
	struct mono now;
	struct metrics metrics;
	struct log log;
	struct fault fault;
	size_t segment_bytes; /* input is cut into such pieces; 0: whole */
	enum err connect_err;
	bool does_connect_hang;
	enum err tls_err;
	struct str tls_peer; /* name in its certificate; with is_tls_verified it counts */
	bool is_tls_verified;
	struct conn conns[FIXTURE_CONNS_MAX];
	size_t conn_count;
};

void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f);
/* fixture_accept - a connection from the given address, for a server. */
struct conn *fixture_accept(struct fixture *f, const char *from);
void fixture_feed(struct conn *c, const char *text);
void fixture_feed_octets(struct conn *c, struct str octets);
void fixture_end(struct conn *c, enum err err);
void fixture_settle(struct fixture *f);
void fixture_advance(struct fixture *f, int64_t ms);
/* fixture_output - what was written since the last call, as a C string valid until the next write. */
const char *fixture_output(struct conn *c);

#endif
