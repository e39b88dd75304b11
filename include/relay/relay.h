/*
 * relay - the conductor: the life of a message from the client's MAIL to the last RECORD.
 *
 * Built by main (or the simulator) over the four ports; owns listeners, sessions, scheduler, recorder and control
 * socket. Everything durable is in the store; what is here is a bounded window of it. Thread: loop.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "conf/conf.h"
#include "port/dns.h"
#include "port/env.h"
#include "port/fetch.h"
#include "port/net.h"
#include "port/store.h"

struct relay;

struct relay_params {
	struct env *env;
	struct net *net;
	struct dns *dns;
	struct store *store;
	struct fetch *fetch;     /* NULL: nothing is fetched by HTTPS */
	struct conf *conf;       /* a reference is taken */
	bool has_tls;            /* the net adapter holds a server certificate */
	const char *config_file; /* for the control socket's answers; NULL in simulation */
	/* on_reload - the control socket asks for a reload: main loads the file and calls relay_reload. message takes the
	 * errors for the operator. NULL: not offered. */
	enum err (*on_reload)(void *user, struct buf *message);
	void *user;
};

struct relay *relay_new(const struct relay_params *params);
/* relay_start - opens the listeners and begins to deliver; reads a bounded part of the store. message names what failed.
 * Errors: those of net_listen. */
MUST_USE enum err relay_start(struct relay *r, struct buf *message);
/* relay_reload - the new configuration takes effect for everything after this call, queued mail included; listeners that
 * are no longer named close, new ones open. On error the old one stays. */
MUST_USE enum err relay_reload(struct relay *r, struct conf *conf, struct buf *message);
/* relay_set_tls - has_tls of struct relay_params, for sessions that begin from now on. */
void relay_set_tls(struct relay *r, bool has_tls);
/* relay_stop - no new sessions and attempts; open ones end or are dropped after 30 s; on_stopped then fires once. */
void relay_stop(struct relay *r, void (*on_stopped)(void *user), void *user);
/* relay_drop_sessions - closes every client session without a reply: a commit's outcome is unknown. */
void relay_drop_sessions(struct relay *r);
void relay_log_state(struct relay *r); /* one line for the log */
void relay_free(struct relay *r);      /* after on_stopped; or in a simulated crash at any time */
/* relay_listener - the address of the n-th SMTP listener (a port of 0 was chosen by the system). False past the last. */
bool relay_listener(struct relay *r, uint32_t n, struct endpoint *out);
/* relay_is_idle - nothing in flight and nothing waiting for an operation: used by tests. */
bool relay_is_idle(const struct relay *r);

#endif
