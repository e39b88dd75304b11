/* Transcripts: what a client says, at several cuts of its octets, and what it must hear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture_server.h"

#define HELLO "220 relay.test ESMTP Outlast\r\n"
#define EHLO_REPLY                                                                                 \
	"250-relay.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-ENHANCEDSTATUSCODES\r\n"         \
	"250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-MT-PRIORITY\r\n"                      \
	"250 LIMITS RCPTMAX=1000\r\n"
#define HELO "HELO c\r\n"
#define HELO_REPLY "250 relay.test\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define MAIL_REPLY "250 2.1.0 sender ok\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define RCPT_REPLY "250 2.1.5 recipient ok\r\n"
#define DATA "DATA\r\n"
#define DATA_REPLY "354 send the message, end with a dot on a line of its own\r\n"
#define QUEUED "250 2.0.0 ok, queued as 000014D2PF2DB\r\n"
#define BEGIN HELO MAIL RCPT DATA
#define BEGIN_REPLY HELO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY
#define OK_REPLY "250 2.0.0 ok\r\n"
#define TOO_MANY "421 4.7.0 relay.test too many errors, closing connection\r\n"
#define CHUNK_REPLY "250 2.0.0 chunk received\r\n"
#define BARE "550 5.5.2 message has a bare CR, bare LF or NUL\r\n"
#define SYNTAX(verb) "501 5.5.4 syntax error in the arguments of " verb "\r\n"
#define UNKNOWN "500 5.5.2 command not recognized\r\n"
#define BARE_LINE "500 5.5.2 lines must end with CR LF\r\n"

struct row {
	const char *name;
	const char *input;
	const char *expected; /* without the greeting; "*" stands for the id */
	unsigned messages;
	const char *content; /* of the last message, behind the trace header */
	bool is_closed;
};

