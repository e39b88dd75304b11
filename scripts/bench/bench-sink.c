/*
 * bench-sink - a server that takes everything and is never the bottleneck; see usage below.
 *
 * What a connection left unfinished (half a command, the head until its number was seen, the last
 * octets, in which the final dot may begin) is put in front of what comes next, in one buffer that all
 * connections share. So content is scanned once and hardly copied. A peer that does not read its
 * replies, or sends what is no SMTP, loses its connection.
 */
#include <strings.h>

#include "tls.h"

#define CARRY_MAX 16384
#define INPUT_MAX (256 * 1024)
#define NUMBER_LIMIT (INT64_C(1) << 32)
#define NONE (-1)

enum state {
	STATE_COMMAND,
	STATE_CONTENT,
	STATE_DELAYED /* the reply to the final dot is due later; input waits */
};

struct connection {
	int fd;
	SSL *ssl;        /* NULL: clear text */
	bool starts_tls; /* once the replies have left */
	bool is_listener;
	enum state state;
	int64_t number; /* of the content that arrives, or NONE */
	int64_t size;   /* of it, without what is carried */
	char *carry;
	size_t carry_len;
	char out[1024];
	size_t out_len;
	int64_t due;
	struct connection *next; /* of those that are free, or of those delayed */
};

static struct sink {
	int loop, signals;
	int64_t port, addresses, expect, delay_ms, urgent_below;
	SSL_CTX *tls; /* NULL: not offered */
	int64_t handshakes, resumed;
	struct connection *listeners, *free, *delayed, **delayed_end;

	char input[INPUT_MAX];
	uint8_t *seen; /* a bit for each number */
	size_t seen_bytes;
	int64_t messages, distinct, bytes, ordinary, order_violations;
	int64_t connections, connections_now, connections_peak;
	int64_t first_at, last_at;
} sink;

/* ---- figures ---- */

static void report(void)
{
	printf("{\"messages\":%lld,\"distinct\":%lld,\"bytes\":%lld,\"first_at\":%.6f,"
	       "\"last_at\":%.6f,\"at\":%.6f,\"connections\":%lld,\"connections_peak\":%lld,"
	       "\"order_violations\":%lld,\"handshakes\":%lld,\"resumed\":%lld}\n",
		(long long)sink.messages, (long long)sink.distinct, (long long)sink.bytes,
		seconds_of(sink.first_at), seconds_of(sink.last_at), seconds_of(now_ns()),
		(long long)sink.connections, (long long)sink.connections_peak,
		(long long)sink.order_violations, (long long)sink.handshakes,
		(long long)sink.resumed);
	fflush(stdout);
}

/* True: this number came for the first time. */
static bool mark_seen(int64_t number)
{
	size_t at = (size_t)number / 8, bytes = sink.seen_bytes > 0 ? sink.seen_bytes : 65536;
	uint8_t bit = (uint8_t)(1u << (number % 8));

	while (bytes <= at)
		bytes *= 2;
	if (bytes > sink.seen_bytes) {
		sink.seen = realloc(sink.seen, bytes);
		if (sink.seen == NULL)
			die("out of memory");
		memset(sink.seen + sink.seen_bytes, 0, bytes - sink.seen_bytes);
		sink.seen_bytes = bytes;
	}
	if (sink.seen[at] & bit)
		return false;
	sink.seen[at] |= bit;
	return true;
}

static void note_message(int64_t number, int64_t size)
{
	sink.last_at = now_ns();
	if (sink.messages++ == 0)
		sink.first_at = sink.last_at;
	sink.bytes += size;
	if (number == NONE || !mark_seen(number))
		return;
	if (number < sink.urgent_below)
		sink.order_violations = sink.ordinary;
	else
		sink.ordinary++;
	if (++sink.distinct == sink.expect) {
		printf("{\"reached\":%lld,\"last_at\":%.6f}\n", (long long)sink.expect,
			seconds_of(sink.last_at));
		fflush(stdout);
	}
}

/* ---- the dialogue ---- */

