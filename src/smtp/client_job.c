/*
 * client_job - one mail transaction: RSET if needed, MAIL, RCPT for each recipient, DATA, content, dot.
 *
 * Two cursors walk the same steps: what was written, and what was answered. Pipelining (RFC 2920) is the distance
 * between them; without it the distance is at most one. A table says what each step writes, how long
 * its reply may take and what the reply means.
 *
 * A recipient's outcome is final when its stage is set, except that an accepted RCPT waits for the reply to the dot.
 */
#include <string.h>

#include "base/check.h"
#include "client_private.h"

/* RFC 2920 leaves the window to us; this bounds memory for large recipient lists. */
#define UNSENT_BYTES_MAX ((size_t)64 * 1024)
/* Enough for any sensible diagnostic; times the recipients of a hostile peer. */
#define TEXT_BYTES_MAX ((size_t)1024)

#define LIMIT(name) offsetof(struct conf, client.name)

static void write_rset(struct smtp_client *c);
static void write_rcpt(struct smtp_client *c);
static void write_mail(struct smtp_client *c);
static void write_data(struct smtp_client *c);
static void on_rset(struct smtp_client *c, uint32_t index, const struct reply *reply);
static void on_mail(struct smtp_client *c, uint32_t index, const struct reply *reply);
static void on_rcpt(struct smtp_client *c, uint32_t index, const struct reply *reply);
static void on_data(struct smtp_client *c, uint32_t index, const struct reply *reply);
static void on_dot(struct smtp_client *c, uint32_t index, const struct reply *reply);

static const struct {
	enum stage stage;
	size_t limit_at; /* in struct conf */
	void (*write)(struct smtp_client *c);
	void (*on_reply)(struct smtp_client *c, uint32_t index, const struct reply *reply);
} steps[] = {
	[STEP_RSET] = { STAGE_MAIL, LIMIT(rset_ms), write_rset, on_rset },
	[STEP_MAIL] = { STAGE_MAIL, LIMIT(mail_ms), write_mail, on_mail },
	[STEP_RCPT] = { STAGE_RCPT, LIMIT(rcpt_ms), write_rcpt, on_rcpt },
	[STEP_DATA] = { STAGE_DATA, LIMIT(data_init_ms), write_data, on_data },
	[STEP_DOT] = { STAGE_DOT, LIMIT(data_done_ms), NULL, on_dot },
	[STEP_END] = { STAGE_DOT, LIMIT(data_done_ms), NULL, NULL },
};

/* --- cursors --- */

/* A recipient refused by ourselves has no RCPT. */
static bool is_skipped(const struct smtp_client *c, uint32_t index)
{
	return c->job->recipients[index].outcome.stage == STAGE_POLICY;
}

static void advance(const struct smtp_client *c, struct cursor *at)
{
	if (at->step == STEP_RCPT) {
		at->index++;
	} else {
		at->step++;
		at->index = 0;
	}
	if (at->step != STEP_RCPT)
		return;
	while (at->index < c->job->recipient_count && is_skipped(c, at->index))
		at->index++;
	if (at->index == c->job->recipient_count)
		*at = (struct cursor){ .step = c->job->is_verify ? STEP_END : STEP_DATA };
}

static bool is_all_answered(const struct smtp_client *c)
{
	return c->sent.step == c->answered.step && c->sent.index == c->answered.index;
}

enum stage client_job_stage(const struct smtp_client *c)
{
	return client_is_in_content(c) ? STAGE_CONTENT : steps[c->answered.step].stage;
}

bool client_is_one_of_many(const struct smtp_client *c)
{
	return c->params.is_lmtp && c->state == CLIENT_JOB && c->answered.step == STEP_DOT &&
	       c->sent.step == STEP_END;
}

int64_t client_job_limit_ms(const struct smtp_client *c)
{
	if (client_is_in_content(c))
		return c->conf->client.data_block_ms;
	if (is_all_answered(c))
		return 0;
	return *(const int64_t *)(const void *)((const char *)c->conf +
						steps[c->answered.step].limit_at);
}

/* --- outcomes --- */

/* Lines are joined by SP; the text is bounded and lives as long as the job. */
static struct str keep_text(struct smtp_job *job, struct str text)
{
	struct str kept = str_slice(text, 0, TEXT_BYTES_MAX);
	char *copy = arena_alloc(&job->arena, kept.len + 1);

	for (size_t i = 0; i < kept.len; i++)
		copy[i] = kept.data[i] == '\n' ? ' ' : kept.data[i];
	return str_of(copy, kept.len);
}

static bool is_accepted(const struct smtp_job_recipient *r)
{
	return r->outcome.stage == STAGE_RCPT && r->outcome.code / 100 == 2;
}

void client_settle_rest(struct smtp_client *c, const struct outcome *outcome)
{
	struct outcome kept = *outcome;

	kept.text = keep_text(c->job, outcome->text);
	for (uint32_t i = 0; i < c->job->recipient_count; i++) {
		struct smtp_job_recipient *r = &c->job->recipients[i];
		if (r->outcome.stage == STAGE_NONE || is_accepted(r))
			r->outcome = kept;
	}
}