static const struct row rows[] = {
	{ "ehlo", "EHLO c\r\n", EHLO_REPLY, 0, NULL, false },
	{ "helo", HELO, HELO_REPLY, 0, NULL, false },
	{ "lower case and spaces", "helo c  \r\nmail from:<a@b.example>  \r\n",
		HELO_REPLY MAIL_REPLY, 0, NULL, false },
	{ "ehlo without a name", "EHLO\r\nEHLO a b\r\n", SYNTAX("EHLO") SYNTAX("EHLO"), 0, NULL,
		false },
	{ "small commands", "NOOP\r\nNOOP x\r\nRSET\r\nVRFY a\r\nHELP\r\nEXPN a\r\nQUIT\r\n",
		OK_REPLY OK_REPLY OK_REPLY
		"252 2.0.0 cannot verify, but will take mail for relaying\r\n"
		"214 2.0.0 commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS "
		"AUTH ETRN QUIT\r\n502 5.5.1 EXPN is not supported\r\n221 2.0.0 relay.test closing "
		"connection\r\n",
		0, NULL, true },
	{ "nothing after quit", "QUIT\r\nNOOP\r\n", "221 2.0.0 relay.test closing connection\r\n",
		0, NULL, true },
	{ "unknown, empty, arguments where none belong",
		"FOO\r\n\r\nRSET x\r\nDATA x\r\nQUIT x\r\n",
		UNKNOWN UNKNOWN SYNTAX("RSET") "503 5.5.1 send MAIL first\r\n" SYNTAX("QUIT"), 0,
		NULL, false },
	{ "order", MAIL RCPT DATA HELO RCPT MAIL MAIL DATA RCPT HELO DATA,
		"503 5.5.1 send EHLO first\r\n503 5.5.1 send MAIL first\r\n503 5.5.1 send MAIL "
		"first\r\n" HELO_REPLY "503 5.5.1 send MAIL first\r\n" MAIL_REPLY
		"503 5.5.1 MAIL is not allowed in a mail transaction\r\n554 5.5.1 no valid "
		"recipients\r\n" RCPT_REPLY HELO_REPLY "503 5.5.1 send MAIL first\r\n",
		0, NULL, false },
	{ "no starttls, no auth", HELO "STARTTLS\r\nAUTH PLAIN\r\n",
		HELO_REPLY "502 5.5.1 STARTTLS is not supported\r\n502 5.5.1 AUTH is not "
			   "supported\r\n",
		0, NULL, false },
	{ "bad addresses",
		HELO "MAIL FROM:<a@>\r\nMAIL FROM:a@b\r\n" MAIL "RCPT TO:<>\r\nRCPT TO:<a>\r\n",
		HELO_REPLY
		"501 5.1.7 bad address in MAIL\r\n501 5.1.7 bad address in MAIL\r\n" MAIL_REPLY
		"501 5.1.3 bad address in RCPT\r\n501 5.1.3 bad address in RCPT\r\n",
		0, NULL, false },
	{ "utf-8 needs the word for it",
		HELO "MAIL FROM:<\xc3\xa4@b.example>\r\nMAIL FROM:<\xc3\xa4@b.example> SMTPUTF8\r\n"
		     "RCPT TO:<\xc3\xb6@d.example>\r\n",
		HELO_REPLY "550 5.6.7 address in MAIL needs SMTPUTF8\r\n" MAIL_REPLY RCPT_REPLY, 0,
		NULL, false },
	{ "parameters",
		HELO "MAIL FROM:<a@b.example> SIZE=x\r\nMAIL FROM:<a@b.example> FOO=1\r\n"
		     "MAIL FROM:<a@b.example> SIZE=1001\r\n"
		     "MAIL FROM:<a@b.example> SIZE=18446744073709551617\r\n"
		     "MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME\r\n",
		HELO_REPLY "501 5.5.4 bad or repeated parameter of MAIL\r\n555 5.5.4 unknown "
			   "parameter of MAIL\r\n552 5.3.4 message is larger than 1000 octets\r\n"
			   "552 5.3.4 message is larger than 1000 octets\r\n" MAIL_REPLY,
		0, NULL, false },
	{ "refused by the handler",
		HELO "MAIL FROM:<no@x.example>\r\n" MAIL
		     "RCPT TO:<no@x.example>\r\nRCPT TO:<later@x.example>\r\n" RCPT,
		HELO_REPLY "550 5.7.1 not you\r\n" MAIL_REPLY
			   "550 5.1.1 not you\r\n450 4.2.1 \r\n" RCPT_REPLY,
		0, NULL, false },
	{ "421 of the handler closes", HELO MAIL "RCPT TO:<bye@x.example>\r\n" RCPT,
		HELO_REPLY MAIL_REPLY "421 4.3.2 \r\n", 0, NULL, true },
	{ "data refused by the handler", HELO "MAIL FROM:<nodata@x.example>\r\n" RCPT DATA MAIL,
		HELO_REPLY MAIL_REPLY RCPT_REPLY "451 4.3.0 \r\n" MAIL_REPLY, 0, NULL, false },
	{ "a message", BEGIN "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n",
		BEGIN_REPLY QUEUED "221 2.0.0 relay.test closing connection\r\n", 1,
		"Subject: x\r\n\r\nbody\r\n", true },
	{ "dots", BEGIN "..\r\n...a\r\n.b\r\n.\r\n", BEGIN_REPLY QUEUED, 1, ".\r\n..a\r\nb\r\n",
		false },
	{ "empty message", BEGIN ".\r\n", BEGIN_REPLY QUEUED, 1, "", false },
	{ "two messages pipelined", BEGIN "a\r\n.\r\n" MAIL RCPT DATA "b\r\n.\r\n",
		BEGIN_REPLY QUEUED MAIL_REPLY RCPT_REPLY DATA_REPLY QUEUED, 2, "b\r\n", false },
	{ "order is kept after a message", BEGIN "a\r\n.\r\n" RCPT,
		BEGIN_REPLY QUEUED "503 5.5.1 send MAIL first\r\n", 1, "a\r\n", false },
	{ "rset drops", HELO MAIL RCPT "RSET\r\n" DATA,
		HELO_REPLY MAIL_REPLY RCPT_REPLY OK_REPLY "503 5.5.1 send MAIL first\r\n", 0, NULL,
		false },
	/* Smuggling: none of these ends the data, and each refuses the message as a whole. */
	{ "lf dot lf", BEGIN "a\n.\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n", BEGIN_REPLY BARE OK_REPLY,
		0, NULL, false },
	{ "lf dot crlf", BEGIN "a\n.\r\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
		BEGIN_REPLY BARE OK_REPLY, 0, NULL, false },
	{ "crlf dot lf", BEGIN "a\r\n.\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
		BEGIN_REPLY BARE OK_REPLY, 0, NULL, false },
	{ "crlf dot crcrlf", BEGIN "a\r\n.\r\r\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
		BEGIN_REPLY BARE OK_REPLY, 0, NULL, false },
	{ "cr dot cr", BEGIN "a\r.\rMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n", BEGIN_REPLY BARE OK_REPLY,
		0, NULL, false },
	{ "crlf dot cr", BEGIN "a\r\n.\rMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
		BEGIN_REPLY BARE OK_REPLY, 0, NULL, false },
	/* BDAT: whatever is refused, its octets are never taken for commands. */
	{ "bdat", HELO MAIL RCPT "BDAT 12\r\nS: x\r\n\r\nab\r\nBDAT 3 LAST\r\nc\r\nNOOP\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY CHUNK_REPLY QUEUED OK_REPLY, 1,
		"S: x\r\n\r\nab\r\nc\r\n", false },
	{ "bdat is by the count: dots, a dot alone, commands",
		HELO MAIL RCPT
		"BDAT 32 LAST\r\n.\r\n..\r\n.a\r\n.\r\nQUIT\r\nBDAT 5\r\nxy\r\nNOOP\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY QUEUED OK_REPLY, 1,
		".\r\n..\r\n.a\r\n.\r\nQUIT\r\nBDAT 5\r\nxy\r\n", false },
	{ "bdat 0 last, alone and at the end",
		HELO MAIL RCPT "BDAT 0 LAST\r\n" MAIL RCPT
			       "BDAT 3\r\na\r\nBDAT 0\r\nBDAT 0 LAST\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY QUEUED MAIL_REPLY RCPT_REPLY CHUNK_REPLY
			CHUNK_REPLY QUEUED,
		2, "a\r\n", false },
	{ "bdat cut inside crlf", HELO MAIL RCPT "BDAT 2\r\na\rBDAT 1\r\n\nBDAT 3 LAST\r\n\r\nb",
		HELO_REPLY MAIL_REPLY RCPT_REPLY CHUNK_REPLY CHUNK_REPLY QUEUED, 1, "a\r\n\r\nb",
		false },
	{ "bdat with a bare cr at the very end", HELO MAIL RCPT "BDAT 2 LAST\r\na\rNOOP\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY BARE OK_REPLY, 0, NULL, false },
	{ "bdat with a bare lf, and what was pipelined behind it",
		HELO MAIL RCPT "BDAT 4\r\na\n.\nBDAT 6 LAST\r\nRSET\r\n" MAIL,
		HELO_REPLY MAIL_REPLY RCPT_REPLY BARE "503 5.5.1 send MAIL first\r\n" MAIL_REPLY, 0,
		NULL, false },
	{ "bdat without anybody",
		"BDAT 6\r\nQUIT\r\n" HELO "BDAT 6 LAST\r\nQUIT\r\n" MAIL
		"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n",
		"503 5.5.1 send EHLO first\r\n" HELO_REPLY
		"503 5.5.1 send MAIL first\r\n" MAIL_REPLY
		"554 5.5.1 no valid recipients\r\n503 5.5.1 send MAIL first\r\n",
		0, NULL, false },
	{ "a failed bdat is never mended",
		HELO MAIL "RCPT TO:<no@x.example>\r\nBDAT 3\r\na\r\n" RCPT "BDAT 3 LAST\r\nb\r\n",
		HELO_REPLY MAIL_REPLY "550 5.1.1 not you\r\n554 5.5.1 no valid recipients\r\n"
				      "503 5.5.1 send MAIL first\r\n503 5.5.1 send MAIL first\r\n",
		0, NULL, false },
	{ "bdat and data do not mix",
		HELO MAIL RCPT "BDAT 3\r\na\r\n" DATA RCPT MAIL "BDAT 3 LAST\r\nb\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY CHUNK_REPLY
		"503 5.5.1 DATA is not allowed after BDAT\r\n503 5.5.1 RCPT is not allowed after "
		"BDAT\r\n503 5.5.1 MAIL is not allowed in a mail transaction\r\n" QUEUED,
		1, "a\r\nb\r\n", false },
	{ "rset drops chunks",
		HELO MAIL RCPT "BDAT 3\r\na\r\nRSET\r\nBDAT 3 LAST\r\nb\r\n" MAIL RCPT
			       "BDAT 3 LAST\r\nc\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY CHUNK_REPLY OK_REPLY
		"503 5.5.1 send MAIL first\r\n" MAIL_REPLY RCPT_REPLY QUEUED,
		1, "c\r\n", false },
	{ "bdat refused by the handler",
		HELO "MAIL FROM:<nodata@x.example>\r\n" RCPT "BDAT 6\r\nQUIT\r\n" MAIL,
		HELO_REPLY MAIL_REPLY RCPT_REPLY "451 4.3.0 \r\n" MAIL_REPLY, 0, NULL, false },
	{ "bdat of no size ends it", HELO MAIL RCPT "BDAT x\r\nQUIT\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY SYNTAX("BDAT"), 0, NULL, true },
	{ "bdat behind a bare lf ends it", HELO MAIL RCPT "BDAT 6\nQUIT\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY BARE_LINE, 0, NULL, true },
	{ "bdat beyond all sizes ends it", HELO MAIL RCPT "BDAT 18446744073709551616\r\nQUIT\r\n",
		HELO_REPLY MAIL_REPLY RCPT_REPLY
		"552 5.3.4 chunk is larger than any message may be\r\n",
		0, NULL, true },
	{ "bare lf in a command", "NOOP\nNOOP\r\n", BARE_LINE OK_REPLY, 0, NULL, false },
	{ "bare cr in a command", "NOOP a\rNOOP\r\n", SYNTAX("NOOP"), 0, NULL, false },
	{ "http", "GET / HTTP/1.1\r\nHost: x\r\n",
		"421 4.7.0 relay.test this is SMTP, closing connection\r\n", 0, NULL, true },
	{ "http field", "Host: x\r\nNOOP\r\n",
		"421 4.7.0 relay.test this is SMTP, closing connection\r\n", 0, NULL, true },
	{ "errors end it",
		"A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\nH\r\nI\r\nJ\r\nK\r\nL\r\nM\r\nN\r\nO\r\n"
		"P\r\nQ\r\nR\r\nS\r\nT\r\nU\r\nNOOP\r\n",
		UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN
			UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN
				UNKNOWN TOO_MANY,
		0, NULL, true },
};

static void check_row(const struct row *row, size_t segment, enum fixture_answer answers)
{
	struct fixture_server fs;
	struct buf expected;

	fixture_server_init(&fs);
	fs.f.segment_bytes = segment;
	fs.answers = answers;
	fixture_server_start(&fs);
	const char *output = fixture_server_talk(&fs, row->input);
	buf_init(&expected, 65536);
	buf_printf(&expected, "%s%s", HELLO, row->expected);
	if (strcmp(output, buf_cstr(&expected)) != 0)
		print_error("row \"%s\", cut %zu\n", row->name, segment);
	assert_string_equal(output, buf_cstr(&expected));
	buf_fini(&expected);
	assert_int_equal(fs.conn->is_closed, row->is_closed);
	assert_int_equal(fs.messages, row->messages);
	if (row->content) {
		const char *content = buf_cstr(&fs.content);
		assert_memory_equal(content, "Received: trace\r\n", 17);
		assert_string_equal(content + 17, row->content);
		assert_int_equal(fs.t->env.size_bytes, 17 + strlen(row->content));
	}
	fixture_server_fini(&fs);
}

static void test_server_answers_transcripts_at_any_cut(void **state)
{
	static const size_t cuts[] = { 0, 1, 2, 3, 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		for (size_t k = 0; k < ARRAY_COUNT(cuts); k++) {
			check_row(&rows[i], cuts[k], ANSWER_LATER);
			check_row(&rows[i], cuts[k], ANSWER_AT_ONCE);
		}
}

static void test_server_refuses_nul_in_content(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	fixture_feed_octets(fs.conn, STR("a\0b\r\n.\r\n"));
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn), BARE);
	assert_int_equal(fs.aborts, 1);
	fixture_server_fini(&fs);
}

static void feed_many(struct fixture_server *fs, const char *piece, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fixture_feed(fs->conn, piece);
	fixture_settle(&fs->f);
}

static void test_server_skips_overlong_lines(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_output(fs.conn);
	feed_many(&fs, "NOOP aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 20000);
	assert_string_equal(fixture_output(fs.conn), "");
	assert_string_equal(fixture_server_talk(&fs, "\r\nNOOP\r\n"),
		"500 5.5.2 line is longer than 4096 octets\r\n" OK_REPLY);
	/* exactly at the limit, line end included */
	struct buf line;
	buf_init(&line, 8192);
	buf_append_str(&line, STR("NOOP "));
	while (line.len < 4094)
		buf_append_char(&line, 'a');
	buf_append_str(&line, STR("\r\n"));
	assert_string_equal(fixture_server_talk(&fs, buf_cstr(&line)), OK_REPLY);
	line.len -= 2;
	buf_append_str(&line, STR("a\r\n"));
	assert_string_equal(fixture_server_talk(&fs, buf_cstr(&line)),
		"500 5.5.2 line is longer than 4096 octets\r\n");
	buf_fini(&line);
	fixture_server_fini(&fs);
}

/* Content follows such a line too, and its end is not known: it must not be heard as commands, however it is cut. */
static void test_server_ends_at_an_overlong_bdat(void **state)
{
	static const size_t cuts[] = { 1, 2, 60, 4096, 4097, 5010, 6000 };
	char text[5100];

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "bdat 5", 6);
	memcpy(text + 5000, "\r\nNOOP\r\n", 9);
	for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
		struct fixture_server fs;

		fixture_server_init(&fs);
		fs.f.segment_bytes = cuts[i];
		fixture_server_start(&fs);
		fixture_output(fs.conn);
		assert_string_equal(fixture_server_talk(&fs, text),
			"500 5.5.2 line is longer than 4096 octets\r\n");
		assert_string_equal(fs.close_reason, "BDAT of unknown size");
		fixture_server_fini(&fs);
	}
}

static void test_server_refuses_large_messages_at_their_end(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	feed_many(&fs, "12345678\r\n", 101);
	assert_string_equal(fixture_output(fs.conn), "");
	assert_string_equal(fixture_server_talk(&fs, ".\r\n"),
		"552 5.3.4 message is larger than 1000 octets\r\n");
	assert_int_equal(fs.aborts, 1);
	/* the trace header does not count, nor do dots that are stuffing */
	fixture_server_talk(&fs, MAIL RCPT DATA);
	feed_many(&fs, "..345678\r\n", 110);
	assert_string_equal(fixture_server_talk(&fs, "12345678\r\n.\r\n"), QUEUED);
	assert_int_equal(fs.messages, 1);
	assert_int_equal(fs.t->env.size_bytes, 17 + 1000);
	fixture_server_fini(&fs);
}

static void test_server_limits_recipients(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.recipients_max = 3;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO MAIL RCPT RCPT RCPT);
	assert_string_equal(fixture_server_talk(&fs, RCPT RCPT DATA),
		"452 4.5.3 too many recipients, send the others later\r\n"
		"452 4.5.3 too many recipients, send the others later\r\n" DATA_REPLY);
	fixture_server_talk(&fs, "x\r\n.\r\n");
	assert_int_equal(fs.t->env.recipient_count, 3);
	assert_int_equal(fs.rcpts, 3);
	assert_int_equal(fs.t->env.recipients[2].number, 3);
	fixture_server_fini(&fs);
}

