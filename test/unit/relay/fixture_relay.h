/*
 * fixture_relay - a relay on the simulated ports over a real queue, with one destination site: mx.dest.test, for
 * dest.test and other.test. What it answers is a script of the test's.
 */
#ifndef FIXTURE_RELAY_H
#define FIXTURE_RELAY_H

#include "port/store.h"
#include "relay/destination.h"
#include "sim/sim_dns.h"
#include "sim/sim_net.h"

struct fixture_relay {
	struct sim_clock clock;
	struct sim_env env;
	struct sim_net net;
	struct sim_dns dns;
	struct conf *conf;
	struct store store; /* counts, then the real one */
	struct store *inner;
	struct relay *relay;
	char directory[64];
	bool is_stopped;
	uint64_t reads;
	uint32_t connects, delivered, probes;
	int priority; /* of what is stored and offered next */

	/* the destination */
	struct list peers; /* its side of the connections */
	bool is_refusing;
	int64_t rcpt_delay_ms; /* before the reply to RCPT, once it is set */
	const char *drop_at;   /* command at which it hangs up */
	const char *refuse_at; /* so RCPT begins that hears refuse_text */
	const char *refuse_text;
	uint32_t rcpt_count, data_count; /* commands heard */
	uint32_t defer_count;  /* so many RCPT get 450 */
	const char *limit_at;  /* so MAIL begins that hears 421, and how often */
	uint32_t limit_count, limited; /* left, and done */
};

void fixture_relay_open(struct fixture_relay *f);
void fixture_relay_close(struct fixture_relay *f);
void fixture_relay_start(struct fixture_relay *f); /* a new relay over the same queue */
void fixture_relay_end(struct fixture_relay *f);   /* at once, without a stop */
void fixture_relay_stop(struct fixture_relay *f);  /* asks; is_stopped tells */
void fixture_relay_run(struct fixture_relay *f, int64_t ms);
/* fixture_relay_store - a message from <from> to count recipients at domain is in the queue; the relay is not told. */
uint64_t fixture_relay_store(
	struct fixture_relay *f, const char *from, const char *domain, uint32_t count);
/* fixture_relay_offer - tells the relay of it, as intake does. */
void fixture_relay_offer(
	struct fixture_relay *f, uint64_t id, const char *from, const char *domain);
/* fixture_relay_down - the site is stored as DOWN with dest.test routed to it. */
void fixture_relay_down(struct fixture_relay *f, struct wall next_probe);
uint64_t fixture_relay_count(struct fixture_relay *f, enum recipient_state state);

/* fixture_relay_open_asleep, _close_asleep - cmocka's setup and teardown: the site of dest.test is down, its host known from a
 * probe that failed, the next probe far away, a message waits; from now on it would answer. */
int fixture_relay_open_asleep(void **state);
int fixture_relay_close_asleep(void **state);

#endif
