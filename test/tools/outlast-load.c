/*
 * outlast-load - a sending client that keeps the ledger of what was accepted.
 *
 *   outlast-load --to 127.0.0.1:2525 --journal FILE [--sessions 20] [--count 10000] [--size 10K[-50K]] [--corpus DIR]
 *                [--rcpt 'user%d@a.test[=WEIGHT]' ...] [--domains a.test,b.test] [--from 'sender%d@client.test']
 *                [--multi-rcpt N] [--rate N/s] [--pipelining] [--per-connection N] [--timeout S] [--deadline S]
 *                [--resume-after-drop[=S]] [--retry-4xx] [--prefix TEXT] [--json]
 *
 * In addresses %d is the number of the message, %Nd that number modulo N, %s the next of --domains.
 * The content starts with "X-Outlast-Token: PREFIX-NUMBER"; its digest is journaled, and made
 * durable, before the message counts as accepted. A connection lost behind the final dot is
 * journaled as "unknown"; with --resume-after-drop the message is sent again under its token, for
 * at most S seconds (60) without a connection. Exit status 0: all accepted. 1: not all. Everything
 * is bounded: by count, --timeout per reply, --deadline in all.
 */
#include <dirent.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "loop.h"
#include "message.h"

#define OUT_LOW 65536
#define RECONNECT_MS 100

#define OFFERS_PIPELINING 1u
#define OFFERS_8BITMIME 2u

enum state {
	STATE_DOWN, /* not connected; may connect at retry_at_ms */
	STATE_CONNECT,
	STATE_BANNER,
	STATE_EHLO,
	STATE_IDLE,
	STATE_ENVELOPE,
	STATE_CONTENT,
	STATE_RSET,
	STATE_QUIT,
	STATE_DONE
};

struct client {
	struct watch watch;
	enum state state;
	struct message *message; /* NULL: none in work */
	struct bytes in, out;
	unsigned offered;   /* OFFERS_ of the EHLO reply */
	bool may_pipeline;  /* offered by the server and wanted */
	size_t step;        /* of the envelope: 0 MAIL, 1.. RCPT, then DATA; counts replies */
	struct texts taken; /* recipients that were accepted */
	char *refusal;      /* the first reply that refused the message as a whole */
	size_t lines_sent;
	bool is_head_sent, is_dot_sent;
	unsigned messages_here; /* on this connection */
	int64_t deadline_ms, retry_at_ms;
	int64_t down_since_ms; /* 0: was connected */
	int64_t dot_at_us;
};

static struct load {
	int loop;
	union address to;
	struct journal journal;
	struct client *clients;
	int64_t sessions, count, per_connection, timeout_ms, deadline_ms, resume_ms;
	double rate;
	bool pipelines, resumes, retries_4xx, is_json;
	int64_t started_ms, next_number;
	int64_t accepted, accepted_unsynced, refused, unknown, resent, given_up;
	int64_t *latencies_us;
	size_t latency_count;
} load;

static void on_client(struct watch *watch, uint32_t events);
static void client_send(struct client *client);

/* The ledger. */

static void record(const struct message *message, const char *event, const struct texts *to,
	const char *stage, const char *reply)
{
	struct bytes line;

	journal_begin(&line, event);
	journal_member(&line, "token", message->token);
	journal_member(&line, "sha256", message->digest);
	bytes_format(&line, ",\"size\":%llu", (unsigned long long)message->size);
	journal_member(&line, "from", message->from);
	bytes_put(&line, ",\"to\":");
	texts_json(&line, to);
	journal_member(&line, "stage", stage);
	journal_member(&line, "reply", reply);
	bytes_format(&line, ",\"try\":%u", message->tries);
	journal_end(&load.journal, &line);
}

static void message_done(struct client *client)
{
	message_free(client->message);
	client->message = NULL;
	texts_clear(&client->taken);
	free(client->refusal);
	client->refusal = NULL;
}

