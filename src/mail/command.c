/*
 * command - the verb, then what the verb allows. Parameters of MAIL and RCPT are in
 * command_param.c.
 *
 * Lenient where clients are known to be sloppy and it costs nothing: case, spaces at the end, a
 * space behind "FROM:" and "TO:". Everything else is refused with the reply that says why. Control
 * octets are refused in every argument.
 */
#include "mail/command.h"

#include <string.h>

#include "base/check.h"
#include "command_param.h"

#define EHLO_LEN_MAX 255
#define MECHANISM_LEN_MAX 20 /* RFC 4422 3.1 */

enum argument_kind { NO_ARGUMENT, ANY_TEXT, SOME_TEXT, HOST_NAME, PATH, MECHANISM, CHUNK };

static const struct verb {
	struct str name;
	enum argument_kind argument;
} verbs[] = {
	[COMMAND_UNKNOWN] = { { "UNKNOWN", 7 }, ANY_TEXT },
	[COMMAND_EHLO] = { { "EHLO", 4 }, HOST_NAME },
	[COMMAND_HELO] = { { "HELO", 4 }, HOST_NAME },
	[COMMAND_MAIL] = { { "MAIL", 4 }, PATH },
	[COMMAND_RCPT] = { { "RCPT", 4 }, PATH },
	[COMMAND_DATA] = { { "DATA", 4 }, NO_ARGUMENT },
	[COMMAND_RSET] = { { "RSET", 4 }, NO_ARGUMENT },
	[COMMAND_NOOP] = { { "NOOP", 4 }, ANY_TEXT },
	[COMMAND_VRFY] = { { "VRFY", 4 }, SOME_TEXT },
	[COMMAND_EXPN] = { { "EXPN", 4 }, SOME_TEXT },
	[COMMAND_HELP] = { { "HELP", 4 }, ANY_TEXT },
	[COMMAND_QUIT] = { { "QUIT", 4 }, NO_ARGUMENT },
	[COMMAND_STARTTLS] = { { "STARTTLS", 8 }, NO_ARGUMENT },
	[COMMAND_AUTH] = { { "AUTH", 4 }, MECHANISM },
	[COMMAND_BDAT] = { { "BDAT", 4 }, CHUNK },
	[COMMAND_ETRN] = { { "ETRN", 4 }, HOST_NAME },
	[COMMAND_XCLIENT] = { { "XCLIENT", 7 }, SOME_TEXT },
	[COMMAND_XFORWARD] = { { "XFORWARD", 8 }, SOME_TEXT },
	[COMMAND_HTTP] = { { "HTTP", 4 }, ANY_TEXT },
};

const char *command_name(enum command_verb verb)
{
	CHECK((size_t)verb < ARRAY_COUNT(verbs));
	return verbs[verb].name.data;
}

/* Methods, and the fields that stand early in a request: RELIABILITY's ALPACA rule. */
static bool is_http(struct str word)
{
	static const char *const words[] = { "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT",
		"DELETE", "TRACE", "PATCH", "PRI" };
	static const char *const fields[] = { "Host:", "User-Agent:", "Content-Type:",
		"Content-Length:", "Accept:", "Referer:", "Cookie:", "Connection:" };

	for (size_t i = 0; i < ARRAY_COUNT(words); i++)
		if (str_equal_fold(word, str_from_c(words[i])))
			return true;
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
		if (str_starts_fold(word, str_from_c(fields[i])))
			return true;
	return false;
}

static enum command_verb find_verb(struct str word)
{
	for (size_t i = COMMAND_EHLO; i < COMMAND_HTTP; i++)
		if (verbs[i].name.len > 0 && str_equal_fold(word, verbs[i].name))
			return (enum command_verb)i;
	return is_http(word) ? COMMAND_HTTP : COMMAND_UNKNOWN;
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
			return true;
	return false;
}

static enum command_fault parse_host(struct command *out, struct str text)
{
	if (text.len == 0 || text.len > EHLO_LEN_MAX || !str_is_ascii(text) ||
		str_find(text, ' ') != text.len)
		return COMMAND_BAD_SYNTAX;
	out->argument = text;
	return COMMAND_OK;
}

static bool is_mechanism(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!char_is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_')
			return false;
	return s.len > 0 && s.len <= MECHANISM_LEN_MAX;
}

/* RFC 4954 4: base64, or "=" for an initial response that is empty. The decoder judges the rest. */
static bool is_initial(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!char_is_alnum(s.data[i]) && !strchr("+/=", s.data[i]))
			return false;
	return s.len > 0;
}

