/*
 * load_session - one session of bench-load: its connection, its dialogue and the message it has in work.
 *
 * Edge-triggered: what cannot be written at once goes when epoll says so, replies are read until there
 * are no more. A message stays with its session until it is accepted or has failed.
 */
#ifndef LOAD_SESSION_H
#define LOAD_SESSION_H

#include <strings.h>
#include <sys/uio.h>

#include "tls.h"

#define REFUSALS_MAX 1000
#define RECONNECT_NS (5 * NS_PER_MS)
#define NO_SERVER_NS (30 * NS_PER_SECOND)
#define NONE (-1)

enum state {
	STATE_DOWN, /* may connect at retry_at */
	STATE_BANNER,
	STATE_EHLO,
	STATE_STARTTLS,
	STATE_IDLE,
	STATE_ENVELOPE,
	STATE_CONTENT,
	STATE_EMPTY, /* the server took DATA without a recipient: a dot ends it */
	STATE_QUIT
};

enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA };

struct session {
	int fd;
	SSL *ssl; /* NULL: clear text */
	int64_t done_here; /* messages on this connection */
	enum state state;
	enum step step;    /* the reply that is waited for in STATE_ENVELOPE */
	int64_t number;    /* of the message in work, or NONE */
	unsigned refusals; /* of this message, in a row */
	bool may_pipeline;
	char refusal[128]; /* the first of this envelope's, or empty */
	int64_t retry_at, down_since, dot_at;
	size_t content_sent;
	char head[HEAD_MAX];
	char in[4096], out[1024];
	size_t in_len, out_len;
};

static struct load {
	int loop, signals;
	struct sockaddr_in to;
	struct session *sessions;
	int64_t session_count, count, seconds, size, domains, first, pace, per_connection;
	struct pattern domain;
	const char *mail_parameters;
	bool pipelines;
	SSL_CTX *tls; /* NULL: clear text */
	int64_t handshakes, resumed;

	struct content content;
	int64_t next, in_work;
	bool is_stopping;
	int64_t started_at, stop_at, stopped_at, progress_at;
	int64_t first_mail_at, first_accepted_at, last_accepted_at, last_number;
	int64_t accepted, refused, lost, failed;
	struct times acks;
} load;

static void session_lost(struct session *s, int64_t now);

/* ---- the message in work ---- */

static void stop(int64_t now)
{
	if (!load.is_stopping)
		load.stopped_at = now;
	load.is_stopping = true;
}

static bool take_message(struct session *s, int64_t now)
{
	if (now >= load.stop_at)
		stop(now);
	if (load.is_stopping || load.next - load.first >= load.count)
		return false;
	if (load.pace > 0 && (double)(load.next - load.first) >
				     seconds_of(now - load.started_at) * (double)load.pace)
		return false;
	if (load.in_work++ == 0)
		load.progress_at = now;
	s->number = load.next++;
	s->refusals = 0;
	return true;
}

static void message_failed(struct session *s, const char *why)
{
	fprintf(stderr, "bench-load: message %lld: %s\n", (long long)s->number, why);
	s->number = NONE;
	load.in_work--;
	load.failed++;
	stop(now_ns());
}

static void message_accepted(struct session *s, int64_t now)
{
	if (load.accepted++ == 0)
		load.first_accepted_at = now;
	times_add(&load.acks, now - s->dot_at);
	if (s->number > load.last_number)
		load.last_number = s->number;
	load.last_accepted_at = load.progress_at = now;
	load.in_work--;
	s->number = NONE;
}

/* ---- writing ---- */

static void say(struct session *s, const char *text, size_t len)
{
	if (s->out_len + len > sizeof(s->out))
		die("an envelope is too long");
	memcpy(s->out + s->out_len, text, len);
	s->out_len += len;
}

static bool is_sent(const struct session *s)
{
	return s->content_sent == load.content.head_len + load.content.body_len + 3;
}

static ssize_t send_content(struct session *s)
{
	size_t head_left = 0, body_sent = 0;
	struct iovec parts[2];

	if (s->content_sent < load.content.head_len)
		head_left = load.content.head_len - s->content_sent;
	else
		body_sent = s->content_sent - load.content.head_len;
	parts[0].iov_base = s->head + s->content_sent * (head_left > 0);
	parts[0].iov_len = head_left;
	parts[1].iov_base = load.content.body + body_sent;
	parts[1].iov_len = load.content.body_len + 3 - body_sent;
	if (s->ssl != NULL)
		return stream_write(s->ssl, s->fd, parts[head_left == 0].iov_base,
			parts[head_left == 0].iov_len);
	return writev(s->fd, &parts[head_left == 0], 1 + (head_left > 0));
}

