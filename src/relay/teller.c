/* teller - see teller.h. A look: messages with notices of their own first, then a digest for each sender. */
#include "relay/teller.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/header.h"
#include "relay/late_digest.h"
#include "relay/own_mail.h"

#define LOOK_FIRST_MS MINUTE_MS /* after the start */
#define LOOK_MAX_MS HOUR_MS
#define LOOK_MIN_MS MINUTE_MS
#define LOOK_SOON_MS (10 * SECOND_MS)
#define LOOK_REAL_MS SECOND_MS /* under a fast clock */
#define PAGE_SENDERS 16
#define PAGE_OWN 200
#define HEADERS_BYTES_MAX ((size_t)64 << 10)
/* Senders are counted by hash: two that meet have their digest a little sooner. */
#define FAILURE_SLOTS 4096
#define ASKED_FACTOR 10

enum telling { TELL_NOTHING, TELL_DELAY, TELL_DIGEST, TELL_CLOSING, TELL_FAILURES };

struct teller {
	struct relay *relay;
	struct timer timer; /* the next look, or the next notice of this one */
	bool is_looking;
	struct wall looked; /* when this look began */
	struct wall busy_until; /* the last by-time that was noted */
	struct store_late late;
	bool is_reading, is_own;
	bool has_page;
	bool has_progress; /* in this page */
	struct str cursor; /* owned */
	uint32_t position; /* in the page */
	bool is_owed_next; /* at this sender: its late mail is done with */
	struct store_tell tell;
	bool is_telling; /* from here until that is durable */
	struct late_digest own;
	struct store_fetch headers; /* of the message that gets a notice of its own */
	enum telling telling;
	struct own_mail mail;
	struct told_record told;
	struct arena arena; /* of the notice under way */
	uint16_t failures[2][FAILURE_SLOTS]; /* those that were asked for apart */
	struct wall failures_since;
};

static void go_on(struct teller *t);

/* ---- how many notices of failure ---- */

bool teller_may_notify(struct teller *t, struct str sender, bool is_asked)
{
	uint64_t limit = t->relay->conf->notify.failures_per_hour;
	struct wall now = env_wall(t->relay->env);
	uint16_t *count = &t->failures[is_asked][str_hash(sender, 1) % FAILURE_SLOTS];

	if (limit == 0)
		return true;
	if (now.ms - t->failures_since.ms >= HOUR_MS) {
		t->failures_since = now;
		for (size_t i = 0; i < FAILURE_SLOTS; i++)
			t->failures[false][i] = t->failures[true][i] = 0;
	}
	limit *= is_asked ? ASKED_FACTOR : 1;
	if (*count >= limit || *count == UINT16_MAX)
		return false;
	++*count;
	return true;
}

/* ---- the look ---- */

static int64_t interval_ms(const struct teller *t)
{
	const struct relay *r = t->relay;
	int64_t least_ms = LOOK_REAL_MS * r->env->rate;
	int64_t wait_ms = late_digest_delay_min(r->conf) / 4;

	if (wait_ms == 0 || wait_ms > LOOK_MAX_MS)
		wait_ms = LOOK_MAX_MS;
	if (wait_ms < LOOK_MIN_MS || t->looked.ms <= t->busy_until.ms)
		wait_ms = LOOK_MIN_MS;
	return wait_ms < least_ms ? least_ms : wait_ms;
}

static void drop_page(struct teller *t)
{
	store_op_fini(&t->late.op);
	t->has_page = false;
}

static void end_look(struct teller *t)
{
	struct relay *r = t->relay;

	drop_page(t);
	t->is_looking = false;
	if (!r->is_stopping)
		env_timer_at(r->env, &t->timer, wall_add(t->looked, interval_ms(t)));
	relay_check_stopped(r);
}

static void note_failed(struct teller *t, const char *what, enum err err)
{
	log_text(t->relay->env->log, LOG_WARNING, "bounce", "cannot %s: %s; looking again later",
		what, err_name(err));
	if (err == ERR_NO_SPACE)
		upkeep_note_full(t->relay);
}

static void on_late(struct store_op *op)
{
	struct teller *t = CONTAINER_OF(op, struct teller, late.op);

	t->is_reading = false;
	if (op->err != OK) {
		note_failed(t, "look for late mail", op->err);
		end_look(t);
		return;
	}
	relay_free_name(&t->cursor);
	t->cursor = relay_copy_name(t->late.last);
	t->position = 0;
	t->is_owed_next = false;
	t->has_page = true;
	t->has_progress = false;
	go_on(t);
}

