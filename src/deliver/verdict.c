/*
 * verdict - see deliver/verdict.h.
 *
 * The table is read top to bottom; the first rule that fits decides. The last rules fit anything,
 * so that whatever a next hop invents has a verdict, and never a final one without a 5xx reply.
 */
#include "deliver/verdict.h"

#include <stdint.h>

#include "base/check.h"

#define AT(stage) (1u << (stage))
#define BIT(err) (1u << (err))
#define ANY_STAGE (AT(STAGE_COUNT) - 1)
#define ANY_ERR UINT32_MAX

/* clang-format off */
/* Stages by what a failure there is about. */
#define BEFORE_MAIL (AT(STAGE_CONNECT) | AT(STAGE_TLS) | AT(STAGE_GREETING) | AT(STAGE_EHLO) | AT(STAGE_STARTTLS) | \
	AT(STAGE_AUTH))
#define SPEAKING    (AT(STAGE_GREETING) | AT(STAGE_EHLO))
#define CONTENT     (AT(STAGE_DATA) | AT(STAGE_CONTENT) | AT(STAGE_DOT))
#define SENDING     (AT(STAGE_MAIL) | AT(STAGE_RCPT) | CONTENT)
#define OWN_FAULT   (BIT(ERR_NO_FDS) | BIT(ERR_PERMISSION))
#define UNREADABLE  (BIT(ERR_NOT_FOUND) | BIT(ERR_CORRUPT) | BIT(ERR_IO))

enum flag {
	DOUBT    = 1,   /* is_in_doubt */
	SUSPECT  = 2,   /* is_suspect */
	OVERLOAD = 4,   /* is_overload */
	LIMIT    = 8,   /* is_rate_limit */
	ANSWERS  = 16,  /* answers */
	DOUBTED  = 32   /* is_doubted_fail */
};

enum when { ALWAYS, KNOWN_GOOD, SMARTHOST, OTHERS, OURSELVES };

#define ALL  (-1) /* any subject, any detail */
#define SOME (-2) /* any subject, but there is an enhanced code */

struct rule {
	unsigned stages;
	uint32_t errs;             /* only looked at without a reply */
	uint16_t code_min, code_max; /* 0, 0: no reply */
	uint8_t klass;             /* of the enhanced code, without a reply; 0: any */
	int16_t subject, detail;   /* of the enhanced code, which must be there unless the subject is ALL */
	int16_t detail_max;        /* 0: detail alone */
	enum when when;
	const char *text;          /* glob on the reply's text */
	enum scope scope;
	enum disposition disposition;
	uint16_t own_subject, own_detail; /* status when the outcome has none */
	unsigned flags;
};

/* The words of the table. */
#define ON(stage)      .stages = AT(STAGE_##stage)
#define IN(set)        .stages = (set)
#define ERR(set)       .errs = (set)
#define CODE(min, max) .code_min = (min), .code_max = (max)
#define CLASS(k)       .klass = (k)
#define ENH(s, d)      .subject = (s), .detail = (d)
#define TO(d)          .detail_max = (d)
#define ANY_ENH        .subject = ALL, .detail = ALL
#define TEXT(glob)     .text = (glob)
#define IF(what)       .when = (what)
#define THEN(s, d)     .scope = SCOPE_##s, .disposition = DISPOSE_##d
#define STAT(s, d)     .own_subject = (s), .own_detail = (d)
#define SET(set)       .flags = (set)

