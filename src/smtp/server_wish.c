/*
 * server_wish - what a message is asked to have beyond delivery: REQUIRETLS (RFC 8689), MT-PRIORITY (6710), DELIVERBY (2852)
 * and FUTURERELEASE (4865).
 *
 * Each is offered only to whom it is kept: REQUIRETLS under TLS, holding and by-times to clients that may relay by who they
 * are: with BY=1 a stranger could have a message returned, with all that it says, to whomever he names as its sender. Where
 * nobody but users may send, it is offered to those who have not logged in yet. An unknown client's priority is 0, and it is
 * told so; its mail is taken all the same. A wish that cannot be kept is refused at MAIL, for afterwards nobody would know.
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
	return s->conf->smtpd.hold_max_ms >= SECOND_MS && server_may_know_client(s);
}

/* "FUTURERELEASE 2592000 2026-12-22T09:00:00Z" */
static void offer_holding(const struct smtp_server *s, struct buf *text)
{
	int64_t max_ms = s->conf->smtpd.hold_max_ms;
	struct wall latest = wall_add(env_wall(s->env), max_ms);

	buf_printf(text, "\nFUTURERELEASE %lld ", (long long)(max_ms / SECOND_MS));
	instant_format_iso(text, latest);
	text->len -= sizeof(".123Z") - 1; /* whole seconds, for simple clients */
	buf_append_char(text, 'Z');
}

void server_offer_wishes(const struct smtp_server *s, struct buf *text)
{
	if (s->info.is_tls)
		buf_append_str(text, STR("\nREQUIRETLS"));
	/* Without the name of a profile: all nineteen priorities are told apart. */
	buf_append_str(text, STR("\nMT-PRIORITY"));
	if (server_may_know_client(s))
		buf_append_str(text, STR("\nDELIVERBY"));
	if (offers_holding(s))
		offer_holding(s, text);
}

/* When it may leave; in the past: at once. */
static struct wall hold_until(const struct smtp_server *s, const struct command *c)
{
	struct wall now = env_wall(s->env);
	struct wall until = c->hold_until;

	if (!c->has_hold)
		return WALL_NONE;
	if (until.ms == WALL_NONE.ms)
		until = wall_add(now, c->hold_for_s * SECOND_MS);
	return until.ms > now.ms ? until : WALL_NONE;
}

static bool is_held_past_by_time(const struct smtp_server *s, const struct command *c)
{
	struct wall by = wall_add(env_wall(s->env), c->by_s * SECOND_MS);

	return c->has_by && !c->by_notify && hold_until(s, c).ms >= by.ms;
}

bool server_may_wish(struct smtp_server *s, const struct command *c)
{
	int64_t max_ms = s->conf->smtpd.hold_max_ms;

	if (c->is_requiretls && !s->info.is_tls)
		server_refuse(s, 530, STATUS(5, 7, 10), "REQUIRETLS needs STARTTLS first");
	else if ((c->has_hold && !offers_holding(s)) || (c->has_by && !server_may_know_client(s)))
		server_refuse(s, 555, STATUS(5, 5, 4), "unknown parameter of MAIL");
	else if (hold_until(s, c).ms > wall_add(env_wall(s->env), max_ms).ms)
		server_refuse(s, 501, STATUS(5, 5, 4), "mail is held for %lld s at most",
			(long long)(max_ms / SECOND_MS));
	else if (is_held_past_by_time(s, c))
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
	env->hold_until = hold_until(s, c);
	if (!c->has_by)
		return;
	env->deliver_by = wall_add(env_wall(s->env), c->by_s * SECOND_MS);
	env->deliver_by_notify = c->by_notify;
	env->deliver_by_trace = c->by_trace;
}