static void connection_close(struct connection *c)
{
	if (c->ssl != NULL && SSL_is_init_finished(c->ssl)) {
		sink.handshakes++;
		sink.resumed += SSL_session_reused(c->ssl);
	}
	tls_end(c->ssl);
	c->ssl = NULL;
	close(c->fd);
	c->fd = -1;
	c->next = sink.free;
	sink.free = c;
	sink.connections_now--;
}

static void say(struct connection *c, const char *text)
{
	size_t len = strlen(text);

	if (c->out_len + len > sizeof(c->out))
		return; /* more commands in one group than anybody sends: the reply is missed */
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
}

static void flush(struct connection *c)
{
	if (c->fd >= 0 && c->out_len > 0 &&
		stream_write(c->ssl, c->fd, c->out, c->out_len) != (ssize_t)c->out_len)
		connection_close(c);
	c->out_len = 0;
	if (c->fd >= 0 && c->starts_tls)
		c->ssl = tls_begin(sink.tls, c->fd, true);
	c->starts_tls = false;
}

static bool is_verb(const char *line, size_t len, const char *verb)
{
	size_t verb_len = strlen(verb);

	return len >= verb_len && strncasecmp(line, verb, verb_len) == 0;
}

static void on_command(struct connection *c, const char *line, size_t len)
{
	if (is_verb(line, len, "EHLO ")) {
		say(c, "250-sink.bench.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n");
		say(c, sink.tls != NULL && c->ssl == NULL ? "250-STARTTLS\r\n250 DSN\r\n"
							   : "250 DSN\r\n");
	} else if (is_verb(line, len, "STARTTLS") && sink.tls != NULL && c->ssl == NULL) {
		say(c, "220 2.0.0 Ready\r\n");
		c->starts_tls = true;
	} else if (is_verb(line, len, "DATA\r\n")) {
		say(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
		c->state = STATE_CONTENT;
		c->number = NONE;
		c->size = 0;
	} else if (is_verb(line, len, "QUIT")) {
		say(c, "221 2.0.0 Bye\r\n");
		flush(c);
		if (c->fd >= 0)
			connection_close(c);
	} else if (is_verb(line, len, "MAIL FROM:") || is_verb(line, len, "RCPT TO:") ||
		   is_verb(line, len, "HELO ") || is_verb(line, len, "RSET") ||
		   is_verb(line, len, "NOOP")) {
		say(c, "250 2.0.0 Ok\r\n");
	} else {
		say(c, "500 5.5.1 Not known here\r\n");
	}
}

static void on_content_end(struct connection *c)
{
	note_message(c->number, c->size);
	c->state = STATE_COMMAND;
	if (sink.delay_ms == 0) {
		say(c, "250 2.0.0 Ok\r\n");
		return;
	}
	c->state = STATE_DELAYED;
	c->due = now_ns() + sink.delay_ms * NS_PER_MS;
	c->next = NULL;
	*sink.delayed_end = c;
	sink.delayed_end = &c->next;
}

/* Dots are rare in text and memchr is fast: several times faster than a search for all five octets. */
static const char *find_final_dot(const char *at, const char *end)
{
	const char *dot = at + 2;

	while (end - dot >= 3 && (dot = memchr(dot, '.', (size_t)(end - dot) - 2)) != NULL) {
		if (memcmp(dot - 2, "\r\n.\r\n", 5) == 0)
			return dot - 2;
		dot++;
	}
	return NULL;
}

static int64_t find_number(const char *at, size_t len)
{
	static const char field[] = "\r\nX-Bench: ";
	const char *found = memmem(at, len, field, sizeof(field) - 1);
	const char *digit;
	int64_t number = 0;

	if (found == NULL)
		return NONE;
	digit = found + sizeof(field) - 1;
	if (at + len - digit < NUMBER_DIGITS)
		return NONE;
	for (int i = 0; i < NUMBER_DIGITS; i++)
		number = number * 10 + (digit[i] - '0');
	return number >= 0 && number < NUMBER_LIMIT ? number : NONE;
}

/* The CRLF of the DATA line is left in front of the content: a line that begins is found by it. */
static size_t take_content(struct connection *c, const char *at, size_t len)
{
	const char *dot = find_final_dot(at, at + len);
	size_t size = dot != NULL ? (size_t)(dot - at) : len;

	if (c->number == NONE && c->size < CARRY_MAX)
		c->number = find_number(at, size < CARRY_MAX ? size : CARRY_MAX);
	if (dot != NULL) {
		c->size += (int64_t)size;
		on_content_end(c);
		return size + 5;
	}
	if (len <= 4 || (c->number == NONE && c->size == 0 && len < CARRY_MAX))
		return 0;
	c->size += (int64_t)len - 4;
	return len - 4;
}

static size_t take_command(struct connection *c, const char *at, size_t len)
{
	const char *end = memchr(at, '\n', len);
	size_t line_len;

	if (end == NULL)
		return 0;
	line_len = (size_t)(end + 1 - at);
	on_command(c, at, line_len);
	return c->state == STATE_CONTENT ? line_len - 2 : line_len;
}

/* Takes what is whole from the first len octets of the input; the rest is carried. */
static void take_input(struct connection *c, size_t len)
{
	size_t at = 0, taken;

	do {
		taken = c->state == STATE_CONTENT ? take_content(c, sink.input + at, len - at)
						  : take_command(c, sink.input + at, len - at);
		at += taken;
	} while (taken > 0 && at < len && c->fd >= 0 && c->state != STATE_DELAYED);
	flush(c);
	if (c->fd < 0)
		return;
	c->carry_len = len - at;
	if (c->carry_len > CARRY_MAX)
		connection_close(c);
	else
		memcpy(c->carry, sink.input + at, c->carry_len);
}

/* ---- connections ---- */

/* Edge-triggered: reads until there is no more. */
static void on_connection(struct connection *c)
{
	while (c->fd >= 0 && c->state != STATE_DELAYED) {
		size_t room = INPUT_MAX - c->carry_len;
		ssize_t got = stream_read(c->ssl, c->fd, sink.input + c->carry_len, room);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			connection_close(c);
			return;
		}
		memcpy(sink.input, c->carry, c->carry_len);
		take_input(c, c->carry_len + (size_t)got);
		if ((size_t)got < room && c->ssl == NULL)
			return;
	}
}

