/*
 * sim_net - port/net.h on the virtual clock: byte streams between the relay and simulated peers.
 *
 * A struct conn has two ends: the relay's, behind the port, and the world's, behind the sim_sock calls. Octets take the
 * latency of the link and arrive in segments that the seed cuts. What a destination does to a connection is asked
 * when the first packet reaches it: accept, refuse, swallow; reset after some octets; trickle.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "port/net.h"
#include "sim/sim_env.h"

struct sim_sock_handler {
	void (*on_open)(void *user, enum err err); /* of sim_net_dial only, once */
	void (*on_read)(void *user, struct str octets);
	void (*on_end)(void *user, enum err err);
};

enum sim_reach { REACH_ACCEPT, REACH_REFUSE, REACH_BLACKHOLE, REACH_UNREACHABLE };

/* What STARTTLS with a host comes to: it is not offered; the handshake is done, with a certificate that verifies or one that
 * has expired. */
enum sim_tls { SIM_TLS_NONE, SIM_TLS_GOOD, SIM_TLS_EXPIRED };

struct sim_line {
	enum sim_reach reach;
	int64_t latency_ms;
	uint32_t segment_max; /* segments have 1 to so many octets; 0: uncut */
	int64_t trickle_ms;   /* towards the relay one octet in this time; 0: no */
	enum sim_tls tls;
	uint64_t reset_after; /* octets from the relay, then a reset; 0: no */
};

struct sim_net {
	struct net net;
	struct sim_clock *clock;
	struct list conns, listeners;
	/* ask - how the destination may be reached; then on_peer if it was accepted: the world calls sim_sock_use. */
	void (*ask)(void *user, const struct endpoint *to, struct sim_line *line);
	void (*on_peer)(void *user, const struct endpoint *to, struct conn *c);
	void *user;
	uint64_t connect_count;
};

void sim_net_init(struct sim_net *n, struct sim_clock *clock);
void sim_net_fini(struct sim_net *n);
/* sim_net_crash - the relay's process is gone: its ends hear and say nothing any more; the world sees resets. */
void sim_net_crash(struct sim_net *n);
/* sim_net_dial - the world connects to a listener of the relay. on_open comes later. */
struct conn *sim_net_dial(struct sim_net *n, const struct endpoint *from, const struct endpoint *to,
	const struct sim_line *line, const struct sim_sock_handler *handler, void *user);
void sim_sock_use(struct conn *c, const struct sim_sock_handler *handler, void *user);
void sim_sock_write(struct conn *c, struct str octets);
void sim_sock_hang(struct conn *c); /* reads nothing any more */
/* sim_sock_close - no handler is called after it. is_reset: the relay sees a reset, else an orderly end. */
void sim_sock_close(struct conn *c, bool is_reset);
void sim_net_reset_all(struct sim_net *n); /* every open connection breaks, for both ends */
uint32_t sim_net_open_count(const struct sim_net *n);

#endif
