/* late_digest - see late_digest.h. */
#include "relay/late_digest.h"

#include "queue/late_notice.h"
#include "relay/outage.h"

#define HOPS_BYTES_MAX ((size_t)4096)

static const struct late_place *place_of(const struct late_sender *s, struct str hop)
{
	for (uint32_t i = 0; i < s->place_count; i++)
		if (str_equal(s->places[i].hop.name, hop))
			return &s->places[i];
	return NULL;
}

static bool is_listed(struct str names, struct str name)
{
	while (names.len > 0)
		if (str_equal(str_cut(&names, ' '), name))
			return true;
	return false;
}

/* The health that explains why nothing moves: the site's, or the next hop's own; NULL when neither is down. */
static const struct health_record *trouble_of(const struct late_place *place)
{
	if (place && place->site.name.len > 0 && place->site.health.state == HEALTH_DOWN)
		return &place->site.health;
	return place && place->hop.health.state == HEALTH_DOWN ? &place->hop.health : NULL;
}

static struct wall start_of(const struct envelope *env)
{
	return env->hold_until.ms > env->accepted.ms ? env->hold_until : env->accepted;
}

/* At a by-time it is late whatever the destination says. */
static bool is_late(const struct envelope *env, const struct conf_policy *policy, struct wall now)
{
	if (env->late_notice == LATE_NOTICE_AT_TIME)
		return env->deliver_by.ms <= now.ms;
	return policy->delay_notice_ms > 0 && now.ms - start_of(env).ms >= policy->delay_notice_ms;
}

/* ---- one recipient ---- */

static void fill_late(struct dsn_recipient *out, const struct queued_recipient *q,
	const struct health_record *trouble, struct wall until, struct arena *arena)
{
	bool has_own = q->text.len > 0;
	struct str host = trouble ? str_from_c(trouble->host) : q->host;

	*out = (struct dsn_recipient){
		.final_recipient = q->rcpt.address,
		.orcpt = q->rcpt.orcpt,
		.action = DSN_DELAYED,
		.status = has_own && q->status.klass == 4 ? q->status
			  : trouble                       ? STATUS(4, 4, 1)
							  : STATUS(4, 4, 0),
		.last_attempt = q->last_attempt,
		.will_retry_until = until,
	};
	if (trouble && trouble->last_failure.ms > q->last_attempt.ms) {
		out->status = STATUS(4, 4, 1);
		out->last_attempt = trouble->last_failure;
		out->diagnostic_code = trouble->code;
		out->diagnostic = arena_dup(arena, str_from_c(trouble->text));
	} else if (has_own) {
		out->diagnostic_code = q->code;
		out->diagnostic = q->text;
	}
	if (out->diagnostic_code > 0)
		out->remote_mta = arena_dup(arena, str_slice(host, 0, str_find(host, '[')));
}

static void fill_failed(struct dsn_recipient *out, const struct queued_recipient *q)
{
	*out = (struct dsn_recipient){
		.final_recipient = q->rcpt.address,
		.orcpt = q->rcpt.orcpt,
		.action = DSN_FAILED,
		.status = q->status,
		.remote_mta = q->code ? str_slice(q->host, 0, str_find(q->host, '[')) : STR(""),
		.diagnostic_code = q->code,
		.diagnostic = q->text,
		.last_attempt = q->last_attempt,
	};
}

/* ---- where they wait ---- */

static void note_place(struct late_digest *d, const struct queued_recipient *q,
	const struct health_record *trouble, struct wall until, bool is_first, struct arena *arena)
{
	struct digest_place *place = NULL;

	for (size_t i = 0; i < d->place_count && !place; i++)
		if (str_equal(d->places[i].name, q->rcpt.domain))
			place = &d->places[i];
	if (!place && d->place_count == LATE_PLACES_MAX)
		return;
	if (!place) {
		place = &d->places[d->place_count++];
		*place = (struct digest_place){
			.name = q->rcpt.domain,
			.since = trouble ? trouble->first_failure : WALL_NONE,
			.until = until,
			.reason = !trouble ? q->text
				  : trouble->text[0]
					  ? arena_printf(arena, "%s%s%s", trouble->host,
						    trouble->host[0] ? ": " : "", trouble->text)
					  : STR(""),
		};
	}
	if (until.ms < place->until.ms)
		place->until = until;
	place->message_count += is_first;
}

/* ---- messages ---- */

