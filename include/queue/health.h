/*
 * health - is a destination up? One rule for sites and next hops. Pure: time and chance are passed in.
 *
 *   UP --failure--> SUSPECT --3 failures over >= 60 s without success--> DOWN --success--> RECOVERING --> UP
 *
 * A failure while RECOVERING makes it SUSPECT again, with a new run of failures. first_failure stays until UP.
 *
 * While DOWN nothing is sent but probes, one at a time, each at next_probe. The probe interval grows from
 * probe-first to probe-last: x1.5 for known-good and declared destinations, x2 for others; jittered by 10 %.
 */
#ifndef QUEUE_HEALTH_H
#define QUEUE_HEALTH_H

#include <stdbool.h>

#include "base/rng.h"
#include "conf/conf.h"
#include "mail/outcome.h"
#include "port/store.h"

#define HEALTH_DOWN_FAILURES 3
#define HEALTH_DOWN_SPAN_MS (60 * SECOND_MS)
/* While SUSPECT one delivery at a time is tried, this far apart after a failure. */
#define HEALTH_SUSPECT_PAUSE_MS (30 * SECOND_MS)

void health_init(struct health_record *h, struct wall now); /* UP, never seen to work */
/* health_note_failure - evidence of h's own scope. Returns true when the state changed. While DOWN a failure before
 * next_probe (a delivery that was under way) leaves the probe's time alone. */
bool health_note_failure(struct health_record *h, const struct conf_policy *policy,
	const struct outcome *outcome, struct str host, struct wall now, struct rng *rng);
/* health_note_success - a delivery, or any reply that shows that the destination answers. Returns true when the state
 * changed (SUSPECT to UP, DOWN to RECOVERING). is_accepted: mail was accepted (known good from now on). */
bool health_note_success(struct health_record *h, struct wall now, bool is_accepted);
/* health_forgive - failures since an instant were our own fault: if it was up before them it is up. True: it was not. */
bool health_forgive(struct health_record *h, struct wall since, struct wall now);
/* health_note_recovered - RECOVERING to UP: the window is open again or the backlog gone. */
void health_note_recovered(struct health_record *h, struct wall now);
bool health_is_known_good(
	const struct health_record *h, const struct conf_policy *policy, struct wall now);
/* health_may_try - UP, RECOVERING: at once; SUSPECT: one at a time and not before the pause is over; DOWN: a probe at
 * next_probe. *when is the earliest instant at which a try is allowed; WALL_NEVER while one that must end first is in
 * flight. */
bool health_may_try(
	const struct health_record *h, struct wall now, uint32_t in_flight, struct wall *when);
/* health_probe_now - an operator or a hint: the next probe is due at now. */
void health_probe_now(struct health_record *h, struct wall now);
/* health_put_off_probe - the one that is due could not be made, through no fault of the destination: again after wait_ms, or
 * after the present interval if that is shorter. */
void health_put_off_probe(struct health_record *h, struct wall now, int64_t wait_ms);
const char *health_state_name(enum health_state s); /* "up", "suspect", ... */

#endif
