/*
 * attempt - see deliver/attempt.h.
 *
 * The order is that of the file: choose an address, open or reuse a session, run the job, judge,
 * finish. Only a failure before the job moves on to the next address: once MAIL was sent,
 * recipients have their answers, and another try at another host belongs to their own retry time.
 * on_done comes from a deferred call of its own, so that neither the client nor the pool is in the
 * middle of something when the caller frees the attempt.
 */
#include "deliver/attempt.h"

#include <string.h>

#include "attempt_tls.h"
#include "base/buf.h"
#include "base/check.h"

#define CONNECT_FLOOR_MS 50
#define LACKING_ATTEMPTS_MIN 12 /* about half a day of the usual retry schedule */
#define HOST_BYTES_MAX 512

static void on_deadline(struct timer *t);
static void on_finish(struct deferred *d);
static void next_host(struct attempt *a);

/* What a known-good site lacks today it may have had yesterday: no-domain-grace is enough to put that right, and for mail that
 * was parked all the time, so many tries. */
static bool is_hoped_for(const struct attempt *a, const struct outcome *outcome)
{
	if (!a->is_known_good || outcome->stage != STAGE_POLICY)
		return a->is_known_good;
	return a->recipients[0].attempts < LACKING_ATTEMPTS_MIN ||
	       env_wall(a->env).ms - a->message->accepted.ms < a->policy->no_domain_grace_ms;
}

static struct verdict judge(
	const struct attempt *a, const struct outcome *outcome, bool has_accepted_other)
{
	struct verdict_context context = {
		.is_known_good = is_hoped_for(a, outcome),
		.is_smarthost = a->route->is_smarthost,
		.is_lmtp = a->route->conf_route && a->route->conf_route->via == ROUTE_LMTP,
		.has_accepted_other = has_accepted_other,
		.is_ourselves = a->is_ourselves,
	};

	return verdict_in(outcome, &context);
}

/* A route is shared by the deliveries of its next hop; RFC 5321 5.1 wants each to choose anew among
 * hosts of equal preference. The order of a host's own addresses stays. */
static void order_targets(struct attempt *a)
{
	const struct route *route = a->route;
	uint32_t end;

	for (uint32_t begin = 0; begin < route->target_count; begin = end) {
		uint32_t starts[ROUTE_TARGETS_MAX] = { begin };
		uint32_t count = 1;
		uint64_t chance = 0;

		for (end = begin; end < route->target_count; end++) {
			const struct route_target *t = &route->targets[end];

			if (t->preference != route->targets[begin].preference)
				break;
			if (end > begin && !str_equal(t->host, t[-1].host))
				starts[count++] = end;
		}
		if (count > 1) /* most have one host, and to ask costs a system call */
			env_random(a->env, &chance, sizeof(chance));
		uint32_t from = starts[chance % count];
		for (uint32_t i = begin; i < end; i++) {
			a->order[i] = (uint8_t)from++;
			if (from == end)
				from = begin;
		}
	}
}

/* Addresses that failed lately come last, in their order: they are tried only when no other takes the mail, but they
 * are (RFC 5321 5.1 wants each tried). A probe keeps to the order of preference. */
static void put_bad_last(struct attempt *a)
{
	uint8_t bad[ROUTE_TARGETS_MAX];
	uint32_t good_count = 0, bad_count = 0;

	for (uint32_t i = 0; i < a->route->target_count; i++) {
		uint8_t target = a->order[i];

		if (pool_is_address_bad(a->pool, &a->route->targets[target].address))
			bad[bad_count++] = target;
		else
			a->order[good_count++] = target;
	}
	for (uint32_t i = 0; i < bad_count; i++)
		a->order[good_count + i] = bad[i];
}

void attempt_start(struct attempt *a)
{
	CHECK(!a->is_running && a->route->target_count > 0 && a->recipient_count > 0);
	a->is_running = true;
	a->results = arena_array(&a->arena, a->recipient_count, sizeof(a->results[0]));
	a->job_recipients =
		arena_array(&a->arena, a->recipient_count, sizeof(a->job_recipients[0]));
	a->started = a->connected = env_now(a->env);
	a->deadline.on_fire = on_deadline;
	a->finish.on_run = on_finish;
	env_timer_after(a->env, &a->deadline, a->conf->client.session_ms);
	order_targets(a);
	if (!a->is_probe)
		put_bad_last(a);
	next_host(a);
}

static void finish(struct attempt *a)
{
	env_timer_stop(a->env, &a->deadline);
	env_defer(a->env, &a->finish);
}

/* ---- hosts ---- */

static void engage(struct attempt *a, bool may_reuse);
static void finish_unreached(struct attempt *a);

static bool choose_target(struct attempt *a)
{
	if (a->next_target >= a->route->target_count ||
		(!a->is_probe && a->hosts_tried >= a->conf->client.hosts_max))
		return false;
	a->target = a->next_target++;
	a->hosts_tried++;
	return true;
}

