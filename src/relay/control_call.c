/*
 * control_call - runs verbs: takes the request apart, finds the first step, and drives steps and
 * store operations.
 *
 * Happy path: verb_new, verb_resume, steps and completions in turn, one last line, on_end, freed. A
 * request that does not parse becomes an error line. A failed operation ends the call with a code
 * that says whether to try again.
 */
#include "relay/control_call.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/control_json.h"

#define LINE_MAX_BYTES (64u << 20)

struct verb_entry {
	const char *name;
	verb_step *first;
	bool is_change;
	bool needs_daemon;
};

static const struct verb_entry verbs[] = {
	{ "status", verb_status, false, false },
	{ "list", verb_list, false, false },
	{ "show", verb_show, false, false },
	{ "cat", verb_cat, false, false },
	{ "log", verb_log, false, false },
	{ "explain", verb_explain, false, false },
	{ "sites", verb_sites, false, false },
	{ "tls", verb_tls, false, false },
	{ "metrics", verb_metrics, false, true },
	{ "config", verb_config, false, false },
	{ "fate", verb_fate, false, false },
	{ "version", verb_version, false, false },
	{ "ping", verb_version, false, true },
	{ "retry", verb_change, true, false },
	{ "hold", verb_change, true, false },
	{ "release", verb_change, true, false },
	{ "delete", verb_change, true, false },
	{ "revive", verb_revive, true, false },
	{ "probe", verb_probe, true, true },
	{ "import", verb_import, true, false },
	{ "outages", verb_outages, false, false },
	{ "outage-report", verb_outage_report, false, false },
	{ "outage-declare", verb_outage_declare, true, false },
	{ "outage-extend", verb_outage_extend, true, false },
	{ "outage-end", verb_outage_end, true, false },
	{ "reload", verb_reload, true, true },
};

static void parse_request(struct verb_call *call, struct str request);
static void begin(struct verb_call *call);
static void run(struct verb_call *call);
static void release(struct verb_call *call);
static void submit(
	struct verb_call *call, struct store_op *op, enum store_kind kind, verb_step *next);
static void on_store_done(struct store_op *op);
static void on_store_done_lenient(struct store_op *op);
static void completed(struct verb_call *call, enum err err);
static struct verb_call *call_of(struct store_op *op);
static void fail_store(struct verb_call *call, enum err err);
static void send_line(struct verb_call *call, const char *key, json_t *value);
static void end(struct verb_call *call);

struct verb_call *verb_new(const struct verb_host *host, struct str request,
	const struct verb_caller *caller, const struct verb_sink *sink, void *user)
{
	struct verb_call *call = mem_zalloc(sizeof(*call));

	call->host = host;
	call->conf = conf_ref(host->conf);
	call->sink = sink;
	call->user = user;
	call->caller.actor = arena_dup(&call->arena, caller->actor);
	call->caller.may_change = caller->may_change;
	call->now = host->wall(host->user);
	call->limit = UINT64_MAX;
	parse_request(call, request);
	call->step = begin;
	return call;
}

void verb_resume(struct verb_call *call)
{
	if (call->is_waiting || call->is_running)
		return;
	call->is_ready = true;
	run(call);
}

void verb_cancel(struct verb_call *call)
{
	call->is_canceled = true;
	if (!call->is_waiting && !call->is_running)
		release(call);
}

static void parse_request(struct verb_call *call, struct str request)
{
	json_error_t error;

	call->parse_code = VERB_USAGE;
	if (request.len > VERB_REQUEST_MAX_BYTES) {
		call->parse_text = "the request is longer than 1 MiB";
		return;
	}
	if (!json_check_depth(request, VERB_DEPTH_MAX)) {
		call->parse_text = "the request is nested too deeply";
		return;
	}
	call->request = json_loadb(request.data, request.len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(call->request)) {
		call->parse_text = "the request is not one JSON object on one line";
		return;
	}
	call->parse_code = VERB_DONE;
}

