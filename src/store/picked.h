/*
 * picked - what the acts on many recipients (MODIFY, REVIVE) share: the rows that they picked, in the order in which they
 * act, what they say of them, and the audit row.
 */
#ifndef STORE_PICKED_H
#define STORE_PICKED_H

#include "sqlite_engine.h"

struct picked {
	uint64_t message;
	uint32_t number;
	uint64_t hop;               /* MODIFY */
	enum recipient_state state; /* MODIFY: what it was */
	struct wall failed;         /* REVIVE: when */
	struct wall accepted;
	struct str domain;
};

/* picked_sort - by message, then by number. */
void picked_sort(struct picked *rows, uint32_t count);
/* picked_count_domains - different recipient domains of one or more rows, and the oldest acceptance. */
uint64_t picked_count_domains(
	struct sqlite_engine *e, const struct picked *rows, uint32_t count, struct wall *oldest);

/* audit_write - who did what to how many, and why. */
MUST_USE enum err audit_write(struct sqlite_engine *e, struct wall at, struct str actor,
	const char *action, struct str reason, const struct store_filter *filter,
	uint64_t recipient_count, uint64_t message_count);

#endif