static void set_host(struct attempt *a)
{
	const struct route_target *target = attempt_target(a);
	struct buf host;

	buf_init(&host, HOST_BYTES_MAX);
	buf_append_str(&host, target->host);
	buf_append_char(&host, '[');
	if (target->address.family == FAMILY_UNIX) {
		buf_printf(&host, "%s]", target->address.path);
	} else {
		endpoint_format_ip(&host, &target->address);
		buf_append_str(&host, STR("]:"));
		buf_append_number(&host, target->address.port, 1);
	}
	a->host = arena_dup(&a->arena, buf_str(&host));
	a->host_name = arena_dup(&a->arena, target->host);
	buf_fini(&host);
}

/* RFC 8689 section 5: a notice is not lost for want of REQUIRETLS. That was looked for at each host; now it goes as other
 * mail does. */
static bool waive_tls(struct attempt *a)
{
	if (!a->is_lacking || a->is_tls_waived || !a->message->is_requiretls ||
		a->message->reverse_path.len > 0)
		return false;
	a->is_tls_waived = true;
	a->is_lacking = false;
	a->next_target = a->hosts_tried = 0;
	a->site_outcome = (struct outcome){ 0 };
	return true;
}

static void next_host(struct attempt *a)
{
	do {
		if (!choose_target(a) && !(waive_tls(a) && choose_target(a))) {
			finish_unreached(a);
			return;
		}
		set_host(a);
	} while (attempt_tls_is_unvouched(a));
	attempt_tls_set_rule(a);
	engage(a, !a->is_probe);
}

/* ---- session ---- */

static void run_job(struct attempt *a);

static void drop_client(struct attempt *a)
{
	a->client = NULL;
	metric_sub(a->env->metrics, METRIC_connections_open, 1);
}

static void close_client(struct attempt *a)
{
	if (!a->client)
		return;
	smtp_client_close(a->client);
	drop_client(a);
}

static void set_outcome(struct attempt *a, struct outcome *to, const struct outcome *from)
{
	*to = *from;
	to->text = arena_dup(&a->arena, from->text);
}

/* What a connection, or the want of one, says of our own network. */
static void note_network(struct attempt *a, const struct outcome *outcome)
{
	const struct route_target *t = attempt_target(a);
	unsigned family = ATTEMPT_FAMILY(t->address.family);

	if (t->is_near)
		return;
	if (outcome->stage == STAGE_CONNECT && outcome->code == 0 && outcome->err != ERR_NO_FDS &&
		outcome->err != ERR_PERMISSION)
		a->unconnected |= family;
	else if (outcome->stage > STAGE_CONNECT)
		a->opened |= family;
	if (outcome->code == 0)
		return;
	a->answered |= family;
	a->reached = t->address;
}

static void on_session_failed(struct attempt *a, const struct outcome *outcome)
{
	struct verdict verdict = judge(a, outcome, false);
	bool is_first = a->site_outcome.stage == STAGE_NONE;

	note_network(a, outcome);
	if (attempt_is_for_requiretls(a, outcome) && verdict.scope != SCOPE_HOST) {
		attempt_lack_requiretls(a, outcome);
		next_host(a);
		return;
	}
	if (a->rule.policy == TLS_OPPORTUNISTIC && attempt_is_tls_failure(outcome)) {
		a->rule.policy = TLS_NONE;
		attempt_tls_set_key(a);
		engage(a, !a->is_probe);
		return;
	}
	/* What a rule of ours refused says nothing about the site: it stands before what befell
	 * other hosts. */
	if (is_first || verdict.scope != SCOPE_HOST ||
		judge(a, &a->site_outcome, false).scope == SCOPE_HOST)
		set_outcome(a, &a->site_outcome, outcome);
	if (verdict.scope == SCOPE_HOST) {
		pool_note_address(a->pool, &attempt_target(a)->address, false);
		pool_close_to(a->pool, &attempt_target(a)->address);
	}
	if (verdict.scope == SCOPE_OURS)
		finish_unreached(a);
	else
		next_host(a);
}

static void on_failed(void *user, struct smtp_client *c, const struct outcome *outcome)
{
	struct attempt *a = user;

	drop_client(a);
	/* A session that ended after its job, before the pool had it: its results stand. */
	if (list_is_linked(&a->finish.link))
		return;
	attempt_tls_note_failed(a, c, outcome);
	on_session_failed(a, outcome);
}

static void on_ready(void *user, struct smtp_client *c)
{
	struct attempt *a = user;

	a->connected = env_now(a->env);
	a->tls = arena_dup(&a->arena, smtp_client_info(c)->tls);
	attempt_tls_note_good(a);
	if (fault_hit(a->env->fault, FAULT_attempt_connected)) {
		struct outcome lost = {
			.stage = STAGE_CONNECT, .err = ERR_RESET, .text = STR("fault")
		};

		close_client(a);
		on_session_failed(a, &lost);
		return;
	}
	pool_note_address(a->pool, &attempt_target(a)->address, true);
	run_job(a);
}

