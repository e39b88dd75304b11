/* keys_class - the keys of a class, and how those are read and printed that are of no other kind. */
#include <string.h>

#include "base/check.h"
#include "keys.h"
#include "mail/envelope.h"
#include "value.h"
#include "value_class.h"

#define FIELD(member)                                                                              \
	.offset = offsetof(struct conf_class, member),                                             \
	.size = sizeof(((struct conf_class *)0)->member)
#define GIVEN(member) .has_offset = offsetof(struct conf_class, member)
#define MINUTE INT64_C(60000)
#define YEAR (365 * 24 * 60 * MINUTE)

static const char *const modes[] = { "return", "notify", NULL };

static const struct key class_keys[] = {
	{ .name = "name",
		.kind = KEY_TEXT,
		FIELD(name),
		.is_required = true,
		.doc = "what the class is called" },
	{ .name = "from",
		.kind = KEY_PATTERN,
		FIELD(from),
		.doc = "glob on the sender address, \"<>\" for notices; not given: any" },
	{ .name = "to",
		.kind = KEY_PATTERN,
		FIELD(to),
		.doc = "glob on the address of some recipient; not given: any" },
	{ .name = "user",
		.kind = KEY_PATTERN,
		FIELD(user),
		.doc = "glob on the name that the client logged in with; not given: any" },
	{ .name = "header",
		.kind = KEY_HEADER,
		FIELD(header),
		.doc = "\"Name: glob\" on a header field; not given: any" },
	{ .name = "priority",
		.kind = KEY_PRIORITY,
		FIELD(priority),
		GIVEN(has_priority),
		.min = -9,
		.max = 9,
		.doc = "-9 to 9; mail of a higher one goes first" },
	{ .name = "deliver-by",
		.kind = KEY_DURATION,
		FIELD(deliver_by_ms),
		GIVEN(has_deliver_by),
		.min = MINUTE,
		.max = YEAR,
		.doc = "time after which the mail is of no use any more" },
	{ .name = "deliver-by-mode",
		.kind = KEY_CHOICE,
		FIELD(deliver_by_notify),
		.choices = modes,
		.initial = "return",
		.doc = "what happens then: return, or notify (the mail is kept)" },
	{ .name = "hold",
		.kind = KEY_DURATION,
		FIELD(hold_ms),
		GIVEN(has_hold),
		.min = MINUTE,
		.max = YEAR,
		.doc = "time to wait before the first attempt" },
	{ .name = "notify",
		.kind = KEY_NOTIFY,
		FIELD(notify),
		GIVEN(has_notify),
		.doc = "never, or some of success, failure, delay" },
};
const struct key_items class_items = { .what = "class",
	.keys = class_keys,
	.key_count = ARRAY_COUNT(class_keys),
	.size = sizeof(struct conf_class) };

_Static_assert(sizeof(((struct conf_class *)0)->deliver_by_notify) == 1, "a choice of two");

static bool refuse(struct buf *why, const char *what, struct str text)
{
	buf_clear(why);
	buf_printf(why, "'%.*s' is %s", STR_FMT(text), what);
	return false;
}

bool value_set_priority(const struct key *key, void *base, struct str text, struct buf *why)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	struct str digits = str_slice(text, is_negative ? 1 : 0, text.len);
	uint64_t number;
	int32_t value;

	if (str_to_u64(digits, &number) != OK || number > (uint64_t)key->max)
		return refuse(why, "not a priority from -9 to 9", text);
	value = is_negative ? -(int32_t)number : (int32_t)number;
	memcpy((char *)base + key->offset, &value, sizeof(value));
	return true;
}

bool value_set_header(const struct key *key, void *base, struct str text, struct value_context *c)
{
	struct str glob = text;
	struct str name = str_trim(str_cut(&glob, ':'));
	struct header_watch watch;

	glob = str_trim(glob);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.data[i] <= ' ' || (unsigned char)name.data[i] >= 0x7f)
			name.len = 0;
	if (name.len == 0 || glob.len == 0 || !str_is_utf8(glob))
		return refuse(c->why, "not a condition like \"X-Priority: 1*\"", text);
	watch.name = arena_dup(c->arena, name);
	watch.glob = arena_dup(c->arena, glob);
	memcpy((char *)base + key->offset, &watch, sizeof(watch));
	return true;
}

static const struct {
	const char *name;
	uint32_t bit;
} notify_words[] = { { "never", NOTIFY_NEVER }, { "success", NOTIFY_SUCCESS },
	{ "failure", NOTIFY_FAILURE }, { "delay", NOTIFY_DELAY } };

bool value_set_notify(const struct key *key, void *base, struct str text, struct buf *why)
{
	struct str rest = text, word;
	uint32_t bits = 0;

	while (value_next_word(&rest, &word)) {
		uint32_t bit = 0;
		for (size_t i = 0; i < ARRAY_COUNT(notify_words); i++)
			if (str_equal_fold(word, str_from_c(notify_words[i].name)))
				bit = notify_words[i].bit;
		if (bit == 0)
			return refuse(why, "none of never, success, failure, delay", word);
		bits |= bit;
	}
	if (bits == 0 || (bits != NOTIFY_NEVER && (bits & NOTIFY_NEVER)))
		return refuse(why, "neither 'never' nor some of success, failure, delay", text);
	memcpy((char *)base + key->offset, &bits, sizeof(bits));
	return true;
}

void value_print_class(struct buf *out, const struct key *key, const void *base)
{
	const struct conf_class *class = base;
	struct buf text;

	buf_init(&text, 4096);
	if (key->kind == KEY_PRIORITY) {
		buf_printf(out, "%d", (int)class->priority);
	} else if (key->kind == KEY_HEADER) {
		buf_printf(&text, "%.*s: %.*s", STR_FMT(class->header.name),
			STR_FMT(class->header.glob));
		value_print_quoted(out, buf_str(&text));
	} else {
		for (size_t i = 0; i < ARRAY_COUNT(notify_words); i++)
			if (class->notify & notify_words[i].bit)
				buf_printf(&text, "%s%s", text.len > 0 ? " " : "",
					notify_words[i].name);
		buf_append_str(out, buf_str(&text));
	}
	buf_fini(&text);
}
