/*
 * verbs - what an operator can ask of a queue: one JSON object in, JSON lines out.
 *
 * The daemon runs them for its control socket, the command line over the queue file when no daemon
 * has it: the same text either way. A request is {"verb":"list", ...}; the answer is any number of
 * {"row":{...}} and then exactly one {"done":{...}} or {"error":{"code":N,"text":"..."}}, N from
 * enum verb_code. Nothing of a request is trusted.
 *
 * Verbs that read: status list show cat log explain sites tls outages outage-report metrics config
 * fate version ping. Verbs that change: retry hold release delete revive probe import outage-declare
 * outage-extend outage-end reload; they need caller.may_change and are logged with
 * who and why. Thread: loop, or the only one.
 */
#ifndef RELAY_VERBS_H
#define RELAY_VERBS_H

#include "base/buf.h"
#include "base/metric.h"
#include "conf/conf.h"
#include "port/store.h"

#define VERB_REQUEST_MAX_BYTES (1u << 20)
#define VERB_DEPTH_MAX 32
/* Ids in one request; who has more asks several times. */
#define VERB_IDS_MAX 10000

enum verb_code { /* also the exit status of the command line */
	VERB_DONE = 0,
	VERB_NO_MATCH = 1,
	VERB_PART_FAILED = 2,
	VERB_USAGE = 64,
	VERB_DATA = 65,
	VERB_UNREACHABLE = 69,
	VERB_BUG = 70,
	VERB_TEMPORARY = 75,
	VERB_NOT_PERMITTED = 77
};

struct verb_gauges {
	struct wall started;
	int64_t clock_rate; /* 1 but for demo and tests */
	uint32_t deliveries, attempts, sessions;
	uint64_t disk_free_bytes;
	bool is_space_low;
	bool is_offline; /* our own connection or resolver does not work */
	struct wall offline_since;
};

/* What is in memory of fetching the MTA-STS policy of a domain. */
struct verb_sts_gauges {
	struct wall failed;   /* last failure; WALL_NONE: none since the last success */
	const char *failure;  /* static */
	struct wall next_try; /* not before, and not before somebody asks */
};

/* What only the running daemon knows or can do. */
struct verb_daemon_ops {
	void (*gauges)(void *user, struct verb_gauges *out);
	/* hop_ready - mail of it may have become deliverable; is_urgent: now, also if that takes a
	 * probe */
	void (*hop_ready)(void *user, struct str hop, bool is_urgent);
	void (*site_probe)(void *user, struct str site);
	void (*forget_pending)(void *user); /* mail read ahead may have been held or deleted */
	enum err (*reload)(void *user, struct buf *message);
	void (*audit)(void *user, struct str text); /* one log line */
	/* hop_known - mail for it was accepted then, by another relay; the store knows already. mailbox_known - the same of one
	 * mailbox, which nobody has stored yet. outage_new_id - the number of an outage that is about to be declared.
	 * outages_changed - outages were declared, changed or ended in the store. site_limit - messages a minute that go to a
	 * site while it limits us; 0: it does not. sts - false: nothing is in memory of that domain. Each may be NULL: not
	 * offered. */
	void (*hop_known)(void *user, struct str hop, struct wall at);
	void (*mailbox_known)(void *user, struct str address, struct wall at);
	uint64_t (*outage_new_id)(void *user);
	void (*outages_changed)(void *user);
	double (*site_limit)(void *user, struct str site);
	bool (*sts)(void *user, struct str domain, struct verb_sts_gauges *out);
};

struct verb_host {
	struct store *store;
	struct conf *conf;
	struct wall (*wall)(void *user);
	const struct verb_daemon_ops *daemon; /* NULL: none runs */
	const struct metrics *metrics;        /* NULL: none */
	const char *config_file;              /* the daemon's; NULL: not known */
	void *user;
};

struct verb_caller {
	struct str actor; /* "uid 0 (root)"; copied */
	bool may_change;
};

struct verb_sink {
	void (*on_line)(void *user, struct str line); /* with its LF; valid during the call */
	bool (*is_full)(void *user);                  /* stop for now: verb_resume goes on */
	void (*on_end)(void *user);                   /* once, last; the call is gone */
};

struct verb_call;

/* verb_new - request and caller are copied, the host's conf is referenced; nothing runs before
 * verb_resume. host and sink must outlive the call or its cancelation. */
struct verb_call *verb_new(const struct verb_host *host, struct str request,
	const struct verb_caller *caller, const struct verb_sink *sink, void *user);
/* verb_resume - begins, or goes on after is_full. on_line and on_end may fire inside. */
void verb_resume(struct verb_call *call);
/* verb_cancel - no handler is called any more; what the store still owes is thrown away when it
 * comes. A step of a change that was submitted still happens. */
void verb_cancel(struct verb_call *call);

#endif