/* Writes what is there; the rest goes when epoll says that there is room (edge-triggered). */
static void session_write(struct session *s)
{
	ssize_t done;

	while (s->out_len > 0) {
		done = stream_write(s->ssl, s->fd, s->out, s->out_len);
		if (done <= 0)
			goto fail;
		s->out_len -= (size_t)done;
		memmove(s->out, s->out + done, s->out_len);
	}
	if (s->state != STATE_CONTENT)
		return;
	while (!is_sent(s)) {
		done = send_content(s);
		if (done <= 0)
			goto fail;
		s->content_sent += (size_t)done;
		if (is_sent(s))
			s->dot_at = now_ns();
	}
	return;
fail:
	if (errno != EAGAIN && errno != EINTR)
		session_lost(s, now_ns());
}

/* ---- the dialogue ---- */

static void say_step(struct session *s, enum step step)
{
	char text[512], domain[256];
	int len = 0;

	switch (step) {
	case STEP_RSET:
		len = snprintf(text, sizeof(text), "RSET\r\n");
		break;
	case STEP_MAIL:
		len = snprintf(text, sizeof(text), "MAIL FROM:<sender@client.bench.test>%s\r\n",
			load.mail_parameters);
		break;
	case STEP_RCPT:
		pattern_put(domain, sizeof(domain), &load.domain, s->number % load.domains);
		len = snprintf(text, sizeof(text), "RCPT TO:<user%lld@%s>\r\n",
			(long long)s->number, domain);
		break;
	case STEP_DATA:
		len = snprintf(text, sizeof(text), "DATA\r\n");
		break;
	}
	if (len < 0 || (size_t)len >= sizeof(text))
		die("an envelope is too long");
	say(s, text, (size_t)len);
}

/* A refused message left a transaction open, or did not: RSET makes that certain. */
static void send_message(struct session *s)
{
	s->state = STATE_ENVELOPE;
	s->step = s->refusals > 0 ? STEP_RSET : STEP_MAIL;
	s->refusal[0] = '\0';
	s->content_sent = 0;
	say_step(s, s->step);
	for (int step = (int)s->step + 1; s->may_pipeline && step <= STEP_DATA; step++)
		say_step(s, (enum step)step);
	session_write(s);
}

static void next_message(struct session *s, int64_t now)
{
	s->state = STATE_IDLE;
	if (load.per_connection > 0 && s->done_here >= load.per_connection) {
		s->state = STATE_QUIT;
		say(s, "QUIT\r\n", 6);
		session_write(s);
		return;
	}
	if (s->number == NONE && !take_message(s, now))
		return;
	content_head(&load.content, s->head, s->number);
	if (load.first_mail_at == 0)
		load.first_mail_at = now;
	send_message(s);
}

static void refused(struct session *s, const char *reply)
{
	load.refused++;
	s->refusals++;
	if (reply[0] == '5' || s->refusals == REFUSALS_MAX)
		message_failed(s, reply);
	next_message(s, now_ns());
}

static void on_data_reply(struct session *s, const char *reply)
{
	bool is_refused = s->refusal[0] != '\0';

	if (reply[0] != '3') {
		refused(s, is_refused ? s->refusal : reply);
		return;
	}
	s->state = is_refused ? STATE_EMPTY : STATE_CONTENT;
	if (is_refused)
		say(s, ".\r\n", 3);
	session_write(s);
}

/* The refusal that counts is the first; what follows it in a pipelined group is a consequence. */
static void on_envelope_reply(struct session *s, const char *reply)
{
	bool is_taken = reply[0] == '2' || s->step == STEP_RSET;

	if (s->step == STEP_DATA) {
		on_data_reply(s, reply);
		return;
	}
	if (!is_taken && !s->may_pipeline) {
		refused(s, reply);
		return;
	}
	if (!is_taken && s->refusal[0] == '\0')
		snprintf(s->refusal, sizeof(s->refusal), "%.120s", reply);
	s->step++;
	if (!s->may_pipeline) {
		say_step(s, s->step);
		session_write(s);
	}
}

static void say_hello(struct session *s)
{
	s->state = STATE_EHLO;
	say(s, "EHLO client.bench.test\r\n", 24);
	session_write(s);
}

