/*
 * client_hello - greeting, EHLO, and STARTTLS by policy.
 *
 * A peer that knows no EHLO gets HELO (RFC 5321 3.2). With opportunistic TLS a refused STARTTLS is passed over; a
 * failed handshake ends the session, and the caller may come again in clear text. Where TLS is required
 * nothing is ever said in clear text but EHLO and STARTTLS.
 *
 * Octets behind the reply to STARTTLS were put there by somebody on the way, to be taken for the peer's words under
 * TLS: the session ends, and not as a failed handshake, which would invite clear text.
 */
#include "client_private.h"

#define TLS_NEEDED STATUS(4, 7, 4)

static void say_ehlo(struct smtp_client *c)
{
	client_printf(
		c, "%s %.*s\r\n", c->params.is_lmtp ? "LHLO" : "EHLO", STR_FMT(c->params.hostname));
	client_enter(c, CLIENT_EHLO);
}

void client_on_greeting(struct smtp_client *c, const struct reply *reply)
{
	struct str name = reply->text;

	if (reply->code / 100 == 3) {
		client_fail_protocol(c, STAGE_GREETING, reply);
	} else if (reply->code / 100 != 2) {
		client_fail_reply(c, STAGE_GREETING, reply);
	} else {
		name = str_cut(&name, '\n');
		c->info.greeting = arena_dup(&c->arena, str_cut(&name, ' '));
		say_ehlo(c);
	}
}

/* --- capabilities --- */

static void read_size(struct smtp_client *c, struct str value)
{
	c->info.has_size = true;
	if (str_to_u64(str_trim(value), &c->info.size_max_bytes) != OK)
		c->info.size_max_bytes = 0;
}

static void read_auth(struct smtp_client *c, struct str mechanisms)
{
	while (mechanisms.len > 0) {
		struct str word = str_cut(&mechanisms, ' ');
		if (str_equal_fold(word, STR("PLAIN")))
			c->has_auth_plain = true;
		else if (str_equal_fold(word, STR("LOGIN")))
			c->has_auth_login = true;
	}
}

/* RFC 9422: unknown limits, and values that are none, are passed over. */
static void read_limits(struct smtp_client *c, struct str limits)
{
	while (limits.len > 0) {
		struct str value = str_cut(&limits, ' ');
		struct str name = str_cut(&value, '=');
		uint64_t limit;

		if (value.len > 6 || str_to_u64(value, &limit) != OK)
			continue;
		if (str_equal_fold(name, STR("MAILMAX")))
			c->info.mail_max = (uint32_t)limit;
		else if (str_equal_fold(name, STR("RCPTMAX")))
			c->info.rcpt_max = (uint32_t)limit;
	}
}

static void read_deliverby(struct smtp_client *c, struct str value)
{
	uint64_t seconds;

	c->info.has_deliverby = true;
	value = str_trim(value);
	if (value.len <= 9 && str_to_u64(value, &seconds) == OK)
		c->info.by_min_s = (int64_t)seconds;
}

/* What few hosts offer. */
static void read_extension(struct smtp_client *c, struct str keyword, struct str value)
{
	if (str_equal_fold(keyword, STR("REQUIRETLS")))
		c->info.has_requiretls = true;
	else if (str_equal_fold(keyword, STR("MT-PRIORITY")))
		c->info.has_priority = true;
	else if (str_equal_fold(keyword, STR("DELIVERBY")))
		read_deliverby(c, value);
	else if (str_equal_fold(keyword, STR("LIMITS")))
		read_limits(c, value);
}

static void read_capability(struct smtp_client *c, struct str line)
{
	struct str value = line;
	struct str keyword = str_cut(&value, ' ');

	if (str_equal_fold(keyword, STR("PIPELINING")))
		c->info.has_pipelining = true;
	else if (str_equal_fold(keyword, STR("8BITMIME")))
		c->info.has_8bitmime = true;
	else if (str_equal_fold(keyword, STR("SMTPUTF8")))
		c->info.has_smtputf8 = true;
	else if (str_equal_fold(keyword, STR("DSN")))
		c->info.has_dsn = true;
	else if (str_equal_fold(keyword, STR("STARTTLS")))
		c->info.has_starttls = true;
	else if (str_equal_fold(keyword, STR("SIZE")))
		read_size(c, value);
	else if (str_equal_fold(keyword, STR("AUTH")))
		read_auth(c, value);
	else if (str_starts_fold(line, STR("AUTH="))) /* before RFC 2554 */
		read_auth(c, str_slice(line, 5, line.len));
	else
		read_extension(c, keyword, value);
}

/* What was said in clear text counts no more under TLS. */
static void forget_capabilities(struct smtp_client *c)
{
	c->info.has_pipelining = c->info.has_8bitmime = c->info.has_smtputf8 = false;
	c->info.has_size = c->info.has_dsn = c->info.has_starttls = false;
	c->info.size_max_bytes = 0;
	c->info.has_requiretls = c->info.has_priority = c->info.has_deliverby = false;
	c->info.by_min_s = 0;
	c->info.mail_max = c->info.rcpt_max = 0;
	c->has_auth_plain = c->has_auth_login = false;
}

/* --- what follows --- */

static void go_on_without_tls(struct smtp_client *c)
{
	if (c->params.user.len > 0)
		client_start_auth(c);
	else
		client_ready(c);
}

