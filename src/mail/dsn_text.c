/*
 * dsn_text - the part of a notice that people read: what happened, to whom, since when, the
 * server's words, and what to do now. Written for a sender who knows nothing of mail systems.
 *
 * Recipients are grouped by what became of them; each group has one introduction. Plain ASCII of
 * our own; words from outside are indented, so that they cannot be taken for ours, or for a MIME
 * boundary.
 */
#include "dsn_part.h"

#include "base/check.h"
#include "mail/queue_id.h"

/* ANY: whatever number stands there. */
#define ANY (-1)

static const struct advice {
	int subject, detail;
	const char *text;
} advices[] = {
	{ 1, 2,
		"There is no mail service for the part of the address behind the @. Check "
		"that part for typing errors." },
	{ 1, 7,
		"The receiving system does not accept your own address as a sender. Show "
		"this notice to your mail administrator." },
	{ 1, 8,
		"The receiving system does not accept your own address as a sender. Show "
		"this notice to your mail administrator." },
	{ 1, 10,
		"The part of the address behind the @ does not accept mail at all. Check it"
		" for typing errors." },
	{ 1, ANY,
		"Check the address for typing errors. If it is right, ask the recipient in "
		"another way for the address that is now in use." },
	{ 2, 1, "The mailbox is switched off. Reach the recipient in another way." },
	{ 2, 2,
		"The mailbox is full. Tell the recipient in another way, and send the "
		"message again when there is room." },
	{ 2, 3,
		"The message is too large for this mailbox. Send it in smaller parts, or "
		"without attachments." },
	{ 3, 4,
		"The message is too large for the receiving system. Send it in smaller "
		"parts, or without attachments." },
	{ 4, 4,
		"The way to the receiving system is not set up rightly. Check the part of "
		"the address behind the @; if it is right, the recipient's administrator "
		"has to mend this." },
	{ 4, 6,
		"The mail systems on the way send this message in a circle. Only their "
		"administrators can mend that; show them this notice." },
	{ 4, 7,
		"The receiving system could not be reached, or would not take the message, "
		"for all this time. Reach the recipient in another way, or send the message"
		" again later." },
	{ 6, ANY,
		"The receiving system cannot handle the form of this message. Show this "
		"notice to your mail administrator." },
	{ 7, ANY,
		"The receiving system refused the message by its rules, often as a "
		"protection from unwanted mail. Its words above may say why. If they do not"
		" help, show this notice to your mail administrator." },
	{ ANY, ANY,
		"If the words above do not help you, show this notice to your mail "
		"administrator or reach the recipient in another way." },
};

static bool matches(int pattern, unsigned number)
{
	return pattern == ANY || (unsigned)pattern == number;
}

static const char *advice_for(struct status s)
{
	size_t i = 0;

	while (i + 1 < ARRAY_COUNT(advices) &&
		!(matches(advices[i].subject, s.subject) && matches(advices[i].detail, s.detail)))
		i++;
	return advices[i].text;
}

/* One paragraph of literal text and outside values, at the left edge or indented. */
static void put_text(struct fill *f, const char *text)
{
	fill_words(f, str_from_c(text));
}

static void put_paragraph(struct buf *out, const char *indent, const char *text)
{
	struct fill f = { .out = out, .indent = indent };

	put_text(&f, text);
	fill_end(&f);
}

static void put_date(struct fill *f, struct wall at)
{
	struct buf text;

	buf_init(&text, 64);
	instant_format_rfc5322(&text, at);
	fill_words(f, buf_str(&text));
	buf_fini(&text);
}

static bool is_set(struct wall at)
{
	return at.ms != WALL_NONE.ms && at.ms != WALL_NEVER.ms;
}

static const char *introduction(enum dsn_action action, bool is_many)
{
	switch (action) {
	case DSN_FAILED:
		return is_many ? "could NOT be delivered to these recipients. It will not be tried "
				 "again."
			       : "could NOT be delivered to this recipient. It will not be tried "
				 "again.";
	case DSN_DELAYED:
		return is_many ? "has not been delivered to these recipients yet. You need not "
				 "send it "
				 "again: we keep trying."
			       : "has not been delivered to this recipient yet. You need not send "
				 "it "
				 "again: we keep trying.";
	case DSN_DELIVERED:
		return is_many ? "was delivered to these recipients."
			       : "was delivered to this recipient.";
	case DSN_RELAYED:
		return "was handed to the next mail system, which does not confirm deliveries. You "
		       "will not "
		       "hear of it again unless something goes wrong.";
	case DSN_EXPANDED:
		return "was handed to a mailing list or a group of recipients, from whom you will "
		       "get no "
		       "further confirmation.";
	}
	return "";
}

