/*
 * command_param - a table of parameters, each with the function that reads its value.
 *
 * Only what EHLO offers is known; anything else is answered 555, whatever its form. A parameter may
 * be given once. ENVID and ORCPT are checked and kept as given (mail/orcpt.h), for the next hop must
 * see the same.
 */
#include "command_param.h"

#include "base/check.h"
#include "mail/orcpt.h"
#include "mail/xtext.h"

#define SIZE_DIGITS_MAX 20 /* RFC 1870 */
#define AUTH_LEN_MAX 500   /* RFC 4954 5 */
#define SECONDS_LEN_MAX 9  /* RFC 2852 4, 4865 3 */

/* is_given tells KEY from KEY=VALUE. Returns false for a bad value. */
typedef bool param_fn(struct command *out, struct str value, bool is_given, struct arena *arena);

static bool decode(struct str encoded, struct arena *arena, struct str *out)
{
	struct buf text;

	buf_init(&text, encoded.len);
	bool is_good = xtext_decode(&text, encoded) == OK;
	if (is_good)
		*out = arena_dup(arena, buf_str(&text));
	buf_fini(&text);
	return is_good;
}

static bool read_size(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	if (!is_given || value.len > SIZE_DIGITS_MAX)
		return false;
	enum err err = str_to_u64(value, &out->size_bytes);
	/* Twenty digits may be well-formed and beyond 64 bits: too large for any limit, not
	 * malformed. */
	if (err == ERR_LIMIT)
		out->size_bytes = UINT64_MAX;
	out->has_size = true;
	return err == OK || err == ERR_LIMIT;
}

static bool read_body(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	bool is_8bit = str_equal_fold(value, STR("8BITMIME"));
	out->body = is_8bit ? BODY_8BITMIME : BODY_7BIT;
	return is_given && (is_8bit || str_equal_fold(value, STR("7BIT")));
}

static bool read_smtputf8(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)value;
	(void)arena;
	out->is_smtputf8 = true;
	return !is_given;
}

static bool read_ret(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	bool is_full = str_equal_fold(value, STR("FULL"));
	out->ret = is_full ? RET_FULL : RET_HDRS;
	return is_given && (is_full || str_equal_fold(value, STR("HDRS")));
}

static bool read_envid(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	out->envid = value;
	return is_given && envid_is_valid(value);
}

static bool read_auth(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	return is_given && value.len > 0 && value.len <= AUTH_LEN_MAX &&
	       decode(value, arena, &out->auth_sender);
}

static bool read_notify(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	static const struct {
		struct str name;
		enum notify bit;
	} words[] = {
		{ { "NEVER", 5 }, NOTIFY_NEVER },
		{ { "SUCCESS", 7 }, NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, NOTIFY_FAILURE },
		{ { "DELAY", 5 }, NOTIFY_DELAY },
	};

	(void)arena;
	if (!is_given || value.len == 0 || value.data[value.len - 1] == ',')
		return false;
	while (value.len > 0) {
		struct str word = str_cut(&value, ',');
		size_t i = 0;
		while (i < ARRAY_COUNT(words) && !str_equal_fold(word, words[i].name))
			i++;
		if (i == ARRAY_COUNT(words))
			return false;
		out->notify |= (unsigned)words[i].bit;
	}
	return !(out->notify & NOTIFY_NEVER) || out->notify == NOTIFY_NEVER;
}

static bool read_orcpt(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	out->orcpt = value;
	return is_given && orcpt_is_valid(value);
}

static bool read_requiretls(
	struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)value;
	(void)arena;
	out->is_requiretls = true;
	return !is_given;
}

/* RFC 6710 3: -9 to 9, one digit, no plus, no minus zero. */
static bool read_priority(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	bool is_below = value.len == 2 && value.data[0] == '-' && value.data[1] != '0';
	struct str digit = is_below ? str_slice(value, 1, 2) : value;

	(void)arena;
	if (!is_given || digit.len != 1 || digit.data[0] < '0' || digit.data[0] > '9')
		return false;
	out->priority = (digit.data[0] - '0') * (is_below ? -1 : 1);
	out->has_priority = true;
	return true;
}

static bool read_seconds(struct str digits, int64_t *out)
{
	uint64_t seconds;

	if (digits.len > SECONDS_LEN_MAX || str_to_u64(digits, &seconds) != OK)
		return false;
	*out = (int64_t)seconds;
	return true;
}