/* Replies that are due; returns the ns until the next is, at most a second. */
static int64_t answer_delayed(int64_t now)
{
	struct connection *c;

	while ((c = sink.delayed) != NULL && c->due <= now) {
		sink.delayed = c->next;
		if (sink.delayed == NULL)
			sink.delayed_end = &sink.delayed;
		c->state = STATE_COMMAND;
		say(c, "250 2.0.0 Ok\r\n");
		memcpy(sink.input, c->carry, c->carry_len);
		take_input(c, c->carry_len);
		on_connection(c);
	}
	if (c != NULL && c->due - now < NS_PER_SECOND)
		return c->due - now;
	return NS_PER_SECOND;
}

static struct connection *connection_new(int fd)
{
	struct connection *c = sink.free;

	if (c != NULL) {
		sink.free = c->next;
	} else {
		c = allocate(1, sizeof(*c));
		c->carry = allocate(CARRY_MAX, 1);
	}
	c->fd = fd;
	c->state = STATE_COMMAND;
	c->carry_len = c->out_len = 0;
	return c;
}

static void watch(struct connection *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(sink.loop, EPOLL_CTL_ADD, c->fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void on_listener(const struct connection *listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = connection_new(fd);

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		sink.connections++;
		if (++sink.connections_now > sink.connections_peak)
			sink.connections_peak = sink.connections_now;
		say(c, "220 sink.bench.test ESMTP\r\n");
		flush(c);
		if (c->fd >= 0)
			watch(c, EPOLLIN | EPOLLET);
	}
}

static void listen_on(struct connection *listener, struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int on = 1;

	listener->is_listener = true;
	listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->fd, (struct sockaddr *)address, len) != 0 ||
		listen(listener->fd, 1024) != 0 ||
		getsockname(listener->fd, (struct sockaddr *)address, &len) != 0)
		die("%s:%u: %s", inet_ntoa(address->sin_addr), ntohs(address->sin_port),
			strerror(errno));
	watch(listener, EPOLLIN);
}