static void settle_rest_reply(struct smtp_client *c, enum stage stage, const struct reply *reply)
{
	struct outcome outcome = client_reply_outcome(stage, reply);

	client_settle_rest(c, &outcome);
}

/* --- begin --- */

/* 8BITMIME and SMTPUTF8 (x.6), SIZE, an extension, REQUIRETLS: another host of the site may have it. */
static bool is_of_host(struct status s)
{
	return s.klass == 5 && (s.subject == 6 || (s.subject == 3 && s.detail >= 3) ||
				       (s.subject == 7 && (s.detail == 30 || s.detail == 10)));
}

static bool is_refused_here(struct smtp_client *c)
{
	struct outcome outcome;

	if (!client_lacks(c, &outcome))
		return false;
	c->job->is_lacking = is_of_host(outcome.status);
	client_settle_rest(c, &outcome);
	return true;
}

/* Returns false when none is left. Those beyond the peer's RCPTMAX (RFC 9422) are for another transaction. */
static bool check_recipients(const struct smtp_client *c, struct smtp_job *job)
{
	uint32_t good = 0, most = c->info.rcpt_max > 0 ? c->info.rcpt_max : UINT32_MAX;

	for (uint32_t i = 0; i < job->recipient_count; i++) {
		struct smtp_job_recipient *r = &job->recipients[i];
		r->is_delivered = false;
		r->outcome = (struct outcome){ 0 };
		if (client_line_is_safe(r->rcpt->address) && r->rcpt->address.len > 0 && good < most)
			good++;
		else if (good == most)
			r->outcome = (struct outcome){
				.stage = STAGE_POLICY,
				.err = ERR_LIMIT,
				.status = STATUS(4, 5, 3),
				.text = STR("next hop takes no more recipients at a time"),
			};
		else
			r->outcome = (struct outcome){
				.stage = STAGE_POLICY,
				.err = ERR_UNSUPPORTED,
				.status = STATUS(5, 1, 3),
				.text = STR("forward-path cannot be sent"),
			};
	}
	return good > 0;
}

void smtp_client_deliver(struct smtp_client *c, struct smtp_job *job)
{
	CHECK(c->state == CLIENT_IDLE && !c->job && job->recipient_count > 0);
	c->job = job;
	job->is_untouched = job->is_dot_sent = job->is_reusable = job->is_lacking = false;
	job->mail_ms = 0;
	c->accepted_count = 0;
	c->reply_count = 0;
	c->is_hopeless = c->is_empty_dot = c->is_dot_noted = c->has_goodbye = false;
	c->mail_started = env_now(c->env);
	c->sent = (struct cursor){ .step = c->needs_rset ? STEP_RSET : STEP_MAIL };
	c->answered = c->sent;
	env_timer_after(c->env, &c->session_end, c->conf->client.session_ms);
	bool has_recipients = check_recipients(c, job);
	bool is_refused = is_refused_here(c);
	job->is_lacking &= has_recipients;
	if (is_refused || !has_recipients)
		env_defer(c->env, &c->turn);
	else
		client_pump(c);
	client_enter(c, CLIENT_JOB);
}

void client_on_job_turn(struct smtp_client *c)
{
	client_end_job(c, true);
}

/* --- writing --- */

static bool may_write(const struct smtp_client *c)
{
	bool is_idle = is_all_answered(c);

	if (c->sent.step >= STEP_DOT || c->is_hopeless)
		return false;
	if (is_idle)
		return c->sent.step != STEP_DATA || c->accepted_count > 0;
	return c->info.has_pipelining && c->net->conn_unsent(c->conn) < UNSENT_BYTES_MAX;
}

void client_pump(struct smtp_client *c)
{
	while (may_write(c)) {
		steps[c->sent.step].write(c);
		advance(c, &c->sent);
	}
}

static void write_rset(struct smtp_client *c)
{
	client_write(c, STR("RSET\r\n"));
}

static void write_mail(struct smtp_client *c)
{
	c->needs_rset = true; /* until a reply to the dot ends the transaction */
	client_write_mail(c);
}

static void write_rcpt(struct smtp_client *c)
{
	client_write_rcpt(c, c->job->recipients[c->sent.index].rcpt);
}

static void write_data(struct smtp_client *c)
{
	client_write(c, STR("DATA\r\n"));
}

/* --- replies --- */

/* Before the dot only a refusal makes sense, and content that was begun cannot be taken back. */
static void on_early_reply(struct smtp_client *c, const struct reply *reply)
{
	if (reply->code / 100 >= 4)
		client_fail_reply(c, STAGE_CONTENT, reply);
	else
		client_fail_protocol(c, STAGE_CONTENT, reply);
}

