/* sim_script - see sim_script.h. */
#include "sim/sim_script.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/sim_words.h"

#define FILE_MAX (1u << 20)
#define REPLY_OCTETS 40

/* ---- the world ---- */

static void add_domains(struct words *w, struct sim_site *s, const char *template, uint32_t count)
{
	const char *brace = strstr(template, "{n}");

	for (uint32_t i = 0; i < count; i++) {
		struct buf name;

		buf_init(&name, 256);
		if (brace)
			buf_printf(
				&name, "%.*s%u%s", (int)(brace - template), template, i, brace + 3);
		else
			buf_append_str(&name, str_from_c(template));
		sim_site_add_domain(&w->world->peers, s, buf_str(&name));
		buf_fini(&name);
	}
}

static enum sim_tls take_tls(struct words *w)
{
	if (words_take(w, "good"))
		return SIM_TLS_GOOD;
	if (words_take(w, "expired"))
		return SIM_TLS_EXPIRED;
	if (!words_take(w, "none"))
		words_complain(w, "tls is good, expired or none, not '%s'", words_peek(w));
	return SIM_TLS_NONE;
}

static void do_set(struct words *w, struct sim_site *s)
{
	while (w->at < w->line->word_count) {
		if (words_take(w, "latency"))
			s->line.latency_ms = words_span(w);
		else if (words_take(w, "segment"))
			s->line.segment_max = words_number(w);
		else if (words_take(w, "trickle"))
			s->line.trickle_ms = words_span(w);
		else if (words_take(w, "reset-after"))
			s->line.reset_after = words_number(w);
		else if (words_take(w, "think"))
			s->think_ms = words_span(w);
		else if (words_take(w, "connections"))
			s->connections_max = words_number(w);
		else if (words_take(w, "rate"))
			s->rate_per_min = words_number(w);
		else if (words_take(w, "capacity"))
			sim_recovery_set(&s->recovery, words_number(w), w->world->clock.now_ms);
		else if (words_take(w, "rcpt-max"))
			s->rcpt_max = words_number(w);
		else if (words_take(w, "no-dsn"))
			s->has_no_dsn = true;
		else if (words_take(w, "tls"))
			s->line.tls = take_tls(w);
		else if (words_take(w, "greylist"))
			s->greylist_ms = words_span(w);
		else if (words_take(w, "smarthost"))
			s->takes_all = true;
		else {
			words_complain(w, "unknown property '%s'", words_peek(w));
			return;
		}
	}
	/* how long a reply may be under way */
	int64_t slack_ms = s->think_ms + REPLY_OCTETS * s->line.trickle_ms;

	if (slack_ms > w->world->ledger.think_ms)
		w->world->ledger.think_ms = slack_ms;
}

/* site NAME [hosts N] [domains TEMPLATE N | domain NAME]... [properties] */
static void do_site(struct words *w)
{
	const char *name = words_next(w);
	struct sim_site *s =
		sim_site_new(&w->world->peers, name, words_take(w, "hosts") ? words_number(w) : 1);

	for (;;) {
		if (words_take(w, "domain")) {
			add_domains(w, s, words_next(w), 1);
		} else if (words_take(w, "domains")) {
			const char *template = words_next(w);

			add_domains(w, s, template, words_number(w));
		} else {
			break;
		}
	}
	do_set(w, s);
}

/* farm NAME N: sites NAME0, NAME1, ... each with one host and the domain NAMEn.test; no figures of their own */
static void do_farm(struct words *w)
{
	const char *name = words_next(w);
	uint32_t count = words_number(w);

	for (uint32_t i = 0; i < count; i++) {
		struct sim_site *s;
		char text[64];

		(void)snprintf(text, sizeof(text), "%.20s%u", name, i);
		s = sim_site_new(&w->world->peers, text, 1);
		s->is_plain = true;
		(void)snprintf(text, sizeof(text), "%.20s%u.test", name, i);
		add_domains(w, s, text, 1);
	}
}

