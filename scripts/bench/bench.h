/*
 * bench - what the measuring tools share: time, options, signals as events, and the messages they send.
 *
 * The content of message K is the same for all sizes and tools: a head that holds K twice, each time in
 * twelve digits, and a body of plausible text that all messages share. So a message costs its sender
 * one small copy, whatever its size.
 */
#ifndef BENCH_H
#define BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)
#define NUMBER_DIGITS 12
#define NUMBER_MAX INT64_C(999999999999)

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static inline void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count > 0 ? count : 1, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

static inline int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static inline double seconds_of(int64_t ns)
{
	return (double)ns / 1e9;
}

/* ---- options ---- */

/* A whole number, with K, M or G for powers of 1024. */
static inline int64_t parse_number(const char *option, const char *text, int64_t min, int64_t max)
{
	char *end;
	int64_t value;
	unsigned shift = 0;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (*end == 'K' || *end == 'M' || *end == 'G')
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30, end++;
	if (errno != 0 || end == text || *end != '\0' || value > max >> shift || value < 0 ||
		value << shift < min)
		die("--%s %s: a number from %lld to %lld expected", option, text, (long long)min,
			(long long)max);
	return value << shift;
}

/* ADDRESS:PORT, IPv4. */
static inline struct sockaddr_in parse_address(const char *option, const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		die("--%s %s: ADDRESS:PORT expected", option, text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		die("--%s %s: an IPv4 address expected", option, text);
	address.sin_port = htons((uint16_t)parse_number(option, colon + 1, 1, 65535));
	return address;
}

/* A text with at most one place for a number, "%d". */
struct pattern {
	const char *text;
	size_t before; /* octets in front of %d */
	const char *after;
};

static inline struct pattern pattern_of(const char *text)
{
	const char *place = strstr(text, "%d");

	if (place == NULL)
		return (struct pattern){ text, strlen(text), "" };
	return (struct pattern){ text, (size_t)(place - text), place + 2 };
}

/* pattern_put - writes the text for number; returns its length, less than room. */
static inline size_t pattern_put(
	char *to, size_t room, const struct pattern *pattern, int64_t number)
{
	int len = pattern->text[pattern->before] == '%'
			  ? snprintf(to, room, "%.*s%lld%s", (int)pattern->before, pattern->text,
				    (long long)number, pattern->after)
			  : snprintf(to, room, "%s", pattern->text);

	if (len < 0 || (size_t)len >= room)
		die("%s: too long", pattern->text);
	return (size_t)len;
}

/* What an option sets: a number within bounds, a text, or a flag that becomes true. */
struct option_row {
	const char *name;
	int64_t *number, min, max;
	const char **text;
	bool *flag;
};
#define OPTION_NUMBER(n, to, from, up_to)                                                          \
	{                                                                                          \
		.name = n, .number = to, .min = from, .max = up_to                                 \
	}
#define OPTION_TEXT(n, to)                                                                         \
	{                                                                                          \
		.name = n, .text = to                                                              \
	}
#define OPTION_FLAG(n, to)                                                                         \
	{                                                                                          \
		.name = n, .flag = to                                                              \
	}

static inline void read_option(const struct option_row *row, const char *value)
{
	if (row->number != NULL)
		*row->number = parse_number(row->name, value, row->min, row->max);
	else if (row->text != NULL)
		*row->text = value;
	else
		*row->flag = true;
}

/* read_options - takes --name VALUE, --name=VALUE and --flag by the rows, up to one without a name. */
static inline void read_options(
	int argc, char **argv, const struct option_row *rows, const char *usage)
{
	for (int i = 1; i < argc; i++) {
		const struct option_row *row = rows;
		size_t len = strcspn(argv[i], "=");
		const char *value = argv[i][len] == '=' ? argv[i] + len + 1 : NULL;

		if (strcmp(argv[i], "--help") == 0)
			exit(fputs(usage, stdout) < 0);
		while (row->name != NULL && (len < 3 || strncmp(argv[i], "--", 2) != 0 ||
						    strlen(row->name) != len - 2 ||
						    strncmp(argv[i] + 2, row->name, len - 2) != 0))
			row++;
		if (row->name == NULL)
			die("%s: unknown\n%s", argv[i], usage);
		if (row->flag == NULL && value == NULL && (value = argv[++i]) == NULL)
			die("--%s: a value is missing", row->name);
		read_option(row, value);
	}
}

/* ---- times: exact to 1/1024 whatever their size, in memory that does not grow ---- */

#define TIME_BITS 10
#define TIME_CELLS ((65u - TIME_BITS) << TIME_BITS)

struct times {
	int64_t count, min_ns, max_ns;
	int64_t cells[TIME_CELLS];
};

static inline void times_add(struct times *times, int64_t ns)
{
	unsigned shift = 0;

	if (ns < 0)
		ns = 0;
	if (ns >> TIME_BITS > 0)
		shift = 63u - (unsigned)__builtin_clzll((unsigned long long)ns) - TIME_BITS;
	times->cells[((size_t)shift << TIME_BITS) + (size_t)(ns >> shift)]++;
	if (times->count++ == 0 || ns < times->min_ns)
		times->min_ns = ns;
	if (ns > times->max_ns)
		times->max_ns = ns;
}

/* times_us - the time that the given part of all times is not longer than, in microseconds. */
static inline double times_us(const struct times *times, double part)
{
	int64_t rank = (int64_t)((double)times->count * part), seen = 0;

	for (size_t cell = 0; cell < TIME_CELLS; cell++) {
		size_t shift = cell >> TIME_BITS;

		seen += times->cells[cell];
		if (seen <= rank)
			continue;
		shift -= shift > 0;
		return (double)((cell - (shift << TIME_BITS)) << shift) / 1000;
	}
	return (double)times->max_ns / 1000;
}

/* ---- events ---- */

/* signals_as_events - SIGUSR1, SIGTERM and SIGINT arrive on the descriptor that is returned. */
static inline int signals_as_events(int loop, struct epoll_event event)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0)
		die("signalfd: %s", strerror(errno));
	return fd;
}