/* RFC 2852 4: [+-]seconds;R or N, then perhaps T. What must be returned when late must not be late already. */
static bool read_by(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	struct str mode = value;
	struct str time = str_cut(&mode, ';');
	bool is_below = time.len > 0 && time.data[0] == '-';

	(void)arena;
	if (is_below || (time.len > 0 && time.data[0] == '+'))
		time = str_slice(time, 1, time.len);
	if (!is_given || !read_seconds(time, &out->by_s))
		return false;
	if (is_below)
		out->by_s = -out->by_s;
	out->has_by = true;
	out->by_trace = mode.len == 2 && (mode.data[1] | 0x20) == 't';
	if (mode.len != (out->by_trace ? 2 : 1))
		return false;
	out->by_notify = (mode.data[0] | 0x20) == 'n';
	return out->by_notify || ((mode.data[0] | 0x20) == 'r' && out->by_s > 0);
}

/* RFC 4865 3: one of the two. */
static bool read_holdfor(struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	if (!is_given || out->has_hold || value.len == 0 || value.data[0] == '0')
		return false;
	out->has_hold = true;
	return read_seconds(value, &out->hold_for_s);
}

static bool read_holduntil(
	struct command *out, struct str value, bool is_given, struct arena *arena)
{
	(void)arena;
	if (!is_given || out->has_hold)
		return false;
	out->has_hold = true;
	return instant_parse_iso(value, &out->hold_until) == OK;
}

static const struct param {
	struct str keyword;
	enum command_verb verb;
	param_fn *read;
} params[] = {
	{ { "SIZE", 4 }, COMMAND_MAIL, read_size },
	{ { "BODY", 4 }, COMMAND_MAIL, read_body },
	{ { "SMTPUTF8", 8 }, COMMAND_MAIL, read_smtputf8 },
	{ { "RET", 3 }, COMMAND_MAIL, read_ret },
	{ { "ENVID", 5 }, COMMAND_MAIL, read_envid },
	{ { "AUTH", 4 }, COMMAND_MAIL, read_auth },
	{ { "REQUIRETLS", 10 }, COMMAND_MAIL, read_requiretls },
	{ { "MT-PRIORITY", 11 }, COMMAND_MAIL, read_priority },
	{ { "BY", 2 }, COMMAND_MAIL, read_by },
	{ { "HOLDFOR", 7 }, COMMAND_MAIL, read_holdfor },
	{ { "HOLDUNTIL", 9 }, COMMAND_MAIL, read_holduntil },
	{ { "NOTIFY", 6 }, COMMAND_RCPT, read_notify },
	{ { "ORCPT", 5 }, COMMAND_RCPT, read_orcpt },
};

static size_t find_param(enum command_verb verb, struct str keyword)
{
	size_t i = 0;

	while (i < ARRAY_COUNT(params) &&
		!(params[i].verb == verb && str_equal_fold(params[i].keyword, keyword)))
		i++;
	return i;
}

/* esmtp-value: printable ASCII without '=' and SP, and UTF-8 (RFC 6531 3.3), which each parameter may take or not. */
static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char octet = (unsigned char)s.data[i];
		if (octet < 0x21 || octet == 0x7f || octet == '=')
			return false;
	}
	return str_is_ascii(s) || str_is_utf8(s);
}

enum command_fault command_parse_params(struct command *out, struct str text, struct arena *arena)
{
	unsigned seen = 0;

	if (text.len > 0 && text.data[0] != ' ')
		return COMMAND_BAD_SYNTAX;
	text = str_slice(text, 1, text.len);
	while (text.len > 0) {
		struct str value = str_cut(&text, ' ');
		struct str word = value;
		struct str keyword = str_cut(&value, '=');
		bool is_given = keyword.len < word.len;
		if (!str_is_keyword(keyword) || (is_given && value.len == 0))
			return COMMAND_BAD_SYNTAX;
		size_t i = find_param(out->verb, keyword);
		if (i == ARRAY_COUNT(params))
			return COMMAND_UNKNOWN_PARAMETER;
		if ((seen & 1u << i) || !is_value(value) ||
			!params[i].read(out, value, is_given, arena))
			return COMMAND_BAD_PARAMETER;
		seen |= 1u << i;
	}
	return COMMAND_OK;
}