/* load from TEMPLATE to TEMPLATE count N [start SPAN] [every SPAN] [burst N] [recipients N] [size BYTES] */
static void do_load(struct words *w)
{
	struct sim_load l = {
		.recipients = 1, .every_ms = SECOND_MS, .burst = 1, .body_bytes = 500
	};

	while (w->at < w->line->word_count) {
		if (words_take(w, "from"))
			words_copy(w, l.from, sizeof(l.from));
		else if (words_take(w, "to"))
			words_copy(w, l.to, sizeof(l.to));
		else if (words_take(w, "count"))
			l.count = words_number(w);
		else if (words_take(w, "start"))
			l.start_ms = words_span(w);
		else if (words_take(w, "every"))
			l.every_ms = words_span(w);
		else if (words_take(w, "burst"))
			l.burst = words_number(w);
		else if (words_take(w, "recipients"))
			l.recipients = words_number(w);
		else if (words_take(w, "size"))
			l.body_bytes = words_number(w);
		else if (words_take(w, "priority"))
			l.priority = (int)words_number(w);
		else if (words_take(w, "plain"))
			l.style = STYLE_PLAIN;
		else if (words_take(w, "list"))
			l.style = STYLE_LIST;
		else if (words_take(w, "receipts"))
			l.wants_receipt = true;
		else {
			words_complain(w, "unknown word '%s'", words_peek(w));
			return;
		}
	}
	if (l.recipients == 0 || l.recipients > LOAD_RECIPIENTS_MAX)
		words_complain(w, "1 to %d recipients", LOAD_RECIPIENTS_MAX);
	else if (l.count > 0)
		sim_senders_add(&w->world->senders, &l);
}

/* ---- events ---- */

static void set_reach(
	struct words *w, struct sim_site *s, struct sim_host *host, enum sim_reach reach)
{
	for (uint32_t i = 0; i < s->host_count; i++)
		if (!host || host == &s->hosts[i])
			s->hosts[i].reach = reach;
	if (reach == REACH_ACCEPT) {
		s->up_ms = w->world->clock.now_ms;
		s->recovered_ms = -1;
		sim_recovery_up(&s->recovery, s->up_ms);
	}
}

static void do_reach(struct words *w, enum sim_reach reach)
{
	struct sim_peers *p = &w->world->peers;
	struct sim_host *host;
	struct sim_site *s;

	if (strchr(words_peek(w), '*')) {
		struct str glob = str_from_c(words_next(w));

		for (uint32_t i = 0; i < p->site_count; i++)
			if (str_match_glob(str_from_c(p->sites[i]->name), glob))
				set_reach(w, p->sites[i], NULL, reach);
		return;
	}
	s = words_site(w, &host);
	if (s)
		set_reach(w, s, host, reach);
}

static bool parse_action(struct words *w, struct sim_rule *r)
{
	static const struct {
		const char *word;
		enum sim_action action;
	} actions[] = { { "close", ACT_CLOSE }, { "reset", ACT_RESET }, { "hang", ACT_HANG },
		{ "lose", ACT_LOSE } };

	for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
		if (words_take(w, actions[i].word)) {
			r->action = actions[i].action;
			return true;
		}
	}
	r->action = ACT_REPLY;
	r->code = words_number(w);
	if (r->code < 200 || r->code > 599)
		words_complain(w, "%u is no reply code", r->code);
	return r->code >= 200 && r->code <= 599;
}

/* rule SITE STAGE CODE|close|reset|hang|lose [percent N] [to GLOB] [times N] [falsely] [text WORD...] */
static void do_rule(struct words *w)
{
	static const char *const stages[SIM_STAGE_COUNT] = { "connect", "ehlo", "mail", "rcpt",
		"data", "dot", "quit" };
	struct sim_host *host;
	struct sim_site *s = words_site(w, &host);
	struct sim_rule r = { .stage = SIM_STAGE_COUNT, .percent = 100 };
	const char *stage = words_next(w);

	for (int i = 0; i < SIM_STAGE_COUNT; i++)
		if (strcmp(stage, stages[i]) == 0)
			r.stage = (enum sim_stage)i;
	if (r.stage == SIM_STAGE_COUNT)
		words_complain(w, "unknown stage '%s'", stage);
	if (!s || !parse_action(w, &r))
		return;
	while (w->at < w->line->word_count) {
		if (words_take(w, "percent")) {
			r.percent = words_number(w);
		} else if (words_take(w, "to")) {
			words_copy(w, r.glob, sizeof(r.glob));
		} else if (words_take(w, "times")) {
			r.times = words_number(w);
		} else if (words_take(w, "falsely")) {
			r.is_false = true;
		} else if (words_take(w, "text")) {
			struct buf text;

			buf_init(&text, sizeof(r.text) - 1);
			while (w->at < w->line->word_count)
				buf_printf(&text, "%s%s", text.len ? " " : "", words_next(w));
			(void)snprintf(r.text, sizeof(r.text), "%s", buf_cstr(&text));
			buf_fini(&text);
		} else {
			words_complain(w, "unknown word '%s'", words_peek(w));
			return;
		}
	}
	if (s->rule_count == SITE_RULES_MAX)
		words_complain(w, "too many rules");
	else
		s->rules[s->rule_count++] = r;
}

