/* tls_rule - see smtp/tls_rule.h. */
#include "smtp/tls_rule.h"

bool tls_rule_is_required(const struct tls_rule *rule)
{
	return rule->policy != TLS_NONE && rule->policy != TLS_OPPORTUNISTIC;
}

struct tls_rule tls_rule_copy(const struct tls_rule *rule, struct arena *arena)
{
	struct net_tlsa *tlsa = arena_array(arena, rule->tlsa_count + 1, sizeof(tlsa[0]));
	struct str *names = arena_array(arena, rule->name_count + 1, sizeof(names[0]));
	struct tls_rule copy = *rule;

	for (uint32_t i = 0; i < rule->tlsa_count; i++) {
		tlsa[i] = rule->tlsa[i];
		tlsa[i].data = arena_dup(arena, rule->tlsa[i].data);
	}
	for (uint32_t i = 0; i < rule->name_count; i++)
		names[i] = arena_dup(arena, rule->names[i]);
	copy.tlsa = tlsa;
	copy.names = names;
	return copy;
}

static const char *policy_name(enum tls_policy policy)
{
	switch (policy) {
	case TLS_NONE:
		return "tls none";
	case TLS_OPPORTUNISTIC:
		return "tls opportunistic";
	case TLS_REQUIRE:
		return "tls require";
	case TLS_VERIFY:
		return "tls verify";
	case TLS_DANE:
		return "tls dane";
	}
	return "tls";
}

const char *tls_rule_name(const struct tls_rule *rule)
{
	switch (rule->authority) {
	case TLS_BY_CONF:
		return policy_name(rule->policy);
	case TLS_BY_DANE:
		return "DANE";
	case TLS_BY_STS:
		return rule->is_testing ? "MTA-STS in testing" : "MTA-STS";
	case TLS_BY_REQUIRETLS:
		return "REQUIRETLS";
	}
	return "tls";
}