static void test_server_refuses_loops(void **state)
{
	static const struct {
		const char *line;
		size_t count;
		const char *expected;
	} loops[] = {
		{ "Received: from a by b; x\r\n", 10, QUEUED },
		{ "Received: from a by b; x\r\n", 11, "554 5.4.6 too many hops\r\n" },
		{ "Received: from a by relay.test (Outlast) with SMTP id 1; x\r\n", 2, QUEUED },
		{ "Received: from a by relay.test (Outlast) with SMTP id 1; x\r\n", 3,
			"554 5.4.6 mail loop through this host\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(loops); i++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fs.conf->smtpd.hops_max = 10;
		fs.conf->smtpd.own_hops_max = 2;
		fixture_server_start(&fs);
		fixture_server_talk(&fs, BEGIN);
		feed_many(&fs, loops[i].line, loops[i].count);
		assert_string_equal(
			fixture_server_talk(&fs, "\r\nbody\r\n.\r\n"), loops[i].expected);
		fixture_server_fini(&fs);
	}
}

static void test_server_counts_needs_not_claims(void **state)
{
	static const struct {
		const char *mail, *content;
		enum body_kind body;
		bool is_smtputf8;
	} needs[] = {
		{ "MAIL FROM:<a@b.example> SMTPUTF8 BODY=8BITMIME\r\n", "S: x\r\n\r\nbody\r\n",
			BODY_7BIT, false },
		{ "MAIL FROM:<a@b.example>\r\n", "S: x\r\n\r\nb\xc3\xa4\r\n", BODY_8BITMIME,
			false },
		{ "MAIL FROM:<a@b.example> SMTPUTF8\r\n", "S: \xc3\xa4\r\n\r\nx\r\n", BODY_8BITMIME,
			true },
		{ "MAIL FROM:<a@b.example>\r\n", "S: \xc3\xa4\r\n\r\nx\r\n", BODY_8BITMIME, false },
		{ "MAIL FROM:<\xc3\xa4@b.example> SMTPUTF8\r\n", "S: x\r\n\r\nx\r\n", BODY_7BIT,
			true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(needs); i++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fixture_server_start(&fs);
		fixture_server_talk(&fs, HELO);
		fixture_server_talk(&fs, needs[i].mail);
		fixture_server_talk(&fs, RCPT DATA);
		fixture_server_talk(&fs, needs[i].content);
		assert_string_equal(fixture_server_talk(&fs, ".\r\n"), QUEUED);
		assert_int_equal(fs.t->env.body, needs[i].body);
		assert_int_equal(fs.t->env.is_smtputf8, needs[i].is_smtputf8);
		fixture_server_fini(&fs);
	}
}

static void test_server_fills_the_envelope(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs,
		"EHLO c.example\r\nMAIL FROM:<a@b.example> RET=HDRS ENVID=x+2By SIZE=5\r\n"
		"RCPT TO:<c@D.Example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@d.example\r\nDATA\r\n"
		"Message-ID: <m@b>\r\n\r\n.\r\n");
	const struct envelope *env = &fs.t->env;
	assert_true(str_equal(env->reverse_path, STR("a@b.example")));
	assert_true(str_equal(env->envid, STR("x+2By")));
	assert_int_equal(env->ret, RET_HDRS);
	assert_true(str_equal(env->helo, STR("c.example")));
	assert_true(str_equal(env->client, STR("unknown[192.0.2.1]")));
	assert_true(str_equal(env->message_id, STR("<m@b>")));
	assert_true(str_equal(env->recipients[0].address, STR("c@D.Example")));
	assert_true(str_equal(env->recipients[0].domain, STR("d.example")));
	assert_true(str_equal(env->recipients[0].hop, STR("d.example")));
	assert_true(str_equal(env->recipients[0].orcpt, STR("rfc822;o@d.example")));
	assert_int_equal(env->recipients[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_int_equal(fs.t->declared_bytes, 5);
	fixture_server_fini(&fs);
}

/* --- spooling --- */

static void test_server_spools_large_content_in_bounded_parts(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.message_bytes_max = 10 * 1024 * 1024;
	fs.conf->smtpd.spool_from_bytes = 100 * 1024;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	feed_many(&fs, "0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
		20000);
	assert_string_equal(fixture_server_talk(&fs, ".\r\nNOOP\r\n"), QUEUED OK_REPLY);
	assert_true(fs.spools >= 8);
	assert_true(fs.content_peak <= (100 + 64) * 1024);
	assert_int_equal(fs.content.len, 17 + 20000 * 72);
	assert_int_equal(fs.t->content_bytes, fs.content.len);
	fixture_server_fini(&fs);
}

static void test_server_stops_reading_while_spooling(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.message_bytes_max = 10 * 1024 * 1024;
	fs.conf->smtpd.spool_from_bytes = 1000;
	fs.answers = ANSWER_NEVER;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	feed_many(&fs, "0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
		20000);
	assert_int_equal(fs.spools, 1);
	assert_false(fs.conn->is_reading);
	assert_true(fs.conn->input.len > 1300 * 1024);
	/* the client goes away meanwhile: the chunks are dropped, the late answer is ignored */
	struct smtp_server *server = fs.server;
	smtp_server_shutdown(server);
	assert_non_null(fs.server);
	smtp_server_drop(server);
	assert_null(fs.server);
	assert_int_equal(fs.aborts, 1);
	fixture_server_fini(&fs);
}

static void test_server_refuses_what_cannot_be_spooled(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.spool_from_bytes = 10;
	fs.spool_err = ERR_NO_SPACE;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	assert_string_equal(fixture_server_talk(&fs, "0123456789\r\n0123456789\r\n.\r\nNOOP\r\n"),
		QUEUED OK_REPLY);
	/* all of it came in one read, so nothing was spooled: the end was seen first */
	fixture_server_fini(&fs);

	fixture_server_init(&fs);
	fs.conf->smtpd.spool_from_bytes = 10;
	fs.spool_err = ERR_NO_SPACE;
	fs.f.segment_bytes = 5;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	assert_string_equal(fixture_server_talk(&fs, "0123456789\r\n0123456789\r\n.\r\nNOOP\r\n"),
		"452 4.3.1 message cannot be stored now, try again later\r\n" OK_REPLY);
	assert_int_equal(fs.spools, 1);
	assert_int_equal(fs.aborts, 1);
	assert_int_equal(fs.messages, 0);
	fixture_server_fini(&fs);
}

static void test_server_spools_chunks_in_bounded_parts(void **state)
{
	static const char line[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
	static const size_t cuts[] = { 0, 1000, 65536 };
	struct fixture_server fs;
	struct buf chunk;

	(void)state;
	buf_init(&chunk, 1024 * 1024);
	buf_append_str(&chunk, STR("BDAT 72000\r\n"));
	for (int i = 0; i < 1000; i++)
		buf_append_str(&chunk, str_from_c(line));
	for (size_t k = 0; k < ARRAY_COUNT(cuts); k++) {
		fixture_server_init(&fs);
		fs.f.segment_bytes = cuts[k];
		fs.conf->smtpd.message_bytes_max = 10 * 1024 * 1024;
		fs.conf->smtpd.spool_from_bytes = 100 * 1024;
		fixture_server_start(&fs);
		fixture_server_talk(&fs, HELO MAIL RCPT);
		for (int i = 0; i < 20; i++) {
			fixture_feed_octets(fs.conn, buf_str(&chunk));
			fixture_settle(&fs.f);
			assert_string_equal(fixture_output(fs.conn), CHUNK_REPLY);
		}
		assert_string_equal(
			fixture_server_talk(&fs, "BDAT 0 LAST\r\nNOOP\r\n"), QUEUED OK_REPLY);
		assert_true(fs.spools >= 8);
		assert_true(fs.content_peak <= (100 + 64) * 1024);
		assert_int_equal(fs.content.len, 17 + 20000 * 72);
		assert_int_equal(fs.t->content_bytes, fs.content.len);
		fixture_server_fini(&fs);
	}
	buf_fini(&chunk);
}

static void test_server_refuses_chunks_that_cannot_be_spooled(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.spool_from_bytes = 10;
	fs.spool_err = ERR_NO_SPACE;
	fs.f.segment_bytes = 5;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO MAIL RCPT);
	assert_string_equal(
		fixture_server_talk(
			&fs, "BDAT 24\r\n0123456789\r\n0123456789\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n"),
		"452 4.3.1 message cannot be stored now, try again later\r\n"
		"503 5.5.1 send MAIL first\r\n" OK_REPLY);
	assert_int_equal(fs.spools, 1);
	assert_int_equal(fs.aborts, 1);
	assert_int_equal(fs.messages, 0);
	fixture_server_fini(&fs);
}

static void test_server_refuses_large_chunks_and_reads_them(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO MAIL RCPT);
	assert_string_equal(fixture_server_talk(&fs, "BDAT 1001 LAST\r\n"), "");
	feed_many(&fs, "QUIT\r\nx", 143);
	assert_string_equal(
		fixture_output(fs.conn), "552 5.3.4 message is larger than SIZE says\r\n");
	/* the sum counts, and what would be one octet too many */
	fixture_server_talk(&fs, MAIL RCPT "BDAT 999\r\n");
	feed_many(&fs, "abcdefghi", 111);
	assert_string_equal(fixture_output(fs.conn), CHUNK_REPLY);
	assert_string_equal(fixture_server_talk(&fs, "BDAT 2 LAST\r\n\r\nNOOP\r\n"),
		"552 5.3.4 message is larger than SIZE says\r\n" OK_REPLY);
	assert_int_equal(fs.aborts, 1);
	fixture_server_talk(&fs, MAIL RCPT "BDAT 999\r\n");
	feed_many(&fs, "abcdefghi", 111);
	assert_string_equal(fixture_output(fs.conn), CHUNK_REPLY);
	assert_string_equal(fixture_server_talk(&fs, "BDAT 1 LAST\r\njNOOP\r\n"), QUEUED OK_REPLY);
	assert_int_equal(fs.messages, 1);
	/* and what no message may be is not waited for */
	assert_string_equal(fixture_server_talk(&fs, "BDAT 2002\r\n"),
		"552 5.3.4 chunk is larger than any message may be\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void test_server_cuts_off_slow_chunks(void **state)
{
	static const char slow[] =
		"421 4.4.2 relay.test content comes too slowly, closing connection\r\n";
	struct fixture_server fs;

	(void)state;
	for (int has_mail = 0; has_mail < 2; has_mail++) {
		fixture_server_init(&fs);
		fixture_server_start(&fs);
		fixture_server_talk(
			&fs, has_mail ? HELO MAIL RCPT "BDAT 100\r\nx" : "BDAT 100\r\nx");
		fixture_advance(&fs.f, MINUTE_MS);
		assert_string_equal(fixture_output(fs.conn), slow);
		assert_null(fs.server);
		fixture_server_fini(&fs);
	}
	/* one octet a chunk, a chunk every four minutes: the message has its time in all */
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO MAIL RCPT);
	int chunks = 0;
	while (chunks < 100 && strcmp(fixture_server_talk(&fs, "BDAT 1\r\nx"), CHUNK_REPLY) == 0) {
		chunks++;
		fixture_advance(&fs.f, 4 * MINUTE_MS);
	}
	assert_int_equal(chunks, 8);
	assert_null(fs.server);
	assert_int_equal(fs.aborts, 1);
	fixture_server_fini(&fs);
}

/* --- the end of data --- */

static void test_server_passes_on_the_answer_to_a_message(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.finish = (struct smtp_answer){
		.code = 452, .status = STATUS(4, 3, 1), .text = STR("no room")
	};
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	assert_string_equal(
		fixture_server_talk(&fs, "x\r\n.\r\nNOOP\r\n"), "452 4.3.1 no room\r\n" OK_REPLY);
	assert_int_equal(fs.aborts, 0);
	fixture_server_fini(&fs);
}

static void test_server_waits_for_the_commit(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.answers = ANSWER_NEVER;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	assert_string_equal(fixture_server_talk(&fs, "x\r\n.\r\n" MAIL "NOOP\r\n"), "");
	fixture_advance(&fs.f, HOUR_MS);
	assert_string_equal(fixture_output(fs.conn), "");
	smtp_server_finish(fs.server, &fs.finish);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn), QUEUED MAIL_REPLY OK_REPLY);
	fixture_server_fini(&fs);
}

/* --- limits on sessions --- */

static void test_server_limits_commands_without_mail(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.commands_without_mail_max = 3;
	fixture_server_start(&fs);
	fixture_output(fs.conn);
	assert_string_equal(fixture_server_talk(&fs, "NOOP\r\nRSET\r\nNOOP\r\nVRFY a\r\nNOOP\r\n"),
		OK_REPLY OK_REPLY OK_REPLY
		"421 4.7.0 relay.test too many commands without mail, closing connection\r\n");
	assert_true(fs.conn->is_closed);
	fixture_server_fini(&fs);
	/* a message starts the count anew */
	fixture_server_init(&fs);
	fs.conf->smtpd.commands_without_mail_max = 3;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, "NOOP\r\nNOOP\r\n" BEGIN "x\r\n.\r\n");
	assert_string_equal(
		fixture_server_talk(&fs, "NOOP\r\nNOOP\r\nNOOP\r\n"), OK_REPLY OK_REPLY OK_REPLY);
	fixture_server_fini(&fs);
}