static void do_dns(struct words *w)
{
	static const char *const states[] = { "ok", "servfail", "timeout", "nxdomain", "nodata" };
	const char *glob = words_next(w), *state = words_next(w);
	bool is_false = words_take(w, "falsely");

	for (size_t i = 0; i < ARRAY_COUNT(states); i++) {
		if (strcmp(state, states[i]) != 0)
			continue;
		if (sim_dns_set(&w->world->dns, str_from_c(glob), (enum sim_zone)i, is_false) == 0)
			words_complain(w, "no name matches '%s'", glob);
		return;
	}
	words_complain(w, "unknown state '%s'", state);
}

/* mx DOMAIN HOST...; "." is the null MX */
static void do_mx(struct words *w)
{
	struct str domain = str_from_c(words_next(w));
	uint16_t preference = 10;

	sim_dns_clear_mx(&w->world->dns, domain);
	while (w->at < w->line->word_count) {
		const char *host = words_next(w);

		sim_dns_add_mx(&w->world->dns, domain, preference,
			str_from_c(strcmp(host, ".") == 0 ? "" : host));
		preference = (uint16_t)(preference + 10);
	}
}

/* move DOMAIN SITE */
static void do_move(struct words *w)
{
	struct str domain = str_from_c(words_next(w));
	struct sim_host *host;
	struct sim_site *s = words_site(w, &host);

	if (s && !sim_site_move_domain(&w->world->peers, s, domain))
		words_complain(w, "no domain %.*s", STR_FMT(domain));
}

static void run_event(struct words *w)
{
	struct sim_world *world = w->world;
	struct sim_host *host;
	struct sim_site *s;

	if (words_take(w, "up"))
		do_reach(w, REACH_ACCEPT);
	else if (words_take(w, "refuse"))
		do_reach(w, REACH_REFUSE);
	else if (words_take(w, "blackhole"))
		do_reach(w, REACH_BLACKHOLE);
	else if (words_take(w, "unreachable"))
		do_reach(w, REACH_UNREACHABLE);
	else if (words_take(w, "rule"))
		do_rule(w);
	else if (words_take(w, "clear")) {
		if ((s = words_site(w, &host)) != NULL)
			s->rule_count = 0;
	} else if (words_take(w, "set")) {
		if ((s = words_site(w, &host)) != NULL)
			do_set(w, s);
	} else if (words_take(w, "dns"))
		do_dns(w);
	else if (words_take(w, "mx"))
		do_mx(w);
	else if (words_take(w, "move"))
		do_move(w);
	else if (words_take(w, "crash"))
		sim_world_crash(world, words_take(w, "down") ? words_span(w) : SECOND_MS);
	else if (words_take(w, "restart"))
		sim_world_restart(world, words_take(w, "down") ? words_span(w) : SECOND_MS);
	else if (words_take(w, "delete"))
		sim_world_delete(world, words_next(w));
	else if (words_take(w, "mark"))
		sim_world_mark(world);
	else if (words_take(w, "measure"))
		sim_world_measure(world, words_next(w));
	else if (words_take(w, "clock")) {
		bool is_back = words_take(w, "back");

		world->wall_ms += (is_back ? -1 : 1) * words_span(w);
	} else if (words_take(w, "sleep"))
		sim_world_sleep(world, words_span(w));
	else if (words_take(w, "store"))
		sim_world_fill_store(world, strcmp(words_next(w), "full") == 0);
	else
		words_complain(w, "unknown event '%s'", words_peek(w));
	if (w->at < w->line->word_count)
		words_complain(w, "'%s' is too much", words_peek(w));
}

static void on_event(struct timer *t)
{
	struct sim_event *e = CONTAINER_OF(t, struct sim_event, timer);
	struct words w = { e->script, e->world, e->line, e->first_word };

	e->world->pending_events--;
	sim_trace(&e->world->clock, "event %u", e->line->number);
	run_event(&w);
	if (e->script->error_count > 0)
		e->world->is_broken = true;
}

static void schedule(struct words *w, int64_t at_ms, void (*on_fire)(struct timer *t))
{
	struct sim_event *e = &w->script->events[w->script->event_count++];

	*e = (struct sim_event){ { .on_fire = on_fire }, w->script, w->world, w->line, w->at };
	w->world->pending_events++;
	sim_after(&w->world->clock, &e->timer, at_ms - w->world->clock.now_ms);
}

/* A crash some turns from now: amid whatever happens then. */
static void on_crash_time(struct timer *t)
{
	struct sim_event *e = CONTAINER_OF(t, struct sim_event, timer);

	e->world->pending_events--;
	e->world->crash_in_turns = 1 + rng_below(&e->world->clock.rng, 300);
}

/* crashes N from SPAN to SPAN */
static void do_crashes(struct words *w)
{
	uint32_t count = words_number(w);
	int64_t from_ms, to_ms;

	(void)words_take(w, "from");
	from_ms = words_span(w);
	(void)words_take(w, "to");
	to_ms = words_span(w);
	for (uint32_t i = 0; i < count && to_ms > from_ms && i < SCRIPT_CRASHES_MAX; i++)
		schedule(w,
			from_ms + (int64_t)rng_below(
					  &w->world->clock.rng, (uint64_t)(to_ms - from_ms)),
			on_crash_time);
}

