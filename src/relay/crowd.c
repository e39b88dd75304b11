/*
 * crowd - places become few: who says nothing makes room for who does.
 *
 * Ten thousand connections that never speak cost an attacker nothing, and the patience that RFC 5321 section 4.5.3.2.7 asks
 * for (five minutes) would let them hold the door. So with more than crowded-from of sessions-max, once a second: of the
 * sessions that have been silent for crowded-idle-timeout, the longest silent first, as many are ended as are too many.
 * A client that speaks, or whose content comes, is never concerned. With fewer sessions nothing here runs.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/destination.h"
#include "relay/intake_private.h"

#define LOOK_MS SECOND_MS
/* A client within a transaction has shown that it means it; its next hop may be slow to verify recipients. */
#define MAIL_PATIENCE 6

struct silent {
	int64_t idle_ms;
	struct smtp_server *server;
};

static void on_look(struct timer *t);

static uint32_t crowded_from(const struct intake *in)
{
	const struct conf *conf = in->relay->conf;

	return (uint32_t)((uint64_t)conf->smtpd.sessions_max * conf->smtpd.crowded_percent / 100);
}

void crowd_init(struct intake *in)
{
	in->crowd.on_fire = on_look;
}

void crowd_note(struct intake *in)
{
	if (in->is_crowded || in->session_count + in->front_count <= crowded_from(in))
		return;
	in->is_crowded = true;
	in->crowded_out = 0;
	log_text(in->relay->env->log, LOG_WARNING, "smtpd",
		"%u sessions of limits.sessions-max %u: silent ones are ended early",
		in->session_count + in->front_count, in->relay->conf->smtpd.sessions_max);
	env_timer_after(in->relay->env, &in->crowd, LOOK_MS);
}

static int longest_first(const void *a, const void *b)
{
	int64_t x = ((const struct silent *)a)->idle_ms, y = ((const struct silent *)b)->idle_ms;

	return (x < y) - (x > y);
}

static uint32_t find_silent(struct intake *in, struct silent *found)
{
	int64_t limit_ms = in->relay->conf->smtpd.crowded_idle_ms;
	uint32_t count = 0;

	LIST_FOR_EACH_SAFE (link, &in->sessions) {
		struct smtp_server *server = CONTAINER_OF(link, struct session, link)->server;
		bool has_mail;
		int64_t idle_ms = smtp_server_idle_ms(server, &has_mail);

		if (idle_ms >= limit_ms * (has_mail ? MAIL_PATIENCE : 1))
			found[count++] = (struct silent){ idle_ms, server };
	}
	return count;
}

static void on_look(struct timer *t)
{
	struct intake *in = CONTAINER_OF(t, struct intake, crowd);
	uint32_t mark = crowded_from(in), all = in->session_count + in->front_count;

	if (all <= mark) {
		in->is_crowded = false;
		log_text(in->relay->env->log, LOG_NOTICE, "smtpd",
			"%u sessions: silent ones are borne with again; %llu were ended", all,
			(unsigned long long)in->crowded_out);
		return;
	}
	struct silent *found = mem_array(in->session_count + 1, sizeof(*found));
	uint32_t count = find_silent(in, found);

	qsort(found, count, sizeof(*found), longest_first);
	count = count < all - mark ? count : all - mark;
	for (uint32_t i = 0; i < count; i++)
		smtp_server_crowd_out(found[i].server);
	free(found);
	in->crowded_out += count;
	metric_add(in->relay->env->metrics, METRIC_smtpd_crowded_out_total, count);
	env_timer_after(in->relay->env, &in->crowd, LOOK_MS);
}
