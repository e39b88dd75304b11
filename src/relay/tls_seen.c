/* tls_seen - see tls_seen.h. */
#include "relay/tls_seen.h"

#include "relay/sts.h"
#include "relay/tls_report.h"

#define POLICY_TEXT_BYTES_MAX ((size_t)16 * 1024)
#define IP_BYTES_MAX ((size_t)64)

/* "route:NAME/DOMAIN" is a domain by MX too (deliver/route.h). */
static struct str domain_of(struct str hop)
{
	size_t slash = str_find(hop, '/');

	return slash < hop.len ? str_slice(hop, slash + 1, hop.len) : hop;
}

void tls_seen_route(struct hop *h)
{
	sts_doubt(h->relay->sts, domain_of(h->name));
}

/* ---- for reports ---- */

static enum tally_result result_of_fault(enum tls_fault fault)
{
	switch (fault) {
	case TLS_FAULT_NONE:
		return TALLY_GOOD;
	case TLS_FAULT_UNTRUSTED:
		return TALLY_NOT_TRUSTED;
	case TLS_FAULT_EXPIRED:
		return TALLY_EXPIRED;
	case TLS_FAULT_NAME:
		return TALLY_HOST_MISMATCH;
	case TLS_FAULT_HANDSHAKE:
	case TLS_FAULT_TLSA:
	case TLS_FAULT_INJECTED:
		return TALLY_VALIDATION_FAILURE;
	}
	return TALLY_VALIDATION_FAILURE;
}

/* Without a policy any certificate is good. */
static enum tally_result result_of(const struct attempt_tls *t)
{
	const struct tls_rule *rule = &t->target->tls;
	enum tally_result result = TALLY_GOOD;

	switch (t->result) {
	case ATTEMPT_TLS_NOT_OFFERED:
		return TALLY_STARTTLS_NOT_SUPPORTED;
	case ATTEMPT_TLS_FAILED:
		result = result_of_fault(t->fault);
		return result == TALLY_GOOD ? TALLY_VALIDATION_FAILURE : result;
	case ATTEMPT_TLS_GOOD:
		break;
	}
	if (rule->authority != TLS_BY_CONF)
		result = result_of_fault(t->fault);
	return result == TALLY_GOOD && rule->is_unlisted ? TALLY_VALIDATION_FAILURE : result;
}

static void put_tlsa(struct buf *out, const struct tls_rule *rule)
{
	for (uint32_t i = 0; i < rule->tlsa_count; i++) {
		const struct net_tlsa *a = &rule->tlsa[i];

		buf_printf(out, "%u %u %u ", a->usage, a->selector, a->matching);
		for (size_t k = 0; k < a->data.len; k++)
			buf_printf(out, "%02x", (unsigned char)a->data.data[k]);
		buf_append_char(out, '\n');
	}
}

static void report(struct relay *r, struct str domain, const struct attempt_tls *t)
{
	const struct tls_rule *rule = &t->target->tls;
	struct tally_event event = {
		.domain = domain, .result = result_of(t), .mx = t->target->host
	};
	struct sts_view view;
	struct buf text, ip;

	buf_init(&text, POLICY_TEXT_BYTES_MAX);
	buf_init(&ip, IP_BYTES_MAX);
	if (rule->authority == TLS_BY_DANE) {
		event.type = TALLY_TLSA;
		event.domain = t->target->host;
		put_tlsa(&text, rule);
	} else if (rule->authority == TLS_BY_STS) {
		event.type = TALLY_STS;
		if (sts_look(r->sts, domain, &view) && view.policy)
			sts_policy_print(&text, view.policy);
	}
	endpoint_format_ip(&ip, &t->target->address);
	event.text = text.is_full ? STR("") : buf_str(&text);
	event.ip = buf_str(&ip);
	tls_report_note(r->tls_report, domain, &event);
	buf_fini(&text);
	buf_fini(&ip);
}

void tls_seen_no_policy(struct relay *r, struct str domain, enum err err, bool is_policy_bad)
{
	const struct tally_event event = { .type = TALLY_STS,
		.domain = domain,
		.text = STR(""),
		.result = is_policy_bad    ? TALLY_STS_INVALID
			  : err == ERR_TLS ? TALLY_STS_WEBPKI_INVALID
					   : TALLY_STS_FETCH_ERROR,
		.mx = STR(""),
		.ip = STR("") };

	tls_report_note(r->tls_report, domain, &event);
}

void tls_seen_attempt(struct hop *h, const struct attempt *a)
{
	struct relay *r = h->relay;
	bool is_reported = tls_report_is_on(r->tls_report) && !a->route->is_smarthost &&
			   a->message->origin == ORIGIN_SMTP;

	for (uint32_t i = 0; i < a->tls_tried_count; i++) {
		const struct attempt_tls *t = &a->tls_tried[i];

		if (t->result != ATTEMPT_TLS_GOOD && t->target->tls.authority == TLS_BY_STS)
			tls_seen_route(h);
		if (is_reported)
			report(r, domain_of(h->name), t);
	}
}
