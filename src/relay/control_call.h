/*
 * control_call - one verb under way: its request, its place in a chain of steps, the store
 * operation it waits for.
 *
 * A step looks at what the last operation brought, sends rows and either submits the next operation
 * (verb_submit), goes on when the reader has caught up (verb_continue), or ends (verb_done,
 * verb_fail). Steps never nest, also when the store completes inside submit.
 */
#ifndef RELAY_CONTROL_CALL_H
#define RELAY_CONTROL_CALL_H

#include "relay/verbs.h"

struct json_t;
struct verb_call;
typedef void verb_step(struct verb_call *call);

struct verb_call {
	const struct verb_host *host;
	struct conf *conf;
	const struct verb_sink *sink;
	void *user;
	struct verb_caller caller;
	struct json_t *request;
	enum verb_code parse_code; /* the request was refused: why */
	const char *parse_text;
	struct arena arena; /* strings of the caller and the filter */
	struct wall now;    /* when it began */
	verb_step *step;
	bool is_running, is_ready, is_waiting, is_canceled, is_ended;
	uint64_t changed_count; /* recipients changed so far, durably */
	void *state;            /* the verb's own; freed by fini */
	void (*fini)(void *state);
	struct survey *survey; /* under way, in state; see control_survey.h */
	struct outage_book *book; /* the same; see control_book.h */

	struct store_filter filter;
	enum store_sort sort;
	uint64_t limit; /* UINT64_MAX: none */

	/* one of each kind; each is finished before it is submitted again */
	struct store_query query;
	struct store_show show;
	struct store_fetch fetch;
	struct store_modify modify;
	struct store_revive revive;
	struct store_hops hops;
	struct store_lookup lookup;
	struct store_stats stats;
	struct store_record record;
	struct store_outages outages;
	struct store_shelf_get shelf_get;
	struct store_shelf_list shelf_list;
};

/* verb_submit - the step next runs when the operation is done and went well; else the call ends
 * with its error. */
void verb_submit(
	struct verb_call *call, struct store_op *op, enum store_kind kind, verb_step *next);
/* verb_submit_lenient - next also runs when the operation failed with ERR_NOT_FOUND. */
void verb_submit_lenient(
	struct verb_call *call, struct store_op *op, enum store_kind kind, verb_step *next);
/* verb_continue - runs next now, or when the reader has room again. */
void verb_continue(struct verb_call *call, verb_step *next);
/* verb_row, verb_done - take over the reference to value. */
void verb_row(struct verb_call *call, struct json_t *value);
void verb_done(struct verb_call *call, struct json_t *value);
void verb_fail(struct verb_call *call, enum verb_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* verb_site_limit - messages a minute that go to a site while it limits us; 0: it does not, or nobody knows. */
double verb_site_limit(const struct verb_call *call, struct str site);
void verb_audit(struct verb_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* verb_text - a string member of the request, empty when absent. */
struct str verb_text(const struct verb_call *call, const char *key);
bool verb_flag(const struct verb_call *call, const char *key);

/* control_filter.c: "filter", "sort" and "limit" of the request. False: the call has failed with
 * the reason. */
bool verb_read_filter(struct verb_call *call);
/* verb_filter_is_empty - control_verbs_change.c: no condition, and not "all" either. */
bool verb_filter_is_empty(const struct store_filter *f);
/* verb_read_id - "id" of the request. */
bool verb_read_id(struct verb_call *call, uint64_t *out);
/* verb_next_page - control_verbs_list.c: after a page of call->query in order of age, which was not empty, the filter and
 * *offset of the next: it starts at the time of the last message seen, so that the millionth costs no more than
 * the first. */
void verb_next_page(struct verb_call *call, uint64_t *offset);
const char *recipient_state_name(enum recipient_state state);

/* the verbs: first steps */
verb_step verb_list, verb_show, verb_cat, verb_log, verb_explain;
verb_step verb_change, verb_revive;
verb_step verb_fate, verb_import;
verb_step verb_outages, verb_outage_declare, verb_outage_extend, verb_outage_end, verb_outage_report;
verb_step verb_sites, verb_probe, verb_tls;
verb_step verb_status, verb_metrics, verb_config, verb_version, verb_reload;

#endif