/* begin - the first step of every call: is there such a verb, and may this caller use it here? */
static void begin(struct verb_call *call)
{
	if (call->parse_code != VERB_DONE) {
		verb_fail(call, call->parse_code, "%s", call->parse_text);
		return;
	}
	const char *name = json_string_value(json_object_get(call->request, "verb"));
	const struct verb_entry *verb = NULL;
	for (size_t i = 0; name && i < ARRAY_COUNT(verbs); i++)
		if (str_equal(str_from_c(name), str_from_c(verbs[i].name)))
			verb = &verbs[i];
	if (!verb)
		verb_fail(call, VERB_USAGE, "no such verb");
	else if (verb->is_change && !call->caller.may_change)
		verb_fail(call, VERB_NOT_PERMITTED,
			"%s is for root, the daemon's own user and members of %.*s", verb->name,
			STR_FMT(call->conf->control.admin_group.len
					? call->conf->control.admin_group
					: STR("no other group")));
	else if (verb->needs_daemon && !call->host->daemon)
		verb_fail(call, VERB_UNREACHABLE, "%s needs the running daemon", verb->name);
	else
		verb->first(call);
}

/* run - steps until one waits. The loop replaces recursion: a store may complete inside submit. */
static void run(struct verb_call *call)
{
	call->is_running = true;
	while (call->is_ready && !call->is_ended && !call->is_canceled) {
		call->is_ready = false;
		call->step(call);
	}
	call->is_running = false;
	if (call->is_waiting)
		return;
	if (call->is_canceled) {
		release(call);
	} else if (call->is_ended) {
		const struct verb_sink *sink = call->sink;
		void *user = call->user;

		release(call);
		sink->on_end(user);
	}
}

static void release(struct verb_call *call)
{
	if (call->fini)
		call->fini(call->state);
	json_decref(call->request);
	store_op_fini(&call->query.op);
	store_op_fini(&call->show.op);
	store_op_fini(&call->fetch.op);
	store_op_fini(&call->modify.op);
	store_op_fini(&call->hops.op);
	store_op_fini(&call->lookup.op);
	store_op_fini(&call->stats.op);
	store_op_fini(&call->record.op);
	store_op_fini(&call->revive.op);
	store_op_fini(&call->outages.op);
	arena_fini(&call->arena);
	conf_unref(call->conf);
	free(call);
}

void verb_submit(struct verb_call *call, struct store_op *op, enum store_kind kind, verb_step *next)
{
	op->on_done = on_store_done;
	submit(call, op, kind, next);
}

void verb_submit_lenient(
	struct verb_call *call, struct store_op *op, enum store_kind kind, verb_step *next)
{
	op->on_done = on_store_done_lenient;
	submit(call, op, kind, next);
}

static void submit(
	struct verb_call *call, struct store_op *op, enum store_kind kind, verb_step *next)
{
	store_op_fini(op);
	call->step = next;
	call->is_waiting = true;
	store_submit(call->host->store, op, kind);
}

static void on_store_done(struct store_op *op)
{
	completed(call_of(op), op->err);
}

static void on_store_done_lenient(struct store_op *op)
{
	completed(call_of(op), op->err == ERR_NOT_FOUND ? OK : op->err);
}

static void completed(struct verb_call *call, enum err err)
{
	call->is_waiting = false;
	call->is_ready = true;
	if (err != OK && !call->is_canceled)
		fail_store(call, err);
	if (!call->is_running)
		run(call);
}

static struct verb_call *call_of(struct store_op *op)
{
	if (op->kind == STORE_QUERY)
		return CONTAINER_OF(op, struct verb_call, query.op);
	if (op->kind == STORE_SHOW)
		return CONTAINER_OF(op, struct verb_call, show.op);
	if (op->kind == STORE_FETCH)
		return CONTAINER_OF(op, struct verb_call, fetch.op);
	if (op->kind == STORE_MODIFY)
		return CONTAINER_OF(op, struct verb_call, modify.op);
	if (op->kind == STORE_HOPS)
		return CONTAINER_OF(op, struct verb_call, hops.op);
	if (op->kind == STORE_LOOKUP)
		return CONTAINER_OF(op, struct verb_call, lookup.op);
	if (op->kind == STORE_RECORD)
		return CONTAINER_OF(op, struct verb_call, record.op);
	if (op->kind == STORE_REVIVE)
		return CONTAINER_OF(op, struct verb_call, revive.op);
	if (op->kind == STORE_OUTAGES)
		return CONTAINER_OF(op, struct verb_call, outages.op);
	if (op->kind == STORE_SHELF_LIST)
		return CONTAINER_OF(op, struct verb_call, shelf_list.op);
	if (op->kind == STORE_SHELF_GET)
		return CONTAINER_OF(op, struct verb_call, shelf_get.op);
	CHECK(op->kind == STORE_STATS);
	return CONTAINER_OF(op, struct verb_call, stats.op);
}