static void test_server_limits_messages_per_session(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.messages_per_session = 1;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN "x\r\n.\r\n");
	assert_string_equal(fixture_server_talk(&fs, MAIL),
		"421 4.7.0 relay.test enough messages for one session, closing connection\r\n");
	fixture_server_fini(&fs);
}

static void test_server_closes_idle_sessions(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_advance(&fs.f, 299 * SECOND_MS);
	fixture_server_talk(&fs, "NOOP\r\n");
	/* octets that are no command do not count */
	for (int i = 0; i < 29; i++) {
		fixture_advance(&fs.f, 10 * SECOND_MS);
		fixture_server_talk(&fs, "N");
	}
	assert_false(fs.conn->is_closed);
	fixture_output(fs.conn);
	fixture_advance(&fs.f, 10 * SECOND_MS);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.4.2 relay.test timeout while waiting for a command, closing connection\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void expect_idle(struct fixture_server *fs, int64_t idle_ms, bool wants_mail)
{
	bool has_mail = !wants_mail;

	assert_int_equal(smtp_server_idle_ms(fs->server, &has_mail), idle_ms);
	assert_int_equal(has_mail, wants_mail);
}

static void test_server_tells_how_long_it_is_silent(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.answers = ANSWER_NEVER;
	fixture_server_start(&fs);
	fixture_advance(&fs.f, 7 * SECOND_MS);
	expect_idle(&fs, 7 * SECOND_MS, false);
	fixture_server_talk(&fs, "NOO"); /* half a command is silence */
	expect_idle(&fs, 7 * SECOND_MS, false);
	fixture_server_talk(&fs, "P\r\n");
	expect_idle(&fs, 0, false);
	fixture_advance(&fs.f, 3 * SECOND_MS);
	expect_idle(&fs, 3 * SECOND_MS, false);
	fixture_server_talk(&fs, HELO MAIL RCPT);
	fixture_advance(&fs.f, 4 * SECOND_MS);
	expect_idle(&fs, 4 * SECOND_MS, true);
	fixture_server_talk(&fs, "DATA\r\nx\r\n"); /* content has a clock of its own */
	fixture_advance(&fs.f, 4 * SECOND_MS);
	expect_idle(&fs, 0, true);
	fixture_server_talk(&fs, ".\r\n"); /* now it is our turn */
	fixture_advance(&fs.f, 4 * SECOND_MS);
	expect_idle(&fs, 0, false);
	fixture_server_fini(&fs);
}

static void test_server_makes_room(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_output(fs.conn);
	smtp_server_crowd_out(fs.server);
	assert_non_null(fs.server); /* later: its owner goes through all of them */
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.3.2 relay.test too many sessions and silence in this one, closing "
		"connection\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);

	fixture_server_init(&fs);
	fs.has_tls = true;
	fs.listener.tls = LISTENER_IMPLICIT;
	fixture_server_start(&fs);
	expect_idle(&fs, 0, false); /* in its handshake */
	smtp_server_crowd_out(fs.server);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn), "");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void test_server_limits_the_whole_session(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.commands_without_mail_max = 1000000;
	fixture_server_start(&fs);
	for (int i = 0; i < 239; i++) {
		fixture_advance(&fs.f, MINUTE_MS);
		assert_string_equal(
			fixture_server_talk(&fs, "NOOP\r\n") + (i ? 0 : strlen(HELLO)), OK_REPLY);
	}
	fixture_advance(&fs.f, MINUTE_MS);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.4.2 relay.test session lasts too long, closing connection\r\n");
	fixture_server_fini(&fs);
}

