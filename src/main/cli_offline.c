/*
 * cli_offline - the verbs over the queue file itself while no daemon has it, with the same answers.
 *
 * Reading: the file is opened read-only, under the daemon's lock, and not changed. Changing: it is
 * opened as the daemon would, the act is durable when this returns. A lock that is taken means a
 * daemon without a socket that answers: 69.
 */
#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "cli.h"
#include "mail/queue_id.h"
#include "os/os_env.h"
#include "store/store_sqlite.h"

struct offline {
	struct cli *cli;
	struct os_env env;
	bool has_env;
	struct log log;
	struct metrics metrics;
	struct store *store;
	struct wall now;
	bool is_ended, is_failed;
	void (*on_line)(void *user, struct str line);
	void *user;
};

static int open_store(struct offline *o, bool is_change);
static int explain_open(struct offline *o, enum err err, struct str message);
static void find_now(struct offline *o);
static void run_call(struct offline *o, struct str request);
static void on_fatal(void *user, struct str message);
static void emit(struct log *log, const struct log_event *event);
static struct wall offline_wall(void *user);
static void offline_line(void *user, struct str line);
static bool offline_full(void *user);
static void offline_end(void *user);

static const struct verb_sink sink = {
	.on_line = offline_line, .is_full = offline_full, .on_end = offline_end
};

int cli_offline(struct cli *cli, struct str request, bool is_change,
	void (*on_line)(void *user, struct str line), void *user)
{
	struct offline o = {
		.cli = cli, .on_line = on_line, .user = user, .log = { LOG_ERROR, emit }
	};
	int status = cli_load_conf(cli);

	if (status)
		return status;
	status = open_store(&o, is_change);
	if (status == 0) {
		if (!cli->is_offline_said)
			cli_say("no daemon runs; this is the queue file in %.*s",
				STR_FMT(cli->conf->queue.directory));
		cli->is_offline_said = true;
		run_call(&o, request);
		if (!o.is_failed)
			store_close(o.store);
		status = o.is_failed ? VERB_TEMPORARY : 0;
	}
	if (o.has_env)
		os_env_fini(&o.env);
	return status;
}

static int open_store(struct offline *o, bool is_change)
{
	const struct conf *conf = o->cli->conf;
	const struct store_options options = {
		.wal_limit_pages = conf->queue.wal_pages,
		.reserve_bytes = is_change ? conf->queue.reserve_bytes : 0,
		.on_fatal = on_fatal,
		.on_fatal_user = o,
	};
	const struct os_env_params params = { .rate = 1, .log = &o->log, .metrics = &o->metrics };
	struct buf message;

	buf_init(&message, 64 * 1024);
	enum err err = store_open_readonly(conf->queue.directory, &options, &o->store, &message);
	if (err == OK)
		find_now(o);
	if (err == OK && is_change) {
		store_close(o->store);
		err = os_env_init(&o->env, &params);
		o->has_env = err == OK;
		if (err == OK)
			err = store_sync_open(
				&o->env.env, conf->queue.directory, &options, &o->store, &message);
	}
	int status = err == OK ? 0 : explain_open(o, err, buf_str(&message));
	buf_fini(&message);
	return status;
}

static int explain_open(struct offline *o, enum err err, struct str message)
{
	struct str socket =
		o->cli->socket ? str_from_c(o->cli->socket) : o->cli->conf->control.socket;

	cli_say("no daemon answers at %.*s, and the queue cannot be opened: %.*s", STR_FMT(socket),
		STR_FMT(message.len ? message : str_from_c(err_name(err))));
	if (err == ERR_CORRUPT || err == ERR_NEWER || err == ERR_UNSUPPORTED)
		return VERB_DATA;
	if (err == ERR_PERMISSION)
		return VERB_NOT_PERMITTED;
	return err == ERR_NO_SPACE ? VERB_TEMPORARY : VERB_UNREACHABLE;
}

static void on_stats(struct store_op *op)
{
	(void)op; /* done before store_submit returned */
}

/* A queue that a fast clock wrote may be ahead of the real one: its newest message is then the
 * best guess. */
static void find_now(struct offline *o)
{
	struct store_stats stats = { .op.on_done = on_stats };

	o->now = (struct wall){ os_real_ms() };
	store_submit(o->store, &stats.op, STORE_STATS);
	if (stats.op.err == OK && stats.last_id && queue_id_time(stats.last_id).ms > o->now.ms)
		o->now = queue_id_time(stats.last_id);
	store_op_fini(&stats.op);
}

static void run_call(struct offline *o, struct str request)
{
	const struct verb_host host = {
		.store = o->store,
		.conf = o->cli->conf,
		.wall = offline_wall,
		.user = o,
	};
	struct buf actor;
	const struct passwd *who = getpwuid(getuid());

	buf_init(&actor, 1024);
	buf_printf(&actor, "uid %u (%s), without daemon", (unsigned)getuid(),
		who ? who->pw_name : "?");
	const struct verb_caller caller = { .actor = buf_str(&actor), .may_change = true };
	struct verb_call *call = verb_new(&host, request, &caller, &sink, o);
	verb_resume(call);
	while (!o->is_ended && !o->is_failed)
		os_env_run_once(&o->env);
	buf_fini(&actor);
}

static void on_fatal(void *user, struct str message)
{
	struct offline *o = user;

	cli_say("the outcome is unknown: %.*s", STR_FMT(message));
	o->is_failed = true;
}

static void emit(struct log *log, const struct log_event *event)
{
	(void)log;
	cli_say("%.*s", STR_FMT(event->detail));
}

static struct wall offline_wall(void *user)
{
	const struct offline *o = user;

	return o->now;
}

static void offline_line(void *user, struct str line)
{
	struct offline *o = user;

	o->on_line(o->user, line);
}

static bool offline_full(void *user)
{
	(void)user;
	return false;
}

static void offline_end(void *user)
{
	struct offline *o = user;

	o->is_ended = true;
}
