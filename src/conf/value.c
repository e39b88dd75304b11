/*
 * value - one setting from its text into its field.
 *
 * Each kind has a reader of its own; numbers share one, which knows the range. Lists grow in the
 * arena by doubling; what they leave behind there is at most as much again.
 */
#include "value.h"
#include "value_class.h"

#include <string.h>

#include "base/check.h"
#include "file.h"
#include "mail/address.h"
#include "mail/domain.h"
#include "recipients.h"
#include "secret.h"
#include "unit.h"

#define STEP_MAX_MS (INT64_C(30) * 24 * 3600 * 1000)
#define WORD_LEN_MAX 255
#define TEXT_LEN_MAX 4000
#define SOCKET_LEN_MAX (sizeof(((struct endpoint *)0)->path) - 1)

static bool set_number(const struct key *key, void *base, struct str text, struct buf *why);
static bool set_bool(const struct key *key, void *base, struct str text, struct buf *why);
static bool set_choice(const struct key *key, void *base, struct str text, struct buf *why);
static bool set_text(const struct key *key, void *base, struct str text, struct value_context *c);
static bool set_host(const struct key *key, void *base, struct str text, struct value_context *c);
static bool set_mailbox(
	const struct key *key, void *base, struct str text, struct value_context *c);
static bool set_path(const struct key *key, void *base, struct str text, struct value_context *c);
static bool set_pattern(
	const struct key *key, void *base, struct str text, struct value_context *c);
static bool set_match(void *base, struct str text, struct value_context *c);
static bool set_source(const struct key *key, void *base, struct str text, struct buf *why);
static bool set_listen(const struct key *key, void *base, struct str text, struct buf *why);
static bool set_via(struct conf_route *route, struct str text, struct value_context *c);
static bool set_list(const struct key *key, void *base, struct str text, struct value_context *c);
static bool read_number(const struct key *key, struct str text, int64_t low, int64_t high,
	int64_t *out, struct buf *why);
static void *add_place(const struct key *key, void *base, size_t size, struct arena *arena);

static bool refuse(struct buf *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct buf *why, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	buf_clear(why);
	buf_vprintf(why, format, args);
	va_end(args);
	return false;
}

static void *field(const struct key *key, void *base)
{
	return (char *)base + key->offset;
}

static uint32_t *counter(const struct key *key, void *base)
{
	return (uint32_t *)(void *)((char *)base + key->count_offset);
}

bool value_set(const struct key *key, void *base, struct str text, struct value_context *c)
{
	if (text.len > TEXT_LEN_MAX)
		return refuse(c->why, "this value is too long");
	if (key->has_offset > 0)
		*((bool *)base + key->has_offset) = true;
	switch (key->kind) {
	case KEY_BOOL:
		return set_bool(key, base, text, c->why);
	case KEY_COUNT:
	case KEY_PERCENT:
	case KEY_BYTES:
	case KEY_DURATION:
		return set_number(key, base, text, c->why);
	case KEY_CHOICE:
		return set_choice(key, base, text, c->why);
	case KEY_TEXT:
		return set_text(key, base, text, c);
	case KEY_HOST:
		return set_host(key, base, text, c);
	case KEY_MAILBOX:
		return set_mailbox(key, base, text, c);
	case KEY_PATH:
	case KEY_SOCKET:
	case KEY_LOG_TARGET:
		return set_path(key, base, text, c);
	case KEY_PATTERN:
		return set_pattern(key, base, text, c);
	case KEY_MATCH:
		return set_match(base, text, c);
	case KEY_IPV4:
	case KEY_IPV6:
		return set_source(key, base, text, c->why);
	case KEY_LISTEN:
		return set_listen(key, base, text, c->why);
	case KEY_VIA:
		return set_via(base, text, c);
	case KEY_USERS:
		return secret_read_users(base, text, c);
	case KEY_SECRET:
		return secret_read_login(base, text, c);
	case KEY_RECIPIENTS:
		return recipients_read(base, text, c);
	case KEY_PRIORITY:
		return value_set_priority(key, base, text, c->why);
	case KEY_HEADER:
		return value_set_header(key, base, text, c);
	case KEY_NOTIFY:
		return value_set_notify(key, base, text, c->why);
	case KEY_NETWORKS:
	case KEY_SERVERS:
	case KEY_DOMAINS:
	case KEY_PATTERNS:
	case KEY_SCHEDULE:
		return set_list(key, base, text, c);
	case KEY_ITEMS:
		break;
	}
	return refuse(c->why, "this is a list of settings, not one word");
}