static void message_refused(struct client *client, const char *stage, const char *reply)
{
	record(client->message, "refused", &client->message->to, stage, reply);
	load.refused++;
	message_done(client);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void message_accepted(struct client *client, const char *reply)
{
	record(client->message, "accepted", &client->taken, "dot", reply);
	load.accepted_unsynced++;
	if (load.latency_count < (size_t)load.count)
		load.latencies_us[load.latency_count++] = now_us() - client->dot_at_us;
	message_done(client);
}

/* Connections. */

static void client_wait_reply(struct client *client)
{
	client->deadline_ms = mono_ms() + load.timeout_ms;
}

static void client_close(struct client *client)
{
	watch_close(&client->watch);
	client->in.len = client->out.len = 0;
	client->messages_here = 0;
	client->state = STATE_DOWN;
	client->retry_at_ms = mono_ms() + RECONNECT_MS;
	if (client->down_since_ms == 0)
		client->down_since_ms = mono_ms();
}

/* The connection is gone or useless: what becomes of the message on it? */
static void client_lost(struct client *client, const char *why)
{
	bool is_unknown =
		client->state == STATE_CONTENT && client->is_dot_sent && client->out.len == 0;
	bool was_connecting = client->state == STATE_CONNECT || client->state == STATE_BANNER ||
			      client->state == STATE_EHLO;
	const char *stage = is_unknown ? "dot" : was_connecting ? "connect" : "session";

	client_close(client);
	if (client->message != NULL && is_unknown) {
		record(client->message, "unknown", &client->taken, stage, why);
		load.unknown++;
	}
	if (client->message != NULL && load.resumes) {
		texts_clear(&client->taken);
		free(client->refusal);
		client->refusal = NULL;
		client->message->tries += !was_connecting;
		load.resent += !was_connecting;
		if (mono_ms() - client->down_since_ms > load.resume_ms) {
			message_refused(client, stage, why);
			load.given_up++;
			client->state = STATE_DONE;
		}
		return;
	}
	if (client->message != NULL && is_unknown)
		message_done(client);
	else if (client->message != NULL)
		message_refused(client, stage, why);
	/* Without a server there is no point in going on. */
	if (was_connecting)
		client->state = STATE_DONE;
}

static void client_connect(struct client *client)
{
	int on = 1;
	int fd = socket(load.to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	client->state = STATE_CONNECT;
	client_wait_reply(client);
	if (connect(fd, &load.to.any, address_len(&load.to)) != 0 && errno != EINPROGRESS) {
		close(fd);
		client_lost(client, strerror(errno));
		return;
	}
	watch_start(load.loop, &client->watch, fd, EPOLLIN | EPOLLOUT, on_client);
}

/* The dialogue: what to say next, and what the replies mean. */

static void say_step(struct client *client, size_t step)
{
	const struct message *message = client->message;

	if (step == 0)
		bytes_format(&client->out, "MAIL FROM:<%s>%s\r\n", message->from,
			message->is_8bit && (client->offered & OFFERS_8BITMIME) ? " BODY=8BITMIME"
										: "");
	else if (step <= message->to.count)
		bytes_format(&client->out, "RCPT TO:<%s>\r\n", message->to.at[step - 1]);
	else
		bytes_put(&client->out, "DATA\r\n");
}

static void start_message(struct client *client)
{
	client->state = STATE_ENVELOPE;
	client->step = 0;
	client->is_head_sent = client->is_dot_sent = false;
	client->lines_sent = 0;
	say_step(client, 0);
	for (size_t step = 1; client->may_pipeline && step <= client->message->to.count + 1; step++)
		say_step(client, step);
	client_wait_reply(client);
}

static void say_rset(struct client *client)
{
	bytes_put(&client->out, "RSET\r\n");
	client->state = STATE_RSET;
	client_wait_reply(client);
}

/* Puts more of the content into the output, up to OUT_LOW octets. */
static void more_content(struct client *client)
{
	const struct message *message = client->message;

	if (!client->is_head_sent)
		bytes_add(&client->out, message->head.at, message->head.len);
	client->is_head_sent = true;
	while (client->lines_sent < message->line_count && client->out.len < OUT_LOW) {
		const struct bytes *line =
			&plan.body[(message->first_line + client->lines_sent++) % BODY_LINES];

		if (line->at[0] == '.')
			bytes_add(&client->out, ".", 1);
		bytes_add(&client->out, line->at, line->len);
	}
	if (client->lines_sent == message->line_count) {
		bytes_put(&client->out, ".\r\n");
		client->is_dot_sent = true;
		client->dot_at_us = now_us();
	}
}

static void refuse_whole(struct client *client, const char *reply)
{
	if (client->refusal == NULL)
		client->refusal = copy_text(reply, strlen(reply));
}

static bool is_positive(const char *reply)
{
	return reply[0] == '2';
}

static void on_data_reply(struct client *client, const char *reply)
{
	if (reply[0] != '3') {
		refuse_whole(client, reply);
		message_refused(client, "envelope", client->refusal);
		say_rset(client);
		return;
	}
	client->state = STATE_CONTENT;
	if (client->taken.count > 0) {
		more_content(client);
		return;
	}
	/* Pipelined behind refused recipients: an empty message ends it. */
	client->is_head_sent = client->is_dot_sent = true;
	client->lines_sent = client->message->line_count;
	bytes_put(&client->out, ".\r\n");
}

static void on_envelope_reply(struct client *client, const char *reply)
{
	size_t step = client->step++;
	struct message *message = client->message;

	if (step == message->to.count + 1) {
		on_data_reply(client, reply);
		return;
	}
	if (step == 0) {
		if (!is_positive(reply))
			refuse_whole(client, reply);
	} else if (is_positive(reply)) {
		texts_add(
			&client->taken, message->to.at[step - 1], strlen(message->to.at[step - 1]));
	} else if (message->to.count == 1) {
		refuse_whole(client, reply);
	} else {
		struct texts one = { .at = &message->to.at[step - 1], .count = 1 };

		record(message, "refused", &one, "rcpt", reply);
	}
	if (client->may_pipeline)
		return;
	if ((step == 0 && client->refusal != NULL) ||
		(step == message->to.count && client->taken.count == 0)) {
		refuse_whole(client, reply);
		message_refused(client, "envelope", client->refusal);
		say_rset(client);
		return;
	}
	say_step(client, client->step);
}

static void on_dot_reply(struct client *client, const char *reply)
{
	client->state = STATE_IDLE;
	client->messages_here++;
	if (client->taken.count == 0)
		message_refused(
			client, "envelope", client->refusal != NULL ? client->refusal : reply);
	else if (is_positive(reply))
		message_accepted(client, reply);
	else
		message_refused(client, "dot", reply);
	if (load.per_connection > 0 && client->messages_here >= load.per_connection) {
		bytes_put(&client->out, "QUIT\r\n");
		client->state = STATE_QUIT;
	}
}

static void on_reply(struct client *client, const char *reply, unsigned offered)
{
	bool is_temporary = reply[0] == '4' && client->state != STATE_RSET;

	client_wait_reply(client);
	if (strncmp(reply, "421", 3) == 0 ||
		(is_temporary && load.retries_4xx &&
			(client->message == NULL || client->message->to.count == 1))) {
		client->is_dot_sent = false; /* answered: not in doubt */
		client_lost(client, reply);
		client->retry_at_ms += 10 * RECONNECT_MS;
		return;
	}
	switch (client->state) {
	case STATE_BANNER:
		if (!is_positive(reply)) {
			client_lost(client, reply);
			return;
		}
		client->state = STATE_EHLO;
		bytes_put(&client->out, "EHLO client.test\r\n");
		break;
	case STATE_EHLO:
		if (!is_positive(reply)) {
			client_lost(client, reply);
			return;
		}
		client->offered = offered;
		client->may_pipeline = load.pipelines && (offered & OFFERS_PIPELINING);
		client->state = STATE_IDLE;
		client->down_since_ms = 0;
		if (client->message != NULL)
			start_message(client);
		break;
	case STATE_ENVELOPE:
		on_envelope_reply(client, reply);
		break;
	case STATE_CONTENT:
		on_dot_reply(client, reply);
		break;
	case STATE_RSET:
		client->state = STATE_IDLE;
		break;
	case STATE_QUIT:
		client_close(client);
		break;
	case STATE_IDLE:
	case STATE_DOWN:
	case STATE_CONNECT:
	case STATE_DONE:
		client_lost(client, "a reply that nobody asked for");
		break;
	}
}

/* Takes whole replies, all lines of one, off the input. */
static void take_replies(struct client *client)
{
	unsigned offered = 0;
	size_t at = 0;
	const char *end;

	while (client->watch.fd >= 0 &&
		(end = memchr(client->in.at + at, '\n', client->in.len - at)) != NULL) {
		size_t len = (size_t)(end - (client->in.at + at));
		char *line = copy_text(client->in.at + at, len);

		line[strcspn(line, "\r")] = '\0';
		at += len + 1;
		if (strlen(line) >= 14 && strcasecmp(line + 4, "PIPELINING") == 0)
			offered |= OFFERS_PIPELINING;
		if (strlen(line) >= 12 && strcasecmp(line + 4, "8BITMIME") == 0)
			offered |= OFFERS_8BITMIME;
		if (strlen(line) < 4 || line[3] != '-') {
			bytes_consume(&client->in, at);
			at = 0;
			on_reply(client, line, offered);
			offered = 0;
		}
		free(line);
	}
}

static void client_send(struct client *client)
{
	while (client->watch.fd >= 0) {
		ssize_t done;

		if (client->state == STATE_CONTENT && !client->is_dot_sent &&
			client->out.len < OUT_LOW)
			more_content(client);
		if (client->out.len == 0)
			break;
		done = send(client->watch.fd, client->out.at, client->out.len, MSG_NOSIGNAL);
		if (done < 0 && errno != EAGAIN && errno != EINTR) {
			client_lost(client, strerror(errno));
			return;
		}
		if (done <= 0)
			break;
		client->deadline_ms = mono_ms() + load.timeout_ms;
		bytes_consume(&client->out, (size_t)done);
	}
	watch_change(load.loop, &client->watch, EPOLLIN | (client->out.len > 0 ? EPOLLOUT : 0u));
}

static void on_client(struct watch *watch, uint32_t events)
{
	struct client *client = owner_of(watch, struct client, watch);
	char chunk[16384];
	ssize_t got;

	if (client->state == STATE_CONNECT) {
		int problem = 0;
		socklen_t len = sizeof(problem);

		getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
		if (problem != 0) {
			client_lost(client, strerror(problem));
			return;
		}
		client->state = STATE_BANNER;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		got = recv(watch->fd, chunk, sizeof(chunk), 0);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			client_lost(client, got == 0 ? "connection closed" : strerror(errno));
			return;
		}
		if (got > 0)
			bytes_add(&client->in, chunk, (size_t)got);
		take_replies(client);
	}
	client_send(client);
}

/* The round: idle clients get the next message, as the rate permits. */

static bool may_start(int64_t now)
{
	if (load.next_number >= load.count)
		return false;
	return load.rate <= 0 ||
	       (double)(now - load.started_ms) * load.rate / 1000 >= (double)load.next_number;
}

static void client_advance(struct client *client, int64_t now)
{
	bool has_work = client->message != NULL;

	if ((client->state == STATE_IDLE || client->state == STATE_DOWN) && !has_work &&
		may_start(now)) {
		client->message = message_new(load.next_number++);
		has_work = true;
		if (client->state == STATE_IDLE) {
			start_message(client);
			client_send(client);
			return;
		}
		client->down_since_ms = now; /* without work it did not matter */
	}
	if (client->state == STATE_DOWN && has_work && now >= client->retry_at_ms)
		client_connect(client);
	else if ((client->state == STATE_IDLE || client->state == STATE_DOWN) && !has_work &&
		 load.next_number >= load.count)
		client->state = STATE_DONE;
	else if (client->state != STATE_IDLE && client->state != STATE_DOWN &&
		 client->state != STATE_DONE && now > client->deadline_ms)
		client_lost(client, "timeout");
}

static bool is_all_done(void)
{
	bool is_done = true;

	for (int64_t i = 0; i < load.sessions; i++)
		is_done &= load.clients[i].state == STATE_DONE;
	return is_done;
}

static void run(void)
{
	load.started_ms = mono_ms();
	while (!is_all_done()) {
		int64_t now = mono_ms();

		if (now - load.started_ms > load.deadline_ms) {
			fprintf(stderr, "outlast-load: stopped at the deadline\n");
			break;
		}
		for (int64_t i = 0; i < load.sessions; i++)
			client_advance(&load.clients[i], now);
		loop_round(load.loop, load.rate > 0 ? 5 : 20);
		journal_sync(&load.journal);
		load.accepted += load.accepted_unsynced;
		load.accepted_unsynced = 0;
	}
	for (int64_t i = 0; i < load.sessions; i++) {
		struct client *client = &load.clients[i];

		if (client->watch.fd >= 0 && client->message == NULL)
			send(client->watch.fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
		watch_close(&client->watch);
	}
}

static int compare_int64(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void report(void)
{
	int64_t spent_ms = mono_ms() - load.started_ms;
	double seconds = spent_ms > 0 ? (double)spent_ms / 1000 : 0.001;
	int64_t p50 = 0, p99 = 0;

	if (load.latency_count > 0) {
		qsort(load.latencies_us, load.latency_count, sizeof(int64_t), compare_int64);
		p50 = load.latencies_us[load.latency_count / 2];
		p99 = load.latencies_us[load.latency_count * 99 / 100];
	}
	printf(load.is_json
			? "{\"accepted\":%lld,\"refused\":%lld,\"unknown\":%lld,\"resent\":%lld,"
			  "\"unsent\":%lld,\"seconds\":%.3f,\"rate\":%.1f,\"dot_p50_us\":%lld,"
			  "\"dot_p99_us\":%lld}\n"
			: "accepted %lld, refused %lld, unknown %lld, resent %lld, unsent %lld in "
			  "%.3f s "
			  "(%.1f/s; dot p50 %lld us, p99 %lld us)\n",
		(long long)load.accepted, (long long)load.refused, (long long)load.unknown,
		(long long)load.resent, (long long)(load.count - load.next_number), seconds,
		(double)load.accepted / seconds, (long long)p50, (long long)p99);
}

/* Start. */

static int64_t parse_size(const char *text, char **end)
{
	int64_t value = strtoll(text, end, 10);

	if (*end == text)
		die_usage("--size %s: like 10K or 10K-50K", text);
	if (**end == 'K' || **end == 'k')
		return ++*end, value * 1024;
	if (**end == 'M' || **end == 'm')
		return ++*end, value * 1024 * 1024;
	return value;
}

static void set_size(const char *text)
{
	char *end;

	plan.size_min = plan.size_max = parse_size(text, &end);
	if (*end == '-')
		plan.size_max = parse_size(end + 1, &end);
	if (*end != '\0' || plan.size_max < plan.size_min)
		die_usage("--size %s: like 10K or 10K-50K", text);
}

static void add_rcpt(const char *text)
{
	const char *equals = strrchr(text, '=');
	size_t i = plan.rcpt_count++;

	if (i == RCPT_TEMPLATES_MAX)
		die_usage("at most %d --rcpt", RCPT_TEMPLATES_MAX);
	plan.rcpt[i] = copy_text(text, equals != NULL ? (size_t)(equals - text) : strlen(text));
	plan.rcpt_weight[i] = equals != NULL ? parse_number("--rcpt weight", equals + 1) : 1;
	plan.weight_sum += plan.rcpt_weight[i];
}

static void set_domains(const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, ",");

		texts_add(&plan.domains, text, len);
		text += len + (text[len] == ',');
	}
}

static int compare_texts(const void *a, const void *b)
{
	char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void read_corpus(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL)
		die("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		struct bytes name = { 0 };
		struct stat about;

		bytes_format(&name, "%s/%s", path, entry->d_name);
		if (stat(bytes_text(&name), &about) == 0 && S_ISREG(about.st_mode))
			texts_add(&plan.corpus, name.at, name.len);
		bytes_free(&name);
	}
	closedir(dir);
	if (plan.corpus.count == 0)
		die("%s: no files", path);
	qsort(plan.corpus.at, plan.corpus.count, sizeof(char *), compare_texts);
}

static void set_defaults(void)
{
	uint32_t draw = 0;

	if (getrandom(&draw, sizeof(draw), 0) != sizeof(draw))
		die("getrandom: %s", strerror(errno));
	snprintf(plan.prefix, sizeof(plan.prefix), "%08x", draw);
	load.journal.fd = -1;
	load.sessions = 20;
	load.count = 10000;
	plan.multi_rcpt = 1;
	load.timeout_ms = 60 * 1000;
	load.deadline_ms = 600 * 1000;
	load.resume_ms = 60 * 1000;
	plan.size_min = plan.size_max = 10 * 1024;
	plan.from = "sender%10d@client.test";
}

static void read_option(int option)
{
	switch (option) {
	case 't':
		if (!address_parse(&load.to, optarg, strlen(optarg)))
			die_usage("--to %s: ADDRESS:PORT expected", optarg);
		break;
	case 'j':
		journal_open(&load.journal, optarg);
		break;
	case 's':
		load.sessions = parse_number("--sessions", optarg);
		break;
	case 'n':
		load.count = parse_number("--count", optarg);
		break;
	case 'z':
		set_size(optarg);
		break;
	case 'r':
		add_rcpt(optarg);
		break;
	case 'd':
		set_domains(optarg);
		break;
	case 'f':
		plan.from = optarg;
		break;
	case 'c':
		read_corpus(optarg);
		break;
	case 'm':
		plan.multi_rcpt = parse_number("--multi-rcpt", optarg);
		break;
	case 'R':
		load.rate = strtod(optarg, NULL);
		break;
	case 'p':
		load.pipelines = true;
		break;
	case 'P':
		load.per_connection = parse_number("--per-connection", optarg);
		break;
	case 'T':
		load.timeout_ms = parse_number("--timeout", optarg) * 1000;
		break;
	case 'D':
		load.deadline_ms = parse_number("--deadline", optarg) * 1000;
		break;
	case 'u':
		load.resumes = true;
		if (optarg != NULL)
			load.resume_ms = parse_number("--resume-after-drop", optarg) * 1000;
		break;
	case '4':
		load.retries_4xx = load.resumes = true;
		break;
	case 'x':
		snprintf(plan.prefix, sizeof(plan.prefix), "%s", optarg);
		break;
	case 'J':
		load.is_json = true;
		break;
	default:
		die_usage("see the head of outlast-load.c for the options");
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "to", 1, NULL, 't' },
		{ "journal", 1, NULL, 'j' }, { "sessions", 1, NULL, 's' },
		{ "count", 1, NULL, 'n' }, { "size", 1, NULL, 'z' }, { "rcpt", 1, NULL, 'r' },
		{ "domains", 1, NULL, 'd' }, { "from", 1, NULL, 'f' }, { "corpus", 1, NULL, 'c' },
		{ "multi-rcpt", 1, NULL, 'm' }, { "rate", 1, NULL, 'R' },
		{ "pipelining", 0, NULL, 'p' }, { "per-connection", 1, NULL, 'P' },
		{ "timeout", 1, NULL, 'T' }, { "deadline", 1, NULL, 'D' },
		{ "resume-after-drop", 2, NULL, 'u' }, { "retry-4xx", 0, NULL, '4' },
		{ "prefix", 1, NULL, 'x' }, { "json", 0, NULL, 'J' }, { NULL, 0, NULL, 0 } };
	int option;

	set_defaults();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		read_option(option);
	if (load.to.any.sa_family == 0 || load.journal.fd < 0 || optind != argc ||
		load.sessions < 1 || plan.multi_rcpt < 1)
		die_usage("--to and --journal are needed, and at least one session and recipient");
	if (plan.rcpt_count == 0)
		add_rcpt("user%d@a.test");
	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	make_body_lines();
	load.loop = epoll_create1(EPOLL_CLOEXEC);
	load.clients = allocate((size_t)load.sessions, sizeof(*load.clients));
	load.latencies_us = allocate((size_t)load.count + 1, sizeof(*load.latencies_us));
	for (int64_t i = 0; i < load.sessions; i++)
		load.clients[i].watch.fd = -1;
	run();
	report();
	return load.accepted == load.count ? 0 : 1;
}
