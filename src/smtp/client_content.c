/*
 * client_content - the content between 354 and the dot, part by part as the reader has it.
 *
 * Written in slices while less than 128 KiB wait in the connection; then on_drained goes on. Content that holds a
 * bare CR, bare LF or NUL cannot come out of our store; should it, the connection is dropped without a dot, since
 * only that keeps the peer from taking what it got for a message.
 *
 * A reader that was asked owes a part even when the job is over; the job's end waits for it, so that the owner
 * may rewind or free the reader.
 */
#include "client_private.h"

#define UNSENT_BYTES_MAX ((size_t)128 * 1024)
#define SLICE_BYTES ((size_t)32 * 1024)

static void on_part(struct content_reader *r, enum err err, struct str part, bool is_last);

bool client_is_in_content(const struct smtp_client *c)
{
	return c->job && c->answered.step == STEP_DOT && c->sent.step == STEP_DOT;
}

static void ask_part(struct smtp_client *c)
{
	c->is_part_out = true;
	c->job->content->next(c->job->content);
}

void client_start_content(struct smtp_client *c)
{
	struct content_reader *r = c->job->content;

	enddata_encoder_init(&c->encoder);
	buf_fini(&c->out);
	buf_init(&c->out, 2 * SLICE_BYTES + 16); /* every octet a dot, and the end */
	c->part = (struct str){ 0 };
	c->is_last_part = false;
	c->has_drained = false;
	c->unsent_before = SIZE_MAX;
	r->client = c;
	r->on_part = on_part;
	r->rewind(r);
	ask_part(c);
}

static void fail_content(struct smtp_client *c)
{
	client_fail_reason(c, STAGE_POLICY, ERR_SYNTAX, STATUS(5, 6, 0),
		"stored content has a bare CR, bare LF or NUL");
}

/* Returns false when the job failed. */
static bool write_slice(struct smtp_client *c)
{
	struct str slice = str_slice(c->part, 0, SLICE_BYTES);

	c->part = str_slice(c->part, slice.len, c->part.len);
	buf_clear(&c->out);
	(void)buf_reserve(&c->out, slice.len + slice.len / 16); /* at once, with some dots */
	if (enddata_encode(&c->encoder, slice, &c->out) != OK) {
		fail_content(c);
		return false;
	}
	net_conn_give(c->net, c->conn, &c->out);
	if (fault_hit(c->env->fault, FAULT_attempt_in_data)) {
		client_fail_err(c, STAGE_CONTENT, ERR_RESET);
		return false;
	}
	return true;
}

static void write_dot(struct smtp_client *c)
{
	buf_clear(&c->out);
	if (enddata_finish(&c->encoder, &c->out) != OK) {
		fail_content(c);
		return;
	}
	client_write(c, buf_str(&c->out));
	buf_fini(&c->out);
	c->job->is_dot_sent = true;
	c->sent = (struct cursor){ .step = STEP_END };
	client_enter(c, CLIENT_JOB); /* another deadline */
}

static void write_part(struct smtp_client *c)
{
	while (c->part.len > 0) {
		if (c->net->conn_unsent(c->conn) >= UNSENT_BYTES_MAX)
			return;
		if (!write_slice(c))
			return;
	}
	if (c->is_last_part)
		write_dot(c);
	else if (c->net->conn_unsent(c->conn) < UNSENT_BYTES_MAX)
		ask_part(c);
}

void client_on_content_drained(struct smtp_client *c)
{
	if (!c->is_part_out)
		write_part(c);
}

static void on_part(struct content_reader *r, enum err err, struct str part, bool is_last)
{
	struct smtp_client *c = r->client;

	client_begin_call(c);
	c->is_part_out = false;
	c->part = part;
	c->is_last_part = is_last;
	if (c->state == CLIENT_ENDING)
		client_end_job(c, false);
	else if (err != OK)
		client_fail_reason(
			c, STAGE_CONTENT, err, (struct status){ 0 }, "content cannot be read");
	else
		write_part(c);
	client_end_call(c);
}

/* Only content that is wholly with the kernel counts as sent here: the point is the time until the reply. */
bool client_note_dot(struct smtp_client *c)
{
	if (c->is_dot_noted)
		return true;
	c->is_dot_noted = true;
	if (!fault_hit(c->env->fault, FAULT_attempt_dot_sent))
		return true;
	client_fail_err(c, STAGE_DOT, ERR_RESET);
	return false;
}

static void ignore_part(struct content_reader *r, enum err err, struct str part, bool is_last)
{
	(void)r;
	(void)err;
	(void)part;
	(void)is_last;
}

void client_release_content(struct smtp_client *c)
{
	if (!c->job || !c->job->content || c->job->content->client != c)
		return;
	c->job->content->on_part = ignore_part;
	c->job->content->client = NULL;
}
