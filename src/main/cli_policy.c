/*
 * cli_policy - policy: what the configuration makes of mail to a destination: when it is tried again, how long it is kept,
 * who hears of it when, and where that falls short of what the settings seem to promise.
 *
 * Needs the configuration file alone; no daemon is asked. Which hosts a domain has is not looked up: entries for
 * "mx:" patterns count only with --site.
 */
#include <inttypes.h>
#include <string.h>

#include "base/instant.h"
#include "cli.h"
#include "mail/domain.h"
#include "queue/health.h"
#include "queue/policy_plan.h"

struct subject {
	struct str domain, site; /* empty: not asked for */
	const struct conf_policy *policy;
	int64_t entry; /* of destinations, -1: none */
};

static struct str domain_of(struct str operand);
static int64_t entry_of(const struct conf *conf, const struct conf_policy *policy);
static void put_text(struct cli *cli, const struct subject *s);
static void put_heading(struct cli *cli, const struct subject *s);
static void put_retries(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p);
static void put_outage(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p);
static void put_refusals(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p);
static void put_limits(struct cli *cli, const struct conf_policy *p);
static void put_warnings(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p);
static void put_entries(struct cli *cli);
static void put_json(struct cli *cli, const struct subject *s);
static json_t *json_times(const struct plan_times *times);

int cli_policy(struct cli *cli)
{
	struct subject s = { .entry = -1 };
	const char *site = json_string_value(json_object_get(cli->filter, "site"));

	if (cli->operand_count > 1) {
		cli_say("policy takes one domain; 'outlast policy' alone shows what holds for all");
		return VERB_USAGE;
	}
	int status = cli_load_conf(cli);
	if (status)
		return status;
	if (cli->operand_count)
		s.domain = domain_of(str_from_c(cli->operands[0]));
	if (s.domain.len && s.domain.data[0] != '[' &&
		domain_normalize(s.domain, &cli->conf->arena, &s.domain) != OK) {
		cli_say("policy: '%s' is not a domain", cli->operands[0]);
		return VERB_USAGE;
	}
	s.site = str_from_c(site);
	s.policy = s.domain.len || s.site.len ? conf_policy_for(cli->conf, s.domain, s.site)
					      : &cli->conf->policy;
	s.entry = entry_of(cli->conf, s.policy);
	if (cli->format == FORMAT_JSON)
		put_json(cli, &s);
	else
		put_text(cli, &s);
	return VERB_DONE;
}

static struct str domain_of(struct str operand)
{
	size_t at = str_find(operand, '@');

	return at < operand.len ? str_slice(operand, at + 1, operand.len) : operand;
}

static int64_t entry_of(const struct conf *conf, const struct conf_policy *policy)
{
	for (uint32_t i = 0; i < conf->destination_count; i++)
		if (policy == &conf->destinations[i].policy)
			return i;
	return -1;
}

static void put_text(struct cli *cli, const struct subject *s)
{
	struct policy_plan plan;

	policy_plan_make(&plan, s->policy);
	put_heading(cli, s);
	put_retries(cli, &plan, s->policy);
	put_outage(cli, &plan, s->policy);
	put_refusals(cli, &plan, s->policy);
	put_limits(cli, s->policy);
	put_warnings(cli, &plan, s->policy);
	if (!s->domain.len && !s->site.len)
		put_entries(cli);
}

static void append_pattern(struct buf *out, const struct conf_destination *d)
{
	buf_append_str(out, d->is_mx ? STR("mx:") : STR(""));
	buf_append_safe(out, d->pattern);
}

static void put_heading(struct cli *cli, const struct subject *s)
{
	const struct conf *conf = cli->conf;
	struct buf text;

	buf_init(&text, 8192);
	if (s->domain.len || s->site.len) {
		buf_append_safe(&text, s->domain);
		if (s->site.len) {
			buf_append_str(&text, s->domain.len ? STR(" at ") : STR("site "));
			buf_append_safe(&text, s->site);
		}
		buf_append_str(&text, STR(": "));
	}
	if (s->entry >= 0) {
		buf_printf(&text, "entry %" PRId64 " of destinations (", s->entry + 1);
		append_pattern(&text, &conf->destinations[s->entry]);
		buf_append_char(&text, ')');
	} else {
		buf_append_str(&text, conf->destination_count
					      ? STR("what holds for all destinations without an "
						    "entry of their own")
					      : STR("what holds for all destinations"));
	}
	const struct conf_route *route =
		s->domain.len ? conf_route_for(conf, s->domain, STR("postmaster")) : NULL;
	if (route && route->via != ROUTE_MX) {
		struct arena scratch = { 0 };

		buf_append_str(&text,
			route->via == ROUTE_LMTP ? STR("; by ") : STR("; by the smarthost "));
		buf_append_safe(&text,
			route->via == ROUTE_LMTP ? conf_route_site(route, &scratch) : route->host);
		arena_fini(&scratch);
		buf_append_str(&text, STR(" (route "));
		buf_append_safe(&text, route->name);
		buf_append_char(&text, ')');
	}
	cli_put_line(cli, "Policy", &text);
	for (uint32_t i = 0; s->domain.len && !s->site.len && i < conf->destination_count; i++) {
		if (s->entry >= 0 && i >= (uint32_t)s->entry)
			break;
		if (!conf->destinations[i].is_mx)
			continue;
		buf_append_str(&text, STR("unless its MX hosts match "));
		append_pattern(&text, &conf->destinations[i]);
		buf_printf(&text, " (entry %u): see --site", i + 1);
		cli_put_line(cli, "", &text);
	}
	buf_fini(&text);
}

