/*
 * client - the life of a session: its states, its replies, its deadlines, its end.
 *
 * Happy path: connect, greeting, EHLO, perhaps STARTTLS and EHLO again, perhaps AUTH, on_ready; then IDLE and JOB in
 * turn. One table says for each state which stage of a delivery it is, how long the peer may take, and who
 * reads its reply. What fails ends the session: on_failed before the first job or between jobs, in
 * a job an outcome for each recipient.
 *
 * Handlers may close the client from within: so calls from outside are counted, and the last one frees it.
 */
#include "smtp/client.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "client_private.h"

#define LINE_BYTES_MAX ((size_t)64 * 1024)

static void on_open(void *user, enum err err);
static void on_read(void *user, struct str octets);
static void on_end(void *user, enum err err);
static void on_drained(void *user);
static void on_deadline(struct timer *t);
static void on_session_end(struct timer *t);
static void on_turn(struct deferred *d);
static void on_idle_reply(struct smtp_client *c, const struct reply *reply);

#define LIMIT(name) offsetof(struct conf, client.name)

static const struct {
	enum stage stage;
	size_t limit_at; /* in struct conf; 0: no deadline of its own */
	void (*on_reply)(struct smtp_client *c, const struct reply *reply);
} states[CLIENT_STATE_COUNT] = {
	[CLIENT_CONNECT] = { STAGE_CONNECT, 0, NULL }, /* net_connect has its own */
	[CLIENT_GREETING] = { STAGE_GREETING, LIMIT(greeting_ms), client_on_greeting },
	[CLIENT_EHLO] = { STAGE_EHLO, LIMIT(helo_ms), client_on_ehlo },
	[CLIENT_HELO] = { STAGE_EHLO, LIMIT(helo_ms), client_on_helo },
	[CLIENT_STARTTLS] = { STAGE_STARTTLS, LIMIT(helo_ms), client_on_starttls },
	[CLIENT_HANDSHAKE] = { STAGE_TLS, LIMIT(tls_ms), NULL },
	[CLIENT_AUTH] = { STAGE_AUTH, LIMIT(helo_ms), client_on_auth },
	[CLIENT_IDLE] = { STAGE_NONE, 0, on_idle_reply },
	[CLIENT_JOB] = { STAGE_NONE, 0, client_on_job_reply }, /* stage and limit by step */
	[CLIENT_ENDING] = { STAGE_NONE, 0, NULL },
	[CLIENT_CLOSED] = { STAGE_NONE, 0, NULL },
};

static const struct conn_handler conn_handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_tls = client_on_tls,
};

struct smtp_client *smtp_client_open(struct env *env, struct net *net, struct conf *conf,
	const struct smtp_client_params *params, const struct smtp_client_handler *handler,
	void *user)
{
	struct smtp_client *c = mem_zalloc(sizeof(*c));

	c->env = env;
	c->conf = conf_ref(conf);
	c->net = net->ops;
	c->handler = handler;
	c->user = user;
	c->params = *params;
	c->params.host = arena_dup(&c->arena, params->host);
	c->params.hostname = arena_dup(&c->arena, params->hostname);
	c->params.session_key = arena_dup(&c->arena, params->session_key);
	c->params.tls = tls_rule_copy(&params->tls, &c->arena);
	c->params.user = arena_dup(&c->arena, params->user);
	c->params.password = arena_dup(&c->arena, params->password);
	c->deadline.on_fire = on_deadline;
	c->session_end.on_fire = on_session_end;
	c->turn.on_run = on_turn;
	reply_parser_init(&c->parser);
	bool has_source = params->source.family != FAMILY_NONE;
	c->conn = net_connect(net, &c->params.to, has_source ? &c->params.source : NULL,
		params->connect_ms, &conn_handler, c);
	env_timer_after(env, &c->session_end, conf->client.session_ms);
	return c;
}

void smtp_client_set_user(
	struct smtp_client *c, const struct smtp_client_handler *handler, void *user)
{
	c->handler = handler;
	c->user = user;
}

const struct smtp_client_info *smtp_client_info(const struct smtp_client *c)
{
	return &c->info;
}

struct str smtp_client_session_key(const struct smtp_client *c)
{
	return c->params.session_key;
}

