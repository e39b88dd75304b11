/* fixture_caller - a client of the relay over the simulated network: it says what a test wants and keeps what it hears. */
#ifndef FIXTURE_CALLER_H
#define FIXTURE_CALLER_H

#include <string.h>

#include "base/check.h"
#include "fixture_relay.h"

struct caller {
	struct fixture_relay *f;
	struct conn *conn; /* NULL: closed */
	struct buf heard;
};

static void caller_on_open(void *user, enum err err)
{
	(void)user;
	CHECK(err == OK);
}

static void caller_on_read(void *user, struct str octets)
{
	buf_append_str(&((struct caller *)user)->heard, octets);
}

static void caller_on_end(void *user, enum err err)
{
	struct caller *c = user;

	(void)err;
	sim_sock_close(c->conn, false);
	c->conn = NULL;
}

static const struct sim_sock_handler caller_handler = { caller_on_open, caller_on_read,
	caller_on_end };

/* caller_hear - all that was said since the last call, after ms. */
static inline const char *caller_hear(struct caller *c, int64_t ms)
{
	static char text[64 * 1024];

	fixture_relay_run(c->f, ms);
	CHECK(c->heard.len < sizeof(text));
	memcpy(text, buf_cstr(&c->heard), c->heard.len + 1);
	buf_clear(&c->heard);
	return text;
}

static inline const char *caller_say(struct caller *c, const char *what, int64_t ms)
{
	sim_sock_write(c->conn, str_from_c(what));
	return caller_hear(c, ms);
}

static inline void caller_dial(struct caller *c, struct fixture_relay *f, const char *from)
{
	static const struct sim_line line = { .reach = REACH_ACCEPT, .latency_ms = 1 };
	struct endpoint at;

	*c = (struct caller){ .f = f };
	buf_init(&c->heard, 64 * 1024);
	CHECK(endpoint_parse(&at, str_from_c(from), 40000) == OK);
	c->conn = sim_net_dial(&f->net, &at, &f->conf->listeners[0].at, &line, &caller_handler, c);
}

static inline void caller_end(struct caller *c)
{
	if (c->conn)
		sim_sock_close(c->conn, false);
	c->conn = NULL;
	buf_fini(&c->heard);
	fixture_relay_run(c->f, 10);
}

#endif
