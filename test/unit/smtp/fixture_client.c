/* fixture_client - see the header. */
#include "fixture_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void on_ready(void *user, struct smtp_client *c)
{
	struct fixture_client *fc = user;

	CHECK(c == fc->client);
	fc->readies++;
}

static void on_failed(void *user, struct smtp_client *c, const struct outcome *outcome)
{
	struct fixture_client *fc = user;

	CHECK(c == fc->client);
	fc->client = NULL;
	fc->fails++;
	fc->failure = *outcome;
	buf_clear(&fc->failure_text);
	buf_append_str(&fc->failure_text, outcome->text);
	fc->failure.text = buf_str(&fc->failure_text);
}

static const struct smtp_client_handler on_session = { on_ready, on_failed };

static void on_done(struct smtp_job *job)
{
	struct fixture_client *fc = CONTAINER_OF(job, struct fixture_client, job);

	fc->dones++;
	if (!job->is_reusable)
		fc->client = NULL;
}

static void give_part(struct deferred *d)
{
	struct fixture_client *fc = CONTAINER_OF(d, struct fixture_client, part);
	size_t len = fc->part_bytes > 0 ? fc->part_bytes : fc->content.len;
	struct str part = str_slice(fc->content, fc->content_at, fc->content_at + len);
	enum err err = fc->content_at >= fc->fail_at ? fc->content_err : OK;

	CHECK(fc->is_asked);
	fc->is_asked = false;
	fc->parts++;
	fc->content_at += part.len;
	fc->reader.on_part(&fc->reader, err, part, fc->content_at >= fc->content.len);
}

static void reader_next(struct content_reader *r)
{
	struct fixture_client *fc = CONTAINER_OF(r, struct fixture_client, reader);

	CHECK(!fc->is_asked);
	fc->is_asked = true;
	if (!fc->is_reader_slow)
		env_defer(&fc->f.env, &fc->part);
}

static void reader_rewind(struct content_reader *r)
{
	struct fixture_client *fc = CONTAINER_OF(r, struct fixture_client, reader);

	CHECK(!fc->is_asked);
	fc->content_at = 0;
}

void fixture_client_give(struct fixture_client *fc)
{
	give_part(&fc->part);
	fixture_settle(&fc->f);
}

void fixture_client_init(struct fixture_client *fc)
{
	memset(fc, 0, sizeof(*fc));
	fixture_init(&fc->f);
	fc->conf = conf_default();
	CHECK(endpoint_parse(&fc->params.to, STR("192.0.2.9"), 25) == OK);
	fc->params.host = STR("mx.example");
	fc->params.hostname = STR("relay.test");
	fc->params.connect_ms = 30000;
	buf_init(&fc->failure_text, 65536);
	fc->reader = (struct content_reader){ .next = reader_next, .rewind = reader_rewind };
	fc->part.on_run = give_part;
	fc->content = STR("S: x\r\n\r\n.dot\r\n");
	fc->env.reverse_path = STR("a@b.example");
	fc->env.size_bytes = fc->content.len;
	fc->job.env = &fc->env;
	fc->job.recipients = fc->recipients;
	fc->job.content = &fc->reader;
	fc->job.on_done = on_done;
	static char addresses[FIXTURE_RECIPIENTS_MAX][24];
	for (size_t i = 0; i < FIXTURE_RECIPIENTS_MAX; i++) {
		int n = snprintf(addresses[i], sizeof(addresses[i]), "r%zu@d.example", i);
		fc->rcpts[i].address = str_of(addresses[i], (size_t)n);
		fc->recipients[i].rcpt = &fc->rcpts[i];
	}
}

void fixture_client_fini(struct fixture_client *fc)
{
	if (fc->client)
		smtp_client_close(fc->client);
	env_undefer(&fc->f.env, &fc->part);
	arena_fini(&fc->job.arena);
	buf_fini(&fc->failure_text);
	conf_unref(fc->conf);
	fixture_fini(&fc->f);
}

void fixture_client_open(struct fixture_client *fc)
{
	fc->client = smtp_client_open(&fc->f.env, &fc->f.net, fc->conf, &fc->params, &on_session, fc);
	fc->conn = &fc->f.conns[fc->f.conn_count - 1];
	fixture_settle(&fc->f);
}

const char *fixture_client_heard(struct fixture_client *fc)
{
	fixture_settle(&fc->f);
	return fixture_output(fc->conn);
}

const char *fixture_client_say(struct fixture_client *fc, const char *text)
{
	fixture_feed(fc->conn, text);
	return fixture_client_heard(fc);
}

void fixture_client_ready(struct fixture_client *fc, const char *capabilities)
{
	struct buf reply;
	struct str rest = str_from_c(capabilities);

	fixture_client_open(fc);
	CHECK(strcmp(fixture_client_say(fc, "220 mx.example ESMTP\r\n"),
		      fc->params.is_lmtp ? "LHLO relay.test\r\n" : "EHLO relay.test\r\n") == 0);
	buf_init(&reply, 65536);
	buf_printf(&reply, "250%cmx.example\r\n", rest.len > 0 ? '-' : ' ');
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		buf_printf(&reply, "250%c%.*s\r\n", rest.len > 0 ? '-' : ' ', STR_FMT(line));
	}
	CHECK(strcmp(fixture_client_say(fc, buf_cstr(&reply)), "") == 0);
	buf_fini(&reply);
	CHECK(fc->readies == 1);
}

void fixture_client_deliver(struct fixture_client *fc, uint32_t recipient_count)
{
	fc->job.recipient_count = recipient_count;
	arena_fini(&fc->job.arena);
	smtp_client_deliver(fc->client, &fc->job);
}