static const struct rule rules[] = {
	/* Delivered. A 2xx elsewhere finishes nothing: 250 to DATA without 354 must not pass for a
	 * delivery. */
	{ ON(DOT), CODE(200, 299), ANY_ENH, THEN(NONE, DELIVERED), STAT(0, 0), SET(ANSWERS) },
	{ ON(RCPT), CODE(200, 299), ANY_ENH, THEN(NONE, RETRY), STAT(4, 2), SET(ANSWERS) },
	{ IN(AT(STAGE_MAIL) | CONTENT), CODE(200, 399), ANY_ENH, THEN(MESSAGE, RETRY), STAT(5, 0),
		SET(SUSPECT) },

	/* Names and routes; x.3.5 is our configuration. What cannot be final for a destination that
	 * worked last week waits out its grace. */
	{ ON(POLICY), ERR(ANY_ERR), ENH(3, 5), THEN(OURS, PARK) },
	{ ON(DNS), ERR(ANY_ERR), CLASS(4), ENH(SOME, ALL), THEN(HOP, PARK) },
	{ ON(POLICY), ERR(ANY_ERR), CLASS(4), ENH(4, ALL), THEN(HOP, PARK) },
	/* What this message needs and a host lacks that has said so: it answers, and takes other mail. */
	{ ON(POLICY), ERR(ANY_ERR), CLASS(4), ENH(7, 10), TO(30), THEN(MESSAGE, RETRY),
		SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), CLASS(4), ENH(7, ALL), THEN(HOP, PARK) },
	/* Beyond the RCPTMAX of the next hop: another transaction, when this one was one. */
	{ ON(POLICY), ERR(ANY_ERR), CLASS(4), ENH(5, 3), IF(OTHERS), THEN(RECIPIENT, AGAIN) },
	{ ON(POLICY), ERR(ANY_ERR), CLASS(4), ENH(SOME, ALL), THEN(MESSAGE, RETRY), SET(ANSWERS) },
	/* To be returned rather than late, and late (RFC 2852). */
	{ ON(POLICY), ERR(ANY_ERR), CLASS(5), ENH(4, 7), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ ON(DNS), ERR(ANY_ERR), ENH(1, ALL), IF(KNOWN_GOOD), THEN(HOP, PARK) },
	{ ON(DNS), ERR(ANY_ERR), ENH(1, ALL), THEN(HOP, FAIL) },
	{ IN(AT(STAGE_DNS) | AT(STAGE_POLICY)), ERR(ANY_ERR), ENH(4, ALL), IF(KNOWN_GOOD),
		THEN(HOP, PARK) },
	{ IN(AT(STAGE_DNS) | AT(STAGE_POLICY)), ERR(ANY_ERR), ENH(4, ALL), THEN(HOP, FAIL) },
	{ ON(DNS), ERR(ANY_ERR), ANY_ENH, THEN(HOP, PARK), STAT(4, 3) },

	/* Our own rules: 5.3.4 too large for the peer, 5.1.x a path that cannot be sent, else a
	 * capability that it lacks today. */
	{ ON(POLICY), ERR(ANY_ERR), ENH(3, 4), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ENH(1, 7), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ENH(1, ALL), THEN(RECIPIENT, FAIL), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ENH(SOME, ALL), IF(KNOWN_GOOD), THEN(MESSAGE, RETRY),
		STAT(5, 0), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ENH(6, ALL), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ENH(3, 3), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ENH(7, 30), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ ON(POLICY), ERR(ANY_ERR), ANY_ENH, THEN(MESSAGE, RETRY), STAT(5, 0), SET(ANSWERS) },

	/* No session: the host, but what we ourselves lack or demand. */
	{ IN(BEFORE_MAIL), ERR(OWN_FAULT), ANY_ENH, THEN(OURS, PARK), STAT(3, 0) },
	{ ON(CONNECT), ERR(BIT(ERR_TIMEOUT)), ANY_ENH, THEN(HOST, PARK), STAT(4, 1),
		SET(OVERLOAD) },
	{ ON(CONNECT), ERR(ANY_ERR), ANY_ENH, THEN(HOST, PARK), STAT(4, 1) },
	{ ON(TLS), ERR(BIT(ERR_TLS)), ANY_ENH, THEN(HOP, PARK), STAT(7, 5) },
	{ ON(STARTTLS), ERR(BIT(ERR_UNSUPPORTED)), ANY_ENH, THEN(HOP, PARK), STAT(7, 4) },
	{ ON(AUTH), ERR(BIT(ERR_UNSUPPORTED)), ANY_ENH, THEN(OURS, PARK), STAT(7, 4) },
	{ IN(BEFORE_MAIL), ERR(BIT(ERR_TIMEOUT)), ANY_ENH, THEN(HOST, PARK), STAT(4, 2),
		SET(OVERLOAD) },
	{ IN(BEFORE_MAIL), ERR(BIT(ERR_SYNTAX) | BIT(ERR_LIMIT)), ANY_ENH, THEN(HOST, PARK),
		STAT(5, 0) },
	{ IN(BEFORE_MAIL), ERR(ANY_ERR), ANY_ENH, THEN(HOST, PARK), STAT(4, 2) },

	/* Lost on the way: the message waits, the site is looked at. After the final dot it may
	 * have arrived. */
	{ ON(CONTENT), ERR(UNREADABLE), ANY_ENH, THEN(OURS, RETRY), STAT(3, 0) },
	{ ON(DOT), ERR(BIT(ERR_TIMEOUT)), ANY_ENH, THEN(MESSAGE, RETRY), STAT(4, 2),
		SET(DOUBT | SUSPECT | OVERLOAD) },
	{ ON(DOT), ERR(ANY_ERR), ANY_ENH, THEN(MESSAGE, RETRY), STAT(4, 2), SET(DOUBT | SUSPECT) },
	{ IN(SENDING), ERR(BIT(ERR_TIMEOUT)), ANY_ENH, THEN(MESSAGE, RETRY), STAT(4, 2),
		SET(SUSPECT | OVERLOAD) },
	{ IN(SENDING), ERR(BIT(ERR_SYNTAX) | BIT(ERR_LIMIT)), ANY_ENH, THEN(MESSAGE, RETRY),
		STAT(5, 0), SET(SUSPECT) },
	{ IN(SENDING), ERR(ANY_ERR), ANY_ENH, THEN(MESSAGE, RETRY), STAT(4, 2), SET(SUSPECT) },

	/* 421 closes the session wherever it comes: a limit, not an outage. */
	{ IN(BEFORE_MAIL), CODE(421, 421), ANY_ENH, THEN(HOST, PARK), STAT(3, 2),
		SET(OVERLOAD | LIMIT) },
	{ IN(SENDING), CODE(421, 421), ANY_ENH, THEN(MESSAGE, RETRY), STAT(3, 2),
		SET(OVERLOAD | LIMIT) },

	/* A smarthost that does not know us: alarm, never bounce. 454 is its own trouble, another host of it may do; 432
	 * wants a new password (RFC 4954 section 6). */
	{ ON(AUTH), CODE(432, 432), ANY_ENH, THEN(OURS, PARK), STAT(7, 12) },
	{ ON(AUTH), CODE(500, 599), ANY_ENH, THEN(OURS, PARK), STAT(7, 8) },
	{ IN(SENDING), CODE(530, 530), ANY_ENH, IF(SMARTHOST), THEN(OURS, PARK), STAT(7, 0) },
	/* By MX 530 speaks of the session: it wants TLS, which failed just now, or a password, as no MX does on purpose. */
	{ IN(SENDING), CODE(530, 530), ANY_ENH, IF(KNOWN_GOOD), THEN(MESSAGE, RETRY), STAT(7, 0) },
	{ IN(SENDING), CODE(535, 535), ANY_ENH, IF(SMARTHOST), THEN(OURS, PARK), STAT(7, 8) },
	{ IN(SENDING), CODE(500, 599), ENH(7, 8), IF(SMARTHOST), THEN(OURS, PARK) },
	{ IN(SENDING), CODE(500, 599), ENH(7, 57), IF(SMARTHOST), THEN(OURS, PARK) },
	{ IN(SENDING), CODE(500, 599), ANY_ENH, IF(SMARTHOST), TEXT("*relay*"), THEN(OURS, PARK),
		STAT(7, 1) },
	{ IN(SENDING), CODE(500, 599), ANY_ENH, IF(SMARTHOST), TEXT("*authentication*required*"),
		THEN(OURS, PARK), STAT(7, 0) },

	/* Before MAIL a reply concerns no message, permanent or not. */
	{ IN(SPEAKING), CODE(400, 499), ENH(7, ALL), THEN(HOST, PARK), SET(OVERLOAD | LIMIT) },
	{ IN(SPEAKING), CODE(400, 499), ENH(4, 5), THEN(HOST, PARK), SET(OVERLOAD) },
	{ IN(SPEAKING), CODE(400, 499), ANY_ENH, THEN(HOST, PARK), STAT(3, 0) },
	{ IN(SPEAKING), CODE(500, 599), ANY_ENH, THEN(HOST, PARK), STAT(3, 2), SET(DOUBTED) },
	{ ON(STARTTLS), CODE(500, 599), ANY_ENH, THEN(HOP, PARK), STAT(7, 0), SET(DOUBTED) },
	{ ON(STARTTLS), CODE(400, 499), ANY_ENH, THEN(HOP, PARK), STAT(7, 0) },
	{ IN(BEFORE_MAIL), CODE(200, 599), ANY_ENH, THEN(HOST, PARK), STAT(5, 0) },

	/* MAIL: message and sender. */
	{ ON(MAIL), CODE(400, 499), ENH(7, ALL), THEN(MESSAGE, RETRY), SET(OVERLOAD | LIMIT) },
	{ ON(MAIL), CODE(400, 499), ENH(3, ALL), THEN(MESSAGE, RETRY), SET(OVERLOAD) },
	{ ON(MAIL), CODE(400, 499), ENH(4, ALL), THEN(MESSAGE, RETRY), SET(OVERLOAD) },
	{ ON(MAIL), CODE(400, 499), ANY_ENH, THEN(MESSAGE, RETRY), STAT(0, 0) },
	{ ON(MAIL), CODE(500, 599), ENH(3, 4), THEN(MESSAGE, FAIL) },
	{ ON(MAIL), CODE(500, 599), ENH(2, 3), THEN(MESSAGE, FAIL) },
	{ ON(MAIL), CODE(552, 552), ANY_ENH, THEN(MESSAGE, FAIL), STAT(3, 4) },
	{ ON(MAIL), CODE(500, 599), ANY_ENH, THEN(MESSAGE, FAIL), STAT(0, 0), SET(DOUBTED) },

	/* RCPT: too many recipients (RFC 5321 4.5.3.1.10, also as 552) goes on at once in another
	 * transaction; for the first recipient that would turn for ever. A full mailbox or a
	 * message too large for it is no such case. */
	{ ON(RCPT), CODE(400, 499), ENH(5, 3), IF(OTHERS), THEN(RECIPIENT, AGAIN), SET(ANSWERS) },
	{ ON(RCPT), CODE(400, 499), ANY_ENH, IF(OTHERS), TEXT("*per transaction*"),
		THEN(RECIPIENT, AGAIN), STAT(5, 3), SET(ANSWERS) },
	{ ON(RCPT), CODE(452, 452), ENH(2, ALL), THEN(RECIPIENT, RETRY), SET(ANSWERS) },
	{ ON(RCPT), CODE(452, 452), ENH(3, ALL), THEN(RECIPIENT, RETRY), SET(ANSWERS) },
	{ ON(RCPT), CODE(452, 452), ENH(7, ALL), THEN(RECIPIENT, RETRY), SET(ANSWERS) },
	{ ON(RCPT), CODE(452, 452), ANY_ENH, IF(OTHERS), THEN(RECIPIENT, AGAIN), STAT(5, 3),
		SET(ANSWERS) },
	{ ON(RCPT), CODE(552, 552), ENH(2, 2), THEN(RECIPIENT, RETRY), SET(ANSWERS) },
	{ ON(RCPT), CODE(552, 552), ENH(2, 3), THEN(RECIPIENT, FAIL), SET(ANSWERS) },
	{ ON(RCPT), CODE(552, 552), ENH(3, 4), THEN(RECIPIENT, FAIL), SET(ANSWERS) },
	{ ON(RCPT), CODE(552, 552), ANY_ENH, IF(OTHERS), THEN(RECIPIENT, AGAIN), STAT(5, 3),
		SET(ANSWERS) },
	{ ON(RCPT), CODE(552, 552), ANY_ENH, THEN(RECIPIENT, RETRY), STAT(5, 3), SET(ANSWERS) },

	/* Throttling by name (Google 4.7.28, Microsoft 4.7.500 to 4.7.699); other 4xx, greylisting
	 * above all, never touch site or window. */
	{ ON(RCPT), CODE(400, 499), ENH(7, 28), THEN(RECIPIENT, RETRY),
		SET(ANSWERS | OVERLOAD | LIMIT) },
	{ ON(RCPT), CODE(400, 499), ENH(7, 500), TO(699), THEN(RECIPIENT, RETRY),
		SET(ANSWERS | OVERLOAD | LIMIT) },
	{ ON(RCPT), CODE(300, 499), ANY_ENH, THEN(RECIPIENT, RETRY), STAT(0, 0), SET(ANSWERS) },

	/* Final dot and DATA: 4.2.x is one mailbox, 4.7.x a limit; the rest may be the site. */
	{ IN(CONTENT), CODE(400, 499), ENH(7, ALL), THEN(MESSAGE, RETRY), SET(OVERLOAD | LIMIT) },
	{ IN(CONTENT), CODE(400, 499), ENH(2, ALL), THEN(MESSAGE, RETRY), SET(ANSWERS) },
	{ IN(CONTENT), CODE(400, 499), ENH(3, ALL), THEN(MESSAGE, RETRY), SET(SUSPECT | OVERLOAD) },
	{ IN(CONTENT), CODE(400, 499), ENH(4, ALL), THEN(MESSAGE, RETRY), SET(SUSPECT | OVERLOAD) },
	{ IN(CONTENT), CODE(400, 499), ANY_ENH, THEN(MESSAGE, RETRY), STAT(0, 0), SET(SUSPECT) },

	/* Permanent, to one recipient or to the message. The doubted ones are what broken
	 * directories and front ends say. */
	{ ON(RCPT), CODE(500, 599), ENH(1, ALL), THEN(RECIPIENT, FAIL), SET(ANSWERS | DOUBTED) },
	{ ON(RCPT), CODE(500, 599), ENH(2, 1), THEN(RECIPIENT, FAIL), SET(ANSWERS | DOUBTED) },
	{ ON(RCPT), CODE(500, 599), ENH(4, ALL), THEN(RECIPIENT, FAIL), SET(ANSWERS | DOUBTED) },
	{ ON(RCPT), CODE(500, 599), ENH(0, 0), THEN(RECIPIENT, FAIL), SET(ANSWERS | DOUBTED) },
	{ ON(RCPT), CODE(500, 599), ENH(3, 0), THEN(RECIPIENT, FAIL), SET(ANSWERS | DOUBTED) },
	{ ON(RCPT), CODE(500, 599), ENH(SOME, ALL), THEN(RECIPIENT, FAIL), SET(ANSWERS) },
	{ ON(RCPT), CODE(500, 599), ANY_ENH, THEN(RECIPIENT, FAIL), STAT(0, 0),
		SET(ANSWERS | DOUBTED) },
	/* We took it ourselves, time and again, and it came back each time: our own word is not doubted. */
	{ IN(CONTENT), CODE(500, 599), ENH(4, 6), IF(OURSELVES), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ IN(CONTENT), CODE(500, 599), ENH(1, ALL), THEN(MESSAGE, FAIL), SET(ANSWERS | DOUBTED) },
	{ IN(CONTENT), CODE(500, 599), ENH(2, 1), THEN(MESSAGE, FAIL), SET(ANSWERS | DOUBTED) },
	{ IN(CONTENT), CODE(500, 599), ENH(4, ALL), THEN(MESSAGE, FAIL), SET(ANSWERS | DOUBTED) },
	{ IN(CONTENT), CODE(500, 599), ENH(0, 0), THEN(MESSAGE, FAIL), SET(ANSWERS | DOUBTED) },
	{ IN(CONTENT), CODE(500, 599), ENH(3, 0), THEN(MESSAGE, FAIL), SET(ANSWERS | DOUBTED) },
	{ IN(CONTENT), CODE(500, 599), ENH(SOME, ALL), THEN(MESSAGE, FAIL), SET(ANSWERS) },
	{ IN(CONTENT), CODE(500, 599), ANY_ENH, THEN(MESSAGE, FAIL), STAT(0, 0),
		SET(ANSWERS | DOUBTED) },

	/* Nothing of the above: a defect somewhere, never a bounce. */
	{ IN(ANY_STAGE), ERR(ANY_ERR), ANY_ENH, THEN(NONE, RETRY), STAT(0, 0) },
	{ IN(ANY_STAGE), CODE(1, UINT16_MAX), ANY_ENH, THEN(NONE, RETRY), STAT(0, 0) },
};
/* clang-format on */

