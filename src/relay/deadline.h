/* deadline - parked mail whose by-time is over is returned: see deadline.c. Thread: loop. */
#ifndef RELAY_DEADLINE_H
#define RELAY_DEADLINE_H

#include "relay/relay_private.h"

struct deadline;

struct deadline *deadline_new(struct relay *r);
void deadline_start(struct deadline *d);
/* deadline_note - mail that is to be returned at that time has come in. */
void deadline_note(struct deadline *d, struct wall by);
void deadline_stop(struct deadline *d);
bool deadline_is_busy(const struct deadline *d);
void deadline_free(struct deadline *d);

#endif