static void store_number(const struct key *key, void *base, int64_t value)
{
	uint8_t one = (uint8_t)value;
	uint16_t two = (uint16_t)value;
	uint32_t four = (uint32_t)value;
	const void *from = key->size == 1   ? (const void *)&one
			   : key->size == 2 ? (const void *)&two
			   : key->size == 4 ? (const void *)&four
					    : (const void *)&value;
	CHECK(key->size == 1 || key->size == 2 || key->size == 4 || key->size == 8);
	memcpy(field(key, base), from, key->size);
}

static bool set_number(const struct key *key, void *base, struct str text, struct buf *why)
{
	int64_t value;
	if (!read_number(key, text, key->min, key->max, &value, why))
		return false;
	store_number(key, base, value);
	return true;
}

static enum err parse_number(enum key_kind kind, struct str text, int64_t *out)
{
	if (kind == KEY_DURATION || kind == KEY_SCHEDULE)
		return unit_parse_duration(text, out);
	if (kind == KEY_BYTES)
		return unit_parse_bytes(text, out);
	if (kind == KEY_PERCENT)
		return unit_parse_percent(text, out);
	uint64_t value;
	enum err err = str_to_u64(text, &value);
	*out = value > INT64_MAX ? INT64_MAX : (int64_t)value;
	return err;
}

static bool read_number(const struct key *key, struct str text, int64_t low, int64_t high,
	int64_t *out, struct buf *why)
{
	enum err err = parse_number(key->kind, text, out);
	bool is_duration = key->kind == KEY_DURATION || key->kind == KEY_SCHEDULE;
	if (err == ERR_UNSUPPORTED)
		return refuse(why, "'%.*s' needs a unit: ms, s, m, h, d or w", STR_FMT(text));
	if (err == ERR_SYNTAX)
		return refuse(why, "'%.*s' is not a %s", STR_FMT(text),
			is_duration                ? "duration like 30s, 5m, 4h or 14d"
			: key->kind == KEY_BYTES   ? "size like 256K, 50M or 2G"
			: key->kind == KEY_PERCENT ? "percentage like 10%"
						   : "whole number");
	if (err == OK && *out >= low && *out <= high)
		return true;
	buf_clear(why);
	buf_printf(why, "%.*s is out of range: ", STR_FMT(text));
	value_print_number(why, key->kind, low);
	buf_append_str(why, STR(" to "));
	value_print_number(why, key->kind, high);
	return false;
}

static bool set_bool(const struct key *key, void *base, struct str text, struct buf *why)
{
	static const char *const yes[] = { "yes", "true", "on" };
	static const char *const no[] = { "no", "false", "off" };
	for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
		bool is_yes = str_equal_fold(text, str_from_c(yes[i]));
		if (is_yes || str_equal_fold(text, str_from_c(no[i]))) {
			*(bool *)field(key, base) = is_yes;
			return true;
		}
	}
	return refuse(why, "'%.*s' is neither yes nor no", STR_FMT(text));
}

static bool set_choice(const struct key *key, void *base, struct str text, struct buf *why)
{
	buf_clear(why);
	buf_printf(why, "'%.*s' is none of ", STR_FMT(text));
	for (int64_t i = 0; key->choices[i]; i++) {
		if (str_equal_fold(text, str_from_c(key->choices[i]))) {
			store_number(key, base, i);
			return true;
		}
		buf_printf(why, "%s%s", i > 0 ? ", " : "", key->choices[i]);
	}
	return false;
}

/*
 * Words that land in logs, argument lists and file names: nothing in them may need quoting there.
 */
static bool is_word(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f)
			return false;
	return text.len <= WORD_LEN_MAX && str_is_utf8(text);
}

static bool set_text(const struct key *key, void *base, struct str text, struct value_context *c)
{
	if (text.len == 0 && (key->min > 0 || key->is_required))
		return refuse(c->why, "must not be empty");
	if (!is_word(text))
		return refuse(c->why, "'%s' must be one word of at most %d octets", key->name,
			WORD_LEN_MAX);
	*(struct str *)field(key, base) = arena_dup(c->arena, text);
	return true;
}

