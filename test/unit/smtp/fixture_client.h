/* fixture_client - a client, its owner, one job, and content in memory; the test plays the peer. */
#ifndef TEST_UNIT_SMTP_FIXTURE_CLIENT_H
#define TEST_UNIT_SMTP_FIXTURE_CLIENT_H

#include "fixture_net.h"
#include "smtp/client.h"

#define FIXTURE_RECIPIENTS_MAX 4000

struct fixture_client {
	struct fixture f;
	struct conf *conf;
	struct smtp_client_params params;
	struct conn *conn;
	struct smtp_client *client; /* NULL once gone */

	unsigned readies, fails, dones;
	struct outcome failure; /* text in failure_text */
	struct buf failure_text;

	struct smtp_job job;
	struct envelope env;
	struct recipient rcpts[FIXTURE_RECIPIENTS_MAX];
	struct smtp_job_recipient recipients[FIXTURE_RECIPIENTS_MAX];

	struct content_reader reader;
	struct str content;
	size_t part_bytes; /* 0: in one part */
	size_t content_at;
	enum err content_err; /* reported instead of the part at fail_at */
	size_t fail_at;
	bool is_reader_slow; /* parts come only by fixture_client_give */
	bool is_asked;
	unsigned parts;
	struct deferred part;
};

void fixture_client_init(struct fixture_client *fc);
void fixture_client_fini(struct fixture_client *fc);
void fixture_client_open(struct fixture_client *fc);
/* fixture_client_ready - opens, with these EHLO lines ("PIPELINING\nSIZE 100"), up to on_ready. */
void fixture_client_ready(struct fixture_client *fc, const char *capabilities);
void fixture_client_deliver(struct fixture_client *fc, uint32_t recipient_count);
void fixture_client_give(struct fixture_client *fc);
/* fixture_client_say - the peer says text; returns what the client said since the last call. */
const char *fixture_client_say(struct fixture_client *fc, const char *text);
/* fixture_client_heard - what the client said since the last call. */
const char *fixture_client_heard(struct fixture_client *fc);

#endif