static bool has_own_status(const struct outcome *o)
{
	if (o->status.klass == 0)
		return false;
	/* A conflicting enhanced code is as good as none: the reply code decides. */
	return o->code == 0 || o->status.klass == o->code / 100;
}

static bool fits_status(const struct rule *r, const struct outcome *o)
{
	if (r->subject == ALL)
		return true;
	if (!has_own_status(o) || (r->klass != 0 && r->klass != o->status.klass))
		return false;
	if (r->subject == SOME)
		return true;
	if (r->subject != (int)o->status.subject)
		return false;
	if (r->detail == ALL || r->detail == (int)o->status.detail)
		return true;
	return o->status.detail >= r->detail && (int)o->status.detail <= r->detail_max;
}

static bool fits_context(const struct rule *r, const struct verdict_context *context)
{
	switch (r->when) {
	case ALWAYS:
		return true;
	case KNOWN_GOOD:
		return context->is_known_good;
	case SMARTHOST:
		return context->is_smarthost;
	case OTHERS:
		return context->has_accepted_other;
	case OURSELVES:
		return context->is_ourselves;
	}
	return false;
}

static bool fits(
	const struct rule *r, const struct outcome *o, const struct verdict_context *context)
{
	if (!(r->stages & AT(o->stage)) || o->code < r->code_min || o->code > r->code_max)
		return false;
	if (o->code == 0 && !(r->errs & BIT(o->err)))
		return false;
	if (r->text && !str_match_glob(o->text, str_from_c(r->text)))
		return false;
	return fits_context(r, context) && fits_status(r, o);
}

