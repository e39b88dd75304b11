/*
 * control_explain_tls - what a message asked for beyond delivery, and whose TLS rule it is that keeps mail waiting: who can mend it,
 * and what can be done here. The reason says whose rule it is (smtp/tls_rule.h).
 */
#include "relay/control_explain.h"

static const struct {
	const char *begin; /* of the reason */
	const char *remedy;
} remedies[] = {
	{ "DANE: ", "TLSA records of its DNS ask for another certificate than its host shows (RFC "
		    "7672), or for TLS: "
		    "those who run it must mend one of them. To send without: 'dane: no' for it "
		    "under destinations." },
	{ "MTA-STS: ", "The policy of its domain asks for TLS with a certificate that verifies "
		       "(RFC 8461), see 'outlast "
		       "tls': those who run it must mend host or policy. To send without: "
		       "'mta-sts: no' for it under "
		       "destinations." },
	{ "REQUIRETLS: ", "Only the sender's wish (REQUIRETLS, RFC 8689) asks for that: other mail "
			  "goes there." },
	{ "message needs REQUIRETLS", "Only the sender's wish (REQUIRETLS, RFC 8689) asks for "
				      "that: other mail goes there." },
	{ "tls verify: ", "The configuration asks for it, 'tls: verify': the host needs a "
			  "certificate that verifies, or "
			  "tls.authorities the one that issued it; or 'tls' of that destination or "
			  "route must ask for "
			  "less." },
	{ "tls require: ", "The configuration asks for it, 'tls: require': the host must offer "
			   "TLS, or 'tls' of that "
			   "destination or route ask for less." },
	{ "tls dane: ", "The configuration asks for it, 'tls: dane': the host needs usable TLSA "
			"records, or 'tls' of that "
			"destination or route must ask for less." },
};

struct str explain_tls_remedy(struct str reason)
{
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (str_starts_fold(reason, str_from_c(remedies[i].begin)))
			return str_from_c(remedies[i].remedy);
	if (str_match_glob(reason, STR("*TLSA records cannot be looked up*")))
		return STR("Without an answer about TLSA records a host may not be used (RFC "
			   "7672): those who run its "
			   "DNS must mend it, or the resolver here. To send without: 'dane: no' "
			   "for it under "
			   "destinations.");
	return STR("");
}

static void append_time(struct buf *out, struct wall t)
{
	instant_format_iso(out, (struct wall){ t.ms - t.ms % SECOND_MS });
	out->len -= 5; /* ".000Z" */
	buf_append_char(out, 'Z');
}

void explain_wishes(struct buf *out, const struct envelope *env)
{
	if (env->is_requiretls)
		buf_append_str(out, STR("Its sender asked for REQUIRETLS: it goes only to hosts "
					"that are vouched for, "
					"with a certificate that verifies, and that offer "
					"REQUIRETLS themselves."));
	if (env->deliver_by.ms == WALL_NONE.ms)
		return;
	if (env->is_requiretls)
		buf_append_char(out, ' ');
	buf_append_str(out, env->deliver_by_is_ours
				    ? STR("A class rule says that it is of use until ")
				    : STR("Its sender says that it is of use until "));
	append_time(out, env->deliver_by);
	buf_append_str(out, env->deliver_by_notify
				    ? STR(": then its sender is told, and it is kept.")
				    : STR(": then it is returned, outage or not."));
}
