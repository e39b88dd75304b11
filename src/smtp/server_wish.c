/*
 * server_wish - what a message is asked to have beyond delivery: REQUIRETLS (RFC 8689), MT-PRIORITY (6710), DELIVERBY (2852)
 * and FUTURERELEASE (4865).
 *
 * Each is offered only to whom it is kept: holding (at submission), by-times, and under TLS REQUIRETLS, to clients that may
 * relay by who they are: with BY=1, or REQUIRETLS to a host that lacks it, a stranger could have a message returned, with
 * all that it says, to whomever he names as its sender. Where nobody but users may send, it is offered to those who have
 * not logged in yet. An unknown client's priority is 0, and it is told so; its mail is taken all the same. A wish that
 * cannot be kept is refused at MAIL, for afterwards nobody would know.
 */
#include "session.h"

bool server_knows_client(const struct smtp_server *s)
{
	return s->info.user.len > 0 || s->info.certificate.len > 0 ||
	       (s->info.is_trusted && s->info.allow == ALLOW_TRUSTED);
}

bool server_may_know_client(const struct smtp_server *s)
{
	return server_knows_client(s) ||
	       (s->info.allow == ALLOW_AUTHENTICATED && server_offers_auth(s));
}

static bool offers_holding(const struct smtp_server *s)
{
	/* RFC 4865 4.2: of submission alone. */
	return s->conf->smtpd.hold_max_ms >= SECOND_MS && s->info.is_submission &&
	       server_may_know_client(s);
}

/* "FUTURERELEASE 2592000 2026-12-22T09:00:00Z" */
static void offer_holding(const struct smtp_server *s, struct buf *lines)
{
	int64_t max_ms = s->conf->smtpd.hold_max_ms;
	struct wall latest = wall_add(env_wall(s->env), max_ms);

	buf_append_str(lines, STR("250-FUTURERELEASE "));
	buf_append_number(lines, (uint64_t)(max_ms / SECOND_MS), 1);
	buf_append_char(lines, ' ');
	instant_format_iso(lines, latest);
	lines->len -= sizeof(".123Z") - 1; /* whole seconds, for simple clients */
	buf_append_str(lines, STR("Z\r\n"));
}

void server_offer_wishes(const struct smtp_server *s, struct buf *lines)
{
	if (s->info.is_tls && server_may_know_client(s))
		buf_append_str(lines, STR("250-REQUIRETLS\r\n"));
	/* Without the name of a profile: all nineteen priorities are told apart. */
	buf_append_str(lines, STR("250-MT-PRIORITY\r\n"));
	if (server_may_know_client(s))
		buf_append_str(lines, STR("250-DELIVERBY\r\n"));
	if (offers_holding(s))
		offer_holding(s, lines);
}

/* When it may leave; a time that is over already holds nothing. */
static struct wall hold_until(const struct command *c, struct wall now)
{
	return c->hold_for_s > 0 ? wall_add(now, c->hold_for_s * SECOND_MS) : c->hold_until;
}

/* RFC 4865 5.2.2, in both modes of by-times. */
static bool is_held_past_by_time(const struct command *c, struct wall now)
{
	return c->has_hold && c->has_by &&
	       hold_until(c, now).ms >= wall_add(now, c->by_s * SECOND_MS).ms;
}

bool server_may_wish(struct smtp_server *s, const struct command *c)
{
	int64_t max_ms = s->conf->smtpd.hold_max_ms;
	struct wall now = env_wall(s->env);

	if ((c->has_hold && !offers_holding(s)) ||
		((c->has_by || c->is_requiretls) && !server_may_know_client(s)))
		server_refuse(s, 555, STATUS(5, 5, 4), "unknown parameter of MAIL");
	else if (c->is_requiretls && !s->info.is_tls)
		server_refuse(s, 530, STATUS(5, 7, 10), "REQUIRETLS needs STARTTLS first");
	else if (c->has_hold && hold_until(c, now).ms > wall_add(now, max_ms).ms)
		server_refuse(s, 501, STATUS(5, 5, 4), "mail is held for %lld s at most",
			(long long)(max_ms / SECOND_MS));
	else if (is_held_past_by_time(c, now))
		server_refuse(s, 501, STATUS(5, 5, 4), "mail held so long cannot arrive in time");
	else
		return true;
	return false;
}

bool server_is_priority_lost(const struct smtp_server *s, const struct command *c)
{
	return c->has_priority && c->priority != 0 && !server_knows_client(s);
}

/* By-time and hold count from here, whatever the content takes (RFC 2852 4). */
void server_keep_wishes(const struct smtp_server *s, const struct command *c, struct envelope *env)
{
	env->is_requiretls = c->is_requiretls;
	if (c->has_priority && server_knows_client(s))
		env->priority = c->priority;
	if (c->has_hold) {
		env->hold_until = hold_until(c, env->accepted);
		env->hold_wish = c->hold_for_s > 0 ? HOLD_WISH_FOR : HOLD_WISH_UNTIL;
	}
	if (!c->has_by)
		return;
	env->deliver_by = wall_add(env->accepted, c->by_s * SECOND_MS);
	env->deliver_by_notify = c->by_notify;
	env->deliver_by_trace = c->by_trace;
}