/* next_signal - the next signal that came, 0 when there is none. */
static inline int next_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

static inline void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- messages ---- */

#define HEAD_MAX 512
#define SIZE_MIN 384

struct content {
	char head[HEAD_MAX]; /* with the number at each of number_at */
	size_t head_len;
	size_t number_at[2];
	char *body; /* followed by ".\r\n", which body_len leaves out */
	size_t body_len;
};

static inline size_t head_add(struct content *content, const char *text)
{
	size_t len = strlen(text);

	if (content->head_len + len > HEAD_MAX)
		die("the head of the messages is too long");
	memcpy(content->head + content->head_len, text, len);
	return content->head_len += len;
}

/* One line of len octets with its CRLF: words, the last one cut, never a dot in front. */
static inline void put_text_line(char *to, size_t len, uint32_t *draw)
{
	static const char *const words[] = { "the", "report", "of", "last", "week", "and", "which",
		"customers", "order", "delivery", "please", "find", "attached", "invoice", "number",
		"to", "our", "office", "with", "kind", "regards", "meeting", "on", "monday", "for",
		"a", "new", "schedule", "is", "not", "yet", "confirmed" };
	size_t at = 0, end = len - 2;

	while (at < end) {
		const char *word;
		size_t word_len;

		*draw = *draw * 1664525 + 1013904223;
		word = words[*draw >> 27];
		word_len = strlen(word);
		if (word_len > end - at)
			word_len = end - at;
		memcpy(to + at, word, word_len);
		at += word_len;
		if (at < end)
			to[at++] = ' ';
	}
	if (end > 1)
		to[end - 1] = *draw & 0x100 ? '.' : 's';
	to[end] = '\r';
	to[end + 1] = '\n';
}

/* content_make - messages of size octets each, the CRLF of the last line included. */
static inline void content_make(struct content *content, size_t size)
{
	uint32_t draw = 1;
	size_t at = 0;

	memset(content, 0, sizeof(*content));
	head_add(content, "From: Bench <sender@client.bench.test>\r\n"
			  "To: undisclosed-recipients:;\r\n"
			  "Subject: a message of the benchmark\r\n"
			  "Date: Mon, 01 Jan 2024 12:00:00 +0000\r\n");
	content->number_at[0] = head_add(content, "Message-ID: <bench.");
	head_add(content, "000000000000@client.bench.test>\r\n"
			  "MIME-Version: 1.0\r\n"
			  "Content-Type: text/plain; charset=us-ascii\r\n");
	content->number_at[1] = head_add(content, "X-Bench: ");
	head_add(content, "000000000000\r\n\r\n");
	if (size < SIZE_MIN)
		die("messages have at least %d octets", SIZE_MIN);
	content->body_len = size - content->head_len;
	content->body = allocate(content->body_len + 3, 1);
	while (at < content->body_len) {
		size_t left = content->body_len - at, len = 42 + (draw >> 26) % 36;

		if (len + 2 > left)
			len = left;
		put_text_line(content->body + at, len, &draw);
		at += len;
	}
	memcpy(content->body + content->body_len, ".\r\n", 3);
}

/* content_head - writes the head of one message, content->head_len octets. */
static inline void content_head(const struct content *content, char *to, int64_t number)
{
	char digits[NUMBER_DIGITS];

	for (size_t i = NUMBER_DIGITS; i-- > 0; number /= 10)
		digits[i] = (char)('0' + number % 10);
	memcpy(to, content->head, content->head_len);
	memcpy(to + content->number_at[0], digits, NUMBER_DIGITS);
	memcpy(to + content->number_at[1], digits, NUMBER_DIGITS);
}

#endif