static void put_retries(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p)
{
	struct buf text;

	buf_init(&text, 4096);
	plan_times_text(&text, &plan->retries);
	if (!text.len)
		buf_append_str(&text, STR("none before the end"));
	cli_put_line(cli, "Retries", &text);
	buf_printf(&text, "each pause up to %u %% shorter or longer; %" PRIu64 " attempts in all",
		p->retry_jitter_percent, plan->retries.total + 2);
	cli_put_line(cli, "", &text);
	buf_append_str(&text, STR("after "));
	instant_format_span(&text, plan->gives_up_ms);
	buf_append_str(&text, STR(", with a last attempt then; notices of ours after "));
	instant_format_span(&text, plan->notice_gives_up_ms);
	cli_put_line(cli, "Gives up", &text);
	buf_append_str(
		&text, STR("of that, time in which the mail could not move does not count; kept "));
	instant_format_span(&text, plan->kept_max_ms);
	buf_append_str(&text, STR(" at most"));
	cli_put_line(cli, "In an outage", &text);
	if (p->delay_notice_ms) {
		buf_append_str(&text, STR("after "));
		instant_format_span(&text, p->delay_notice_ms);
	} else {
		buf_append_str(&text, STR("none"));
	}
	cli_put_line(cli, "Delay notice", &text);
	buf_fini(&text);
}

static void put_outage(struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_printf(&text, "after %d failures in a row over ", HEALTH_DOWN_FAILURES);
	instant_format_span(&text, HEALTH_DOWN_SPAN_MS);
	buf_append_str(&text, STR("; then one probe at a time, nothing else"));
	cli_put_line(cli, "Down", &text);
	plan_times_text(&text, &plan->probes_known);
	cli_put_line(cli, "Probes", &text);
	buf_append_str(&text, STR("where no mail was ever taken: "));
	plan_times_text(&text, &plan->probes_other);
	cli_put_line(cli, "", &text);
	buf_append_str(&text, STR("when down for "));
	instant_format_span(&text, p->outage_after_ms);
	buf_append_str(&text, STR(" and known good: took mail within "));
	instant_format_span(&text, p->known_good_ms);
	buf_append_str(&text, STR(", or declared"));
	cli_put_line(cli, "Outage", &text);
	buf_append_str(&text, STR("a known-good domain may be gone from DNS for "));
	instant_format_span(&text, p->no_domain_grace_ms);
	cli_put_line(cli, "", &text);
	buf_fini(&text);
}

static void put_refusals(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p)
{
	struct buf text;

	buf_init(&text, 4096);
	if (p->has_storm_guard) {
		buf_append_str(&text,
			STR("a mailbox that took mail and now is unknown: tried again after "));
		instant_format_span(&text, p->quarantine_ms);
		buf_append_str(&text, STR(", reported "));
		instant_format_span(&text, plan->unknown_user_known_ms);
		buf_append_str(&text, STR(" after the first refusal"));
		cli_put_line(cli, "Refusals", &text);
		buf_append_str(&text, STR("any other permanent refusal: reported after "));
		instant_format_span(&text, plan->refused_ms);
		cli_put_line(cli, "", &text);
	} else {
		buf_append_str(&text,
			STR("storm guard off: a permanent refusal is final and reported at once"));
		cli_put_line(cli, "Refusals", &text);
	}
	if (p->keep_failed_ms) {
		buf_append_str(&text, STR("failed mail can be revived for "));
		instant_format_span(&text, p->keep_failed_ms);
		cli_put_line(cli, "", &text);
	}
	buf_fini(&text);
}

static void put_limits(struct cli *cli, const struct conf_policy *p)
{
	static const char *const tls[] = { [TLS_NONE] = "none",
		[TLS_OPPORTUNISTIC] = "opportunistic",
		[TLS_REQUIRE] = "require",
		[TLS_VERIFY] = "verify",
		[TLS_DANE] = "by TLSA records alone" };
	bool heeds_dane = p->has_dane && (p->tls == TLS_OPPORTUNISTIC || p->tls == TLS_REQUIRE);
	struct buf text;

	buf_init(&text, 4096);
	buf_printf(&text, "%u connections, ", p->connections_max);
	if (p->rate_max)
		buf_printf(&text, "%u messages a minute", p->rate_max);
	else
		buf_append_str(&text, STR("as many messages as it bears"));
	buf_printf(&text, ", TLS %s%s, %u %% of the disk while it is dead", tls[p->tls],
		heeds_dane ? " (DANE heeded)" : "", p->site_share_percent);
	cli_put_line(cli, "Limits", &text);
	buf_fini(&text);
}