void smtp_client_close(struct smtp_client *c)
{
	if (c->is_gone)
		return;
	client_begin_call(c);
	client_release_content(c);
	c->job = NULL;
	client_shut(c, c->state == CLIENT_IDLE);
	client_end_call(c);
}

static void free_client(struct smtp_client *c)
{
	reply_parser_fini(&c->parser);
	buf_fini(&c->out);
	arena_fini(&c->arena);
	conf_unref(c->conf);
	free(c);
}

void client_begin_call(struct smtp_client *c)
{
	c->depth++;
}

void client_end_call(struct smtp_client *c)
{
	if (--c->depth == 0 && c->is_gone)
		free_client(c);
}

void client_close_conn(struct smtp_client *c, bool is_orderly)
{
	if (!c->conn)
		return;
	if (is_orderly)
		client_write(c, STR("QUIT\r\n"));
	c->net->conn_close(c->conn, is_orderly);
	c->conn = NULL;
	env_timer_stop(c->env, &c->deadline);
	env_timer_stop(c->env, &c->session_end);
}

void client_shut(struct smtp_client *c, bool is_orderly)
{
	client_close_conn(c, is_orderly);
	env_undefer(c->env, &c->turn);
	c->state = CLIENT_CLOSED;
	c->is_gone = true;
}

/* --- states --- */

static void set_deadline(struct smtp_client *c)
{
	int64_t limit = 0;

	if (c->state == CLIENT_JOB)
		limit = client_job_limit_ms(c);
	else if (states[c->state].limit_at > 0)
		limit = *(const int64_t *)(const void *)((const char *)c->conf +
							 states[c->state].limit_at);
	if (limit > 0)
		env_timer_after(c->env, &c->deadline, limit);
	else
		env_timer_stop(c->env, &c->deadline);
}

void client_enter(struct smtp_client *c, enum client_state state)
{
	c->state = state;
	set_deadline(c);
}

void client_ready(struct smtp_client *c)
{
	env_timer_stop(c->env, &c->session_end);
	client_enter(c, CLIENT_IDLE);
	c->handler->on_ready(c->user, c);
}

static enum stage current_stage(const struct smtp_client *c)
{
	return c->state == CLIENT_JOB ? client_job_stage(c) : states[c->state].stage;
}

static void on_open(void *user, enum err err)
{
	struct smtp_client *c = user;

	client_begin_call(c);
	if (err == OK)
		client_enter(c, CLIENT_GREETING);
	else
		client_fail_err(c, STAGE_CONNECT, err);
	client_end_call(c);
}

static void on_reply(struct smtp_client *c, const struct reply *reply)
{
	/* The peer's good-bye may come in place of any reply, RFC 5321 3.8. */
	if (reply->code == 421 && !client_is_one_of_many(c))
		client_fail_reply(c, current_stage(c), reply);
	else
		states[c->state].on_reply(c, reply);
	if (c->state == CLIENT_JOB)
		set_deadline(c);
}

static void on_read(void *user, struct str octets)
{
	struct smtp_client *c = user;
	struct reply reply;
	enum reply_result result = REPLY_DONE;

	client_begin_call(c);
	c->behind = &octets;
	while (octets.len > 0 && states[c->state].on_reply && result == REPLY_DONE) {
		result = reply_feed(&c->parser, &octets, &reply);
		if (result == REPLY_DONE)
			on_reply(c, &reply);
		else if (result == REPLY_MALFORMED)
			client_fail_reason(c, current_stage(c), ERR_SYNTAX, (struct status){ 0 },
				"malformed reply");
	}
	c->behind = NULL;
	client_end_call(c);
}

static void on_idle_reply(struct smtp_client *c, const struct reply *reply)
{
	client_fail_protocol(c, STAGE_NONE, reply);
}

static void on_end(void *user, enum err err)
{
	struct smtp_client *c = user;

	client_begin_call(c);
	client_fail_err(c, current_stage(c), err);
	client_end_call(c);
}

static void on_drained(void *user)
{
	struct smtp_client *c = user;

	client_begin_call(c);
	if (c->state == CLIENT_JOB) {
		c->has_drained = true;
		if (c->job->is_dot_sent)
			(void)client_note_dot(c);
		else if (client_is_in_content(c))
			client_on_content_drained(c);
		else
			client_pump(c);
	}
	client_end_call(c);
}

