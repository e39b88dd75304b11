/*
 * etrn - ETRN, RFC 1985: a client that may relay asks that the mail of a domain be tried now.
 *
 * The node is a domain, "@domain" for it and those of its subdomains that are in memory (others are reached when their
 * site is: whoever of a site that was down answers wakes all its mail), or "#route" for a route of the configuration. What
 * it starts is what an operator's retry starts: a probe of a site that is down, the mail of one that is not. So it is cheap,
 * but not free: so many a minute in all, then 458.
 */
#include "mail/domain.h"
#include "relay/hint.h"
#include "relay/intake_private.h"

#define ETRN_PER_MINUTE 20
#define ETRN_SUBDOMAINS_MAX 100

static bool is_too_soon(struct intake *in)
{
	struct mono now = env_now(in->relay->env);

	if (now.ms - in->etrn_since.ms >= MINUTE_MS) {
		in->etrn_since = now;
		in->etrn_count = 0;
	}
	return ++in->etrn_count > ETRN_PER_MINUTE;
}

static bool is_below(struct str name, struct str domain)
{
	return name.len > domain.len + 1 && name.data[name.len - domain.len - 1] == '.' &&
	       str_equal(str_slice(name, name.len - domain.len, name.len), domain);
}

/* The names first: to retry one changes the list. */
static void probe_subdomains(struct relay *r, struct str domain, struct arena *scratch)
{
	struct str names[ETRN_SUBDOMAINS_MAX];
	uint32_t count = 0;

	for (struct map_entry *e = map_first(&r->hops); e && count < ETRN_SUBDOMAINS_MAX;
		e = map_next(&r->hops, e))
		if (is_below(e->key, domain))
			names[count++] = arena_dup(scratch, e->key);
	for (uint32_t i = 0; i < count; i++)
		destination_retry(r, names[i]);
}

/* Returns false when it is not the name of a domain. */
static bool probe_domain(struct relay *r, struct str node)
{
	bool has_subdomains = node.len > 0 && node.data[0] == '@';
	struct arena scratch = { 0 };
	struct str domain;
	bool is_good = domain_normalize(
			       str_slice(node, has_subdomains, node.len), &scratch, &domain) == OK;

	if (is_good)
		hint_probe(r, domain);
	if (is_good && has_subdomains)
		probe_subdomains(r, domain, &scratch);
	arena_fini(&scratch);
	return is_good;
}

void etrn_start(struct relay *r, struct str node, struct smtp_answer *answer)
{
	bool is_route = node.len > 0 && node.data[0] == '#';

	if (is_route && !hint_probe_route(r, str_slice(node, 1, node.len)))
		intake_refuse(answer, 458, STATUS(4, 3, 0),
			STR("Unable to queue messages: no such route"));
	else if (!is_route && !probe_domain(r, node))
		intake_refuse(answer, 501, STATUS(5, 5, 4),
			STR("ETRN needs a domain, @domain or #route"));
	else
		intake_refuse(answer, 250, STATUS(2, 0, 0), STR("Queuing for the node started"));
}

void etrn_on_etrn(
	void *user, struct smtp_server *server, struct str argument, struct smtp_answer *answer)
{
	struct session *s = user;
	struct intake *in = s->intake;

	(void)server;
	if (is_too_soon(in)) {
		intake_refuse(answer, 458, STATUS(4, 7, 0),
			STR("Unable to queue messages: too many requests, try again in a minute"));
		return;
	}
	etrn_start(in->relay, argument, answer);
	log_text(in->relay->env->log, LOG_INFO, "smtpd", "ETRN %.*s: %u", STR_FMT(argument),
		answer->code);
}