/* ---- play ---- */

/* in VARIANT STATEMENT: only there */
static bool is_elsewhere(struct words *w)
{
	const struct sim_variant *v = w->script->variant;

	if (!words_take(w, "in"))
		return false;

	const char *name = words_next(w);

	return !v || strcmp(v->name, name) != 0;
}

static void play_line(struct words *w)
{
	if (is_elsewhere(w))
		return;
	if (words_take(w, "site"))
		do_site(w);
	else if (words_take(w, "farm"))
		do_farm(w);
	else if (words_take(w, "load"))
		do_load(w);
	else if (words_take(w, "conf"))
		sim_script_conf(w);
	else if (words_take(w, "days"))
		w->script->days_ms = words_number(w) * DAY_MS;
	else if (words_take(w, "lasts"))
		w->script->days_ms = words_span(w);
	else if (words_take(w, "crashes"))
		do_crashes(w);
	else if (words_take(w, "at"))
		schedule(w, words_span(w), on_event);
	else if (!words_take(w, "about") && !words_take(w, "let") && !words_take(w, "variant") &&
		 !words_take(w, "expect") && !words_take(w, "always") &&
		 !words_take(w, "compare"))
		run_event(w);
}

bool sim_script_play(
	struct sim_script *s, struct sim_world *world, const struct sim_variant *variant)
{
	s->variant = variant;
	s->days_ms = 30 * DAY_MS;
	s->events = mem_array(s->line_count + 2 * SCRIPT_CRASHES_MAX, sizeof(*s->events));
	s->event_count = 0;
	for (uint32_t i = 0; i < s->line_count && s->error_count == 0; i++) {
		struct words w = { s, world, &s->lines[i], 0 };

		play_line(&w);
	}
	return s->error_count == 0;
}

void sim_script_add_crashes(struct sim_script *s, struct sim_world *world, unsigned count)
{
	static const struct sim_line_text nowhere = { .number = 0 };
	struct words w = { s, world, &nowhere, 0 };
	int64_t end_ms = sim_senders_end_ms(&world->senders);

	for (uint32_t i = 0; i < s->event_count; i++) {
		int64_t at_ms = s->events[i].timer.when.ms - SIM_MONO_START_MS;

		end_ms = at_ms > end_ms ? at_ms : end_ms;
	}
	for (unsigned i = 0; i < count && i < SCRIPT_CRASHES_MAX; i++)
		schedule(&w,
			(int64_t)rng_below(&world->clock.rng, (uint64_t)(end_ms + 2 * HOUR_MS)),
			on_crash_time);
}

void sim_script_drop(struct sim_script *s)
{
	free(s->events);
	s->events = NULL;
}

/* ---- load ---- */

static void split_line(struct sim_script *s, char *text, unsigned number)
{
	struct sim_line_text *line = &s->lines[s->line_count];
	char *save = NULL;

	*line = (struct sim_line_text){ .number = number };
	text[strcspn(text, "#")] = '\0';
	for (char *word = strtok_r(text, " \t\r", &save); word;
		word = strtok_r(NULL, " \t\r", &save))
		if (line->word_count < SCRIPT_WORDS_MAX)
			line->words[line->word_count++] = word;
	if (line->word_count == 0)
		return;
	if (strcmp(line->words[0], "variant") == 0 && line->word_count >= 2 &&
		s->variant_count < SCRIPT_VARIANTS_MAX) {
		struct sim_variant *v = &s->variants[s->variant_count++];

		(void)snprintf(v->name, sizeof(v->name), "%s", line->words[1]);
		v->line = s->line_count;
	}
	s->line_count++;
}

bool sim_script_load(struct sim_script *s, const char *file)
{
	FILE *in = fopen(file, "r");
	size_t len;
	unsigned number = 1;

	*s = (struct sim_script){ .file = file };
	if (!in) {
		fprintf(stderr, "outlast-sim: cannot read %s\n", file);
		return false;
	}
	s->text = mem_alloc(FILE_MAX + 1);
	len = fread(s->text, 1, FILE_MAX, in);
	s->text[len] = '\0';
	(void)fclose(in);
	for (char *line = s->text; line && s->line_count < SCRIPT_LINES_MAX; number++) {
		char *end = strchr(line, '\n');

		if (end)
			*end = '\0';
		split_line(s, line, number);
		line = end ? end + 1 : NULL;
	}
	return true;
}

void sim_script_free(struct sim_script *s)
{
	free(s->text);
	free(s->events);
}