static bool set_host(const struct key *key, void *base, struct str text, struct value_context *c)
{
	struct str name;
	if (domain_normalize(text, c->arena, &name) != OK)
		return refuse(
			c->why, "'%.*s' is not a host name like relay.example.org", STR_FMT(text));
	*(struct str *)field(key, base) = name;
	return true;
}

static bool set_mailbox(const struct key *key, void *base, struct str text, struct value_context *c)
{
	struct address address;
	if (text.len == 0 && key->initial) { /* nobody, where that is the default */
		*(struct str *)field(key, base) = STR("");
		return true;
	}
	if (address_parse(text, false, c->arena, &address) != OK || address.domain.len == 0)
		return refuse(c->why, "'%.*s' is not an address like postmaster@example.org",
			STR_FMT(text));
	*(struct str *)field(key, base) = arena_dup(c->arena, address.text);
	return true;
}

static bool set_path(const struct key *key, void *base, struct str text, struct value_context *c)
{
	struct str path = text;
	bool may_be_empty = key->kind == KEY_PATH && key->min == 0;
	if (text.len == 0 && !may_be_empty)
		return refuse(c->why, "must not be empty");
	if (str_find(text, '\0') < text.len)
		return refuse(c->why, "this is not a file name");
	if (key->kind == KEY_LOG_TARGET && str_find(text, '/') == text.len &&
		!str_equal(text, STR("stderr")) && !str_equal(text, STR("syslog")))
		return refuse(c->why, "'%.*s' is none of stderr, syslog, or a file (with a '/')",
			STR_FMT(text));
	bool is_word_of_target = key->kind == KEY_LOG_TARGET && str_find(text, '/') == text.len;
	if (text.len > 0 && !is_word_of_target)
		path = file_path(text, c);
	if (key->kind == KEY_SOCKET && path.len > SOCKET_LEN_MAX)
		return refuse(c->why,
			"the path of a socket may have at most %zu octets, this one has %zu",
			SOCKET_LEN_MAX, path.len);
	*(struct str *)field(key, base) = arena_dup(c->arena, path);
	return true;
}

static bool set_pattern(const struct key *key, void *base, struct str text, struct value_context *c)
{
	struct str name;
	if (text.len == 0 || !is_word(text))
		return refuse(c->why, "'%.*s' is not a pattern like *.example.org", STR_FMT(text));
	if (str_is_ascii(text))
		name = arena_lower(c->arena, text);
	else if (domain_normalize(text, c->arena, &name) != OK)
		return refuse(c->why, "'%.*s' is not a pattern: write it with xn-- labels",
			STR_FMT(text));
	*(struct str *)field(key, base) = name;
	return true;
}

static bool set_match(void *base, struct str text, struct value_context *c)
{
	struct conf_destination *destination = base;
	struct key pattern = { .name = "match",
		.offset = offsetof(struct conf_destination, pattern) };
	bool is_mx = str_starts_fold(text, STR("mx:"));
	if (!set_pattern(&pattern, base, is_mx ? str_slice(text, 3, text.len) : text, c))
		return false;
	destination->is_mx = is_mx;
	return true;
}

static bool set_source(const struct key *key, void *base, struct str text, struct buf *why)
{
	struct endpoint at = { 0 };
	enum address_family family = key->kind == KEY_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6;
	if (text.len > 0 && (endpoint_parse_ip(&at, text) != OK || at.family != family))
		return refuse(why, "'%.*s' is not an IPv%d address", STR_FMT(text), (int)family);
	*(struct endpoint *)field(key, base) = at;
	return true;
}

static bool set_listen(const struct key *key, void *base, struct str text, struct buf *why)
{
	struct endpoint at;
	enum err err = endpoint_parse(&at, text, 0);
	if (err == ERR_LIMIT)
		return refuse(
			why, "the path of a socket may have at most %zu octets", SOCKET_LEN_MAX);
	if (err != OK)
		return refuse(why,
			"'%.*s' is not an address like 127.0.0.1:2525, [::1]:2525 or unix:/path",
			STR_FMT(text));
	if (at.family != FAMILY_UNIX && at.port == 0)
		return refuse(why, "'%.*s' needs a port, like 127.0.0.1:2525 or [::1]:2525",
			STR_FMT(text));
	*(struct endpoint *)field(key, base) = at;
	return true;
}

