/*
 * digest_text - the part of a digest that people read: how many messages, where they wait, since when and until when, and
 * that there is nothing to do. Written for a sender who knows nothing of mail systems; see dsn_text.c.
 */
#include "digest_part.h"

#include "mail/queue_id.h"

/* Lines for people; the parts for programs go on. */
#define MESSAGES_SHOWN 20
#define PLACES_SHOWN 20

static void put_text(struct fill *f, const char *text)
{
	fill_words(f, str_from_c(text));
}

static void put_number(struct fill *f, uint64_t number)
{
	struct buf text;

	buf_init(&text, 32);
	buf_append_number(&text, number, 1);
	fill_words(f, buf_str(&text));
	buf_fini(&text);
}

static void put_date(struct fill *f, struct wall at)
{
	struct buf text;

	buf_init(&text, 64);
	instant_format_rfc5322(&text, at);
	fill_words(f, buf_str(&text));
	buf_fini(&text);
}

static void put_line(struct buf *out, const char *indent, const char *label, struct wall at)
{
	struct fill f = { .out = out, .indent = indent };

	if (at.ms == WALL_NONE.ms || at.ms == WALL_NEVER.ms)
		return;
	put_text(&f, label);
	put_date(&f, at);
	fill_end(&f);
}

static void put_blank(struct buf *out)
{
	buf_append(out, "\r\n", 2);
}

/* "12 messages", "more than 10100 messages", "One message" */
static void put_how_many(struct fill *f, const struct digest_params *p)
{
	uint64_t count = p->message_count + p->more_messages;

	if (count == 1 && !p->is_more_open) {
		put_text(f, "One of your messages");
		return;
	}
	if (p->is_more_open)
		put_text(f, "More than");
	put_number(f, count);
	put_text(f, "of your messages");
}

static bool is_one(const struct digest_params *p)
{
	return p->message_count + p->more_messages == 1;
}

/* ---- delayed ---- */

static void put_place(
	struct buf *out, const struct digest_params *p, const struct digest_place *place)
{
	struct fill f = { .out = out, .indent = "    ", .allow_utf8 = p->is_smtputf8 };

	buf_append_str(out, STR("\r\n  "));
	fill_clean(out, place->name, p->is_smtputf8);
	put_blank(out);
	put_line(out, "    ", "No mail can be handed over there since", place->since);
	if (place->reason.len > 0) {
		put_text(&f, "Last reason:");
		fill_words(&f, place->reason);
		fill_end(&f);
	}
	put_line(out, "    ", "We keep your mail and try until", place->until);
}

static void put_places(struct buf *out, const struct digest_params *p)
{
	struct fill f = { .out = out, .indent = "  " };
	size_t shown = p->place_count < PLACES_SHOWN ? p->place_count : PLACES_SHOWN;

	for (size_t i = 0; i < shown; i++)
		put_place(out, p, &p->places[i]);
	if (p->place_count == shown)
		return;
	put_blank(out);
	put_text(&f, "and");
	put_number(&f, p->place_count - shown);
	put_text(&f, "other destinations");
	fill_end(&f);
}

static void put_delayed(struct buf *out, const struct digest_params *p)
{
	struct fill f = { .out = out, .indent = "" };
	struct buf span;

	put_how_many(&f, p);
	put_text(&f, is_one(p) ? "has not been delivered yet." : "have not been delivered yet.");
	put_text(&f,
		"You need not do anything, and need not send again: we keep trying, and deliver"
		" as soon as the receiving mail systems take mail again.");
	fill_end(&f);
	put_blank(out);
	put_text(&f, is_one(p) ? "It waits for:" : "They wait for:");
	fill_end(&f);
	put_places(out, p);
	put_blank(out);
	put_text(&f, "Other mail that you send there waits likewise. For each message that cannot "
		     "be delivered in the end you get a notice of failure.");
	if (p->repeat_ms > 0) {
		buf_init(&span, 64);
		instant_format_span(&span, p->repeat_ms);
		put_text(&f, "If some of them wait for another");
		fill_words(&f, buf_str(&span));
		buf_fini(&span);
		put_text(&f, "you will be told once more.");
	}
	fill_end(&f);
}

