/* attempt_tls - see attempt_tls.h. */
#include "attempt_tls.h"

#include "base/buf.h"

#define TLS_TEXT_BYTES_MAX 1024

/* No handshake, or STARTTLS refused by a reply. Octets smuggled in behind the 220 are neither: nothing more is said to
 * such a host in clear text. */
bool attempt_is_tls_failure(const struct outcome *outcome)
{
	return outcome->stage == STAGE_TLS ||
	       (outcome->stage == STAGE_STARTTLS && outcome->code != 0);
}

/* The key of a rule that is not the target's own. */
void attempt_tls_set_key(struct attempt *a)
{
	a->session_key = route_key_of(
		a->conf, a->route->conf_route, attempt_target(a)->host, &a->rule, &a->arena);
}

bool attempt_tls_is_unvouched(struct attempt *a)
{
	const struct outcome lacking = { .stage = STAGE_POLICY,
		.err = ERR_UNSUPPORTED,
		.status = STATUS(5, 7, 30),
		.text = STR("message needs REQUIRETLS, and neither DNSSEC nor MTA-STS vouches for "
			    "the MX") };

	if (!a->message->is_requiretls || a->is_tls_waived || attempt_target(a)->is_vouched)
		return false;
	a->is_lacking = true;
	for (uint32_t i = 0; i < a->recipient_count; i++)
		a->job_recipients[i].outcome = lacking;
	return true;
}

/* RFC 8689 section 4.2.2: what the domain of the recipient asks for does not bind the message; what our operator does, binds. */
static bool is_let_off(const struct attempt *a, const struct route_target *target)
{
	return a->message->is_tls_optional && a->route->tls != TLS_DANE &&
	       (target->tls.authority == TLS_BY_DANE || target->tls.authority == TLS_BY_STS);
}

/* RFC 8689 section 4.2.1: the certificate of the next hop must verify, by PKIX unless TLSA records do it. */
void attempt_tls_set_rule(struct attempt *a)
{
	const struct route_target *target = attempt_target(a);

	a->rule = target->tls;
	a->session_key = target->session_key;
	if (is_let_off(a, target)) {
		a->rule = (struct tls_rule){ .policy = a->route->tls };
		attempt_tls_set_key(a);
		return;
	}
	if (!a->message->is_requiretls || a->is_tls_waived || target->tls.policy == TLS_VERIFY ||
		target->tls.policy == TLS_DANE)
		return;
	a->rule = (struct tls_rule){ .policy = TLS_VERIFY, .authority = TLS_BY_REQUIRETLS };
	attempt_tls_set_key(a);
}

static void note_tls(
	struct attempt *a, enum attempt_tls_result result, enum tls_fault fault, struct str problem)
{
	if (a->rule.policy == TLS_NONE || a->tls_tried_count == ATTEMPT_TLS_MAX)
		return;
	a->tls_tried[a->tls_tried_count++] = (struct attempt_tls){ .target = attempt_target(a),
		.result = result,
		.fault = fault,
		.problem = problem.len > 0 ? arena_dup(&a->arena, problem) : STR("") };
}

static void log_tls(struct attempt *a, enum log_level level, const char *what, struct str why)
{
	struct buf text;

	buf_init(&text, TLS_TEXT_BYTES_MAX);
	buf_append_safe(&text, why);
	log_text(a->env->log, level, "smtp", "%.*s: TLS failed: %s (%s)", STR_FMT(a->host),
		buf_cstr(&text), what);
	buf_fini(&text);
}

/* It went through: what a check would have said of it counts only for reports. */
void attempt_tls_note_good(struct attempt *a)
{
	const struct smtp_client_info *info = smtp_client_info(a->client);

	if (info->tls.len > 0)
		log_text(a->env->log, LOG_DEBUG, "smtp",
			"%s TLS connection established to %.*s: %.*s",
			info->is_tls_verified               ? "Verified"
			: info->tls_fault == TLS_FAULT_NONE ? "Trusted"
							    : "Untrusted",
			STR_FMT(a->host), STR_FMT(info->tls));
	note_tls(a, info->tls.len > 0 ? ATTEMPT_TLS_GOOD : ATTEMPT_TLS_NOT_OFFERED, info->tls_fault,
		info->tls_problem);
	if (!a->rule.is_testing)
		return;
	if (info->tls.len == 0)
		log_tls(a, LOG_NOTICE, "MTA-STS in testing: the mail goes in clear text",
			STR("TLS is not offered"));
	else if (info->tls_fault != TLS_FAULT_NONE)
		log_tls(a, LOG_NOTICE, "MTA-STS in testing: the mail goes all the same",
			info->tls_problem);
}

void attempt_tls_note_failed(
	struct attempt *a, struct smtp_client *c, const struct outcome *outcome)
{
	bool is_handshake = c && smtp_client_info(c)->tls_fault != TLS_FAULT_NONE &&
			    outcome->stage == STAGE_TLS;
	bool is_fallback = a->rule.policy == TLS_OPPORTUNISTIC;

	if (a->rule.policy == TLS_NONE ||
		(outcome->stage != STAGE_TLS && outcome->stage != STAGE_STARTTLS))
		return;
	note_tls(a, outcome->stage == STAGE_TLS ? ATTEMPT_TLS_FAILED : ATTEMPT_TLS_NOT_OFFERED,
		is_handshake ? smtp_client_info(c)->tls_fault : TLS_FAULT_HANDSHAKE, outcome->text);
	log_tls(a, is_fallback ? LOG_INFO : LOG_WARNING,
		is_fallback && attempt_is_tls_failure(outcome)
			? "opportunistic: clear text is tried"
			: "not used without TLS",
		outcome->text);
}

bool attempt_is_for_requiretls(const struct attempt *a, const struct outcome *outcome)
{
	return a->rule.authority == TLS_BY_REQUIRETLS &&
	       (outcome->stage == STAGE_TLS || outcome->stage == STAGE_STARTTLS);
}

/* What this message alone asks for says nothing against the host or the next hop: others go there as they are. A certificate
 * may be put right; a host without TLS does not have what is asked for. */
void attempt_lack_requiretls(struct attempt *a, const struct outcome *outcome)
{
	struct outcome lacking = { .stage = STAGE_POLICY,
		.err = ERR_UNSUPPORTED,
		.status = STATUS(5, 7, outcome->stage == STAGE_TLS ? 10 : 30),
		.text = arena_dup(&a->arena, outcome->text) };

	a->is_lacking = true;
	for (uint32_t i = 0; i < a->recipient_count; i++)
		a->job_recipients[i].outcome = lacking;
}