static void fail_store(struct verb_call *call, enum err err)
{
	if (call->changed_count)
		verb_fail(call, VERB_PART_FAILED,
			"stopped after %" PRIu64 " recipients were changed: %s",
			call->changed_count, err_name(err));
	else if (err == ERR_NOT_FOUND)
		verb_fail(call, VERB_NO_MATCH, "there is no such message");
	else if (err == ERR_NO_SPACE)
		verb_fail(
			call, VERB_TEMPORARY, "the disk is full; nothing of this step was changed");
	else if (err == ERR_PERMISSION)
		verb_fail(call, VERB_NOT_PERMITTED, "the queue was opened for reading only");
	else if (err == ERR_CORRUPT)
		verb_fail(call, VERB_DATA, "the stored data is damaged here; see outlast salvage");
	else
		verb_fail(call, VERB_TEMPORARY, "the queue could not be read: %s", err_name(err));
}

void verb_continue(struct verb_call *call, verb_step *next)
{
	call->step = next;
	call->is_ready = !call->sink->is_full(call->user);
}

void verb_row(struct verb_call *call, json_t *value)
{
	send_line(call, "row", value);
}

void verb_done(struct verb_call *call, json_t *value)
{
	send_line(call, "done", value);
	end(call);
}

void verb_fail(struct verb_call *call, enum verb_code code, const char *format, ...)
{
	struct buf text;
	va_list args;

	buf_init(&text, 4096);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	json_t *error = json_object();
	json_put_u64(error, "code", (uint64_t)code);
	json_put_text(error, "text", buf_str(&text));
	buf_fini(&text);
	send_line(call, "error", error);
	end(call);
}

static void send_line(struct verb_call *call, const char *key, json_t *value)
{
	json_t *line = json_object();

	json_put(line, key, value);
	char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(14));
	json_decref(line);
	CHECK(text);
	struct buf out;
	buf_init(&out, LINE_MAX_BYTES);
	buf_append_str(&out, str_from_c(text));
	buf_append_char(&out, '\n');
	free(text);
	if (!out.is_full)
		call->sink->on_line(call->user, buf_str(&out));
	buf_fini(&out);
}

static void end(struct verb_call *call)
{
	call->is_ended = true;
	call->is_ready = false;
}

double verb_site_limit(const struct verb_call *call, struct str site)
{
	const struct verb_daemon_ops *daemon = call->host->daemon;

	return daemon && daemon->site_limit ? daemon->site_limit(call->host->user, site) : 0;
}

void verb_audit(struct verb_call *call, const char *format, ...)
{
	if (!call->host->daemon)
		return;
	struct buf text;
	va_list args;
	struct str reason = verb_text(call, "reason");

	buf_init(&text, 4096);
	buf_printf(&text, "%.*s: ", STR_FMT(call->caller.actor));
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	if (reason.len) {
		buf_append_str(&text, STR(", reason: "));
		buf_append_safe(&text, str_slice(reason, 0, 500));
	}
	call->host->daemon->audit(call->host->user, buf_str(&text));
	buf_fini(&text);
}

struct str verb_text(const struct verb_call *call, const char *key)
{
	const json_t *value = json_object_get(call->request, key);

	return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
				     : STR("");
}

bool verb_flag(const struct verb_call *call, const char *key)
{
	return json_is_true(json_object_get(call->request, key));
}
