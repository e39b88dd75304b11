/*
 * value_print - fields as they could be written in the file: what value_set reads back to the same
 * field.
 *
 * Words that YAML might take for something else are quoted, and everything that must not reach a
 * terminal is escaped as YAML does it.
 */
#include <string.h>

#include "base/check.h"
#include "unit.h"
#include "value.h"
#include "value_class.h"

static int64_t fetch_number(const struct key *key, const void *base);
static void print_choice(struct buf *out, const struct key *key, const void *base);
static void print_word(struct buf *out, struct str text);
static void print_via(struct buf *out, const struct conf_route *route);
static void print_list(struct buf *out, const struct key *key, const void *base);
static void print_entry(struct buf *out, const struct key *key, const void *base, uint32_t index);

static const void *field(const struct key *key, const void *base)
{
	return (const char *)base + key->offset;
}

void value_print(struct buf *out, const struct key *key, const void *base)
{
	struct buf text;
	buf_init(&text, 512);
	switch (key->kind) {
	case KEY_BOOL:
		buf_append_str(out, *(const bool *)field(key, base) ? STR("yes") : STR("no"));
		break;
	case KEY_COUNT:
	case KEY_PERCENT:
	case KEY_BYTES:
	case KEY_DURATION:
		value_print_number(out, key->kind, fetch_number(key, base));
		break;
	case KEY_CHOICE:
		print_choice(out, key, base);
		break;
	case KEY_TEXT:
	case KEY_HOST:
	case KEY_MAILBOX:
	case KEY_PATH:
	case KEY_SOCKET:
	case KEY_LOG_TARGET:
	case KEY_PATTERN:
	case KEY_RECIPIENTS:
		print_word(out, *(const struct str *)field(key, base));
		break;
	case KEY_MATCH:
		if (((const struct conf_destination *)base)->is_mx)
			buf_append_str(&text, STR("mx:"));
		buf_append_str(&text, *(const struct str *)field(key, base));
		print_word(out, buf_str(&text));
		break;
	case KEY_IPV4:
	case KEY_IPV6:
		if (((const struct endpoint *)field(key, base))->family != FAMILY_NONE)
			endpoint_format_ip(&text, field(key, base));
		print_word(out, buf_str(&text));
		break;
	case KEY_LISTEN:
		endpoint_format(&text, field(key, base));
		print_word(out, buf_str(&text));
		break;
	case KEY_VIA:
		print_via(out, base);
		break;
	case KEY_NETWORKS:
	case KEY_SERVERS:
	case KEY_DOMAINS:
	case KEY_PATTERNS:
	case KEY_SCHEDULE:
		print_list(out, key, base);
		break;
	case KEY_PRIORITY:
	case KEY_HEADER:
	case KEY_NOTIFY:
		value_print_class(out, key, base);
		break;
	case KEY_USERS:
	case KEY_SECRET:
	case KEY_ITEMS:
		break;
	}
	buf_fini(&text);
}

static int64_t fetch_number(const struct key *key, const void *base)
{
	const char *at = (const char *)base + key->offset;
	uint8_t one;
	uint16_t two;
	uint32_t four;
	int64_t eight;
	switch (key->size) {
	case 1:
		memcpy(&one, at, 1);
		return one;
	case 2:
		memcpy(&two, at, 2);
		return two;
	case 4:
		memcpy(&four, at, 4);
		return four;
	default:
		memcpy(&eight, at, 8);
		return eight;
	}
}

void value_print_number(struct buf *out, enum key_kind kind, int64_t value)
{
	if (kind == KEY_DURATION || kind == KEY_SCHEDULE)
		unit_print_duration(out, value);
	else if (kind == KEY_BYTES)
		unit_print_bytes(out, (uint64_t)value);
	else
		buf_printf(out, "%lld%s", (long long)value, kind == KEY_PERCENT ? "%" : "");
}

static void print_choice(struct buf *out, const struct key *key, const void *base)
{
	int64_t value = fetch_number(key, base);
	for (int64_t i = 0; key->choices[i]; i++)
		if (i == value)
			buf_append_str(out, str_from_c(key->choices[i]));
}

/* No YAML reader takes a word of these octets for anything but a word, in a list or outside. */
static bool is_plain(struct str text)
{
	static const char safe[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/@-";
	if (text.len == 0 || text.data[0] == '-' || text.data[0] == '@')
		return false;
	if (str_equal_fold(text, STR("null")))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0' || !strchr(safe, text.data[i]))
			return false;
	return true;
}

static void print_word(struct buf *out, struct str text)
{
	if (is_plain(text))
		buf_append_str(out, text);
	else
		value_print_quoted(out, text);
}

void value_print_quoted(struct buf *out, struct str text)
{
	buf_append_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		unsigned char next = i + 1 < text.len ? (unsigned char)text.data[i + 1] : 0;
		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else if (c == 0xc2 && next < 0xa0) /* C1 controls */
			buf_printf(out, "\\x%02x", (unsigned char)text.data[++i]);
		else if (c >= 0xe0 && c < 0xf0 && i + 2 < text.len) {
			unsigned char last = (unsigned char)text.data[i + 2];
			buf_printf(out, "\\u%04x",
				(c & 0x0fu) << 12 | (next & 0x3fu) << 6 | (last & 0x3fu));
			i += 2;
		} else
			buf_append_char(out, (char)c);
	}
	buf_append_char(out, '"');
}

static void print_via(struct buf *out, const struct conf_route *route)
{
	struct buf text;
	if (route->via == ROUTE_MX) {
		buf_append_str(out, STR("mx"));
		return;
	}
	buf_init(&text, 512);
	if (route->via == ROUTE_LMTP)
		buf_append_str(&text, STR("lmtp:"));
	if (route->path.len > 0)
		buf_printf(&text, "unix:%.*s", STR_FMT(route->path));
	else
		buf_printf(&text, route->uses_mx ? "%.*s" : "[%.*s]", STR_FMT(route->host));
	if (route->port > 0)
		buf_printf(&text, ":%u", (unsigned)route->port);
	print_word(out, buf_str(&text));
	buf_fini(&text);
}

static void print_list(struct buf *out, const struct key *key, const void *base)
{
	buf_append_char(out, '[');
	for (uint32_t i = 0; i < value_count(key, base); i++) {
		if (i > 0)
			buf_append_str(out, STR(", "));
		print_entry(out, key, base, i);
	}
	buf_append_char(out, ']');
}

static void print_entry(struct buf *out, const struct key *key, const void *base, uint32_t index)
{
	struct buf text;
	if (key->kind == KEY_SCHEDULE) {
		unit_print_duration(out, ((const int64_t *)field(key, base))[index]);
		return;
	}
	buf_init(&text, 512);
	if (key->kind == KEY_SERVERS) {
		endpoint_format(&text, &(*(struct endpoint *const *)field(key, base))[index]);
	} else if (key->kind == KEY_DOMAINS || key->kind == KEY_PATTERNS) {
		buf_append_str(&text, (*(struct str *const *)field(key, base))[index]);
	} else {
		const struct network *network =
			&(*(struct network *const *)field(key, base))[index];
		endpoint_format_ip(&text, &network->base);
		if (network->prefix_bits < (network->base.family == FAMILY_IPV4 ? 32 : 128))
			buf_printf(&text, "/%u", network->prefix_bits);
	}
	print_word(out, buf_str(&text));
	buf_fini(&text);
}