static const struct smtp_client_handler handler = { on_ready, on_failed };

/* The fast clock of demo and tests shortens the connect timeout alone. */
static int64_t connect_ms(const struct attempt *a)
{
	int64_t ms = a->conf->client.connect_ms / a->env->rate;

	return ms > CONNECT_FLOOR_MS ? ms : CONNECT_FLOOR_MS;
}

static void apply_route(
	struct smtp_client_params *params, const struct conf_route *route, bool is_ipv6)
{
	const struct endpoint *source = is_ipv6 ? &route->source_ipv6 : &route->source_ipv4;

	params->user = route->user;
	params->password = route->password;
	params->is_lmtp = route->via == ROUTE_LMTP;
	if (source->family != FAMILY_NONE)
		params->source = *source;
	if (route->hostname.len > 0)
		params->hostname = route->hostname;
}

static void open_session(struct attempt *a)
{
	const struct route_target *target = attempt_target(a);
	const struct conf_route *route = a->route->conf_route;
	bool is_ipv6 = target->address.family == FAMILY_IPV6;
	struct smtp_client_params params = {
		.to = target->address,
		.source = is_ipv6 ? a->conf->client.source_ipv6 : a->conf->client.source_ipv4,
		.host = target->host,
		.hostname = a->conf->hostname,
		.tls = a->rule,
		.session_key = a->session_key,
		.connect_ms = connect_ms(a),
	};

	if (route)
		apply_route(&params, route, is_ipv6);
	metric_add(a->env->metrics, METRIC_connections_opened_total, 1);
	metric_add(a->env->metrics, METRIC_connections_open, 1);
	a->is_reused = false;
	a->client = smtp_client_open(a->env, a->net, a->conf, &params, &handler, a);
}

static void engage(struct attempt *a, bool may_reuse)
{
	struct smtp_client *c = NULL;

	if (may_reuse)
		c = pool_take(a->pool, &attempt_target(a)->address, a->session_key);
	if (!c) {
		open_session(a);
		return;
	}
	a->client = c;
	a->is_reused = true;
	a->connected = a->started;
	a->tls = arena_dup(&a->arena, smtp_client_info(c)->tls);
	smtp_client_set_user(c, &handler, a);
	run_job(a);
}

static void give_back(struct attempt *a, struct smtp_client *c)
{
	pool_give(a->pool, c, &attempt_target(a)->address, a->policy->messages_per_connection,
		a->policy->connection_idle_ms);
}

/* ---- job ---- */

static void on_job(struct smtp_job *job);

/* LMTP servers of this host may well greet with its name. */
static bool is_our_name(const struct attempt *a, struct str name)
{
	const struct conf_route *route = a->route->conf_route;

	if (route && route->via == ROUTE_LMTP)
		return false;
	return str_equal_fold(name, a->conf->hostname) ||
	       (route && route->hostname.len > 0 && str_equal_fold(name, route->hostname));
}

static void run_job(struct attempt *a)
{
	arena_fini(&a->job.arena);
	a->job = (struct smtp_job){
		.env = a->message,
		.recipients = a->job_recipients,
		.recipient_count = a->recipient_count,
		.content = a->content,
		.is_verify = a->is_verify,
		.is_tls_waived = a->is_tls_waived,
		.on_done = on_job,
	};
	for (uint32_t i = 0; i < a->recipient_count; i++)
		a->job_recipients[i] =
			(struct smtp_job_recipient){ .rcpt = &a->recipients[i].rcpt };
	a->is_job_running = true;
	a->is_ourselves = is_our_name(a, smtp_client_info(a->client)->greeting);
	a->has_dsn = smtp_client_info(a->client)->has_dsn;
	a->has_deliverby = smtp_client_info(a->client)->has_deliverby;
	smtp_client_deliver(a->client, &a->job);
}

/* A reused session whose peer hung up meanwhile, or says just now that it had waited long enough. 4.7.x says that we are too
 * fast, also to a new one, and a site that limits us means it too. Content was not asked for yet, so there is nothing to
 * rewind. */
static bool was_dead_already(const struct attempt *a)
{
	if (!a->is_reused || a->job.is_reusable)
		return false;
	for (uint32_t i = 0; i < a->recipient_count; i++) {
		const struct outcome *o = &a->job_recipients[i].outcome;

		if (o->code == 421 && o->stage == STAGE_MAIL) {
			if (a->is_limited || o->status.subject == 7)
				return false;
		} else if (!a->job.is_untouched) {
			return false;
		}
	}
	return true;
}