static void test_server_cuts_off_slow_content(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.message_bytes_max = 1000000;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	for (int i = 0; i < 300; i++) { /* 105 octets a second pass */
		fixture_advance(&fs.f, SECOND_MS);
		feed_many(&fs, "123456789012345\r\n1234\r\n", 5);
	}
	assert_false(fs.conn->is_closed);
	for (int i = 0; i < 130; i++) { /* one does not */
		fixture_advance(&fs.f, SECOND_MS);
		feed_many(&fs, "1", 1);
	}
	assert_string_equal(fixture_output(fs.conn),
		"421 4.4.2 relay.test content comes too slowly, closing connection\r\n");
	assert_null(fs.server);
	assert_int_equal(fs.aborts, 1);
	fixture_server_fini(&fs);
}

static void test_server_stops_reading_a_client_that_does_not_read(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.commands_without_mail_max = 1000000;
	fixture_server_start(&fs);
	fs.conn->is_stalled = true;
	feed_many(&fs, "HELP\r\n", 100000);
	assert_false(fs.conn->is_reading);
	assert_in_range(fs.conn->unsent, 64 * 1024, 65 * 1024);
	fs.conn->is_stalled = false;
	fixture_settle(&fs.f);
	assert_int_equal(fs.conn->input.len, 0);
	assert_int_equal(fs.conn->all.len,
		strlen(HELLO) +
			100000 * (strlen("214 2.0.0 commands: EHLO HELO MAIL RCPT DATA BDAT "
					 "RSET NOOP VRFY HELP STARTTLS AUTH ETRN QUIT\r\n")));
	assert_true(fs.conn->is_reading);
	fixture_server_fini(&fs);
}