/*
 * "[host]:port", "[host]", "host:port", "host"; port 0 until the file is read, since delivery.port
 * is its default.
 */
static bool split_via(struct str text, struct str *host, uint16_t *port, bool *is_bracketed)
{
	struct str rest;
	uint64_t number = 0;
	*is_bracketed = text.len > 0 && text.data[0] == '[';
	if (*is_bracketed) {
		size_t close = str_find(text, ']');
		if (close == text.len)
			return false;
		*host = str_slice(text, 1, close);
		rest = str_slice(text, close + 1, text.len);
		if (rest.len > 0 && rest.data[0] != ':')
			return false;
	} else {
		size_t colon = str_find(text, ':');
		*host = str_slice(text, 0, colon);
		rest = str_slice(text, colon, text.len);
	}
	if (rest.len > 0 &&
		(str_to_u64(str_slice(rest, 1, rest.len), &number) != OK || number == 0))
		return false;
	*port = (uint16_t)number;
	return host->len > 0 && number <= UINT16_MAX;
}

static bool set_lmtp_path(struct conf_route *route, struct str text, struct value_context *c)
{
	struct endpoint at;
	enum err err = endpoint_parse(&at, str_slice(text, 5, text.len), 0);
	if (err == ERR_LIMIT)
		return refuse(
			c->why, "the path of a socket may have at most %zu octets", SOCKET_LEN_MAX);
	if (err != OK)
		return refuse(c->why,
			"'%.*s' needs the whole path of a socket, like lmtp:unix:/run/lmtp",
			STR_FMT(text));
	route->via = ROUTE_LMTP;
	route->path = arena_dup(c->arena, str_from_c(at.path));
	return true;
}

static bool set_via(struct conf_route *route, struct str text, struct value_context *c)
{
	struct str host, name;
	struct endpoint literal;
	uint16_t port;
	bool is_bracketed;
	if (str_equal_fold(text, STR("mx"))) {
		route->via = ROUTE_MX;
		return true;
	}
	bool is_lmtp = str_starts_fold(text, STR("lmtp:"));
	if (is_lmtp && str_starts_fold(text, STR("lmtp:unix:")))
		return set_lmtp_path(route, text, c);
	if (!split_via(is_lmtp ? str_slice(text, 5, text.len) : text, &host, &port, &is_bracketed))
		return refuse(c->why,
			"'%.*s' is none of mx, \"[host]:port\", host:port, \"lmtp:[host]:port\" or "
			"lmtp:unix:/path",
			STR_FMT(text));
	/* RFC 2033 5: LMTP must not use the port of SMTP, and has none of its own. */
	if (is_lmtp && port == 0)
		return refuse(c->why, "'%.*s' needs a port, like \"lmtp:[%.*s]:24\"", STR_FMT(text),
			STR_FMT(host));
	struct str address =
		str_starts_fold(host, STR("IPv6:")) ? str_slice(host, 5, host.len) : host;
	bool is_literal = endpoint_parse_ip(&literal, address) == OK;
	if (is_literal)
		name = arena_lower(c->arena, address);
	else if (domain_normalize(host, c->arena, &name) != OK)
		return refuse(c->why, "'%.*s' is not a host name or IP address", STR_FMT(host));
	route->via = is_lmtp ? ROUTE_LMTP : ROUTE_SMARTHOST;
	route->host = name;
	route->port = port;
	route->is_host_literal = is_literal;
	route->uses_mx = !is_bracketed && !is_literal && !is_lmtp;
	return true;
}

bool value_is_list(const struct key *key)
{
	return key->kind == KEY_NETWORKS || key->kind == KEY_SERVERS || key->kind == KEY_DOMAINS ||
	       key->kind == KEY_PATTERNS || key->kind == KEY_SCHEDULE || key->kind == KEY_ITEMS;
}

void value_clear(const struct key *key, void *base)
{
	*counter(key, base) = 0;
}

uint32_t value_count(const struct key *key, const void *base)
{
	uint32_t count;
	memcpy(&count, (const char *)base + key->count_offset, sizeof(count));
	return count;
}

static bool is_gap(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == ',';
}

bool value_next_word(struct str *rest, struct str *word)
{
	size_t from = 0;
	while (from < rest->len && is_gap(rest->data[from]))
		from++;
	size_t to = from;
	while (to < rest->len && !is_gap(rest->data[to]))
		to++;
	*word = str_slice(*rest, from, to);
	*rest = str_slice(*rest, to, rest->len);
	return word->len > 0;
}

