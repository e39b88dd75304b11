/*
 * simulate - what an outage would do: the same scheduler on virtual time, for `outlast simulate`.
 *
 * A shape says in some numbers what comes in, what stays away and for how long. It is played exactly (the real relay and
 * the real queue in the simulated world, each message for itself), or estimated by cohorts: messages accepted in the same
 * ten minutes have the same fate, and the rules that decide it (queue/health, queue/window, lifetimes) are the real ones.
 * Both fill the same report, in which the estimate is labelled as one. Time is counted from the beginning of the outage.
 */
#ifndef SIM_SIMULATE_H
#define SIM_SIMULATE_H

#include "base/buf.h"
#include "conf/conf.h"

/* How long the world runs before the outage: the destination becomes known good, its rate is learned. */
#define SIM_WARM_MS HOUR_MS
/* Exact runs hold each message in memory, for the judge. */
#define SIM_EXACT_MESSAGES_MAX 4000000

struct sim_shape {
	char about[160];
	char name[64];      /* of the destination that stays away */
	uint64_t mailboxes; /* behind it */
	uint64_t messages;  /* that come for it while it is away; they go on coming after that */
	uint64_t others_per_day; /* messages for other destinations */
	uint64_t senders;
	uint64_t backlog;       /* recipients that wait for it when the outage begins */
	int64_t backlog_age_ms; /* of the oldest of them; they came evenly since */
	uint64_t queue_bytes;   /* that the queue takes on the disk besides all this */
	uint32_t size_bytes;    /* of a message, in the mean */
	int64_t outage_ms;
	uint32_t connections; /* that the destination bears, and we make */
	int64_t latency_ms;   /* one way */
	int64_t think_ms;     /* before each of its replies */
	bool is_unknown;      /* it never accepted mail from us: no credit, rare probes */
	bool is_live;    /* the queue as it is now: the run begins with the outage, or amid it */
	int64_t away_ms; /* is_live: so long it has been away already */
};

/* Ten minutes, and how they end. */
struct sim_point {
	int64_t at_ms;
	uint64_t backlog;  /* recipients that wait for the destination */
	int64_t others_ms; /* delay of other destinations' mail, in the mean; -1: there was none */
};

struct sim_report {
	struct sim_shape shape;
	bool is_estimate;
	uint64_t accepted;      /* for the destination, the backlog at the beginning included */
	uint64_t delivered;     /* of these */
	uint64_t expired;       /* returned to their senders */
	uint64_t queued;        /* still waiting at the end */
	uint64_t others;        /* messages for other destinations that were delivered */
	uint64_t others_failed; /* ... that were not */
	uint64_t peak_backlog;
	int64_t peak_at_ms;
	uint64_t peak_disk_bytes;
	uint64_t probes;      /* attempts while it was away */
	int64_t probe_gap_ms; /* the longest time between two of them */
	int64_t first_ms;     /* first delivery, after the return; -1: none */
	int64_t drain_ms; /* until what waits is what a minute brings, after the return; -1: never */
	double drain_per_s;      /* deliveries meanwhile */
	double best_per_s;       /* in the best minute */
	int64_t others_ms;       /* delay of others' mail before and during the outage: median */
	int64_t others_drain_ms; /* while the backlog drains: median */
	int64_t end_ms;
	struct sim_point *points; /* owned */
	uint32_t point_count, point_room;
};

/* ---- shapes ---- */

void sim_shape_default(struct sim_shape *s); /* Libero Mail, January 2023, whole */
/* sim_shape_set - one setting by name ("messages", "outage" ...), as a shape line of a scenario has it. *why is a sentence
 * on errors. */
bool sim_shape_set(struct sim_shape *s, struct str key, struct str value, const char **why);
/* sim_shape_read - the `shape` lines of a scenario over the default; *is_shape says whether there are any. false: not
 * readable or wrong; message says where. */
bool sim_shape_read(struct sim_shape *s, const char *file, bool *is_shape, struct buf *message);
/* sim_shape_scale - everything that counts, times numerator / denominator. */
void sim_shape_scale(struct sim_shape *s, uint64_t numerator, uint64_t denominator);
uint64_t sim_shape_messages(const struct sim_shape *s); /* that an exact run would hold, about */

/* ---- playing ---- */

/* sim_estimate - by cohorts. Takes a second whatever the size. */
void sim_estimate(
	const struct sim_shape *s, const struct conf *conf, uint64_t seed, struct sim_report *out);
/* sim_exact - the relay itself; the queue is made in directory, which must be empty and is left for the caller to remove.
 * false: message says why. */
bool sim_exact(const struct sim_shape *s, const struct conf *conf, uint64_t seed,
	const char *directory, struct sim_report *out, struct buf *message);
/* sim_scenario - plays a scenario that is not a shape, with all its variants; prints its figures. The number of things that
 * do not hold. */
unsigned sim_scenario(const char *file, uint64_t seed, const char *directory, struct buf *figures);
void sim_report_fini(struct sim_report *r);

/* What the tables of the queue take before there is any mail. */
#define QUEUE_EMPTY_BYTES 217088
/* sim_disk_bytes - that a queued message takes in the queue file. */
uint64_t sim_disk_bytes(uint32_t size_bytes);

/* ---- showing ---- */

enum sim_unit { SIM_COUNT, SIM_BYTES, SIM_SPAN, SIM_RATE };

struct sim_row {
	const char *key;  /* of JSON */
	const char *what; /* of the table */
	enum sim_unit unit;
	double value;     /* spans in milliseconds; negative: there is none */
	bool is_compared; /* an estimate must come within 5 % */
};

#define SIM_ROWS_MAX 24
uint32_t sim_report_rows(const struct sim_report *r, struct sim_row rows[SIM_ROWS_MAX]);
void sim_row_format(const struct sim_row *row, struct buf *out);
/* sim_report_json - one line, with the curve. */
void sim_report_json(const struct sim_report *r, struct buf *out);
/* sim_rows_differ - how far an estimate is off, as a share of the exact value. */
double sim_rows_differ(const struct sim_row *exact, const struct sim_row *estimate);
/* sim_plot_text - the backlog over time in columns x lines of block characters, or of ASCII. */
void sim_plot_text(const struct sim_report *r, unsigned columns, bool is_utf8, struct buf *out);
/* sim_plot_svg - backlog and the delay of others' mail over time; a file of its own. */
void sim_plot_svg(const struct sim_report *r, struct buf *out);

#endif