static void read_page(struct teller *t)
{
	const struct conf *conf = t->relay->conf;
	int64_t delay_ms = late_digest_delay_min(conf);

	drop_page(t);
	t->is_reading = true;
	t->late = (struct store_late){
		.op.on_done = on_late,
		.now = t->looked,
		.accepted_before =
			delay_ms > 0 ? wall_add(t->looked, -delay_ms + 1) : (struct wall){ 1 },
		.told_before = wall_add(t->looked, -conf->notify.delay_repeat_ms),
		.owed_before = wall_add(t->looked, -conf->policy.notice_hold_ms),
		.is_own = t->is_own,
		.after = t->cursor,
		.limit = t->is_own ? PAGE_OWN : PAGE_SENDERS,
	};
	store_submit(t->relay->store, &t->late.op, STORE_LATE);
}

static void begin_look(struct teller *t)
{
	t->is_looking = true;
	t->is_own = true;
	t->looked = env_wall(t->relay->env);
	relay_free_name(&t->cursor);
	t->cursor = relay_copy_name(STR(""));
	read_page(t);
}

static void on_timer(struct timer *timer)
{
	struct teller *t = CONTAINER_OF(timer, struct teller, timer);

	if (t->relay->is_stopping)
		return;
	if (t->is_looking)
		go_on(t);
	else
		begin_look(t);
}

/* ---- one notice ---- */

static void count_told(struct teller *t)
{
	static const enum metric of[] = {
		[TELL_DELAY] = METRIC_dsn_delay_total,
		[TELL_DIGEST] = METRIC_dsn_digest_total,
		[TELL_CLOSING] = METRIC_dsn_closing_total,
		[TELL_FAILURES] = METRIC_dsn_failure_digest_total,
	};
	static const char *const text[] = {
		[TELL_DELAY] = "sender delay notification",
		[TELL_DIGEST] = "sender delay digest",
		[TELL_CLOSING] = "sender notification of the end of a delay",
		[TELL_FAILURES] = "sender non-delivery digest",
	};
	uint64_t about = t->tell.id > 0 ? t->tell.id : t->mail.message->env.id;

	metric_add(t->relay->env->metrics, of[t->telling], 1);
	own_mail_offer(&t->mail, t->relay, about, text[t->telling]);
}

static void advance(struct teller *t)
{
	const struct late_sender *s = &t->late.senders[t->position];

	t->is_owed_next = !t->is_owed_next && s->owed_count > 0;
	t->position += !t->is_owed_next;
}

static void on_told(struct store_op *op)
{
	struct teller *t = CONTAINER_OF(op, struct teller, tell.op);
	struct relay *r = t->relay;
	bool has_notice = t->mail.message && op->err == OK && t->tell.is_applied;

	t->is_telling = false;
	if (op->err == OK && has_notice)
		count_told(t);
	own_mail_drop(&t->mail);
	store_op_fini(op);
	arena_fini(&t->arena);
	if (op->err != OK && op->err != ERR_NOT_FOUND) {
		note_failed(t, "store a notice", op->err);
		end_look(t);
		return;
	}
	t->has_progress |= op->err == OK;
	advance(t);
	if (has_notice && !r->is_stopping)
		env_timer_at(r->env, &t->timer,
			wall_add(env_wall(r->env), MINUTE_MS / r->conf->notify.digests_per_minute));
	else
		go_on(t);
	relay_check_stopped(r);
}

static void submit(struct teller *t, enum telling telling)
{
	t->telling = telling;
	t->is_telling = true;
	t->tell.op = (struct store_op){ .on_done = on_told };
	if (t->mail.message)
		t->tell.notice = &t->mail.notice;
	store_submit(t->relay->store, &t->tell.op, STORE_TELL);
}

/* Whom nothing can be sent to is noted as told all the same. */
static void build(
	struct teller *t, struct str to, struct digest_params *params, bool is_requiretls)
{
	struct relay *r = t->relay;

	if (!own_mail_begin(&t->mail, r, to, DIGEST_BYTES_MAX)) {
		metric_add(r->env->metrics, METRIC_dsn_discarded_total, 1);
		return;
	}
	t->mail.message->env.is_requiretls = is_requiretls; /* RFC 8689 5 */
	params->reporting_mta = r->conf->hostname;
	params->to = to;
	params->postmaster = r->conf->bounce_from;
	params->contact = r->conf->postmaster;
	params->notice_id = t->mail.message->env.id;
	params->now = t->mail.message->env.accepted;
	params->is_smtputf8 |= t->mail.message->env.is_smtputf8;
	digest_build(&t->mail.message->content, params);
	own_mail_end(&t->mail, params->is_smtputf8);
}

