/* vouch - see queue/vouch.h. Stored as "good 1700000000000" and "bad 1700000000000 550 no such user". */
#include "queue/vouch.h"

#define GOOD_MS (31 * DAY_MS)
#define GOOD_FRESH_MS (7 * DAY_MS)
#define BAD_MS (3 * HOUR_MS)
#define TEXT_BYTES_MAX 200

/* Without an enhanced code the codes of RFC 5321 4.2.2 that are about a mailbox, unless the words say otherwise. */
static bool is_about_mailbox(const struct outcome *o)
{
	if (o->status.klass != 0)
		return o->status.klass == 5 &&
		       (o->status.subject == 1 ||
			       (o->status.subject == 2 && o->status.detail == 1));
	return (o->code == 550 || o->code == 551 || o->code == 553) &&
	       !str_match_glob(o->text, STR("*relay*")) &&
	       !str_match_glob(o->text, STR("*block*")) && !str_match_glob(o->text, STR("*spam*"));
}

enum vouch_word vouch_judge(const struct outcome *o)
{
	/* 5.1.7 and 5.1.8 are about the sender */
	bool is_of_sender = o->status.klass == 5 && o->status.subject == 1 &&
			    (o->status.detail == 7 || o->status.detail == 8);

	if (o->stage != STAGE_RCPT)
		return VOUCH_NONE;
	if (o->code / 100 == 2)
		return VOUCH_GOOD;
	return o->code / 100 == 5 && is_about_mailbox(o) && !is_of_sender ? VOUCH_BAD : VOUCH_NONE;
}

static bool is_younger(const struct vouch *v, struct wall now, int64_t ms)
{
	/* a clock that was set back makes nothing older, and nothing everlasting */
	return now.ms - v->at.ms < ms && v->at.ms - now.ms < ms;
}

bool vouch_holds(const struct vouch *v, struct wall now)
{
	return v->word != VOUCH_NONE &&
	       is_younger(v, now, v->word == VOUCH_GOOD ? GOOD_MS : BAD_MS);
}

bool vouch_is_fresh(const struct vouch *v, struct wall now)
{
	return vouch_holds(v, now) && (v->word == VOUCH_BAD || is_younger(v, now, GOOD_FRESH_MS));
}

struct wall vouch_until(const struct vouch *v)
{
	return wall_add(v->at, v->word == VOUCH_GOOD ? GOOD_MS : BAD_MS);
}

void vouch_put(struct buf *out, const struct vouch *v)
{
	struct str text = str_slice(v->text, 0, TEXT_BYTES_MAX);

	buf_append_str(out, v->word == VOUCH_GOOD ? STR("good ") : STR("bad "));
	buf_append_number(out, (uint64_t)v->at.ms, 1);
	if (v->word == VOUCH_BAD && text.len > 0) {
		buf_append_char(out, ' ');
		buf_append_str(out, text);
	}
}

bool vouch_take(struct vouch *out, struct str value)
{
	struct str word = str_cut(&value, ' ');
	uint64_t ms = 0;

	*out = (struct vouch){ .word = VOUCH_NONE };
	if (str_to_u64(str_cut(&value, ' '), &ms) != OK || ms > INT64_MAX / 2)
		return false;
	out->at.ms = (int64_t)ms;
	out->text = value;
	if (str_equal(word, STR("good")))
		out->word = VOUCH_GOOD;
	else if (str_equal(word, STR("bad")))
		out->word = VOUCH_BAD;
	return out->word != VOUCH_NONE;
}
