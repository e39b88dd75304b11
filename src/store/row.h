/* row - records of port/store.h to and from columns. The column lists here and in statements.c
 * go together. */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "port/store.h"
#include "sql.h"

/* In the order of get_message, get_recipient, get_health and get_attempt. m, r, h: message,
 * recipient, its hop. */
#define MESSAGE_COLUMNS MESSAGE_COLUMNS_WITH("m.late_notice", "m.by_trace", "m.requiretls")
#define MESSAGE_COLUMNS_WITH(late_notice, by_trace, requiretls)                                    \
	"m.id, m.accepted, m.reverse_path, m.body, m.smtputf8, m.ret, m.envid, m.priority,"        \
	" m.deliver_by, m.deliver_by_notify, m.hold_until, m.origin, m.user, m.client, m.helo,"    \
	" m.message_id, m.size, " late_notice ", " by_trace ", " requiretls ", m.chunks, m.finished, m.hold_reason"
#define RECIPIENT_COLUMNS RECIPIENT_COLUMNS_WITH("r.held", "r.notice")
#define RECIPIENT_COLUMNS_WITH(held, notice)                                                       \
	"r.number, r.address, r.domain, h.name, r.orcpt, r.notify, r.state, r.attempts, r.due,"    \
	" r.last_attempt, r.finished, r.in_doubt, r.code, r.status, r.text, r.host, " held         \
	", " notice
#define HEALTH_COLUMNS(t)                                                                          \
	t ".health, " t ".since, " t ".first_failure, " t ".last_failure, " t ".last_success, " t  \
	  ".next_probe, " t ".probe_step, " t ".failures, " t ".probes, " t ".declared, " t        \
	  ".stage, " t ".code, " t ".host, " t ".text"
#define OUTAGE_COLUMNS                                                                             \
	"id, kind, scope, name, began, declared, until, recovered, ended, actor, note, stage,"     \
	" code, host, text, failures, probes, peak_recipients, peak_bytes, peak_at, delivered,"    \
	" failed, saved"

enum { PRIORITY_MAX = 9, NOTIFY_BITS_MAX = 15, REPLY_CODE_MAX = 999 };

void bind_status(struct query *q, struct status status);
void bind_code(struct query *q, unsigned code);
struct status get_status(struct query *q);
void bind_health(struct query *q, const struct health_record *health);
void get_health(struct query *q, struct health_record *out);
/* bind_envelope - id to size, in the order of MESSAGE_COLUMNS; not the recipients. */
void bind_envelope(struct query *q, const struct envelope *env);
void get_message(struct query *q, struct arena *arena, struct queued_message *out);
void get_recipient(struct query *q, struct arena *arena, struct queued_recipient *out);
void get_attempt(struct query *q, struct arena *arena, struct attempt_record *out);
/* bind_outage, get_outage - in the order of OUTAGE_COLUMNS. */
void bind_outage(struct query *q, const struct outage_record *outage);
void get_outage(struct query *q, struct arena *arena, struct outage_record *out);
/* get_hop - name, site name, counts, bytes, health, route, denial; get_site - name, window, rate, health. */
void get_hop(struct query *q, struct arena *arena, struct hop_record *out);
void get_site(struct query *q, struct arena *arena, struct site_record *out);

/* recipients_add - room for one more recipient; *cap is the caller's memory of the room there
 * is, at first 0. */
struct queued_recipient *recipients_add(
	struct arena *arena, struct queued_message *message, uint32_t *cap);

#endif