/* ---- late mail ---- */

static uint64_t last_id(const struct late_sender *s)
{
	return s->messages[s->message_count - 1].message.env.id;
}

/* It begins: to nobody, or to one who heard once of mail that has settled since. Who heard again is owed the end. */
static bool is_beginning(const struct late_sender *s)
{
	return s->told.count == 0 || (s->is_settled && s->told.count == 1);
}

/* All late mail is named, not only what is news. */
static bool names_all(const struct late_sender *s)
{
	return s->told.count == 0 || s->is_settled || s->is_due;
}

static void note_told(struct teller *t, const struct late_sender *s, struct str hops)
{
	bool is_new = is_beginning(s), is_all = names_all(s);

	t->told = s->told;
	t->told.sender = s->name;
	t->told.hops = hops;
	t->told.count = is_new ? 1 : s->told.count + 1;
	if (is_new)
		t->told.first = t->looked;
	/* What is new between two digests does not put off the next. */
	if (is_all)
		t->told.last = t->looked;
	/* Beyond the page it was counted, not looked at. */
	t->told.up_to = is_all && s->more_messages > 0 ? queue_id_floor(t->late.accepted_before) - 1
						       : last_id(s);
	t->tell.told = &t->told;
}

static void tell_digest(struct teller *t, const struct late_sender *s, const struct late_digest *d)
{
	struct digest_params params = {
		.kind = DIGEST_DELAYED,
		.is_smtputf8 = d->has_utf8,
		.messages = d->messages,
		.message_count = d->message_count,
		.more_messages = names_all(s) ? s->more_messages : 0,
		.is_more_open = s->more_messages == LATE_COUNT_MAX,
		.places = d->places,
		.place_count = d->place_count,
		.repeat_ms = t->relay->conf->notify.delay_repeat_ms,
	};

	note_told(t, s, d->hops);
	build(t, s->name, &params, false); /* what needs it has notices of its own */
	submit(t, TELL_DIGEST);
}

/* Who was told once has been told that nothing need be done; who was told again waits for the end. */
static void tell_settled(struct teller *t, const struct late_sender *s)
{
	struct digest_params params = { .kind = DIGEST_SETTLED, .first = s->told.first };

	t->told = (struct told_record){ .sender = s->name };
	t->tell.told = &t->told;
	if (s->told.count > 1)
		build(t, s->name, &params, false);
	submit(t, TELL_CLOSING);
}

static bool tell_late(struct teller *t, const struct late_sender *s)
{
	bool is_all = names_all(s);
	struct late_digest d;

	late_digest_make(
		t->relay, s, t->looked, is_all ? STR("") : s->told.hops, !is_all, &t->arena, &d);
	if (d.message_count > 0) {
		tell_digest(t, s, &d);
		return true;
	}
	if (s->is_settled) {
		tell_settled(t, s);
		return true;
	}
	if (is_all || s->more_messages == 0)
		return false;
	/* A full page without news: the next look goes on behind it. */
	t->told = s->told;
	t->told.up_to = last_id(s);
	t->tell.told = &t->told;
	submit(t, TELL_NOTHING);
	return true;
}

/* ---- failures that are owed ---- */

static bool tell_owed(struct teller *t, const struct late_sender *s)
{
	struct late_digest d;

	if (s->owed_count == 0)
		return false;
	late_digest_owed(s, &t->arena, &d);

	struct digest_params params = {
		.kind = DIGEST_FAILED,
		.is_smtputf8 = d.has_utf8,
		.messages = d.messages,
		.message_count = d.message_count,
		.more_messages = s->more_owed,
		.is_more_open = s->has_more_owed,
	};

	if (d.message_count > 0)
		build(t, s->name, &params, d.has_requiretls);
	t->tell.owed_to = s->name;
	t->tell.owed_up_to = s->owed_up_to;
	t->tell.owed_before = t->late.owed_before;
	t->tell.owed_count = s->owed_count + s->more_owed;
	submit(t, TELL_FAILURES);
	return true;
}

/* ---- notices for each message ---- */