static void put_warnings(
	struct cli *cli, const struct policy_plan *plan, const struct conf_policy *p)
{
	struct buf text;

	buf_init(&text, 4096);
	for (unsigned w = 0; w < PLAN_WARNING_COUNT; w++) {
		if (!(plan->warnings & 1u << w))
			continue;
		plan_warning_text(&text, (enum plan_warning)w, p);
		cli_color(cli, COLOR_WARN);
		cli_put_line(cli, "WARNING", &text);
		cli_color(cli, COLOR_NONE);
	}
	buf_fini(&text);
}

/* Without a domain: the entries by name, with what is wrong with each that is not wrong everywhere. */
static void put_entries(struct cli *cli)
{
	const struct conf *conf = cli->conf;
	struct policy_plan all, plan;
	struct buf text;

	buf_init(&text, 8192);
	policy_plan_make(&all, &conf->policy);
	for (uint32_t i = 0; i < conf->destination_count; i++) {
		const struct conf_destination *d = &conf->destinations[i];

		policy_plan_make(&plan, &d->policy);
		buf_printf(&text, "entry %u, ", i + 1);
		append_pattern(&text, d);
		buf_append_str(&text, STR(": gives up after "));
		instant_format_span(&text, plan.gives_up_ms);
		cli_put_line(cli, i ? "" : "Destinations", &text);
		plan.warnings &= ~all.warnings;
		put_warnings(cli, &plan, &d->policy);
	}
	buf_fini(&text);
}

/* ---- for scripts: all spans in seconds ---- */

static void put_span(json_t *o, const char *key, int64_t ms)
{
	json_object_set_new(o, key, json_real((double)ms / 1000.0));
}

static void put_json(struct cli *cli, const struct subject *s)
{
	const struct conf_policy *p = s->policy;
	struct policy_plan plan;
	struct buf text;
	json_t *o = json_object(), *warnings = json_array();

	policy_plan_make(&plan, p);
	buf_init(&text, 4096);
	if (s->entry >= 0)
		append_pattern(&text, &cli->conf->destinations[s->entry]);
	json_object_set_new(
		o, "domain", json_stringn(s->domain.data ? s->domain.data : "", s->domain.len));
	json_object_set_new(o, "entry", s->entry >= 0 ? json_integer(s->entry + 1) : json_null());
	json_object_set_new(
		o, "pattern", s->entry >= 0 ? json_string(buf_cstr(&text)) : json_null());
	json_object_set_new(o, "retries", json_times(&plan.retries));
	json_object_set_new(o, "attempts", json_integer((json_int_t)plan.retries.total + 2));
	json_object_set_new(o, "jitter_percent", json_integer(p->retry_jitter_percent));
	put_span(o, "gives_up", plan.gives_up_ms);
	put_span(o, "kept_max", plan.kept_max_ms);
	put_span(o, "notice_gives_up", plan.notice_gives_up_ms);
	put_span(o, "delay_notice", p->delay_notice_ms);
	json_object_set_new(o, "probes_known_good", json_times(&plan.probes_known));
	json_object_set_new(o, "probes_other", json_times(&plan.probes_other));
	put_span(o, "known_good", p->known_good_ms);
	put_span(o, "outage_after", p->outage_after_ms);
	put_span(o, "no_domain_grace", p->no_domain_grace_ms);
	json_object_set_new(o, "storm_guard", json_boolean(p->has_storm_guard));
	put_span(o, "quarantine", p->quarantine_ms);
	put_span(o, "notice_hold", p->notice_hold_ms);
	put_span(o, "unknown_user_reported", plan.unknown_user_known_ms);
	put_span(o, "refusal_reported", plan.refused_ms);
	put_span(o, "keep_failed", p->keep_failed_ms);
	for (unsigned w = 0; w < PLAN_WARNING_COUNT; w++) {
		if (!(plan.warnings & 1u << w))
			continue;
		buf_clear(&text);
		plan_warning_text(&text, (enum plan_warning)w, p);
		json_array_append_new(warnings,
			json_pack("{ss ss}", "name", plan_warning_name((enum plan_warning)w),
				"text", buf_cstr(&text)));
	}
	json_object_set_new(o, "warnings", warnings);
	buf_fini(&text);
	cli_put_json(o);
	json_decref(o);
}

static json_t *json_times(const struct plan_times *times)
{
	json_t *o = json_object(), *at = json_array();

	for (uint32_t i = 0; i < times->count; i++)
		json_array_append_new(at, json_real((double)times->at_ms[i] / 1000.0));
	json_object_set_new(o, "at", at);
	json_object_set_new(o, "then_every",
		times->repeat_ms ? json_real((double)times->repeat_ms / 1000.0) : json_null());
	return o;
}
