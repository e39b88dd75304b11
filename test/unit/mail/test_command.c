/* Tests of mail/command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/command.h"

#define A64 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"
#define X100                                                                                       \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxx"                                                                                     \
	"xxxxxxxx"

static void test_command_line_is_parsed_or_refused(void **state)
{
	static const struct {
		const char *line;
		enum command_fault fault;
		enum command_verb verb;
		const char *argument;
		const char *initial;
	} rows[] = {
		{ "EHLO a.example", COMMAND_OK, COMMAND_EHLO, "a.example", "" },
		{ "ehlo a.example  \t", COMMAND_OK, COMMAND_EHLO, "a.example", "" },
		{ "eHLo [192.0.2.1]", COMMAND_OK, COMMAND_EHLO, "[192.0.2.1]", "" },
		{ "HELO x", COMMAND_OK, COMMAND_HELO, "x", "" },
		{ "EHLO", COMMAND_BAD_SYNTAX, COMMAND_EHLO, "", "" },
		{ "EHLO ", COMMAND_BAD_SYNTAX, COMMAND_EHLO, "", "" },
		{ "EHLO a b", COMMAND_BAD_SYNTAX, COMMAND_EHLO, "", "" },
		{ "EHLO a\tb", COMMAND_BAD_SYNTAX, COMMAND_EHLO, "", "" },
		{ "EHLO \xc3\xbc.example", COMMAND_BAD_SYNTAX, COMMAND_EHLO, "", "" },
		{ "EHLO a\rb", COMMAND_BAD_SYNTAX, COMMAND_EHLO, "", "" },
		{ "DATA", COMMAND_OK, COMMAND_DATA, "", "" },
		{ "data ", COMMAND_OK, COMMAND_DATA, "", "" },
		{ "DATA x", COMMAND_BAD_SYNTAX, COMMAND_DATA, "", "" },
		{ "RSET", COMMAND_OK, COMMAND_RSET, "", "" },
		{ "RSET x", COMMAND_BAD_SYNTAX, COMMAND_RSET, "", "" },
		{ "QUIT", COMMAND_OK, COMMAND_QUIT, "", "" },
		{ "QUIT now", COMMAND_BAD_SYNTAX, COMMAND_QUIT, "", "" },
		{ "STARTTLS", COMMAND_OK, COMMAND_STARTTLS, "", "" },
		{ "STARTTLS x", COMMAND_BAD_SYNTAX, COMMAND_STARTTLS, "", "" },
		{ "NOOP", COMMAND_OK, COMMAND_NOOP, "", "" },
		{ "NOOP a b", COMMAND_OK, COMMAND_NOOP, "a b", "" },
		{ "HELP", COMMAND_OK, COMMAND_HELP, "", "" },
		{ "HELP me", COMMAND_OK, COMMAND_HELP, "me", "" },
		{ "HELP \x1b[2J", COMMAND_BAD_SYNTAX, COMMAND_HELP, "", "" },
		{ "VRFY joe", COMMAND_OK, COMMAND_VRFY, "joe", "" },
		{ "VRFY", COMMAND_BAD_SYNTAX, COMMAND_VRFY, "", "" },
		{ "EXPN list", COMMAND_OK, COMMAND_EXPN, "list", "" },
		{ "EXPN ", COMMAND_BAD_SYNTAX, COMMAND_EXPN, "", "" },
		{ "AUTH PLAIN", COMMAND_OK, COMMAND_AUTH, "PLAIN", "" },
		{ "AUTH plain AGEAYg==", COMMAND_OK, COMMAND_AUTH, "plain", "AGEAYg==" },
		{ "AUTH LOGIN =", COMMAND_OK, COMMAND_AUTH, "LOGIN", "=" },
		{ "AUTH", COMMAND_BAD_SYNTAX, COMMAND_AUTH, "", "" },
		{ "AUTH PLAIN a b", COMMAND_BAD_SYNTAX, COMMAND_AUTH, "", "" },
		{ "AUTH PLAIN a*b", COMMAND_BAD_SYNTAX, COMMAND_AUTH, "", "" },
		{ "AUTH PL(IN", COMMAND_BAD_SYNTAX, COMMAND_AUTH, "", "" },
		{ "AUTH ABCDEFGHIJKLMNOPQRSTU", COMMAND_BAD_SYNTAX, COMMAND_AUTH, "", "" },
		{ "", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ " ", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ " DATA", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "DATAX", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "DAT", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "UNKNOWN", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "HTTP", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "ETRN a.example", COMMAND_OK, COMMAND_ETRN, "a.example", "" },
		{ "etrn @a.example ", COMMAND_OK, COMMAND_ETRN, "@a.example", "" },
		{ "ETRN #queue", COMMAND_OK, COMMAND_ETRN, "#queue", "" },
		{ "ETRN", COMMAND_BAD_SYNTAX, COMMAND_ETRN, "", "" },
		{ "ETRN a b", COMMAND_BAD_SYNTAX, COMMAND_ETRN, "", "" },
		{ "MAIL\tFROM:<>", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "\x16\x03\x01", COMMAND_BAD_VERB, COMMAND_UNKNOWN, "", "" },
		{ "GET / HTTP/1.1", COMMAND_OK, COMMAND_HTTP, "", "" },
		{ "post /x HTTP/1.0", COMMAND_OK, COMMAND_HTTP, "", "" },
		{ "Host: mx.example", COMMAND_OK, COMMAND_HTTP, "", "" },
		{ "host:mx.example", COMMAND_OK, COMMAND_HTTP, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct command c;
		enum command_fault fault =
			command_parse(&c, str_from_c(rows[i].line), false, &arena);
		if (fault != rows[i].fault)
			print_message("row %zu: %s\n", i, rows[i].line);
		assert_int_equal(fault, rows[i].fault);
		assert_int_equal(c.verb, rows[i].verb);
		assert_true(str_equal(c.argument, str_from_c(rows[i].argument)));
		assert_true(str_equal(c.initial, str_from_c(rows[i].initial)));
		arena_fini(&arena);
	}
}

static void test_bdat_has_a_size_and_may_be_the_last(void **state)
{
	static const struct {
		const char *line;
		enum command_fault fault;
		uint64_t bytes;
		bool is_last;
	} rows[] = {
		{ "BDAT 0", COMMAND_OK, 0, false },
		{ "BDAT 0 LAST", COMMAND_OK, 0, true },
		{ "bdat 12 last ", COMMAND_OK, 12, true },
		{ "BDAT 86400", COMMAND_OK, 86400, false },
		{ "BDAT 0000000000000000000000000000012", COMMAND_OK, 12, false },
		{ "BDAT 9223372036854775808 LAST", COMMAND_OK, 9223372036854775808u, true },
		{ "BDAT 18446744073709551615", COMMAND_OK, UINT64_MAX, false },
		{ "BDAT 18446744073709551616", COMMAND_OK, UINT64_MAX, false },
		{ "BDAT 18446744073709551617 LAST", COMMAND_OK, UINT64_MAX, true },
		{ "BDAT 99999999999999999999999999", COMMAND_OK, UINT64_MAX, false },
		{ "BDAT", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT LAST", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT -1", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT +1", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT 0x10", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT 1 FIRST", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT 1 LAST x", COMMAND_BAD_SYNTAX, 0, false },
		{ "BDAT 1LAST", COMMAND_BAD_SYNTAX, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct command c;
		enum command_fault fault =
			command_parse(&c, str_from_c(rows[i].line), false, &arena);
		if (fault != rows[i].fault)
			print_message("row %zu: %s\n", i, rows[i].line);
		assert_int_equal(fault, rows[i].fault);
		assert_int_equal(c.verb, COMMAND_BDAT);
		if (fault == COMMAND_OK) {
			assert_true(c.chunk_bytes == rows[i].bytes);
			assert_int_equal(c.is_last, rows[i].is_last);
		}
		arena_fini(&arena);
	}
}

struct path_row {
	const char *line;
	enum command_fault fault;
	const char *address;
};

static void check_paths(const struct path_row *rows, size_t count, bool utf8_transaction)
{
	for (size_t i = 0; i < count; i++) {
		struct arena arena = { 0 };
		struct command c;
		enum command_fault fault =
			command_parse(&c, str_from_c(rows[i].line), utf8_transaction, &arena);
		if (fault != rows[i].fault)
			print_message("row %zu: %s\n", i, rows[i].line);
		assert_int_equal(fault, rows[i].fault);
		if (fault == COMMAND_OK)
			assert_true(str_equal(c.address.text, str_from_c(rows[i].address)));
		arena_fini(&arena);
	}
}

static void test_mail_and_rcpt_refuse_what_is_malformed(void **state)
{
	static const struct path_row rows[] = {
		{ "MAIL FROM:<a@b.example>", COMMAND_OK, "a@b.example" },
		{ "mail from:<a@b.example>", COMMAND_OK, "a@b.example" },
		{ "MAIL FROM: <a@b.example>", COMMAND_OK, "a@b.example" },
		{ "MAIL FROM:<a@b.example> \t ", COMMAND_OK, "a@b.example" },
		{ "MAIL FROM:<>", COMMAND_OK, "" },
		{ "MAIL FROM:<> BODY=8BITMIME", COMMAND_OK, "" },
		{ "RCPT TO:<a@b.example>", COMMAND_OK, "a@b.example" },
		{ "RCPT TO: <a@b.example>", COMMAND_OK, "a@b.example" },
		{ "RCPT TO:<Postmaster>", COMMAND_OK, "Postmaster" },
		{ "RCPT TO:<@r.example:a@b.example>", COMMAND_OK, "a@b.example" },
		{ "RCPT TO:<\"a > b\"@c.example> NOTIFY=NEVER", COMMAND_OK, "\"a > b\"@c.example" },
		{ "MAIL", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM:", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL  FROM:<a@b.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM :<a@b.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL TO:<a@b.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "RCPT FROM:<a@b.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "RCPT TO:", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM:<a@b.example>x", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM:<a@b.example>SIZE=1", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM:<a\x01@b.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM:<a@b.example>\r SIZE=1", COMMAND_BAD_SYNTAX, 0 },
		{ "MAIL FROM:a@b.example", COMMAND_BAD_ADDRESS, 0 },
		{ "MAIL FROM:<a@b..example>", COMMAND_BAD_ADDRESS, 0 },
		{ "MAIL FROM:<postmaster>", COMMAND_BAD_ADDRESS, 0 },
		{ "MAIL FROM:<a@b.example", COMMAND_BAD_ADDRESS, 0 },
		{ "RCPT TO:<>", COMMAND_BAD_ADDRESS, 0 },
		{ "RCPT TO:<a>", COMMAND_BAD_ADDRESS, 0 },
		{ "RCPT TO:<a@b>c@d.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "RCPT TO:<a@b.example>,<c@d.example>", COMMAND_BAD_SYNTAX, 0 },
		{ "RCPT TO:<" A64 "x@b.example>", COMMAND_LONG_ADDRESS, 0 },
		{ "MAIL FROM:<a@" A64 ".example>", COMMAND_LONG_ADDRESS, 0 },
		{ "MAIL FROM:<\xc3\xbc@b.example>", COMMAND_UTF8_ADDRESS, 0 },
		{ "MAIL FROM:<\xc3\xbc@b.example> SMTPUTF8", COMMAND_OK, "\xc3\xbc@b.example" },
		{ "MAIL FROM:<\xc3\xbc@b.example> SIZE=1 SMTPUTF8", COMMAND_OK,
			"\xc3\xbc@b.example" },
		{ "MAIL FROM:<\xc3\xbc@b.example> SIZE=1", COMMAND_UTF8_ADDRESS, 0 },
		{ "MAIL FROM:<\xff@b.example> SMTPUTF8", COMMAND_BAD_ADDRESS, 0 },
		{ "RCPT TO:<\xc3\xbc@b.example>", COMMAND_UTF8_ADDRESS, 0 },
	};
	static const struct path_row utf8_rows[] = {
		{ "RCPT TO:<\xc3\xbc@b.example>", COMMAND_OK, "\xc3\xbc@b.example" },
		{ "MAIL FROM:<\xc3\xbc@b.example>", COMMAND_UTF8_ADDRESS, 0 },
	};

	(void)state;
	check_paths(rows, sizeof(rows) / sizeof(rows[0]), false);
	check_paths(utf8_rows, sizeof(utf8_rows) / sizeof(utf8_rows[0]), true);
}

static void test_parameters_are_checked_in_form(void **state)
{
	static const struct {
		const char *params;
		enum command_fault fault;
		bool is_rcpt;
	} rows[] = {
		{ "", COMMAND_OK, 0 },
		{ " SIZE=0", COMMAND_OK, 0 },
		{ " size=12345678901234567890", COMMAND_OK, 0 },
		{ " SIZE=99999999999999999999", COMMAND_OK, 0 },
		{ " SIZE=000000000000000000001", COMMAND_BAD_PARAMETER, 0 },
		{ " SIZE", COMMAND_BAD_PARAMETER, 0 },
		{ " SIZE=", COMMAND_BAD_SYNTAX, 0 },
		{ " SIZE=1x", COMMAND_BAD_PARAMETER, 0 },
		{ " SIZE=-1", COMMAND_BAD_PARAMETER, 0 },
		{ " SIZE=1 SIZE=1", COMMAND_BAD_PARAMETER, 0 },
		{ " SIZE=1 BODY=7BIT size=2", COMMAND_BAD_PARAMETER, 0 },
		{ " SIZE=1=2", COMMAND_BAD_PARAMETER, 0 },
		{ " BODY=7bit", COMMAND_OK, 0 },
		{ " BODY=8BitMime", COMMAND_OK, 0 },
		{ " BODY=BINARYMIME", COMMAND_BAD_PARAMETER, 0 },
		{ " BODY", COMMAND_BAD_PARAMETER, 0 },
		{ " SMTPUTF8", COMMAND_OK, 0 },
		{ " SMTPUTF8=1", COMMAND_BAD_PARAMETER, 0 },
		{ " SMTPUTF8 SMTPUTF8", COMMAND_BAD_PARAMETER, 0 },
		{ " RET=FULL", COMMAND_OK, 0 },
		{ " RET=hdrs", COMMAND_OK, 0 },
		{ " RET=NONE", COMMAND_BAD_PARAMETER, 0 },
		{ " ENVID=a+20b", COMMAND_OK, 0 },
		{ " ENVID=" X100, COMMAND_OK, 0 },
		{ " ENVID=" X100 "x", COMMAND_BAD_PARAMETER, 0 },
		{ " ENVID=a+0A", COMMAND_BAD_PARAMETER, 0 },
		{ " ENVID=a+zz", COMMAND_BAD_PARAMETER, 0 },
		{ " AUTH=<>", COMMAND_OK, 0 },
		{ " AUTH=a+2Bb@c.example", COMMAND_OK, 0 },
		{ " AUTH=a+0Ab", COMMAND_BAD_PARAMETER, 0 },
		{ " AUTH", COMMAND_BAD_PARAMETER, 0 },
		{ " REQUIRETLS", COMMAND_OK, 0 },
		{ " requiretls", COMMAND_OK, 0 },
		{ " REQUIRETLS=1", COMMAND_BAD_PARAMETER, 0 },
		{ " REQUIRETLS REQUIRETLS", COMMAND_BAD_PARAMETER, 0 },
		{ " REQUIRETLS", COMMAND_UNKNOWN_PARAMETER, 1 },
		{ " MT-PRIORITY=0", COMMAND_OK, 0 },
		{ " MT-PRIORITY=9", COMMAND_OK, 0 },
		{ " mt-priority=-9", COMMAND_OK, 0 },
		{ " MT-PRIORITY=10", COMMAND_BAD_PARAMETER, 0 },
		{ " MT-PRIORITY=-10", COMMAND_BAD_PARAMETER, 0 },
		{ " MT-PRIORITY=-0", COMMAND_BAD_PARAMETER, 0 },
		{ " MT-PRIORITY=+1", COMMAND_BAD_PARAMETER, 0 },
		{ " MT-PRIORITY=-", COMMAND_BAD_PARAMETER, 0 },
		{ " MT-PRIORITY=x", COMMAND_BAD_PARAMETER, 0 },
		{ " MT-PRIORITY", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120;R", COMMAND_OK, 0 },
		{ " by=+120;nt", COMMAND_OK, 0 },
		{ " BY=-120;N", COMMAND_OK, 0 },
		{ " BY=0;N", COMMAND_OK, 0 },
		{ " BY=999999999;RT", COMMAND_OK, 0 },
		{ " BY=1000000000;R", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=0;R", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=-1;R", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=;R", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=-;N", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=+-1;N", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120;", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120;X", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120;TR", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120;RX", COMMAND_BAD_PARAMETER, 0 },
		{ " BY=120;RTT", COMMAND_BAD_PARAMETER, 0 },
		{ " BY", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDFOR=1", COMMAND_OK, 0 },
		{ " HOLDFOR=999999999", COMMAND_OK, 0 },
		{ " HOLDFOR=0", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDFOR=01", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDFOR=1000000000", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDFOR=-1", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDUNTIL=2026-11-22T09:00:00Z", COMMAND_OK, 0 },
		{ " HOLDUNTIL=2026-11-22T09:00:00+01:00", COMMAND_OK, 0 },
		{ " HOLDUNTIL=2026-11-22", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDUNTIL=tomorrow", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDFOR=1 HOLDUNTIL=2026-11-22T09:00:00Z", COMMAND_BAD_PARAMETER, 0 },
		{ " HOLDUNTIL=2026-11-22T09:00:00Z HOLDFOR=1", COMMAND_BAD_PARAMETER, 0 },
		{ " FOO", COMMAND_UNKNOWN_PARAMETER, 0 },
		{ " FOO=BAR", COMMAND_UNKNOWN_PARAMETER, 0 },
		{ " NOTIFY=NEVER", COMMAND_UNKNOWN_PARAMETER, 0 },
		{ " =x", COMMAND_BAD_SYNTAX, 0 },
		{ " -a=x", COMMAND_BAD_SYNTAX, 0 },
		{ " a_b=x", COMMAND_BAD_SYNTAX, 0 },
		{ "  SIZE=1", COMMAND_BAD_SYNTAX, 0 },
		{ " NOTIFY=NEVER", COMMAND_OK, 1 },
		{ " NOTIFY=success,Failure,DELAY", COMMAND_OK, 1 },
		{ " NOTIFY=NEVER,SUCCESS", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=FAILURE,NEVER", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=", COMMAND_BAD_SYNTAX, 1 },
		{ " NOTIFY", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=,", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=SUCCESS,", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=,SUCCESS", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=SOMETIMES", COMMAND_BAD_PARAMETER, 1 },
		{ " NOTIFY=DELAY NOTIFY=DELAY", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=rfc822;a@b.example", COMMAND_OK, 1 },
		{ " ORCPT=x-y;a", COMMAND_OK, 1 },
		{ " ORCPT=rfc822", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=;a@b.example", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=rfc822;", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=rf c822;a", COMMAND_UNKNOWN_PARAMETER, 0 },
		{ " ORCPT=rfc822;a+0A", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=r+41;a", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=rfc822;\xc3\xbc", COMMAND_BAD_PARAMETER, 1 },
		{ " ORCPT=rfc822;" X100 X100 X100 X100 X100, COMMAND_BAD_PARAMETER, 1 },
		{ " SIZE=1", COMMAND_UNKNOWN_PARAMETER, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct command c;
		struct str line = arena_printf(&arena, "%s:<a@b.example>%s",
			rows[i].is_rcpt ? "RCPT TO" : "MAIL FROM", rows[i].params);
		enum command_fault fault = command_parse(&c, line, false, &arena);
		if (fault != rows[i].fault)
			print_message("row %zu: %s\n", i, rows[i].params);
		assert_int_equal(fault, rows[i].fault);
		arena_fini(&arena);
	}
}

static void test_parameters_arrive_as_they_are_kept(void **state)
{
	struct arena arena = { 0 };
	struct command c;

	(void)state;
	assert_int_equal(command_parse(&c,
				 STR("MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME "
				     "SMTPUTF8 RET=FULL ENVID=q+2B1 AUTH=x+3Dy@z.example"),
				 false, &arena),
		COMMAND_OK);
	assert_true(c.has_size && c.is_smtputf8);
	assert_int_equal(c.size_bytes, 1000);
	assert_int_equal(c.body, BODY_8BITMIME);
	assert_int_equal(c.ret, RET_FULL);
	assert_true(str_equal(c.envid, STR("q+2B1")));
	assert_true(str_equal(c.auth_sender, STR("x=y@z.example")));

	assert_int_equal(command_parse(&c,
				 STR("MAIL FROM:<> REQUIRETLS MT-PRIORITY=-4 BY=-12;NT "
				     "HOLDUNTIL=1970-01-02T00:00:01Z"),
				 false, &arena),
		COMMAND_OK);
	assert_true(c.is_requiretls && c.has_priority && c.has_by && c.by_notify && c.by_trace);
	assert_int_equal(c.priority, -4);
	assert_int_equal(c.by_s, -12);
	assert_true(c.has_hold && c.hold_until.ms == DAY_MS + SECOND_MS);
	assert_int_equal(
		command_parse(&c, STR("MAIL FROM:<> BY=120;R HOLDFOR=60"), false, &arena),
		COMMAND_OK);
	assert_true(!c.by_notify && !c.by_trace && c.by_s == 120);
	assert_true(c.has_hold && c.hold_for_s == 60 && c.hold_until.ms == WALL_NONE.ms);

	assert_int_equal(
		command_parse(&c,
			STR("RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c"),
			false, &arena),
		COMMAND_OK);
	assert_int_equal(c.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_true(str_equal(c.orcpt, STR("rfc822;a+2Bb@c")));

	static const struct {
		bool is_utf8;
		enum command_fault fault;
		const char *orcpt;
	} forms[] = {
		{ true, COMMAND_OK, "utf-8;\xc3\xbc@b.example" },
		{ false, COMMAND_UTF8_ADDRESS, "utf-8;\xc3\xbc@b.example" },
		{ true, COMMAND_BAD_PARAMETER, "utf-8;\xc3@b.example" },
		{ true, COMMAND_BAD_PARAMETER, "rfc822;\xc3\xbc@b.example" },
		{ false, COMMAND_OK, "utf-8;\\x{FC}@b.example" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		struct str line = arena_printf(
			&arena, "RCPT TO:<a@b.example> ORCPT=%s", forms[i].orcpt);

		assert_int_equal(
			command_parse(&c, line, forms[i].is_utf8, &arena), forms[i].fault);
		if (forms[i].fault == COMMAND_OK)
			assert_true(str_equal(c.orcpt, str_from_c(forms[i].orcpt)));
	}
	assert_int_equal(
		command_parse(&c, STR("MAIL FROM:<> SIZE=99999999999999999999"), false, &arena),
		COMMAND_OK);
	assert_true(c.size_bytes == UINT64_MAX);
	arena_fini(&arena);
}

static void test_command_refuses_nul_anywhere(void **state)
{
	struct arena arena = { 0 };
	struct command c;

	(void)state;
	assert_int_equal(command_parse(&c, STR("DATA\0"), false, &arena), COMMAND_BAD_VERB);
	assert_int_equal(command_parse(&c, STR("EHLO a\0b"), false, &arena), COMMAND_BAD_SYNTAX);
	assert_int_equal(command_parse(&c, STR("MAIL FROM:<a@b.example>\0"), false, &arena),
		COMMAND_BAD_SYNTAX);
	arena_fini(&arena);
}

static void test_name_is_the_verb(void **state)
{
	(void)state;
	assert_string_equal(command_name(COMMAND_MAIL), "MAIL");
	assert_string_equal(command_name(COMMAND_STARTTLS), "STARTTLS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_line_is_parsed_or_refused),
		cmocka_unit_test(test_bdat_has_a_size_and_may_be_the_last),
		cmocka_unit_test(test_mail_and_rcpt_refuse_what_is_malformed),
		cmocka_unit_test(test_parameters_are_checked_in_form),
		cmocka_unit_test(test_parameters_arrive_as_they_are_kept),
		cmocka_unit_test(test_command_refuses_nul_anywhere),
		cmocka_unit_test(test_name_is_the_verb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