void client_on_job_reply(struct smtp_client *c, const struct reply *reply)
{
	struct cursor at = c->answered;

	if (client_is_in_content(c)) {
		on_early_reply(c, reply);
	} else if (is_all_answered(c) || (reply->code / 100 == 3 && at.step != STEP_DATA)) {
		client_fail_protocol(c, steps[at.step].stage, reply);
	} else {
		c->reply_count += at.step != STEP_RSET;
		advance(c, &c->answered);
		steps[at.step].on_reply(c, at.index, reply);
	}
}

/* After a reply that leaves the job going: the next commands, or the end because nobody is left to send to. */
static void go_on(struct smtp_client *c)
{
	client_pump(c);
	if (is_all_answered(c))
		client_end_job(c, true);
}

static void on_rset(struct smtp_client *c, uint32_t index, const struct reply *reply)
{
	(void)index;
	if (reply->code / 100 == 2)
		go_on(c);
	else /* nothing of this job has happened: as good as a dead connection */
		client_fail_err(c, STAGE_MAIL, ERR_RESET);
}

static void on_mail(struct smtp_client *c, uint32_t index, const struct reply *reply)
{
	(void)index;
	if (reply->code / 100 != 2) {
		settle_rest_reply(c, STAGE_MAIL, reply);
		c->is_hopeless = true;
	}
	go_on(c);
}

static void on_rcpt(struct smtp_client *c, uint32_t index, const struct reply *reply)
{
	struct smtp_job_recipient *r = &c->job->recipients[index];

	if (!c->is_hopeless) {
		r->outcome = client_reply_outcome(STAGE_RCPT, reply);
		r->outcome.text = keep_text(c->job, reply->text);
		c->accepted_count += is_accepted(r);
	}
	go_on(c);
}

static void on_data(struct smtp_client *c, uint32_t index, const struct reply *reply)
{
	(void)index;
	switch (reply->code / 100) {
	case 2:
		client_fail_protocol(c, STAGE_DATA, reply);
		break;
	case 3:
		if (c->accepted_count > 0) {
			client_start_content(c);
		} else if (c->params.is_lmtp) {
			/* RFC 2033 4.2: this had to be 503, and a dot would get no reply. */
			client_fail_protocol(c, STAGE_DATA, reply);
		} else {
			/* RFC 2920 3.1: DATA was pipelined, nobody is there; the peer must refuse this. */
			client_write(c, STR(".\r\n"));
			c->is_empty_dot = true;
			c->sent = (struct cursor){ .step = STEP_END };
		}
		break;
	default:
		settle_rest_reply(c, STAGE_DATA, reply);
		client_end_job(c, true);
		break;
	}
}

/* RFC 2033 4.2: a reply for each accepted recipient, in their order. Those that came stand, whatever befalls the rest. */
static void on_lmtp_dot(struct smtp_client *c, uint32_t index, const struct reply *reply)
{
	struct smtp_job_recipient *r = &c->job->recipients[index];

	while (!is_accepted(r))
		r++; /* there is one: accepted_count says so */
	r->outcome = client_reply_outcome(STAGE_DOT, reply);
	r->outcome.text = keep_text(c->job, reply->text);
	r->is_delivered = reply->code / 100 == 2;
	c->has_goodbye |= reply->code == 421;
	if (--c->accepted_count > 0) {
		c->answered = (struct cursor){ .step = STEP_DOT,
			.index = (uint32_t)(r - c->job->recipients) + 1 };
		return;
	}
	c->needs_rset = false;
	client_end_job(c, !c->has_goodbye);
}

static void on_dot(struct smtp_client *c, uint32_t index, const struct reply *reply)
{
	bool is_good = reply->code / 100 == 2 && !c->is_empty_dot;

	if (!c->is_empty_dot) {
		if (!client_note_dot(c))
			return;
		if (c->params.is_lmtp) {
			on_lmtp_dot(c, index, reply);
			return;
		}
		c->needs_rset = false;
	}
	for (uint32_t i = 0; i < c->job->recipient_count && is_good; i++)
		c->job->recipients[i].is_delivered = is_accepted(&c->job->recipients[i]);
	settle_rest_reply(c, STAGE_DOT, reply);
	client_end_job(c, true);
}

/* --- the end --- */

void client_end_job(struct smtp_client *c, bool is_reusable)
{
	struct smtp_job *job = c->job;
	bool has_surplus = c->behind && c->behind->len > 0; /* replies to nothing we said */

	/* RFC 9422: the peer said how many transactions a session may have. */
	bool is_spent = c->info.mail_max > 0 && c->info.jobs + 1 >= c->info.mail_max;

	job->is_reusable = is_reusable && !has_surplus && !is_spent && c->conn;
	job->mail_ms = env_now(c->env).ms - c->mail_started.ms;
	if (!job->is_reusable)
		client_close_conn(c, is_reusable);
	if (c->is_part_out) {
		client_enter(c, CLIENT_ENDING);
		return;
	}
	client_release_content(c);
	c->job = NULL;
	c->info.jobs++;
	buf_fini(&c->out);
	if (job->is_reusable) {
		env_timer_stop(c->env, &c->session_end);
		client_enter(c, CLIENT_IDLE);
	} else {
		client_shut(c, false);
	}
	job->on_done(job);
}