static struct status status_of(const struct rule *r, const struct outcome *o)
{
	struct status s = STATUS(4, r->own_subject, r->own_detail);

	if (has_own_status(o))
		s = o->status;
	else if (o->code >= 200 && o->code <= 599)
		s.klass = (uint8_t)(o->code / 100);
	/* RFC 3464: a deferral has class 4, also when the reply was 5xx. */
	if (r->disposition != DISPOSE_DELIVERED)
		s.klass = r->disposition == DISPOSE_FAIL ? 5 : 4;
	return s;
}

/* By LMTP what is said of an address or a mailbox comes after the dot, and means what it means to RCPT elsewhere. The rest,
 * of storage, system, content or policy, is judged as anywhere. */
static bool is_of_mailbox(const struct outcome *o)
{
	return o->stage == STAGE_DOT && o->code >= 400 && has_own_status(o) &&
	       (o->status.subject == 1 || o->status.subject == 2);
}

struct verdict verdict_in(const struct outcome *outcome, const struct verdict_context *context)
{
	struct outcome of_mailbox = *outcome;

	CHECK(outcome->stage < STAGE_COUNT && outcome->err < ERR_COUNT);
	if (context->is_lmtp && is_of_mailbox(outcome)) {
		of_mailbox.stage = STAGE_RCPT;
		outcome = &of_mailbox;
	}
	for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
		const struct rule *r = &rules[i];