static void test_server_catches_early_talkers(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.greeting_delay_ms = 5000;
	fixture_server_start(&fs);
	fixture_advance(&fs.f, 4000);
	assert_string_equal(fixture_server_talk(&fs, "EHLO c\r\n"),
		"554 5.5.0 relay.test you spoke before the greeting\r\n");
	assert_true(fs.conn->is_closed);
	fixture_server_fini(&fs);

	fixture_server_init(&fs);
	fs.conf->smtpd.greeting_delay_ms = 5000;
	fixture_server_start(&fs);
	fixture_advance(&fs.f, 5000);
	assert_string_equal(fixture_server_talk(&fs, HELO), HELLO HELO_REPLY);
	fixture_server_fini(&fs);
}

static void test_server_shuts_down(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO MAIL);
	smtp_server_shutdown(fs.server);
	assert_non_null(fs.server); /* later */
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.3.2 relay.test service is shutting down, closing connection\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);

	/* a message in progress is finished */
	fixture_server_init(&fs);
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN "x\r\n");
	smtp_server_shutdown(fs.server);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_server_talk(&fs, ".\r\nNOOP\r\n"),
		QUEUED "421 4.3.2 relay.test service is shutting down, closing connection\r\n");
	assert_int_equal(fs.messages, 1);
	fixture_server_fini(&fs);
}

static void test_server_aborts_when_the_connection_is_lost(void **state)
{
	static const char *const inputs[] = { "", HELO, HELO MAIL, HELO MAIL RCPT, BEGIN,
		BEGIN "x\r\n", BEGIN "x\r\n." };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(inputs); i++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fixture_server_start(&fs);
		fixture_feed(fs.conn, inputs[i]);
		fixture_end(fs.conn, i % 2 ? ERR_RESET : ERR_EOF);
		fixture_settle(&fs.f);
		assert_null(fs.server);
		assert_int_equal(fs.messages, 0);
		assert_int_equal(fs.aborts, i >= 4);
		fixture_server_fini(&fs);
	}
}

static void test_server_drops_without_a_word(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.answers = ANSWER_NEVER;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN "x\r\n.\r\n");
	smtp_server_drop(fs.server);
	assert_null(fs.server);
	assert_string_equal(fixture_output(fs.conn), "");
	assert_false(fs.conn->is_closed_flushed);
	fixture_server_fini(&fs);
}

static void test_server_fails_at_its_fault_point(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.f.fault = (struct fault){ FAULT_accept_in_data, FAULT_FAIL, 1 };
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	assert_string_equal(fixture_server_talk(&fs, "x\r\n.\r\n"), "");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void test_server_limits_content_lines(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.text_line_bytes_max = 10;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	assert_string_equal(fixture_server_talk(&fs, "12345678\r\n.\r\n"), QUEUED);
	fixture_server_talk(&fs, MAIL RCPT DATA);
	assert_string_equal(fixture_server_talk(&fs, "123456789\r\n.\r\n"),
		"554 5.6.0 message has a line over 10 octets\r\n");
	fixture_server_fini(&fs);
}

static void test_server_limits_content_without_a_rate(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.data_rate_min = 0;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	for (int i = 0; i < 29; i++) {
		fixture_advance(&fs.f, MINUTE_MS);
		fixture_server_talk(&fs, "a");
	}
	assert_false(fs.conn->is_closed);
	for (int i = 0; i < 6; i++) { /* 30 minutes in all */
		fixture_advance(&fs.f, MINUTE_MS);
		if (fs.server)
			fixture_server_talk(&fs, "a");
	}
	assert_string_equal(buf_cstr(&fs.conn->all) + strlen(HELLO BEGIN_REPLY),
		"421 4.4.2 relay.test content takes too long, closing connection\r\n");
	fixture_server_fini(&fs);

	fixture_server_init(&fs);
	fs.conf->smtpd.data_rate_min = 0;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN);
	fixture_advance(&fs.f, 300 * SECOND_MS);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.4.2 relay.test content comes too slowly, closing connection\r\n");
	fixture_server_fini(&fs);
}

static void test_server_answers_a_message_before_the_session_ends(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.answers = ANSWER_NEVER;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN "x\r\n.\r\n");
	fixture_advance(&fs.f, 5 * HOUR_MS);
	assert_string_equal(fixture_output(fs.conn), "");
	smtp_server_finish(fs.server, &fs.finish);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn),
		QUEUED "421 4.3.2 relay.test service is shutting down, closing connection\r\n");
	fixture_server_fini(&fs);
}

static void test_server_may_be_dropped_by_its_handler(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.drops_in_mail = true;
	fixture_server_start(&fs);
	assert_string_equal(fixture_server_talk(&fs, HELO MAIL RCPT DATA), HELLO HELO_REPLY);
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void test_server_forgives_errors_after_a_message(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.errors_max = 2;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, "A\r\nB\r\n" BEGIN "x\r\n.\r\n");
	assert_string_equal(fixture_server_talk(&fs, "C\r\nD\r\nE\r\n"), UNKNOWN UNKNOWN TOO_MANY);
	assert_int_equal(fs.f.metrics.value[METRIC_smtpd_errors_total], 5);
	fixture_server_fini(&fs);
}

/* --- submission --- */

static void test_server_mends_what_is_submitted(void **state)
{
	static const struct {
		const char *input, *content; /* behind the trace header */
		const char *message_id;
		bool is_submission;
	} mended[] = {
		{ "Bcc: a\r\n b\r\nTo: c\r\n\r\nBcc: d\r\n",
			"To: c\r\nDATE\r\nMessage-ID: <000014D2PF2DB@relay.test>\r\n\r\nBcc: d\r\n",
			"<000014D2PF2DB@relay.test>", true },
		{ "To: c\r\n", "To: c\r\nDATE\r\nMessage-ID: <000014D2PF2DB@relay.test>\r\n",
			"<000014D2PF2DB@relay.test>", true },
		{ "Date: x\r\nMessage-ID: <y>\r\n\r\n..z\r\n",
			"Date: x\r\nMessage-ID: <y>\r\n\r\n.z\r\n", "<y>", true },
		{ "Bcc: a\r\n\r\n", "Bcc: a\r\n\r\n", "", false },
	};
	static const size_t cuts[] = { 0, 1, 5 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(mended) * ARRAY_COUNT(cuts); i++) {
		struct fixture_server fs;
		struct buf input;
		size_t row = i / ARRAY_COUNT(cuts);

		fixture_server_init(&fs);
		fs.f.segment_bytes = cuts[i % ARRAY_COUNT(cuts)];
		fs.listener.is_submission = mended[row].is_submission;
		fs.conf->smtpd.spool_from_bytes = i % 2 ? 10 : 100000;
		fixture_server_start(&fs);
		buf_init(&input, 1000);
		buf_printf(&input, "%s%s.\r\n", BEGIN, mended[row].input);
		fixture_server_talk(&fs, buf_cstr(&input));
		assert_int_equal(fs.messages, 1);
		assert_int_equal(fs.t->env.size_bytes, fs.content.len);
		assert_true(str_equal(fs.t->env.message_id, str_from_c(mended[row].message_id)));
		/* the date is whatever the clock says */
		const char *content = buf_cstr(&fs.content) + 17;
		const char *mark = strstr(mended[row].content, "DATE");
		size_t before = mark ? (size_t)(mark - mended[row].content)
				     : strlen(mended[row].content) + 1;
		assert_memory_equal(content, mended[row].content, before);
		if (mark) {
			assert_memory_equal(content + before, "Date: ", 6);
			assert_string_equal(strchr(content + before, '\r'), mark + 4);
		}
		buf_fini(&input);
		fixture_server_fini(&fs);
	}
}