static enum command_fault parse_auth(struct command *out, struct str text)
{
	struct str rest = text;
	struct str mechanism = str_cut(&rest, ' ');

	if (!is_mechanism(mechanism))
		return COMMAND_BAD_SYNTAX;
	if (mechanism.len < text.len && !is_initial(rest))
		return COMMAND_BAD_SYNTAX;
	out->argument = mechanism;
	out->initial = rest;
	return COMMAND_OK;
}

/* RFC 3030 2: a size that 64 bits do not hold is well-formed, and too large for anybody. */
static enum command_fault parse_chunk(struct command *out, struct str text)
{
	struct str rest = text;
	enum err err = str_to_u64(str_cut(&rest, ' '), &out->chunk_bytes);

	if (err == ERR_LIMIT)
		out->chunk_bytes = UINT64_MAX;
	else if (err != OK)
		return COMMAND_BAD_SYNTAX;
	rest = str_trim(rest);
	out->is_last = str_equal_fold(rest, STR("LAST"));
	return out->is_last || rest.len == 0 ? COMMAND_OK : COMMAND_BAD_SYNTAX;
}

static enum command_fault address_fault(enum err err)
{
	if (err == ERR_LIMIT)
		return COMMAND_LONG_ADDRESS;
	return err == ERR_UNSUPPORTED ? COMMAND_UTF8_ADDRESS : COMMAND_BAD_ADDRESS;
}

/* <> is for MAIL only, <Postmaster> without a domain for RCPT only. */
static bool is_path_of(enum command_verb verb, const struct address *a)
{
	if (a->domain.len > 0)
		return true;
	return verb == COMMAND_MAIL ? a->text.len == 0 : a->text.len > 0;
}

static enum command_fault parse_path(
	struct command *out, struct str text, bool utf8_transaction, struct arena *arena)
{
	bool is_mail = out->verb == COMMAND_MAIL;
	struct str keyword = is_mail ? STR("FROM:") : STR("TO:");
	struct str rest;

	if (!str_starts_fold(text, keyword))
		return COMMAND_BAD_SYNTAX;
	text = str_trim(str_slice(text, keyword.len, text.len));
	if (text.len == 0)
		return COMMAND_BAD_SYNTAX;
	/* SMTPUTF8 stands behind the address it allows, so MAIL is judged when both are read. */
	bool allow_utf8 = is_mail || utf8_transaction;
	enum err err = address_parse_path(text, allow_utf8, arena, &out->address, &rest);
	if (err != OK)
		return address_fault(err);
	if (!is_path_of(out->verb, &out->address))
		return COMMAND_BAD_ADDRESS;
	enum command_fault fault = command_parse_params(out, rest, arena);
	if (fault == COMMAND_OK && is_mail && out->address.is_utf8 && !out->is_smtputf8)
		return COMMAND_UTF8_ADDRESS;
	if (fault == COMMAND_OK && !utf8_transaction && !str_is_ascii(out->orcpt))
		return COMMAND_UTF8_ADDRESS;
	return fault;
}

enum command_fault command_parse(
	struct command *out, struct str line, bool utf8_transaction, struct arena *arena)
{
	struct str rest = line;
	size_t end = line.len;

	memset(out, 0, sizeof(*out));
	while (end > 0 && (line.data[end - 1] == ' ' || line.data[end - 1] == '\t'))
		end--;
	rest.len = end;
	out->verb = find_verb(str_cut(&rest, ' '));
	if (out->verb == COMMAND_UNKNOWN)
		return COMMAND_BAD_VERB;
	if (out->verb == COMMAND_HTTP)
		return COMMAND_OK;
	if (has_control(rest))
		return COMMAND_BAD_SYNTAX;

	enum argument_kind kind = verbs[out->verb].argument;
	struct str text = arena_dup(arena, kind == PATH ? rest : str_trim(rest));
	switch (kind) {
	case NO_ARGUMENT:
		return text.len == 0 ? COMMAND_OK : COMMAND_BAD_SYNTAX;
	case SOME_TEXT:
		if (text.len == 0)
			return COMMAND_BAD_SYNTAX;
		break;
	case ANY_TEXT:
		break;
	case HOST_NAME:
		return parse_host(out, text);
	case MECHANISM:
		return parse_auth(out, text);
	case CHUNK:
		return parse_chunk(out, text);
	case PATH:
		return parse_path(out, text, utf8_transaction, arena);
	}
	out->argument = text;
	return COMMAND_OK;
}