		if (!fits(r, outcome, context))
			continue;
		return (struct verdict){
			.scope = r->scope,
			.disposition = r->disposition,
			.status = status_of(r, outcome),
			.is_in_doubt = r->flags & DOUBT,
			.is_suspect = r->flags & SUSPECT,
			.is_overload = r->flags & OVERLOAD,
			.is_rate_limit = r->flags & LIMIT,
			.answers = r->flags & ANSWERS,
			.is_doubted_fail = r->flags & DOUBTED,
		};
	}
	check_failed("the last rules fit anything", __FILE__, __LINE__);
}

struct verdict verdict_of(const struct outcome *outcome, bool is_known_good)
{
	struct verdict_context context = { .is_known_good = is_known_good };

	return verdict_in(outcome, &context);
}

const char *scope_name(enum scope s)
{
	static const char *const names[] = {
		[SCOPE_NONE] = "none",
		[SCOPE_HOST] = "host",
		[SCOPE_HOP] = "next hop",
		[SCOPE_MESSAGE] = "message",
		[SCOPE_RECIPIENT] = "recipient",
		[SCOPE_OURS] = "ours",
	};

	return (size_t)s < ARRAY_COUNT(names) ? names[s] : "unknown";
}

const char *disposition_name(enum disposition d)
{
	static const char *const names[] = {
		[DISPOSE_DELIVERED] = "delivered",
		[DISPOSE_RETRY] = "retry",
		[DISPOSE_AGAIN] = "again",
		[DISPOSE_PARK] = "parked",
		[DISPOSE_FAIL] = "failed",
	};

	return (size_t)d < ARRAY_COUNT(names) ? names[d] : "unknown";
}
