/*
 * server_later - a RCPT or an ETRN whose answer takes its time: the handler has to ask somebody else first.
 *
 * Happy path: the handler says is_later, input waits, smtp_server_answer brings the answer and input goes on. What the
 * command was made of stays until then. A handler bounds its own question; one that never answers costs the session
 * (421), because an answer that comes too late would be taken for the one to the next question.
 */
#include "session.h"

/* Less than the 5 minutes that a client waits, RFC 5321 section 4.5.3.2.3. */
#define ANSWER_MS (2 * MINUTE_MS)

void server_wait(struct smtp_server *s, enum session_question question)
{
	s->question = question;
	server_enter(s, SESSION_ASKING);
}

void smtp_server_answer(struct smtp_server *s, const struct smtp_answer *answer)
{
	if (s->state != SESSION_ASKING)
		return; /* closed meanwhile */
	server_enter(s, SESSION_COMMAND);
	switch (s->question) {
	case QUESTION_RCPT:
		server_end_rcpt(s, answer);
		break;
	case QUESTION_ETRN:
		if (answer->code != 0)
			server_answer(s, answer);
		else
			server_say(s, 250, STATUS(2, 0, 0), STR("ok"));
		break;
	}
	arena_fini(&s->scratch);
}

int64_t server_answer_ms(const struct smtp_server *s)
{
	(void)s;
	return ANSWER_MS;
}

void server_on_answer_late(struct smtp_server *s)
{
	server_end(s, STATUS(4, 3, 0), "an answer takes too long");
}
