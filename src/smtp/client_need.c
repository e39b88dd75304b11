/*
 * client_need - what a message needs of the host it goes to, asked before MAIL: abilities (RFC 6152, 6531, 1870), promises
 * (8689, 2852), and time.
 *
 * Nothing is converted and nothing dropped: a message that the host cannot take, or would take without what was promised
 * to its sender, is not offered to it. What then becomes of it (another host of the site, later, a notice) is decided by
 * whoever gave the job.
 */
#include "client_private.h"

int64_t client_by_s(const struct smtp_client *c)
{
	int64_t left_ms = c->job->env->deliver_by.ms - env_wall(c->env).ms;

	/* Rounded down: a second that is not whole is not promised. */
	return left_ms / SECOND_MS - (left_ms % SECOND_MS < 0);
}

/* RFC 8689 4.2.1: TLS, the certificate verified, and a host that goes on with it. */
static bool lacks_tls(const struct smtp_client *c, struct outcome *outcome)
{
	if (!c->job->env->is_requiretls || c->job->is_tls_waived)
		return false;
	if (c->info.tls.len == 0 || !c->info.is_tls_verified) {
		outcome->status = STATUS(5, 7, 10);
		outcome->text = STR("message needs REQUIRETLS, and the certificate of the next hop "
				    "is not verified");
	} else if (!c->info.has_requiretls) {
		outcome->status = STATUS(5, 7, 30);
		outcome->text = STR("message needs REQUIRETLS, which the next hop does not offer");
	} else {
		return false;
	}
	return true;
}

/* Mode R: rather returned than late. A relay that does not know DELIVERBY could not keep that; an LMTP host is the end of
 * the way. */
static bool lacks_time(const struct smtp_client *c, struct outcome *outcome)
{
	const struct envelope *env = c->job->env;

	if (env->deliver_by.ms == WALL_NONE.ms || env->deliver_by_notify)
		return false;
	int64_t left_s = client_by_s(c);
	bool is_passed_on = c->info.has_deliverby && !env->deliver_by_is_ours;
	if (left_s <= 0 || (is_passed_on && left_s < c->info.by_min_s)) {
		outcome->status = STATUS(5, 4, 7);
		outcome->text = STR("delivery time expired");
	} else if (!c->info.has_deliverby && !env->deliver_by_is_ours && !c->params.is_lmtp) {
		outcome->status = STATUS(5, 3, 3);
		outcome->text = STR("message needs DELIVERBY, which the next hop does not offer");
	} else {
		return false;
	}
	return true;
}

bool client_lacks(const struct smtp_client *c, struct outcome *outcome)
{
	const struct envelope *env = c->job->env;

	*outcome = (struct outcome){ .stage = STAGE_POLICY, .err = ERR_UNSUPPORTED };
	if (env->is_smtputf8 && !c->info.has_smtputf8) {
		outcome->status = STATUS(5, 6, 7);
		outcome->text = STR("message needs SMTPUTF8, which the next hop does not offer");
	} else if (env->body == BODY_8BITMIME && !c->info.has_8bitmime) {
		outcome->status = STATUS(5, 6, 3);
		outcome->text = STR("message needs 8BITMIME, which the next hop does not offer");
	} else if (c->info.size_max_bytes > 0 && env->size_bytes > c->info.size_max_bytes) {
		outcome->status = STATUS(5, 3, 4);
		outcome->text = STR("message is larger than the next hop takes");
	} else if (!client_line_is_safe(env->reverse_path)) {
		outcome->status = STATUS(5, 1, 7);
		outcome->text = STR("reverse-path cannot be sent");
	} else {
		return lacks_tls(c, outcome) || lacks_time(c, outcome);
	}
	return true;
}
