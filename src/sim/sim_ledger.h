/*
 * sim_ledger - what was promised and what came of it: the journal of the senders, the ledger of the destinations.
 *
 * Each message carries a token (ENVID and a header field). The promises that hold in every scenario are checked here:
 * answered mail arrives or is returned; nothing is returned without cause; what was refused is not delivered;
 * duplicates only where a reply or a process was lost; each notice once; contents unchanged.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "base/buf.h"
#include "sim/sim_env.h"

enum sim_fate {
	FATE_SENDING,  /* not answered yet */
	FATE_ANSWERED, /* 250: promised */
	FATE_REFUSED,  /* 4xx or 5xx to the content, or never sent */
	FATE_UNKNOWN   /* the connection was lost after the final dot */
};

struct sim_rcpt {
	char *address;
	uint32_t delivered;
	bool is_last_doubt; /* the last copy was taken, and its reply withheld */
	bool was_refused;   /* a destination said 5xx to it, or to its message */
	bool was_put_off;   /* a destination said 4xx to it */
	int64_t first_ms, last_ms;
	uint32_t returned; /* notices that name it */
	int64_t returned_ms;
	uint64_t notice; /* hash of the notice's Message-ID */
	bool had_reason; /* the notice that came had a cause */
	int site;        /* that took it first */
	uint32_t receipts; /* notices of success that name it, each once */
	uint64_t receipt;  /* hash of the last one's Message-ID */
};

enum sim_style {
	STYLE_ENVID, /* with an envelope id: notices one by one */
	STYLE_PLAIN, /* without */
	STYLE_LIST   /* without, of a mailing list */
};

struct sim_mail {
	char *from;
	enum sim_style style;
	bool wants_receipt; /* NOTIFY=SUCCESS,FAILURE,DELAY */
	struct sim_rcpt *recipients;
	uint32_t recipient_count;
	uint32_t body_bytes;
	int priority; /* MT-PRIORITY */
	enum sim_fate fate;
	bool is_deleted; /* by an operator: may arrive or not, is never returned */
	int64_t answered_ms;
};

struct sim_counts {
	uint64_t messages, answered, refused, unknown;
	uint64_t recipients; /* of answered mail */
	uint64_t delivered, returned, deleted, queued, duplicates;
	uint64_t sending; /* not answered at the end */
	uint64_t notices; /* recipients named in notices that came */
	uint64_t receipts, receipts_missing; /* recipients named in notices of success; taken where there is no DSN, and not named */
	int64_t return_first_ms, return_last_ms; /* from the 250 to the notice: the shortest and longest */
};

/* What was taken from from_ms on was perhaps not recorded: the queue could not be written. */
struct sim_crash {
	int64_t from_ms, at_ms;
};

struct sim_ledger {
	struct sim_clock *clock;
	struct sim_mail *mails;
	uint32_t mail_count, mail_room;
	uint64_t acceptances; /* 250s to a final dot, notices included, recipients */
	uint64_t doubt_count, double_bounces;
	uint64_t delays, digests, digest_parts, closings, operator_mails;
	struct sim_crash *crashes;
	int64_t full_ms;                  /* since when the queue cannot be written; -1: it can */
	int64_t full_before_ms, space_ms; /* the last such span */
	uint32_t crash_count, crash_room;
	uint32_t violation_count;
	int64_t think_ms; /* of the slowest destination: what a crash explains reaches further */
	/* may_return - a cause besides a 5xx: the domain was gone, or the time was over. */
	bool (*may_return)(void *user, const struct sim_mail *m, const struct sim_rcpt *r);
	/* confirms - the site that took it passes on no wishes: a notice of success is due. */
	bool (*confirms)(void *user, int site);
	void *user;
};

void sim_ledger_init(struct sim_ledger *l, struct sim_clock *clock);
void sim_ledger_fini(struct sim_ledger *l);
/* sim_ledger_new - a message to send; recipients are copied. Returns its token. */
uint32_t sim_ledger_new(struct sim_ledger *l, const char *from, const char *const *recipients,
	uint32_t count, uint32_t body_bytes);
void sim_ledger_content(const struct sim_ledger *l, uint32_t token, struct buf *out);
void sim_ledger_answer(struct sim_ledger *l, uint32_t token, enum sim_fate fate);
void sim_ledger_note_space(struct sim_ledger *l, bool is_full);
void sim_ledger_note_crash(struct sim_ledger *l);
/* sim_ledger_refuse - a destination said 5xx. recipient empty: to all of the message. */
void sim_ledger_refuse(struct sim_ledger *l, struct str envid, struct str recipient);
/* sim_ledger_put_off - a destination said 4xx to a recipient. */
void sim_ledger_put_off(struct sim_ledger *l, struct str envid, struct str recipient);
/* sim_ledger_take - a destination took a message for a recipient. is_doubt: and will not say so. */
void sim_ledger_take(
	struct sim_ledger *l, struct str content, struct str recipient, int site, bool is_doubt);
/* sim_ledger_close - the end: counts, and what was lost. */
void sim_ledger_close(struct sim_ledger *l, struct sim_counts *out);
void sim_violation(struct sim_ledger *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