static void note_hop(struct buf *hops, struct str name)
{
	if (hops->len + 1 + name.len > HOPS_BYTES_MAX)
		return; /* the sender may hear of it again */
	if (hops->len > 0)
		buf_append_char(hops, ' ');
	buf_append_str(hops, name);
}

static void add_message(struct relay *r, const struct late_sender *s,
	const struct late_message *late, struct wall now, struct str known, bool only_news,
	struct buf *hops, struct arena *arena, struct late_digest *d)
{
	const struct queued_message *m = &late->message;
	struct dsn_recipient *list = arena_array(arena, m->recipient_count, sizeof(*list));
	struct digest_message *out = &d->messages[d->message_count];
	size_t count = 0;

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct queued_recipient *q = &m->recipients[i];
		const struct late_place *place = place_of(s, q->rcpt.hop);
		const struct conf_policy *policy =
			conf_policy_for(r->conf, q->rcpt.hop, place ? place->site.name : STR(""));

		if (!late_notice_wants(&q->rcpt) || !is_late(&m->env, policy, now) ||
			(only_news && is_listed(known, q->rcpt.hop)))
			continue;
		struct wall until = outage_gives_up_named(
			r, q->rcpt.hop, place ? place->site.name : STR(""), &m->env);
		fill_late(&list[count], q, trouble_of(place), until, arena);
		if (m->env.late_notice == LATE_NOTICE_AT_TIME)
			list[count].status = STATUS(4, 4, 7); /* RFC 2852: the time asked for is over */
		note_place(d, q, trouble_of(place), until, count == 0, arena);
		if (!is_listed(buf_str(hops), q->rcpt.hop))
			note_hop(hops, q->rcpt.hop);
		count++;
	}
	if (count == 0)
		return;
	*out = (struct digest_message){
		.id = m->env.id,
		.arrival = m->env.accepted,
		.envid = m->env.envid,
		.recipients = list,
		.recipient_count = count,
		.more_recipients = late->more_recipients,
	};
	d->has_utf8 |= m->env.is_smtputf8;
	d->message_count++;
}

void late_digest_make(struct relay *r, const struct late_sender *s, struct wall now,
	struct str known, bool only_news, struct arena *arena, struct late_digest *out)
{
	*out = (struct late_digest){
		.messages = arena_array(arena, s->message_count, sizeof(*out->messages)),
		.places = arena_array(arena, LATE_PLACES_MAX, sizeof(*out->places)),
	};
	struct buf hops;

	buf_init(&hops, HOPS_BYTES_MAX);
	buf_append_str(&hops, known);
	for (uint32_t i = 0; i < s->message_count; i++)
		add_message(r, s, &s->messages[i], now, known, only_news, &hops, arena, out);
	out->hops = arena_dup(arena, buf_str(&hops));
	buf_fini(&hops);
}

void late_digest_owed(const struct late_sender *s, struct arena *arena, struct late_digest *out)
{
	*out = (struct late_digest){
		.messages = arena_array(arena, s->owed_count, sizeof(*out->messages)),
	};
	for (uint32_t i = 0; i < s->owed_count; i++) {
		const struct queued_message *m = &s->owed[i].message;
		struct dsn_recipient *list = arena_array(arena, m->recipient_count, sizeof(*list));
		size_t count = 0;

		for (uint32_t k = 0; k < m->recipient_count; k++) {
			const struct queued_recipient *q = &m->recipients[k];

			if (q->rcpt.notify == 0 || (q->rcpt.notify & NOTIFY_FAILURE) != 0)
				fill_failed(&list[count++], q);
		}
		if (count == 0)
			continue; /* revived by an operator meanwhile */
		out->messages[out->message_count++] = (struct digest_message){
			.id = m->env.id,
			.arrival = m->env.accepted,
			.envid = m->env.envid,
			.recipients = list,
			.recipient_count = count,
			.more_recipients = s->owed[i].more_recipients,
		};
		out->has_utf8 |= m->env.is_smtputf8;
		out->has_requiretls |= m->env.is_requiretls;
	}
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a == 0 || (b > 0 && b < a) ? b : a;
}

int64_t late_digest_delay_min(const struct conf *conf)
{
	int64_t least = conf->policy.delay_notice_ms;

	for (uint32_t i = 0; i < conf->destination_count; i++)
		least = lesser(least, conf->destinations[i].policy.delay_notice_ms);
	return least;
}
