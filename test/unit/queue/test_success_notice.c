/* test_success_notice - who hears that a next hop took a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/success_notice.h"

#define DSN 1
#define BY 2
#define LMTP 4
#define AFTER 8 /* the by-time */

static void test_success_notice_follows_wish_and_next_hop(void **state)
{
	enum { NONE, TRACE, TELL, TRACE_AND_TELL, RETURN, RULE };
	static const struct {
		const char *what, *from;
		enum message_origin origin;
		unsigned notify, hop;
		int by;
		enum success_notice want;
	} rows[] = {
		{ "nobody asked", "a@x", ORIGIN_SMTP, 0, 0, NONE, SUCCESS_NOTICE_NONE },
		{ "failures alone", "a@x", ORIGIN_SMTP, NOTIFY_FAILURE, 0, NONE,
			SUCCESS_NOTICE_NONE },
		{ "asked", "a@x", ORIGIN_SMTP, NOTIFY_SUCCESS, 0, NONE, SUCCESS_NOTICE_RELAYED },
		{ "asked among others", "a@x", ORIGIN_SMTP,
			NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, BY, NONE,
			SUCCESS_NOTICE_RELAYED },
		{ "asked, DSN there", "a@x", ORIGIN_SMTP, NOTIFY_SUCCESS, DSN, NONE,
			SUCCESS_NOTICE_NONE },
		{ "asked, LMTP", "a@x", ORIGIN_SMTP, NOTIFY_SUCCESS, LMTP, NONE,
			SUCCESS_NOTICE_DELIVERED },
		{ "asked, LMTP with DSN", "a@x", ORIGIN_SMTP, NOTIFY_SUCCESS, LMTP | DSN, NONE,
			SUCCESS_NOTICE_NONE },
		{ "not asked, LMTP", "a@x", ORIGIN_SMTP, NOTIFY_DELAY, LMTP, NONE,
			SUCCESS_NOTICE_NONE },
		{ "asked, null sender", "", ORIGIN_SMTP, NOTIFY_SUCCESS, 0, NONE,
			SUCCESS_NOTICE_NONE },
		{ "asked, of a notice", "a@x", ORIGIN_DSN, NOTIFY_SUCCESS, 0, NONE,
			SUCCESS_NOTICE_NONE },
		{ "asked, of a receipt", "a@x", ORIGIN_RECEIPT, NOTIFY_SUCCESS, 0, NONE,
			SUCCESS_NOTICE_NONE },
		{ "a trace", "a@x", ORIGIN_SMTP, 0, 0, TRACE, SUCCESS_NOTICE_RELAYED },
		{ "a trace, BY and DSN there", "a@x", ORIGIN_SMTP, NOTIFY_FAILURE, BY | DSN, TRACE,
			SUCCESS_NOTICE_RELAYED },
		{ "a trace, NEVER", "a@x", ORIGIN_SMTP, NOTIFY_NEVER, 0, TRACE,
			SUCCESS_NOTICE_NONE },
		{ "word by a time, BY there", "a@x", ORIGIN_SMTP, 0, BY, TELL,
			SUCCESS_NOTICE_NONE },
		{ "word by a time, no BY", "a@x", ORIGIN_SMTP, 0, DSN, TELL,
			SUCCESS_NOTICE_RELAYED },
		{ "word by a time, no BY, and it is over", "a@x", ORIGIN_SMTP, 0, DSN | AFTER, TELL,
			SUCCESS_NOTICE_NONE },
		{ "word by a time, LMTP", "a@x", ORIGIN_SMTP, 0, LMTP, TELL, SUCCESS_NOTICE_NONE },
		{ "a trace, LMTP", "a@x", ORIGIN_SMTP, 0, LMTP, TRACE, SUCCESS_NOTICE_NONE },
		{ "a trace, LMTP, asked", "a@x", ORIGIN_SMTP, NOTIFY_SUCCESS, LMTP, TRACE,
			SUCCESS_NOTICE_DELIVERED },
		{ "a trace, and it is over", "a@x", ORIGIN_SMTP, 0, AFTER, TRACE_AND_TELL,
			SUCCESS_NOTICE_RELAYED },
		{ "word by a time, NEVER", "a@x", ORIGIN_SMTP, NOTIFY_NEVER, 0, TELL,
			SUCCESS_NOTICE_NONE },
		{ "word by a time, null sender", "", ORIGIN_SMTP, 0, 0, TRACE_AND_TELL,
			SUCCESS_NOTICE_NONE },
		{ "word by a time, by a class rule", "a@x", ORIGIN_SMTP, 0, 0, RULE,
			SUCCESS_NOTICE_NONE },
		{ "to be returned by a time", "a@x", ORIGIN_SMTP, 0, 0, RETURN,
			SUCCESS_NOTICE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct envelope env = {
			.reverse_path = str_from_c(rows[i].from),
			.origin = rows[i].origin,
			.deliver_by = { rows[i].by != NONE ? 1000 : WALL_NONE.ms },
			.deliver_by_trace = rows[i].by == TRACE || rows[i].by == TRACE_AND_TELL,
			.deliver_by_notify = rows[i].by == TELL || rows[i].by == TRACE_AND_TELL ||
					     rows[i].by == RULE,
			.deliver_by_is_ours = rows[i].by == RULE,
		};
		const struct recipient rcpt = { .notify = rows[i].notify };
		const struct success_hop hop = {
			.has_dsn = (rows[i].hop & DSN) != 0,
			.has_deliverby = (rows[i].hop & BY) != 0,
			.is_final = (rows[i].hop & LMTP) != 0,
			.at = { (rows[i].hop & AFTER) != 0 ? 1000 : 999 },
		};

		if (success_notice_of(&env, &rcpt, &hop) != rows[i].want)
			fail_msg("%s", rows[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success_notice_follows_wish_and_next_hop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