/* ---- the run ---- */

static const char usage[] =
	"bench-sink --port PORT [options]\n"
	"  --port PORT          0: any that is free\n"
	"  --base ADDRESS       the first to listen on (127.0.0.1)\n"
	"  --addresses N        that many, one after another (1)\n"
	"  --expect M           tells once M different numbers arrived\n"
	"  --delay-ms X         replies to the final dot after X ms\n"
	"  --cert FILE, --key FILE  STARTTLS is offered\n"
	"  --no-resumption      each handshake is one in full\n"
	"  --priority-order N   numbers below N are urgent; order_violations are the others that\n"
	"                       arrived before the last urgent one did\n"
	"Prints a line of JSON when it listens, on SIGUSR1, and at its end by SIGTERM. Times are "
	"in\n"
	"seconds of the monotonic clock, bytes those of the contents. Numbers are below 2^32.\n";

static void on_signal(bool *is_over)
{
	int number;

	while ((number = next_signal(sink.signals)) != 0) {
		report();
		*is_over |= number != SIGUSR1;
	}
}

static void run(void)
{
	struct epoll_event events[256];
	bool is_over = false;

	while (!is_over) {
		int64_t wait_ns = sink.delay_ms > 0 ? answer_delayed(now_ns()) : NS_PER_SECOND;
		struct timespec wait = { wait_ns / NS_PER_SECOND, wait_ns % NS_PER_SECOND };
		int count = epoll_pwait2(sink.loop, events, 256, &wait, NULL);

		for (int i = 0; i < count; i++) {
			struct connection *c = events[i].data.ptr;

			if (c == NULL)
				on_signal(&is_over);
			else if (c->is_listener)
				on_listener(c);
			else
				on_connection(c);
		}
	}
}

int main(int argc, char **argv)
{
	struct epoll_event of_signals = { .events = EPOLLIN };
	struct sockaddr_in address = { .sin_family = AF_INET };
	const char *base = "127.0.0.1", *certificate = NULL, *key = NULL;
	bool is_full = false;
	const struct option_row rows[] = {
		OPTION_NUMBER("port", &sink.port, 0, 65535),
		OPTION_TEXT("base", &base),
		OPTION_NUMBER("addresses", &sink.addresses, 1, 100000),
		OPTION_NUMBER("expect", &sink.expect, 1, NUMBER_LIMIT),
		OPTION_NUMBER("delay-ms", &sink.delay_ms, 0, 3600 * 1000),
		OPTION_TEXT("cert", &certificate),
		OPTION_TEXT("key", &key),
		OPTION_FLAG("no-resumption", &is_full),
		OPTION_NUMBER("priority-order", &sink.urgent_below, 0, NUMBER_LIMIT),
		{ .name = NULL },
	};

	sink.port = NONE;
	sink.addresses = 1;
	sink.delayed_end = &sink.delayed;
	read_options(argc, argv, rows, usage);
	if (sink.port == NONE || inet_pton(AF_INET, base, &address.sin_addr) != 1)
		die("%s", usage);
	if (certificate != NULL && key != NULL)
		sink.tls = tls_server(certificate, key, !is_full);
	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	sink.loop = epoll_create1(EPOLL_CLOEXEC);
	sink.signals = signals_as_events(sink.loop, of_signals);
	address.sin_port = htons((uint16_t)sink.port);
	sink.listeners = allocate((size_t)sink.addresses, sizeof(sink.listeners[0]));
	for (int64_t i = 0; i < sink.addresses; i++) {
		listen_on(&sink.listeners[i], &address);
		address.sin_addr.s_addr = htonl(ntohl(address.sin_addr.s_addr) + 1);
	}
	printf("{\"ready\":true,\"port\":%u}\n", ntohs(address.sin_port));
	fflush(stdout);
	run();
	return 0;
}