/* What is added counts against no limit of the client's, and what goes does count. */
/* RFC 6409 4.2 */
static void test_submission_wants_whole_domains(void **state)
{
	static const struct {
		bool is_submission;
		const char *line, *reply;
	} lines[] = {
		{ true, "MAIL FROM:<a@sales>\r\n",
			"554 5.1.8 domain in MAIL is not fully qualified\r\n" },
		{ true, "MAIL FROM:<a@[192.0.2.1]>\r\n", MAIL_REPLY },
		{ true, "MAIL FROM:<>\r\n", MAIL_REPLY },
		{ true, "MAIL FROM:<>\r\nRCPT TO:<b@sales>\r\n",
			MAIL_REPLY "554 5.1.2 domain in RCPT is not fully qualified\r\n" },
		{ true, "MAIL FROM:<>\r\nRCPT TO:<b@sales.example>\r\n", MAIL_REPLY RCPT_REPLY },
		{ false, "MAIL FROM:<a@sales>\r\nRCPT TO:<b@sales>\r\n", MAIL_REPLY RCPT_REPLY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct fixture_server fs;

		fixture_server_init(&fs);
		fs.listener.is_submission = lines[i].is_submission;
		fixture_server_start(&fs);
		fixture_server_talk(&fs, "HELO c\r\n");
		assert_string_equal(fixture_server_talk(&fs, lines[i].line), lines[i].reply);
		fixture_server_fini(&fs);
	}
}

static void test_server_measures_what_was_sent(void **state)
{
	struct fixture_server fs;
	struct buf input;

	(void)state;
	for (unsigned len = 986; len <= 987; len++) {
		fixture_server_init(&fs);
		fs.listener.is_submission = true;
		fixture_server_start(&fs);
		buf_init(&input, 4000);
		buf_printf(&input, "%sBcc: %0*d\r\nTo: b\r\n.\r\n", BEGIN, (int)len, 0);
		const char *output = fixture_server_talk(&fs, buf_cstr(&input));
		assert_int_equal(fs.messages, len == 986);
		assert_true(len == 986 || strstr(output, "552 5.3.4"));
		buf_fini(&input);
		fixture_server_fini(&fs);
	}
}

/* --- TLS and AUTH --- */

#define PLAIN_GOOD "AG5hbWUAc2VjcmV0"
#define PLAIN_BAD "AG5hbWUAd3Jvbmc="
#define PLAIN_OTHER "b3RoZXIAbmFtZQBzZWNyZXQ="
#define AUTH_OK "235 2.7.0 authentication successful\r\n"
#define AUTH_BAD "535 5.7.8 authentication credentials invalid\r\n"

static void test_server_forgets_all_at_starttls(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.has_tls = true;
	fs.conf->users = fs.users;
	fs.conf->user_count = 1;
	fs.from = "127.0.0.1";
	fixture_server_start(&fs);
	assert_non_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "250-STARTTLS\r\n"));
	assert_string_equal(fixture_server_talk(&fs, "AUTH PLAIN " PLAIN_GOOD "\r\n"), AUTH_OK);
	assert_true(str_equal(smtp_server_info(fs.server)->user, STR("name")));
	assert_string_equal(fixture_server_talk(&fs, MAIL "STARTTLS\r\n"),
		MAIL_REPLY "503 5.5.1 STARTTLS is not allowed in a mail transaction\r\n");
	assert_string_equal(fixture_server_talk(&fs, "RSET\r\nSTARTTLS x\r\nSTARTTLS\r\n"),
		OK_REPLY SYNTAX("STARTTLS") "220 2.0.0 ready to start TLS\r\n");
	assert_true(smtp_server_info(fs.server)->is_tls);
	assert_true(str_equal(smtp_server_info(fs.server)->tls, STR("TLSv1.3 TEST")));
	assert_int_equal(smtp_server_info(fs.server)->user.len, 0);
	assert_string_equal(fixture_server_talk(&fs, MAIL "STARTTLS\r\n"),
		"503 5.5.1 send EHLO first\r\n503 5.5.1 TLS is active already\r\n");
	assert_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "STARTTLS"));
	fixture_server_fini(&fs);
}

static void test_server_knows_a_client_by_a_verified_certificate_alone(void **state)
{
	(void)state;
	for (int is_good = 0; is_good < 2; is_good++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fs.has_tls = true;
		fs.f.is_tls_verified = is_good;
		fs.f.tls_peer = STR("alice");
		fixture_server_start(&fs);
		assert_non_null(
			strstr(fixture_server_talk(&fs, "EHLO c\r\nSTARTTLS\r\n"), "220 2.0.0"));
		assert_true(str_equal(smtp_server_info(fs.server)->certificate,
			is_good ? STR("alice") : STR("")));
		assert_non_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "250 "));
		fixture_server_fini(&fs);
	}
}

static void test_server_refuses_octets_behind_starttls(void **state)
{
	static const size_t cuts[] = { 0, 1, 10 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fs.has_tls = true;
		fs.f.segment_bytes = cuts[i];
		fixture_server_start(&fs);
		fixture_output(fs.conn);
		const char *output =
			fixture_server_talk(&fs, "STARTTLS\r\nMAIL FROM:<evil@x.y>\r\n");
		assert_string_equal(output, cuts[i] == 0 ? "554 5.5.0 octets behind STARTTLS\r\n"
							 : "220 2.0.0 ready to start TLS\r\n");
		assert_null(fs.server);
		assert_int_equal(fs.mails, 0);
		fixture_server_fini(&fs);
	}
}