static void on_hello_reply(struct session *s)
{
	if (load.tls != NULL && s->ssl == NULL) {
		s->state = STATE_STARTTLS;
		say(s, "STARTTLS\r\n", 10);
		session_write(s);
		return;
	}
	s->down_since = 0;
	if (s->ssl != NULL) {
		load.handshakes++;
		load.resumed += SSL_session_reused(s->ssl);
	}
	next_message(s, now_ns());
}

static void session_close(struct session *s, int64_t retry_at);

static void on_reply(struct session *s, const char *reply)
{
	int64_t now;

	if (strncmp(reply, "421", 3) == 0 || (s->state <= STATE_STARTTLS && reply[0] != '2')) {
		load.refused++;
		session_lost(s, now_ns());
		return;
	}
	switch (s->state) {
	case STATE_BANNER:
		say_hello(s);
		break;
	case STATE_EHLO:
		on_hello_reply(s);
		break;
	case STATE_STARTTLS:
		s->ssl = tls_begin(load.tls, s->fd, false);
		s->may_pipeline = false;
		say_hello(s);
		break;
	case STATE_QUIT:
		session_close(s, now_ns());
		break;
	case STATE_ENVELOPE:
		on_envelope_reply(s, reply);
		break;
	case STATE_CONTENT:
		now = now_ns();
		if (reply[0] == '2') {
			s->done_here++;
			message_accepted(s, now);
			next_message(s, now);
		} else {
			refused(s, reply);
		}
		break;
	case STATE_EMPTY:
		refused(s, s->refusal);
		break;
	case STATE_IDLE:
	case STATE_DOWN:
		session_lost(s, now_ns());
		break;
	}
}

static void take_replies(struct session *s)
{
	size_t at = 0;
	char *end;

	while (s->fd >= 0 && (end = memchr(s->in + at, '\n', s->in_len - at)) != NULL) {
		char *line = s->in + at;

		at = (size_t)(end + 1 - s->in);
		*end = '\0';
		if (end > line && end[-1] == '\r')
			end[-1] = '\0';
		if (s->state == STATE_EHLO && strlen(line) > 4 &&
			strcasecmp(line + 4, "PIPELINING") == 0)
			s->may_pipeline = load.pipelines;
		if (strlen(line) < 4 || line[3] != '-')
			on_reply(s, line);
	}
	if (s->fd < 0)
		return;
	s->in_len -= at;
	memmove(s->in, s->in + at, s->in_len);
	if (s->in_len == sizeof(s->in))
		session_lost(s, now_ns());
}

/* ---- connections ---- */

static void session_close(struct session *s, int64_t retry_at)
{
	tls_end(s->ssl);
	s->ssl = NULL;
	s->done_here = 0;
	close(s->fd);
	s->fd = -1;
	s->state = STATE_DOWN;
	s->in_len = s->out_len = 0;
	s->may_pipeline = false;
	s->retry_at = retry_at;
}

static void session_lost(struct session *s, int64_t now)
{
	bool was_open = s->state > STATE_STARTTLS;

	if (s->fd < 0)
		return;
	session_close(s, now + RECONNECT_NS);
	if (was_open)
		load.lost++;
	if (s->down_since == 0)
		s->down_since = now;
	if (now - s->down_since > NO_SERVER_NS) {
		if (s->number == NONE && !take_message(s, now))
			return;
		message_failed(s, "no connection to the server");
	}
}

static void session_connect(struct session *s, int64_t now)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s };
	int on = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->state = STATE_BANNER;
	if (epoll_ctl(load.loop, EPOLL_CTL_ADD, s->fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
	if (connect(s->fd, (struct sockaddr *)&load.to, sizeof(load.to)) != 0 &&
		errno != EINPROGRESS)
		session_lost(s, now);
}

static void on_session(struct session *s, uint32_t events)
{
	size_t room;
	ssize_t got;

	if (events & EPOLLOUT && (s->out_len > 0 || s->state == STATE_CONTENT))
		session_write(s);
	while (s->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		room = sizeof(s->in) - s->in_len;
		got = stream_read(s->ssl, s->fd, s->in + s->in_len, room);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			session_lost(s, now_ns());
		if (got <= 0)
			break;
		s->in_len += (size_t)got;
		take_replies(s);
		if ((size_t)got < room && s->ssl == NULL)
			break;
	}
	/* What a handshake held up. */
	if (s->fd >= 0 && s->ssl != NULL && (s->out_len > 0 || s->state == STATE_CONTENT))
		session_write(s);
}

#endif