static void put_words_of_server(
	struct buf *out, const struct dsn_params *p, const struct dsn_recipient *r)
{
	struct fill f = { .out = out, .indent = "    ", .allow_utf8 = p->is_smtputf8 };
	struct fill quote = { .out = out, .indent = "        ", .allow_utf8 = p->is_smtputf8 };

	if (r->diagnostic_code == 0 && r->diagnostic.len == 0)
		return;
	if (r->diagnostic_code == 0) {
		put_text(&f, "Reason:");
		fill_words(&f, r->diagnostic);
		fill_end(&f);
		return;
	}
	put_text(&f, "The mail system");
	fill_words(&f, r->remote_mta);
	put_text(&f, "answered:");
	fill_end(&f);

	struct buf code;
	buf_init(&code, 16);
	buf_printf(&code, "%u", r->diagnostic_code);
	fill_words(&quote, buf_str(&code));
	buf_fini(&code);
	fill_words(&quote, r->diagnostic);
	fill_end(&quote);
}

static void put_time(struct buf *out, const char *label, struct wall at)
{
	struct fill f = { .out = out, .indent = "    " };

	if (!is_set(at))
		return;
	put_text(&f, label);
	put_date(&f, at);
	fill_end(&f);
}

static void put_recipient(
	struct buf *out, const struct dsn_params *p, const struct dsn_recipient *r)
{
	buf_append_str(out, STR("\r\n  <"));
	fill_clean(out, r->final_recipient, p->is_smtputf8);
	buf_append_str(out, STR(">\r\n"));
	put_words_of_server(out, p, r);
	bool is_open = r->action == DSN_FAILED || r->action == DSN_DELAYED;
	put_time(out, is_open ? "Last tried:" : "Handed over:", r->last_attempt);
	if (r->action == DSN_DELAYED)
		put_time(out, "We keep trying until:", r->will_retry_until);
	if (r->action == DSN_FAILED) {
		struct fill f = { .out = out, .indent = "    " };
		put_text(&f, "What to do:");
		put_text(&f, advice_for(r->status));
		fill_end(&f);
	}
}

static void put_group(struct buf *out, const struct dsn_params *p, enum dsn_action action)
{
	struct fill f = { .out = out, .indent = "" };
	size_t count = 0;

	for (size_t i = 0; i < p->recipient_count; i++)
		count += p->recipients[i].action == action;
	if (count == 0)
		return;
	buf_append(out, "\r\n", 2);
	put_text(&f, "Your message");
	if (is_set(p->arrival)) {
		put_text(&f, "of");
		put_date(&f, p->arrival);
	}
	put_text(&f, introduction(action, count > 1));
	fill_end(&f);
	for (size_t i = 0; i < p->recipient_count; i++)
		if (p->recipients[i].action == action)
			put_recipient(out, p, &p->recipients[i]);
}

void dsn_write_explanation(struct buf *out, const struct dsn_params *p)
{
	static const enum dsn_action order[] = { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED,
		DSN_RELAYED, DSN_EXPANDED };
	struct queue_id_text id = queue_id_format(p->original_id);
	struct fill f = { .out = out, .indent = "", .allow_utf8 = p->is_smtputf8 };

	put_text(&f, "This notice was written by the mail system at");
	fill_words(&f, p->reporting_mta);
	put_text(&f, "on its own.");
	fill_end(&f);
	for (size_t i = 0; i < ARRAY_COUNT(order); i++)
		put_group(out, p, order[i]);

	buf_append(out, "\r\n", 2);
	put_text(&f, "If you need help, send this whole notice to");
	fill_words(&f, p->contact.len > 0 ? p->contact : p->postmaster);
	put_text(&f, "and name your message's number there:");
	fill_words(&f, str_of(id.text, QUEUE_ID_LEN));
	fill_end(&f);
	buf_append(out, "\r\n", 2);
	put_paragraph(out, "",
		"Below follow the details for mail programs, and your message or its head.");
}