static void test_server_speaks_implicit_tls(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.has_tls = true;
	fs.listener.tls = LISTENER_IMPLICIT;
	fixture_server_start(&fs);
	assert_string_equal(fixture_output(fs.conn), "");
	fixture_settle(&fs.f);
	assert_string_equal(fixture_server_talk(&fs, HELO), HELLO HELO_REPLY);
	fixture_server_fini(&fs);

	fixture_server_init(&fs);
	fs.has_tls = true;
	fs.f.tls_err = ERR_TLS;
	fs.listener.tls = LISTENER_IMPLICIT;
	fixture_server_start(&fs);
	fixture_settle(&fs.f);
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

/* "\0name\0secret", "\0name\0wrong", "other\0name\0secret" */
static void test_server_authenticates(void **state)
{
	static const struct {
		const char *input, *expected;
		const char *login;
	} auths[] = {
		{ "AUTH PLAIN " PLAIN_GOOD "\r\n", AUTH_OK, "name/secret" },
		{ "AUTH PLAIN " PLAIN_BAD "\r\n", AUTH_BAD, "name/wrong" },
		{ "auth plain\r\n" PLAIN_GOOD "\r\n", "334 \r\n" AUTH_OK, "name/secret" },
		{ "AUTH PLAIN " PLAIN_OTHER "\r\n", AUTH_BAD, "" },
		{ "AUTH PLAIN =\r\n", "501 5.5.2 malformed PLAIN response\r\n", "" },
		{ "AUTH PLAIN AAAA\r\n", "501 5.5.2 malformed PLAIN response\r\n", "" },
		{ "AUTH PLAIN !!\r\n", SYNTAX("AUTH"), "" },
		{ "AUTH PLAIN\r\n*\r\nNOOP\r\n",
			"334 \r\n501 5.7.0 authentication canceled\r\n" OK_REPLY, "" },
		{ "AUTH PLAIN\r\n!!!!\r\nNOOP\r\n",
			"334 \r\n501 5.5.2 response is not base64\r\n" OK_REPLY, "" },
		{ "AUTH PLAIN\r\nbad\nNOOP\r\n", "334 \r\n" BARE_LINE OK_REPLY, "" },
		{ "AUTH LOGIN\r\nbmFtZQ==\r\nc2VjcmV0\r\n",
			"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" AUTH_OK, "name/secret" },
		{ "AUTH LOGIN bmFtZQ==\r\nc2VjcmV0\r\n", "334 UGFzc3dvcmQ6\r\n" AUTH_OK,
			"name/secret" },
		{ "AUTH LOGIN bmFtZQ==\r\n\r\n", "334 UGFzc3dvcmQ6\r\n" AUTH_BAD, "" },
		{ "AUTH CRAM-MD5\r\n", "504 5.5.4 only PLAIN and LOGIN are supported\r\n", "" },
		{ "AUTH\r\n", SYNTAX("AUTH"), "" },
		{ "AUTH PLAIN " PLAIN_GOOD "\r\nAUTH PLAIN\r\n",
			AUTH_OK "503 5.5.1 already authenticated\r\n", "name/secret" },
	};
	static const size_t cuts[] = { 0, 1, 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(auths) * ARRAY_COUNT(cuts); i++) {
		struct fixture_server fs;
		size_t row = i / ARRAY_COUNT(cuts);
		fixture_server_init(&fs);
		fs.conf->users = fs.users;
		fs.conf->user_count = 1;
		fs.from = "127.0.0.1";
		fs.f.segment_bytes = cuts[i % ARRAY_COUNT(cuts)];
		fs.answers = i % 2 ? ANSWER_AT_ONCE : ANSWER_LATER;
		fixture_server_start(&fs);
		const char *ehlo = fixture_server_talk(&fs, "EHLO c\r\n");
		assert_non_null(strstr(ehlo, "250-AUTH PLAIN LOGIN\r\n"));
		assert_string_equal(
			fixture_server_talk(&fs, auths[row].input), auths[row].expected);
		assert_string_equal(buf_cstr(&fs.login), auths[row].login);
		bool is_good = strstr(auths[row].expected, "235") != NULL;
		assert_true(str_equal(
			smtp_server_info(fs.server)->user, is_good ? STR("name") : STR("")));
		fixture_server_fini(&fs);
	}
}

static void test_server_offers_auth_only_where_it_is_private(void **state)
{
	static const struct {
		const char *from;
		bool without_tls, starts_tls, is_offered;
	} places[] = {
		{ "127.0.0.1", false, false, true },
		{ "192.0.2.1", false, false, false },
		{ "192.0.2.1", true, false, true },
		{ "192.0.2.1", false, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fs.conf->users = fs.users;
		fs.conf->user_count = 1;
		fs.conf->auth_without_tls = places[i].without_tls;
		fs.from = places[i].from;
		fs.has_tls = true;
		fixture_server_start(&fs);
		if (places[i].starts_tls)
			fixture_server_talk(&fs, "STARTTLS\r\n");
		bool is_offered =
			strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "AUTH PLAIN LOGIN");
		assert_int_equal(is_offered, places[i].is_offered);
		assert_string_equal(fixture_server_talk(&fs, "AUTH PLAIN " PLAIN_GOOD "\r\n"),
			is_offered ? AUTH_OK : "538 5.7.11 AUTH needs STARTTLS first\r\n");
		fixture_server_fini(&fs);
	}
}

static void test_server_bounds_input_that_it_does_not_want(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.answers = ANSWER_NEVER;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, BEGIN "x\r\n.\r\n" HELO HELO HELO);
	for (int i = 0; i < 10 && fs.server; i++) {
		fs.conn->is_reading =
			true; /* an adapter that goes on although it was told to stop */
		feed_many(&fs, "01234567890123456789012345678901234567890123456789\r\n", 1000);
	}
	assert_null(fs.server);
	assert_string_equal(fs.close_reason, "input that nobody asked for");
	fixture_server_fini(&fs);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_answers_transcripts_at_any_cut),
		cmocka_unit_test(test_server_refuses_nul_in_content),
		cmocka_unit_test(test_server_skips_overlong_lines),
		cmocka_unit_test(test_server_ends_at_an_overlong_bdat),
		cmocka_unit_test(test_server_tells_how_long_it_is_silent),
		cmocka_unit_test(test_server_makes_room),
		cmocka_unit_test(test_server_refuses_large_messages_at_their_end),
		cmocka_unit_test(test_server_limits_recipients),
		cmocka_unit_test(test_server_refuses_loops),
		cmocka_unit_test(test_server_counts_needs_not_claims),
		cmocka_unit_test(test_server_fills_the_envelope),
		cmocka_unit_test(test_server_spools_large_content_in_bounded_parts),
		cmocka_unit_test(test_server_stops_reading_while_spooling),
		cmocka_unit_test(test_server_refuses_what_cannot_be_spooled),
		cmocka_unit_test(test_server_spools_chunks_in_bounded_parts),
		cmocka_unit_test(test_server_refuses_chunks_that_cannot_be_spooled),
		cmocka_unit_test(test_server_refuses_large_chunks_and_reads_them),
		cmocka_unit_test(test_server_cuts_off_slow_chunks),
		cmocka_unit_test(test_server_passes_on_the_answer_to_a_message),
		cmocka_unit_test(test_server_waits_for_the_commit),
		cmocka_unit_test(test_server_limits_commands_without_mail),
		cmocka_unit_test(test_server_limits_messages_per_session),
		cmocka_unit_test(test_server_closes_idle_sessions),
		cmocka_unit_test(test_server_limits_the_whole_session),
		cmocka_unit_test(test_server_cuts_off_slow_content),
		cmocka_unit_test(test_server_stops_reading_a_client_that_does_not_read),
		cmocka_unit_test(test_server_catches_early_talkers),
		cmocka_unit_test(test_server_shuts_down),
		cmocka_unit_test(test_server_aborts_when_the_connection_is_lost),
		cmocka_unit_test(test_server_drops_without_a_word),
		cmocka_unit_test(test_server_fails_at_its_fault_point),
		cmocka_unit_test(test_server_forgives_errors_after_a_message),
		cmocka_unit_test(test_server_limits_content_lines),
		cmocka_unit_test(test_server_limits_content_without_a_rate),
		cmocka_unit_test(test_server_answers_a_message_before_the_session_ends),
		cmocka_unit_test(test_server_may_be_dropped_by_its_handler),
		cmocka_unit_test(test_server_forgets_all_at_starttls),
		cmocka_unit_test(test_server_knows_a_client_by_a_verified_certificate_alone),
		cmocka_unit_test(test_server_refuses_octets_behind_starttls),
		cmocka_unit_test(test_server_speaks_implicit_tls),
		cmocka_unit_test(test_server_mends_what_is_submitted),
		cmocka_unit_test(test_submission_wants_whole_domains),
		cmocka_unit_test(test_server_measures_what_was_sent),
		cmocka_unit_test(test_server_authenticates),
		cmocka_unit_test(test_server_offers_auth_only_where_it_is_private),
		cmocka_unit_test(test_server_bounds_input_that_it_does_not_want),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
