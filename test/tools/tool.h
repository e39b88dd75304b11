/*
 * tool - what the judging tools share: growing bytes, clocks, addresses, digests and the journal.
 *
 * The tools link nothing of the relay, so that a defect there cannot hide itself here. A tool that
 * meets an error it cannot work with says so on stderr and ends with status 70: a judge that limps
 * on proves nothing.
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#define TOOL_FAILED 70
#define TOOL_USAGE 64

static inline __attribute__((noreturn, format(printf, 2, 3))) void die_with(
	int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fflush(stdout);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(status);
}
#define die(...) die_with(TOOL_FAILED, __VA_ARGS__)
#define die_usage(...) die_with(TOOL_USAGE, __VA_ARGS__)

/* Memory: a tool that runs out of it ends. */

static inline void *must(void *memory)
{
	if (memory == NULL)
		die("out of memory");
	return memory;
}

static inline void *allocate(size_t count, size_t size)
{
	return must(calloc(count, size));
}

static inline char *copy_text(const char *at, size_t len)
{
	return must(strndup(at, len));
}

/* bytes - a growing byte string. Not terminated, except that bytes_text() adds a NUL behind it. */

struct bytes {
	char *at;
	size_t len, room;
};

static inline void bytes_reserve(struct bytes *bytes, size_t more)
{
	if (bytes->room - bytes->len > more)
		return;
	bytes->room = (bytes->len + more + 64) * 2;
	bytes->at = must(realloc(bytes->at, bytes->room));
}

static inline void bytes_add(struct bytes *bytes, const void *from, size_t len)
{
	bytes_reserve(bytes, len);
	if (len > 0)
		memcpy(bytes->at + bytes->len, from, len);
	bytes->len += len;
}

static inline void bytes_put(struct bytes *bytes, const char *text)
{
	bytes_add(bytes, text, strlen(text));
}

static inline __attribute__((format(printf, 2, 3))) void bytes_format(
	struct bytes *bytes, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		die("vsnprintf: %s", strerror(errno));
	bytes_reserve(bytes, (size_t)len + 1);
	vsnprintf(bytes->at + bytes->len, (size_t)len + 1, format, again);
	va_end(again);
	bytes->len += (size_t)len;
}

static inline const char *bytes_text(struct bytes *bytes)
{
	bytes_reserve(bytes, 1);
	bytes->at[bytes->len] = '\0';
	return bytes->at;
}

static inline void bytes_consume(struct bytes *bytes, size_t len)
{
	memmove(bytes->at, bytes->at + len, bytes->len - len);
	bytes->len -= len;
}

static inline void bytes_free(struct bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct bytes){ 0 };
}

/*
 * bytes_json - text as a JSON string. Octets beyond ASCII are written as U+0080..U+00FF: it always
 * parses.
 */
static inline void bytes_json(struct bytes *out, const char *text, size_t len)
{
	bytes_add(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			bytes_format(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			bytes_format(out, "\\u%04x", (unsigned)c);
		else
			bytes_add(out, &text[i], 1);
	}
	bytes_add(out, "\"", 1);
}

static inline void bytes_json_text(struct bytes *out, const char *text)
{
	bytes_json(out, text, strlen(text));
}

/* Clocks. Journals carry the wall clock, waits the monotonic one. */

static inline int64_t clock_read_ms(clockid_t id)
{
	struct timespec now;

	if (clock_gettime(id, &now) != 0)
		die("clock_gettime: %s", strerror(errno));
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int64_t wall_ms(void)
{
	return clock_read_ms(CLOCK_REALTIME);
}

static inline int64_t mono_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}

/* parse_number - a whole decimal number of an option; anything else is a usage error. */
static inline int64_t parse_number(const char *what, const char *text)
{
	char *end = NULL;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 0)
		die_usage("%s: \"%s\" is not a number", what, text);
	return value;
}