static bool has_accepted_some(const struct attempt *a)
{
	for (uint32_t i = 0; i < a->recipient_count; i++)
		if (a->job_recipients[i].outcome.stage > STAGE_RCPT)
			return true;
	return false;
}

static void take_results(struct attempt *a)
{
	bool has_other = has_accepted_some(a); /* other than those refused at RCPT, who alone ask */

	for (uint32_t i = 0; i < a->recipient_count; i++) {
		struct attempt_result *result = &a->results[i];

		result->number = a->recipients[i].rcpt.number;
		set_outcome(a, &result->outcome, &a->job_recipients[i].outcome);
		result->verdict = judge(a, &result->outcome, has_other);
		note_network(a, &result->outcome);
	}
}

/* The row of the crash table between the next hop's 250 and our RECORD. */
static void lose_delivery(struct attempt *a)
{
	struct outcome lost = { .stage = STAGE_DOT, .err = ERR_RESET, .text = STR("fault") };
	bool has_delivered = false;

	for (uint32_t i = 0; i < a->recipient_count; i++)
		has_delivered |= a->job_recipients[i].is_delivered;
	if (!has_delivered || !fault_hit(a->env->fault, FAULT_attempt_delivered))
		return;
	for (uint32_t i = 0; i < a->recipient_count; i++)
		if (a->job_recipients[i].is_delivered)
			a->job_recipients[i].outcome = lost;
}

/* The host is well, and takes other mail; this message is for one that has what it needs. */
static void pass_over(struct attempt *a)
{
	struct smtp_client *c = a->client;

	a->is_lacking = true;
	a->client = NULL;
	if (c)
		give_back(a, c);
	next_host(a);
}

static void on_job(struct smtp_job *job)
{
	struct attempt *a = CONTAINER_OF(job, struct attempt, job);

	a->is_job_running = false;
	if (!job->is_reusable)
		drop_client(a);
	if (was_dead_already(a)) {
		engage(a, false);
		return;
	}
	if (job->is_lacking) {
		pass_over(a);
		return;
	}
	a->connect_ms = a->connected.ms - a->started.ms;
	a->transmit_ms = job->mail_ms;
	lose_delivery(a);
	take_results(a);
	finish(a);
}

/* ---- end ---- */

/* Final only if every host was asked: one that failed before it could say may have what is needed. */
static void finish_lacking(struct attempt *a)
{
	bool is_final = a->site_outcome.stage == STAGE_NONE;

	for (uint32_t i = 0; i < a->recipient_count; i++) {
		struct outcome *o = &a->job_recipients[i].outcome;

		if (!is_final && o->status.subject != 1)
			o->status.klass = 4;
	}
	take_results(a);
	finish(a);
}

static void finish_unreached(struct attempt *a)
{
	struct verdict verdict = judge(a, &a->site_outcome, false);

	a->connect_ms = env_now(a->env).ms - a->started.ms;
	if (a->is_lacking) {
		finish_lacking(a);
		return;
	}

	a->is_site_failure = verdict.scope == SCOPE_HOST;
	for (uint32_t i = 0; i < a->recipient_count; i++)
		a->results[i] = (struct attempt_result){ a->recipients[i].rcpt.number,
			a->site_outcome, verdict };
	finish(a);
}

/* Replies that came stand; the rest was lost, after the final dot in doubt. */
static void on_deadline(struct timer *t)
{
	struct attempt *a = CONTAINER_OF(t, struct attempt, deadline);
	struct outcome lost = {
		.stage = STAGE_CONNECT, .err = ERR_TIMEOUT, .text = STR("session took too long")
	};

	close_client(a);
	if (!a->is_job_running) {
		a->site_outcome = lost;
		finish_unreached(a);
		return;
	}
	a->is_job_running = false;
	lost.stage = a->job.is_dot_sent ? STAGE_DOT : STAGE_CONTENT;
	for (uint32_t i = 0; i < a->recipient_count; i++)
		if (a->job_recipients[i].outcome.code < 400 && !a->job_recipients[i].is_delivered)
			a->job_recipients[i].outcome = lost;
	take_results(a);
	finish(a);
}

static void on_finish(struct deferred *d)
{
	struct attempt *a = CONTAINER_OF(d, struct attempt, finish);
	struct smtp_client *c = a->client;

	a->is_running = false;
	a->client = NULL;
	if (c)
		give_back(a, c);
	a->on_done(a);
}

void attempt_cancel(struct attempt *a)
{
	if (!a->is_running)
		return;
	a->is_running = a->is_job_running = false;
	env_timer_stop(a->env, &a->deadline);
	env_undefer(a->env, &a->finish);
	close_client(a);
}

void attempt_fini(struct attempt *a)
{
	CHECK(!a->is_running);
	arena_fini(&a->job.arena);
	arena_fini(&a->arena);
}