static void decide_tls(struct smtp_client *c)
{
	const struct tls_rule *rule = &c->params.tls;

	if (c->info.tls.len > 0 || rule->policy == TLS_NONE) {
		go_on_without_tls(c);
	} else if (c->info.has_starttls) {
		client_write(c, STR("STARTTLS\r\n"));
		client_enter(c, CLIENT_STARTTLS);
	} else if (tls_rule_is_required(rule)) {
		client_fail_reason(c, STAGE_STARTTLS, ERR_UNSUPPORTED, TLS_NEEDED,
			arena_printf(&c->arena, "%s: TLS is required, but not offered",
				tls_rule_name(rule))
				.data);
	} else {
		go_on_without_tls(c);
	}
}

void client_on_ehlo(struct smtp_client *c, const struct reply *reply)
{
	struct str lines = reply->text;

	forget_capabilities(c);
	if (reply->code / 100 == 2) {
		(void)str_cut(&lines, '\n'); /* the peer's name */
		while (lines.len > 0)
			read_capability(c, str_trim(str_cut(&lines, '\n')));
		decide_tls(c);
	} else if (reply->code / 100 == 5 && !c->params.is_lmtp) { /* LMTP has no HELO */
		client_printf(c, "HELO %.*s\r\n", STR_FMT(c->params.hostname));
		client_enter(c, CLIENT_HELO);
	} else if (reply->code / 100 == 4 || reply->code / 100 == 5) {
		client_fail_reply(c, STAGE_EHLO, reply);
	} else {
		client_fail_protocol(c, STAGE_EHLO, reply);
	}
}

void client_on_helo(struct smtp_client *c, const struct reply *reply)
{
	if (reply->code / 100 == 2)
		decide_tls(c);
	else if (reply->code / 100 == 3)
		client_fail_protocol(c, STAGE_EHLO, reply);
	else
		client_fail_reply(c, STAGE_EHLO, reply);
}

/* --- STARTTLS --- */

static enum tls_check check_of(enum tls_policy policy)
{
	switch (policy) {
	case TLS_NONE:
	case TLS_OPPORTUNISTIC:
	case TLS_REQUIRE:
		return TLS_CHECK_NONE;
	case TLS_VERIFY:
		return TLS_CHECK_NAME;
	case TLS_DANE:
		return TLS_CHECK_DANE;
	}
	return TLS_CHECK_DANE;
}

static void start_tls(struct smtp_client *c)
{
	const struct tls_rule *rule = &c->params.tls;
	struct tls_want want = {
		.check = check_of(rule->policy),
		.server_name = c->params.host,
		.names = rule->names,
		.name_count = rule->name_count,
		/* A policy in testing, and TLSA records that cannot be used, are reported on: what we like to do is not. */
		.is_unjudged = rule->authority == TLS_BY_CONF,
		.tlsa = rule->tlsa,
		.tlsa_count = rule->tlsa_count,
		.session_key = c->params.session_key,
	};

	/* RFC 7672 section 8.1: the name whose TLSA records these are */
	if (rule->policy == TLS_DANE && rule->name_count > 0)
		want.server_name = rule->names[0];
	client_enter(c, CLIENT_HANDSHAKE);
	c->net->conn_start_tls(c->conn, &want);
}

void client_on_starttls(struct smtp_client *c, const struct reply *reply)
{
	if (reply->code / 100 == 3)
		client_fail_protocol(c, STAGE_STARTTLS, reply);
	else if (reply->code / 100 == 2 && c->behind->len > 0)
		client_fail_reason(c, STAGE_STARTTLS, ERR_SYNTAX, (struct status){ 0 },
			"clear text behind the reply to STARTTLS");
	else if (reply->code / 100 == 2)
		start_tls(c);
	else if (c->params.tls.policy == TLS_OPPORTUNISTIC)
		go_on_without_tls(c);
	else
		client_fail_reply(c, STAGE_STARTTLS, reply);
}

/* Why the handshake failed, with whose word it had to be done. Octets smuggled in behind STARTTLS are no failed handshake:
 * nothing is said to such a host in clear text. */
static void fail_tls(struct smtp_client *c, enum err err, const struct tls_info *info)
{
	const struct tls_rule *rule = &c->params.tls;
	struct str why = info->problem.len > 0 ? info->problem : str_from_c(err_name(err));
	struct outcome outcome = { .stage = STAGE_TLS, .err = err, .text = why };

	if (info->fault == TLS_FAULT_INJECTED) {
		outcome.stage = STAGE_STARTTLS;
		outcome.err = ERR_SYNTAX;
	}
	if (tls_rule_is_required(rule))
		outcome.text =
			arena_printf(&c->arena, "%s: %.*s", tls_rule_name(rule), STR_FMT(why));
	c->info.tls_fault = info->fault == TLS_FAULT_NONE ? TLS_FAULT_HANDSHAKE : info->fault;
	c->info.tls_problem = arena_dup(&c->arena, why);
	client_fail(c, &outcome);
}

void client_on_tls(void *user, enum err err, const struct tls_info *info)
{
	struct smtp_client *c = user;
	bool has_to_verify = check_of(c->params.tls.policy) != TLS_CHECK_NONE;

	client_begin_call(c);
	if (err == OK && has_to_verify && !info->is_verified)
		err = ERR_TLS;
	if (err == OK) {
		c->info.tls = arena_printf(&c->arena, "%.*s %.*s%s%s%s", STR_FMT(info->protocol),
			STR_FMT(info->cipher), info->is_verified ? " verified (" : "",
			info->is_verified ? tls_rule_name(&c->params.tls) : "",
			info->is_verified ? ")" : "");
		c->info.is_tls_verified = info->is_verified;
		c->info.tls_fault = info->fault;
		c->info.tls_problem = arena_dup(&c->arena, info->problem);
		say_ehlo(c);
	} else {
		fail_tls(c, err, info);
	}
	client_end_call(c);
}