/* Addresses: "127.0.0.1:2600" or "[::1]:2600". */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline socklen_t address_len(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

static inline bool address_parse(union address *out, const char *text, size_t len)
{
	char host[64];
	const char *colon = memrchr(text, ':', len);
	const char *from = text;
	size_t host_len;
	char *end;
	long port;

	memset(out, 0, sizeof(*out));
	if (colon == NULL)
		return false;
	port = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || end != text + len || port < 0 || port > 65535)
		return false;
	host_len = (size_t)(colon - text);
	if (host_len > 2 && text[0] == '[' && text[host_len - 1] == ']') {
		from++;
		host_len -= 2;
	}
	if (host_len >= sizeof(host))
		return false;
	memcpy(host, from, host_len);
	host[host_len] = '\0';
	if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons((uint16_t)port);
		return true;
	}
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons((uint16_t)port);
	return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1;
}

static inline const char *address_format(const union address *address, char *out, size_t room)
{
	char host[64] = "?";

	if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
		snprintf(out, room, "%s:%u", host, (unsigned)ntohs(address->v4.sin_port));
	} else {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
		snprintf(out, room, "[%s]:%u", host, (unsigned)ntohs(address->v6.sin6_port));
	}
	return out;
}

/*
 * socket_bound - a non-blocking socket of that type, bound; at takes the port that the system
 * chose. -1: errno says.
 */
static inline int socket_bound(union address *at, int type)
{
	int on = 1;
	socklen_t len = address_len(at);
	int fd = socket(at->any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &at->any, len) != 0 || (type == SOCK_STREAM && listen(fd, 1024) != 0) ||
		getsockname(fd, &at->any, &len) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static inline void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* SHA-256. */

#define DIGEST_HEX 65

static inline void digest_start(EVP_MD_CTX *context)
{
	if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		die("SHA-256 is not available");
}

static inline void digest_end(EVP_MD_CTX *context, char hex[DIGEST_HEX])
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_DigestFinal_ex(context, raw, &len);
	for (unsigned i = 0; i < len && i < 32; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", raw[i]);
}

/*
 * The journal: JSON lines, each appended in one write(2), so that several tools may share a file
 * and a killed tool leaves no half line but its last. journal_sync makes all of them durable; the
 * caller does so before it acts on them.
 */

struct journal {
	int fd; /* -1: none */
	bool is_dirty;
};

static inline void journal_open(struct journal *journal, const char *path)
{
	journal->is_dirty = false;
	journal->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (journal->fd < 0)
		die("%s: %s", path, strerror(errno));
}

/* journal_begin, then members by hand, then journal_end writes the line and frees it. */
static inline void journal_begin(struct bytes *line, const char *event)
{
	*line = (struct bytes){ 0 };
	bytes_format(line, "{\"t\":%lld,\"event\":\"%s\"", (long long)wall_ms(), event);
}

static inline void journal_member(struct bytes *line, const char *key, const char *text)
{
	bytes_format(line, ",\"%s\":", key);
	bytes_json_text(line, text);
}

static inline void journal_end(struct journal *journal, struct bytes *line)
{
	bytes_put(line, "}\n");
	if (journal->fd >= 0 && write(journal->fd, line->at, line->len) != (ssize_t)line->len)
		die("journal: %s", errno != 0 ? strerror(errno) : "short write");
	journal->is_dirty = true;
	bytes_free(line);
}

static inline void journal_sync(struct journal *journal)
{
	if (!journal->is_dirty)
		return;
	journal->is_dirty = false;
	if (journal->fd >= 0 && fdatasync(journal->fd) != 0 && errno != EINVAL)
		die("journal: %s", strerror(errno));
}

/* texts - a list of strings, each its own copy. */

struct texts {
	char **at;
	size_t count, room;
};

static inline void texts_add(struct texts *texts, const char *text, size_t len)
{
	if (texts->count == texts->room) {
		texts->room = texts->room * 2 + 4;
		texts->at = must(reallocarray(texts->at, texts->room, sizeof(*texts->at)));
	}
	texts->at[texts->count++] = copy_text(text, len);
}

static inline void texts_clear(struct texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->at[i]);
	free(texts->at);
	*texts = (struct texts){ 0 };
}

static inline void texts_json(struct bytes *out, const struct texts *texts)
{
	bytes_put(out, "[");
	for (size_t i = 0; i < texts->count; i++) {
		if (i > 0)
			bytes_put(out, ",");
		bytes_json_text(out, texts->at[i]);
	}
	bytes_put(out, "]");
}

#endif
