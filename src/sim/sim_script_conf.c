/* sim_script_conf - the conf statements of a scenario; see sim_words.h. */
#include <string.h>

#include "sim/sim_words.h"

static struct str conf_text(struct sim_world *w, const char *text)
{
	return arena_dup(&w->conf->arena, str_from_c(text));
}

/* conf route NAME [to GLOB] [from GLOB] via [lmtp] HOST */
static void do_route(struct words *w)
{
	struct conf *c = w->world->conf;
	struct conf_route *routes = arena_array(&c->arena, c->route_count + 1, sizeof(*routes));
	struct conf_route *r = &routes[c->route_count];

	if (c->route_count > 0)
		memcpy(routes, c->routes, c->route_count * sizeof(*routes));
	*r = (struct conf_route){
		.name = conf_text(w->world, words_next(w)), .via = ROUTE_SMARTHOST, .port = 25
	};
	if (words_take(w, "to"))
		r->to = conf_text(w->world, words_next(w));
	if (words_take(w, "from"))
		r->from = conf_text(w->world, words_next(w));
	if (words_take(w, "via") && words_take(w, "lmtp"))
		r->via = ROUTE_LMTP;
	if (w->at < w->line->word_count)
		r->host = conf_text(w->world, words_next(w));
	c->routes = routes;
	c->route_count++;
}

/* conf canaries DOMAIN... */
static void do_canaries(struct words *w)
{
	struct conf *c = w->world->conf;
	uint32_t count = (uint32_t)(w->line->word_count - w->at);

	c->canaries = arena_array(&c->arena, count, sizeof(*c->canaries));
	c->canary_count = count;
	for (uint32_t i = 0; i < count; i++)
		c->canaries[i] = conf_text(w->world, words_next(w));
}

/* conf class NAME [from GLOB] [to GLOB] [priority N] [deliver-by TIME] [notify] [hold TIME] */
static void do_class(struct words *w)
{
	struct conf *c = w->world->conf;
	struct conf_class *classes = arena_array(&c->arena, c->class_count + 1, sizeof(*classes));
	struct conf_class *k = &classes[c->class_count];

	if (c->class_count > 0)
		memcpy(classes, c->classes, c->class_count * sizeof(*classes));
	*k = (struct conf_class){ .name = conf_text(w->world, words_next(w)) };
	while (w->at < w->line->word_count) {
		if (words_take(w, "from")) {
			k->from = conf_text(w->world, words_next(w));
		} else if (words_take(w, "to")) {
			k->to = conf_text(w->world, words_next(w));
		} else if (words_take(w, "priority")) {
			k->has_priority = true;
			k->priority = (int32_t)words_number(w);
		} else if (words_take(w, "deliver-by")) {
			k->has_deliver_by = true;
			k->deliver_by_ms = words_span(w);
		} else if (words_take(w, "notify")) {
			k->deliver_by_notify = true;
		} else if (words_take(w, "hold")) {
			k->has_hold = true;
			k->hold_ms = words_span(w);
		} else {
			words_complain(w, "unknown word '%s'", words_peek(w));
			return;
		}
	}
	c->classes = classes;
	c->class_count++;
}

/* conf tls none, opportunistic, require or verify */
static void do_tls(struct words *w)
{
	static const char *const names[] = { [TLS_NONE] = "none",
		[TLS_OPPORTUNISTIC] = "opportunistic",
		[TLS_REQUIRE] = "require",
		[TLS_VERIFY] = "verify" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (words_take(w, names[i])) {
			w->world->conf->policy.tls = (enum tls_policy)i;
			return;
		}
	words_complain(w, "unknown way of TLS '%s'", words_peek(w));
}

void sim_script_conf(struct words *w)
{
	struct conf *c = w->world->conf;
	struct conf_policy *p = &c->policy;

	if (words_take(w, "route"))
		do_route(w);
	else if (words_take(w, "class"))
		do_class(w);
	else if (words_take(w, "lifetime"))
		p->lifetime_ms = words_span(w);
	else if (words_take(w, "lifetime-max"))
		p->lifetime_max_ms = words_span(w);
	else if (words_take(w, "bounce-lifetime"))
		p->bounce_lifetime_ms = words_span(w);
	else if (words_take(w, "connections"))
		p->connections_max = words_number(w);
	else if (words_take(w, "connections-max"))
		c->client.connections_max = words_number(w);
	else if (words_take(w, "recipients-per-message"))
		p->recipients_per_message = words_number(w);
	else if (words_take(w, "messages-per-connection"))
		p->messages_per_connection = words_number(w);
	else if (words_take(w, "spool-from"))
		c->smtpd.spool_from_bytes = words_number(w);
	else if (words_take(w, "history"))
		c->queue.history_ms = words_span(w);
	else if (words_take(w, "delay-notice"))
		p->delay_notice_ms = words_span(w);
	else if (words_take(w, "delay-repeat"))
		c->notify.delay_repeat_ms = words_span(w);
	else if (words_take(w, "failures-per-hour"))
		c->notify.failures_per_hour = words_number(w);
	else if (words_take(w, "operators"))
		c->notify.operators = conf_text(w->world, words_next(w));
	else if (words_take(w, "canaries"))
		do_canaries(w);
	else if (words_take(w, "tls"))
		do_tls(w);
	else
		words_complain(w, "unknown setting '%s'", words_peek(w));
}