/* In content the limit is for progress, however slow: something must have left since. */
static bool has_progress(struct smtp_client *c)
{
	if (c->state != CLIENT_JOB || !client_is_in_content(c))
		return false;
	size_t unsent = c->net->conn_unsent(c->conn);
	bool is_going = unsent == 0 || c->has_drained || unsent < c->unsent_before;
	c->unsent_before = unsent;
	c->has_drained = false;
	return is_going;
}

static void on_deadline(struct timer *t)
{
	struct smtp_client *c = CONTAINER_OF(t, struct smtp_client, deadline);

	client_begin_call(c);
	if (has_progress(c))
		set_deadline(c);
	else
		client_fail_err(c, current_stage(c), ERR_TIMEOUT);
	client_end_call(c);
}

static void on_session_end(struct timer *t)
{
	struct smtp_client *c = CONTAINER_OF(t, struct smtp_client, session_end);

	client_begin_call(c);
	client_fail_err(c, current_stage(c), ERR_TIMEOUT);
	client_end_call(c);
}

static void on_turn(struct deferred *d)
{
	struct smtp_client *c = CONTAINER_OF(d, struct smtp_client, turn);

	client_begin_call(c);
	client_on_job_turn(c);
	client_end_call(c);
}

/* --- writing --- */

void client_write(struct smtp_client *c, struct str octets)
{
	if (c->conn)
		c->net->conn_write(c->conn, octets);
}

void client_printf(struct smtp_client *c, const char *format, ...)
{
	struct buf line;
	va_list args;

	buf_init(&line, LINE_BYTES_MAX);
	va_start(args, format);
	buf_vprintf(&line, format, args);
	va_end(args);
	client_write(c, buf_str(&line));
	buf_fini(&line);
}

/* --- failing --- */

struct outcome client_reply_outcome(enum stage stage, const struct reply *reply)
{
	return (struct outcome){
		.stage = stage,
		.code = reply->code,
		.status = reply->status,
		.text = reply->text,
	};
}

/* A session that was kept too long dies silently, or with a 421 that crosses our MAIL. */
static bool is_untouched(const struct smtp_client *c, const struct outcome *outcome)
{
	bool is_lost = outcome->err == ERR_EOF || outcome->err == ERR_RESET ||
		       outcome->err == ERR_TIMEOUT || outcome->err == ERR_TLS;

	return c->reply_count == 0 && (is_lost || (outcome->code == 421 && c->info.jobs > 0));
}

void client_fail(struct smtp_client *c, const struct outcome *outcome)
{
	/* After a reply the peer is owed a QUIT; without one there is nobody to say it to. */
	bool is_orderly = outcome->code != 0 && outcome->code != 421 && c->state != CLIENT_JOB;

	if (c->job) {
		c->job->is_untouched = is_untouched(c, outcome);
		client_settle_rest(c, outcome);
		client_end_job(c, false);
		return;
	}
	client_shut(c, is_orderly);
	c->handler->on_failed(c->user, c, outcome);
}

void client_fail_err(struct smtp_client *c, enum stage stage, enum err err)
{
	struct buf text;

	buf_init(&text, 256);
	buf_printf(&text, "%s", err_name(err));
	if (stage != STAGE_NONE && stage != STAGE_CONNECT)
		buf_printf(&text, " in %s", stage_name(stage));
	struct outcome outcome = { .stage = stage, .err = err, .text = buf_str(&text) };
	client_fail(c, &outcome);
	buf_fini(&text);
}

void client_fail_reply(struct smtp_client *c, enum stage stage, const struct reply *reply)
{
	struct outcome outcome = client_reply_outcome(stage, reply);

	client_fail(c, &outcome);
}

void client_fail_reason(struct smtp_client *c, enum stage stage, enum err err, struct status status,
	const char *reason)
{
	struct outcome outcome = {
		.stage = stage, .err = err, .status = status, .text = str_from_c(reason)
	};

	client_fail(c, &outcome);
}

void client_fail_protocol(struct smtp_client *c, enum stage stage, const struct reply *reply)
{
	struct buf text;

	buf_init(&text, LINE_BYTES_MAX);
	buf_printf(&text, "unexpected reply %u %.*s", reply->code, STR_FMT(reply->text));
	struct outcome outcome = { .stage = stage, .err = ERR_SYNTAX, .text = buf_str(&text) };
	client_fail(c, &outcome);
	buf_fini(&text);
}