/* Without headers the notice still says what is late. */
static void build_own(struct teller *t, struct str headers)
{
	struct relay *r = t->relay;
	const struct envelope *env = &t->late.senders[t->position].messages[0].message.env;
	const struct digest_message *about = &t->own.messages[0];

	if (!own_mail_begin(&t->mail, r, env->reverse_path, DIGEST_BYTES_MAX))
		return;

	struct dsn_params params = own_mail_dsn(r, &t->mail.message->env, env);

	params.original_headers = str_slice(headers, 0, HEADERS_BYTES_MAX);
	params.recipients = about->recipients;
	params.recipient_count = about->recipient_count;

	t->mail.message->env.priority = env->priority;
	t->mail.message->env.is_requiretls = env->is_requiretls; /* RFC 8689 5 */
	dsn_build(&t->mail.message->content, &params);
	own_mail_end(&t->mail, env->is_smtputf8);
}

static void on_headers(struct store_op *op)
{
	struct teller *t = CONTAINER_OF(op, struct teller, headers.op);

	build_own(t, op->err == OK ? header_section(t->headers.content) : STR(""));
	store_op_fini(op);
	submit(t, TELL_DELAY);
}

static bool tell_own(struct teller *t, const struct late_sender *s)
{
	late_digest_make(t->relay, s, t->looked, STR(""), false, &t->arena, &t->own);
	if (t->own.message_count == 0)
		return false;
	t->tell.id = s->messages[0].message.env.id;
	t->tell.at = t->looked;
	t->is_telling = true;
	t->headers = (struct store_fetch){ .op.on_done = on_headers, .id = t->tell.id, .chunk = 0 };
	store_submit(t->relay->store, &t->headers.op, STORE_FETCH);
	return true;
}

/* ---- from sender to sender ---- */

/* True: a TELL is under way. */
static bool tell_next(struct teller *t)
{
	const struct late_sender *s = &t->late.senders[t->position];

	t->tell = (struct store_tell){ .id = 0 };
	arena_fini(&t->arena);
	if (t->is_own)
		return tell_own(t, s);
	return t->is_owed_next ? tell_owed(t, s) : tell_late(t, s);
}

static void end_page(struct teller *t)
{
	if (t->late.is_more && (!t->is_own || t->has_progress)) {
		read_page(t); /* of one's own: those that were told are no longer among them */
	} else if (t->is_own) {
		t->is_own = false;
		relay_free_name(&t->cursor);
		t->cursor = relay_copy_name(STR(""));
		read_page(t);
	} else {
		end_look(t);
	}
}

static void go_on(struct teller *t)
{
	if (!t->has_page || t->is_telling)
		return;
	if (t->relay->is_stopping || t->relay->upkeep.is_full) {
		end_look(t);
		return;
	}
	while (t->position < t->late.sender_count) {
		if (tell_next(t))
			return;
		advance(t);
	}
	end_page(t);
}

/* ---- life ---- */

struct teller *teller_new(struct relay *r)
{
	struct teller *t = mem_zalloc(sizeof(*t));

	t->relay = r;
	t->timer.on_fire = on_timer;
	t->cursor = relay_copy_name(STR(""));
	return t;
}

void teller_start(struct teller *t)
{
	struct relay *r = t->relay;

	env_timer_at(r->env, &t->timer, wall_add(env_wall(r->env), LOOK_FIRST_MS));
}

void teller_note(struct teller *t, struct wall by)
{
	struct env *env = t->relay->env;
	struct wall now = env_wall(env);
	struct wall soon = wall_add(by.ms > now.ms ? by : now, LOOK_SOON_MS);

	if (by.ms > now.ms + LOOK_MAX_MS || t->is_looking || !timer_is_active(&t->timer))
		return;
	if (by.ms > t->busy_until.ms)
		t->busy_until = by;
	if (t->timer.when.ms > env_mono_at(env, soon).ms)
		env_timer_at(env, &t->timer, soon);
}

void teller_stop(struct teller *t)
{
	env_timer_stop(t->relay->env, &t->timer);
}

bool teller_is_busy(const struct teller *t)
{
	return t->is_reading || t->is_telling;
}

void teller_free(struct teller *t)
{
	teller_stop(t);
	store_op_fini(&t->late.op);
	store_op_fini(&t->tell.op);
	store_op_fini(&t->headers.op);
	own_mail_drop(&t->mail);
	arena_fini(&t->arena);
	relay_free_name(&t->cursor);
	free(t);
}
