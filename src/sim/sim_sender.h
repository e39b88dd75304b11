/*
 * sim_sender - clients that bring mail: one connection a message, tried again until there is an answer.
 *
 * A connection that is lost before the final dot, or a 4xx, is tried again with the same message; one that is lost after it,
 * or a 4xx to the content, with a new one (a new token), as a real client would: what became of the first is unknown.
 */
#ifndef SIM_SENDER_H
#define SIM_SENDER_H

#include "sim/sim_ledger.h"
#include "sim/sim_net.h"

#define LOAD_RECIPIENTS_MAX 200

/* Templates: "{n}" is the number of the message, "{n%5}" and "{n/5}" do arithmetic with it; "{r}" the recipient's. */
struct sim_load {
	struct list link;
	char from[128], to[128];
	uint32_t recipients; /* a message */
	int64_t start_ms, every_ms;
	uint32_t count, burst; /* messages in all; at once */
	uint32_t body_bytes;
	int priority; /* said where the relay offers MT-PRIORITY */
	enum sim_style style;
	bool wants_receipt; /* NOTIFY=SUCCESS,FAILURE,DELAY */
	uint32_t sent;
	struct timer timer;
	struct sim_senders *senders;
};

struct sim_senders {
	struct sim_clock *clock;
	struct sim_net *net;
	struct sim_ledger *ledger;
	struct endpoint listener;
	struct list loads, clients;
	struct sim_line line;
	uint32_t unfinished; /* loads */
	uint32_t client_count;
};

void sim_senders_init(struct sim_senders *s, struct sim_clock *clock, struct sim_net *net,
	struct sim_ledger *ledger);
void sim_senders_fini(struct sim_senders *s);
void sim_senders_add(struct sim_senders *s, const struct sim_load *load);
bool sim_senders_done(const struct sim_senders *s);
int64_t sim_senders_end_ms(const struct sim_senders *s); /* when the last message is due */

#endif
