/*
 * address - a descent without recursion through Path, Mailbox, Local-part and Domain of RFC
 * 5321 4.1.2.
 *
 * Each step takes from the front of the cursor what its production allows and fails otherwise.
 * Octets above 0x7f are let through where RFC 6531 puts them; whether they are welcome is decided
 * once, at the end. What can fail: grammar (ERR_SYNTAX), a length (ERR_LIMIT), UTF-8 that was not
 * allowed (ERR_UNSUPPORTED).
 */
#include "mail/address.h"

#include <string.h>

#include "mail/domain.h"

#define LOCAL_LEN_MAX 64
#define DOMAIN_PART_LEN_MAX 255
#define PATH_LEN_MAX 256 /* with the angle brackets */

static bool is_high(char c)
{
	return (unsigned char)c > 0x7f;
}

static bool is_atext(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return is_high(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_printable(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool take(struct str *cursor, char c)
{
	if (cursor->len == 0 || cursor->data[0] != c)
		return false;
	*cursor = str_slice(*cursor, 1, cursor->len);
	return true;
}

/* Both local-part forms: the number of octets at the start of text that belong to it, 0 if none do.
 */
static size_t quoted_length(struct str text)
{
	for (size_t i = 1; i < text.len; i++) {
		char c = text.data[i];
		if (c == '"')
			return i + 1;
		if (c == '\\' && (++i == text.len || !is_printable(text.data[i])))
			return 0;
		if (!is_printable(c) && !is_high(c))
			return 0;
	}
	return 0;
}

static size_t dot_string_length(struct str text)
{
	size_t i = 0;
	bool after_dot = true;

	for (; i < text.len; i++) {
		char c = text.data[i];
		if (c == '.' ? after_dot : !is_atext(c))
			break;
		after_dot = c == '.';
	}
	return after_dot ? 0 : i;
}

static struct str take_local(struct str *cursor)
{
	bool is_quoted = cursor->len > 0 && cursor->data[0] == '"';
	size_t len = is_quoted ? quoted_length(*cursor) : dot_string_length(*cursor);
	struct str local = str_slice(*cursor, 0, len);

	*cursor = str_slice(*cursor, len, cursor->len);
	return local;
}

/* The domain as given, brackets included: what stands before '>', ',', ':' or the end. */
static struct str take_domain(struct str *cursor)
{
	size_t len = 0;

	if (cursor->len > 0 && cursor->data[0] == '[') {
		len = str_find(*cursor, ']');
		len = len == cursor->len ? 0 : len + 1;
	} else {
		while (len < cursor->len && !strchr(">,:", cursor->data[len]))
			len++;
	}
	struct str domain = str_slice(*cursor, 0, len);
	*cursor = str_slice(*cursor, len, cursor->len);
	return domain;
}

static enum err parse_literal(struct str domain, struct arena *arena, struct address *out)
{
	struct str inner = str_slice(domain, 1, domain.len - 1);
	enum address_family family = FAMILY_IPV4;

	if (str_starts_fold(inner, STR("IPv6:"))) {
		family = FAMILY_IPV6;
		inner = str_slice(inner, 5, inner.len);
	}
	if (endpoint_parse_ip(&out->literal, inner) != OK || out->literal.family != family)
		return ERR_SYNTAX;

	struct buf text;
	buf_init(&text, 64);
	endpoint_format_literal(&text, &out->literal);
	out->domain = arena_dup(arena, buf_str(&text));
	buf_fini(&text);
	return OK;
}

static enum err parse_domain(struct str domain, struct arena *arena, struct address *out)
{
	if (domain.len == 0)
		return ERR_SYNTAX;
	if (domain.len > DOMAIN_PART_LEN_MAX)
		return ERR_LIMIT;
	if (domain.data[0] == '[')
		return parse_literal(domain, arena, out);
	/* The root dot is no part of RFC 5321's Domain, and it would be passed on as given. */
	if (domain.data[domain.len - 1] == '.')
		return ERR_SYNTAX;
	return domain_normalize(domain, arena, &out->domain);
}

static enum err parse_mailbox(
	struct str *cursor, bool allow_utf8, struct arena *arena, struct address *out)
{
	struct str start = *cursor;
	struct str local = take_local(cursor);

	if (local.len == 0 || !take(cursor, '@'))
		return ERR_SYNTAX;
	struct str domain = take_domain(cursor);
	struct str text = str_slice(start, 0, start.len - cursor->len);
	out->is_utf8 = !str_is_ascii(text);
	if (!str_is_utf8(text))
		return ERR_SYNTAX;
	if (out->is_utf8 && !allow_utf8)
		return ERR_UNSUPPORTED;
	enum err err = parse_domain(domain, arena, out);
	if (err != OK)
		return err;
	if (local.len > LOCAL_LEN_MAX || text.len + 2 > PATH_LEN_MAX)
		return ERR_LIMIT;
	out->text = arena_dup(arena, text);
	out->local = str_slice(out->text, 0, local.len);
	return OK;
}

/* RFC 5321 4.1.2 A-d-l: "@one,@two:" is checked and ignored. */
static bool skip_source_route(struct str *cursor)
{
	if (cursor->len == 0 || cursor->data[0] != '@')
		return true;
	do {
		if (!take(cursor, '@') || !domain_is_hostname(take_domain(cursor)))
			return false;
	} while (take(cursor, ','));
	return take(cursor, ':');
}

static bool take_postmaster(struct str *cursor, struct arena *arena, struct address *out)
{
	struct str name = STR("postmaster");

	if (!str_starts_fold(*cursor, name) || cursor->len == name.len ||
		cursor->data[name.len] != '>')
		return false;
	out->text = out->local = arena_dup(arena, str_slice(*cursor, 0, name.len));
	*cursor = str_slice(*cursor, name.len, cursor->len);
	return true;
}

enum err address_parse_path(struct str text, bool allow_utf8, struct arena *arena,
	struct address *out, struct str *rest)
{
	struct str cursor = text;

	memset(out, 0, sizeof(*out));
	if (!take(&cursor, '<'))
		return ERR_SYNTAX;
	bool is_null = cursor.len > 0 && cursor.data[0] == '>';
	if (!is_null && !take_postmaster(&cursor, arena, out)) {
		if (!skip_source_route(&cursor))
			return ERR_SYNTAX;
		enum err err = parse_mailbox(&cursor, allow_utf8, arena, out);
		if (err != OK)
			return err;
	}
	if (!take(&cursor, '>'))
		return ERR_SYNTAX;
	*rest = cursor;
	return OK;
}

enum err address_parse(struct str text, bool allow_utf8, struct arena *arena, struct address *out)
{
	struct str cursor = text;

	memset(out, 0, sizeof(*out));
	enum err err = parse_mailbox(&cursor, allow_utf8, arena, out);
	if (err != OK)
		return err;
	return cursor.len == 0 ? OK : ERR_SYNTAX;
}