static bool set_list(const struct key *key, void *base, struct str text, struct value_context *c)
{
	struct str word;
	value_clear(key, base);
	while (value_next_word(&text, &word))
		if (!value_append(key, base, word, c))
			return false;
	return true;
}

static bool append_network(
	const struct key *key, void *base, struct str word, struct value_context *c)
{
	struct network network;
	if (network_parse(&network, word) != OK)
		return refuse(c->why,
			"'%.*s' is not a network like 192.0.2.0/24, 2001:db8::/32 or ::1",
			STR_FMT(word));
	*(struct network *)add_place(key, base, sizeof(network), c->arena) = network;
	return true;
}

static bool append_server(
	const struct key *key, void *base, struct str word, struct value_context *c)
{
	struct endpoint server;
	if (endpoint_parse(&server, word, 53) != OK || server.family == FAMILY_UNIX ||
		server.port == 0)
		return refuse(
			c->why, "'%.*s' is not an IP address, or [address]:port", STR_FMT(word));
	*(struct endpoint *)add_place(key, base, sizeof(server), c->arena) = server;
	return true;
}

static bool append_domain(
	const struct key *key, void *base, struct str word, struct value_context *c)
{
	struct str name;
	if (domain_normalize(word, c->arena, &name) != OK)
		return refuse(
			c->why, "'%.*s' is not a domain like example.org", STR_FMT(word));
	*(struct str *)add_place(key, base, sizeof(name), c->arena) = name;
	return true;
}

static bool append_pattern(
	const struct key *key, void *base, struct str word, struct value_context *c)
{
	if (!is_word(word))
		return refuse(c->why, "'%.*s' is not a pattern like *@example.org", STR_FMT(word));
	struct str pattern = arena_lower(c->arena, word);
	*(struct str *)add_place(key, base, sizeof(pattern), c->arena) = pattern;
	return true;
}

static bool append_step(const struct key *key, void *base, struct str word, struct value_context *c)
{
	int64_t ms;
	if (!read_number(key, word, key->min, STEP_MAX_MS, &ms, c->why))
		return false;
	int64_t *steps = field(key, base);
	steps[(*counter(key, base))++] = ms;
	return true;
}

bool value_append(const struct key *key, void *base, struct str word, struct value_context *c)
{
	if (word.len > WORD_LEN_MAX)
		return refuse(c->why, "this entry is too long");
	if (*counter(key, base) >= key->max)
		return refuse(c->why, "only %lld entries are allowed", (long long)key->max);
	if (key->kind == KEY_NETWORKS)
		return append_network(key, base, word, c);
	if (key->kind == KEY_SERVERS)
		return append_server(key, base, word, c);
	if (key->kind == KEY_DOMAINS)
		return append_domain(key, base, word, c);
	if (key->kind == KEY_PATTERNS)
		return append_pattern(key, base, word, c);
	if (key->kind == KEY_SCHEDULE)
		return append_step(key, base, word, c);
	return refuse(c->why, "this is not a list of words");
}

/* Room for one more entry: the array moves whenever its count is a power of two. */
static void *add_place(const struct key *key, void *base, size_t size, struct arena *arena)
{
	uint32_t *count = counter(key, base);
	void **array = field(key, base);
	if ((*count & (*count - 1)) == 0) {
		void *wider = arena_array(arena, *count > 0 ? (size_t)*count * 2 : 1, size);
		if (*count > 0)
			memcpy(wider, *array, *count * size);
		*array = wider;
	}
	return (char *)*array + (*count)++ * size;
}

void *value_add_item(const struct key *key, void *base, struct value_context *c)
{
	CHECK(key->kind == KEY_ITEMS);
	if (*counter(key, base) >= key->max) {
		refuse(c->why, "only %lld entries are allowed", (long long)key->max);
		return NULL;
	}
	void *item = add_place(key, base, key->items->size, c->arena);
	memset(item, 0, key->items->size);
	for (size_t i = 0; i < key->items->key_count; i++) {
		const struct key *k = &key->items->keys[i];
		if (k->initial)
			CHECK(value_set(k, item, str_from_c(k->initial), c));
	}
	return item;
}