/* ---- failed ---- */

static void put_failed(struct buf *out, const struct digest_params *p)
{
	struct fill f = { .out = out, .indent = "" };

	put_how_many(&f, p);
	put_text(&f,
		"could NOT be delivered, to some or all of their recipients, and will not be tried"
		" again. There were so many that you get this one notice instead of one for each.");
	fill_end(&f);
}

/* ---- settled ---- */

static void put_settled(struct buf *out, const struct digest_params *p)
{
	struct fill f = { .out = out, .indent = "" };

	put_text(&f,
		"None of the mail that we reported to you as delayed waits any longer: it has been"
		" delivered, but for messages of which you have had a notice of failure. There is"
		" nothing to do.");
	fill_end(&f);
	put_line(out, "", "First reported:", p->first);
}

/* ---- the list ---- */

static void put_message(
	struct buf *out, const struct digest_params *p, const struct digest_message *m)
{
	for (size_t i = 0; i < m->recipient_count; i++) {
		const struct dsn_recipient *r = &m->recipients[i];
		struct fill f = { .out = out, .indent = "      ", .allow_utf8 = p->is_smtputf8 };

		buf_append_str(out, STR("  to <"));
		fill_clean(out, r->final_recipient, p->is_smtputf8);
		buf_append_str(out, STR(">\r\n"));
		put_text(&f, "sent");
		put_date(&f, m->arrival);
		put_text(&f, "as number");
		fill_words(&f, str_from_c(queue_id_format(m->id).text));
		if (r->action == DSN_FAILED && r->diagnostic.len > 0) {
			put_text(&f, "\n");
			fill_words(&f, r->diagnostic);
		}
		fill_end(&f);
		if (i == 4 && m->recipient_count + m->more_recipients > 5) {
			buf_printf(out, "  and %llu more recipients of this message\r\n",
				(unsigned long long)(m->recipient_count + m->more_recipients - 5));
			return;
		}
	}
}

static void put_messages(struct buf *out, const struct digest_params *p)
{
	size_t shown = p->message_count < MESSAGES_SHOWN ? p->message_count : MESSAGES_SHOWN;

	put_blank(out);
	buf_append_str(out, shown < p->message_count + p->more_messages
				    ? STR("The oldest of them:\r\n\r\n")
				    : STR("These are:\r\n\r\n"));
	for (size_t i = 0; i < shown; i++)
		put_message(out, p, &p->messages[i]);
}

void digest_write_text(struct buf *out, const struct digest_params *p, size_t part_count)
{
	struct fill f = { .out = out, .indent = "", .allow_utf8 = p->is_smtputf8 };

	put_text(&f, "This notice was written by the mail system at");
	fill_words(&f, p->reporting_mta);
	put_text(&f, "on its own.");
	fill_end(&f);
	put_blank(out);
	switch (p->kind) {
	case DIGEST_DELAYED:
		put_delayed(out, p);
		break;
	case DIGEST_FAILED:
		put_failed(out, p);
		break;
	case DIGEST_SETTLED:
		put_settled(out, p);
		break;
	}
	if (p->message_count > 0)
		put_messages(out, p);
	put_blank(out);
	put_text(&f, "If you need help, send this whole notice to");
	fill_words(&f, p->contact.len > 0 ? p->contact : p->postmaster);
	fill_end(&f);
	if (p->message_count == 0)
		return;
	put_blank(out);
	put_text(&f, "Below follow details for mail programs, of");
	put_number(&f, part_count);
	put_text(&f, part_count == 1 ? "message." : "messages.");
	fill_end(&f);
}
