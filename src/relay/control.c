/*
 * control - the operator's door: a UNIX socket where each line is a request of relay/verbs.h.
 *
 * Happy path: accept, learn who it is, a line, its verb with all its answer lines, the next line.
 * One verb at a time per session: nothing is read while one runs, so nothing piles up. Answers stop
 * while the peer does not read them. A line over 1 MiB, too many sessions, a minute of silence: one
 * error line at most, then closed. A session that goes away cancels its verb; what that had
 * submitted still happens.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/control_access.h"
#include "relay/control_call.h"
#include "relay/destination.h"
#include "relay/guard.h"
#include "relay/outage.h"
#include "relay/sts.h"

#define IDLE_MS (60 * SECOND_MS)
#define UNSENT_MAX_BYTES (256u << 10)
#define SOCKET_MODE 0660

struct control {
	struct relay *relay;
	struct listener *listener;
	struct list sessions;
	uint32_t session_count;
	struct verb_host host;
};

struct control_session {
	struct list link;
	struct control *control;
	struct conn *conn;
	struct timer idle;
	struct deferred next; /* look for the next line, off the stack of the last verb */
	struct buf in;
	struct verb_call *call;
	struct buf actor;
	bool may_change;
	bool is_input_over;
};

static void on_accept(void *user, struct conn *conn);
static void refuse_conn(struct control *c, struct conn *conn, const char *text);
static void on_read(void *user, struct str octets);
static void on_end(void *user, enum err err);
static void on_drained(void *user);
static void on_next(struct deferred *d);
static void on_idle(struct timer *t);
static void run_line(struct control_session *s, struct str line);
static void session_close(struct control_session *s, bool is_flushed);
static void on_line(void *user, struct str line);
static bool is_full(void *user);
static void on_call_end(void *user);

static struct wall host_wall(void *user);
static void host_gauges(void *user, struct verb_gauges *out);
static void host_hop_ready(void *user, struct str hop, bool is_urgent);
static void host_site_probe(void *user, struct str site);
static void host_forget_pending(void *user);
static enum err host_reload(void *user, struct buf *message);
static void host_audit(void *user, struct str text);
static void host_hop_known(void *user, struct str hop, struct wall at);
static void host_mailbox_known(void *user, struct str address, struct wall at);
static uint64_t host_outage_new_id(void *user);
static void host_outages_changed(void *user);
static double host_site_limit(void *user, struct str site);
static bool host_sts(void *user, struct str domain, struct verb_sts_gauges *out);

static const struct listener_handler listener_handler = { .on_accept = on_accept };
static const struct conn_handler session_handler = {
	.on_read = on_read,
	.on_end = on_end,
	.on_drained = on_drained,
};
static const struct verb_sink session_sink = {
	.on_line = on_line, .is_full = is_full, .on_end = on_call_end
};
static const struct verb_daemon_ops daemon_ops = {
	.gauges = host_gauges,
	.hop_ready = host_hop_ready,
	.site_probe = host_site_probe,
	.forget_pending = host_forget_pending,
	.reload = host_reload,
	.audit = host_audit,
	.hop_known = host_hop_known,
	.mailbox_known = host_mailbox_known,
	.outage_new_id = host_outage_new_id,
	.outages_changed = host_outages_changed,
	.site_limit = host_site_limit,
	.sts = host_sts,
};

struct control *control_new(struct relay *r)
{
	struct control *c = mem_zalloc(sizeof(*c));

	c->relay = r;
	list_init(&c->sessions);
	c->host = (struct verb_host){
		.store = r->store,
		.wall = host_wall,
		.daemon = &daemon_ops,
		.metrics = r->env->metrics,
		.config_file = r->params.config_file,
		.user = r,
	};
	return c;
}

/* control_start - opens the socket the configuration names; none when it names none. */
enum err control_start(struct control *c, struct buf *message)
{
	struct str path = c->relay->conf->control.socket;
	struct endpoint at = { .family = FAMILY_UNIX };
	enum err err = OK;

	if (!path.len || c->listener)
		return OK;
	if (path.len >= sizeof(at.path)) {
		err = ERR_LIMIT;
	} else {
		for (size_t i = 0; i < path.len; i++)
			at.path[i] = path.data[i];
		err = net_listen(
			c->relay->net, &at, SOCKET_MODE, &listener_handler, c, &c->listener);
	}
	if (err != OK)
		buf_printf(message, "control socket %.*s: %s", STR_FMT(path), err_name(err));
	return err;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	LIST_FOR_EACH_SAFE (link, &c->sessions)
		session_close(CONTAINER_OF(link, struct control_session, link), false);
	if (c->listener)
		c->relay->net->ops->listener_close(c->listener);
	free(c);
}

static void on_accept(void *user, struct conn *conn)
{
	struct control *c = user;
	struct relay *r = c->relay;
	struct peer_credentials who = { 0 };

	if (c->session_count >= r->conf->control.sessions_max) {
		refuse_conn(c, conn,
			"{\"error\":{\"code\":75,\"text\":\"too many control sessions\"}}\n");
		return;
	}
	struct control_session *s = mem_zalloc(sizeof(*s));
	s->control = c;
	s->conn = conn;
	s->idle.on_fire = on_idle;
	s->next.on_run = on_next;
	buf_init(&s->in, VERB_REQUEST_MAX_BYTES + (64u << 10) + 1);
	buf_init(&s->actor, 512);
	r->net->ops->conn_credentials(conn, &who);
	control_actor(&s->actor, &who);
	s->may_change = control_may_change(&who, r->conf->control.admin_group);
	list_push_back(&c->sessions, &s->link);
	c->session_count++;
	r->net->ops->conn_set_user(conn, &session_handler, s);
	r->net->ops->conn_read_start(conn);
	env_timer_after(r->env, &s->idle, IDLE_MS);
}

static void refuse_conn(struct control *c, struct conn *conn, const char *text)
{
	c->relay->net->ops->conn_write(conn, str_from_c(text));
	c->relay->net->ops->conn_close(conn, true);
}

static void on_read(void *user, struct str octets)
{
	struct control_session *s = user;

	buf_append_str(&s->in, octets);
	env_timer_after(s->control->relay->env, &s->idle, IDLE_MS);
	if (s->in.is_full) {
		on_line(s, STR("{\"error\":{\"code\":64,\"text\":\"the request is longer than 1 "
			       "MiB\"}}\n"));
		session_close(s, true);
	} else if (!s->call) {
		on_next(&s->next);
	}
}

/* The peer may close its sending side after its last request: answers still go out. */
static void on_end(void *user, enum err err)
{
	struct control_session *s = user;

	s->is_input_over = true;
	if (err != ERR_EOF)
		session_close(s, false);
	else if (!s->call)
		on_next(&s->next);
}

static void on_drained(void *user)
{
	struct control_session *s = user;

	env_timer_after(s->control->relay->env, &s->idle, IDLE_MS);
	if (s->call)
		verb_resume(s->call);
}

/* on_next - the next complete line runs; without one, more input is wanted, or all is said. */
static void on_next(struct deferred *d)
{
	struct control_session *s = CONTAINER_OF(d, struct control_session, next);
	const struct net_ops *net = s->control->relay->net->ops;
	size_t end = str_find(buf_str(&s->in), '\n');

	if (s->call)
		return;
	if (end < s->in.len) {
		run_line(s, str_of(s->in.data, end));
	} else if (s->in.len > VERB_REQUEST_MAX_BYTES) {
		on_line(s, STR("{\"error\":{\"code\":64,\"text\":\"the request is longer than 1 "
			       "MiB\"}}\n"));
		session_close(s, true);
	} else if (s->is_input_over) {
		session_close(s, true);
	} else {
		net->conn_read_start(s->conn);
	}
}

static void run_line(struct control_session *s, struct str line)
{
	struct control *c = s->control;
	const struct verb_caller caller = { .actor = buf_str(&s->actor),
		.may_change = s->may_change };

	c->host.conf = c->relay->conf;
	if (!s->is_input_over)
		c->relay->net->ops->conn_read_stop(s->conn);
	s->call = verb_new(&c->host, line, &caller, &session_sink, s);
	buf_consume(&s->in, line.len + 1);
	verb_resume(s->call);
}

/* A verb that waits for the store is not idle; one whose reader takes nothing is. */
static void on_idle(struct timer *t)
{
	struct control_session *s = CONTAINER_OF(t, struct control_session, idle);

	if (s->call && s->call->is_waiting)
		env_timer_after(s->control->relay->env, &s->idle, IDLE_MS);
	else
		session_close(s, false);
}

static void session_close(struct control_session *s, bool is_flushed)
{
	struct control *c = s->control;

	if (s->call)
		verb_cancel(s->call);
	env_timer_stop(c->relay->env, &s->idle);
	env_undefer(c->relay->env, &s->next);
	c->relay->net->ops->conn_close(s->conn, is_flushed);
	list_remove(&s->link);
	c->session_count--;
	buf_fini(&s->in);
	buf_fini(&s->actor);
	free(s);
}

static void on_line(void *user, struct str line)
{
	struct control_session *s = user;

	s->control->relay->net->ops->conn_write(s->conn, line);
}

static bool is_full(void *user)
{
	struct control_session *s = user;

	return s->control->relay->net->ops->conn_unsent(s->conn) > UNSENT_MAX_BYTES;
}

static void on_call_end(void *user)
{
	struct control_session *s = user;

	s->call = NULL;
	env_timer_after(s->control->relay->env, &s->idle, IDLE_MS);
	env_defer(s->control->relay->env, &s->next);
}

/* ---- what verbs may do with the relay ---- */

static struct wall host_wall(void *user)
{
	struct relay *r = user;

	return env_wall(r->env);
}

static void host_gauges(void *user, struct verb_gauges *out)
{
	const struct relay *r = user;

	*out = (struct verb_gauges){
		.started = r->started,
		.clock_rate = r->env->rate,
		.deliveries = r->delivery_count,
		.attempts = r->attempt_count,
		.sessions = r->intake ? intake_session_count(r->intake) : 0,
		.disk_free_bytes = r->upkeep.disk_free_bytes,
		.is_space_low = r->upkeep.is_space_low || r->upkeep.is_full,
		.is_offline = r->watch.is_offline,
		.offline_since = r->watch.began,
	};
}

static void host_hop_ready(void *user, struct str name, bool is_urgent)
{
	struct relay *r = user;

	if (is_urgent) {
		destination_retry(r, name);
		return;
	}
	struct hop *h = hop_get(r, name);
	if (h)
		hop_note_more(h);
}

static double host_site_limit(void *user, struct str name)
{
	return pacing_limit(user, name);
}

static bool host_sts(void *user, struct str domain, struct verb_sts_gauges *out)
{
	struct relay *r = user;
	struct sts_view view;

	if (!sts_look(r->sts, domain, &view))
		return false;
	*out = (struct verb_sts_gauges){ .failed = view.failed,
		.failure = view.failure,
		.next_try = view.times.next_fetch.ms > view.times.next_check.ms
				    ? view.times.next_fetch
				    : view.times.next_check };
	return true;
}

static void host_site_probe(void *user, struct str site)
{
	destination_probe(user, site);
}

/* Mail claimed ahead is dropped and claimed again: the store knows which of it may still go. */
static void host_forget_pending(void *user)
{
	struct relay *r = user;

	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		struct hop *h = CONTAINER_OF(e, struct hop, entry);

		if (!h->pending_count && !h->late_count && !h->claims_out)
			continue;
		h->is_claim_stale = h->claims_out > 0;
		hop_drop_pending(h);
		list_remove(&h->work);
		hop_note_more(h);
	}
}

static enum err host_reload(void *user, struct buf *message)
{
	struct relay *r = user;

	return r->params.on_reload ? r->params.on_reload(r->params.user, message) : ERR_UNSUPPORTED;
}

static void host_audit(void *user, struct str text)
{
	struct relay *r = user;

	log_text(r->env->log, LOG_NOTICE, "control", "%.*s", STR_FMT(text));
}

/* What is in memory learns it too; what is not reads it from the store. */
static void host_hop_known(void *user, struct str name, struct wall at)
{
	struct relay *r = user;
	struct map_entry *e = map_find(&r->hops, name);
	struct hop *h = e ? CONTAINER_OF(e, struct hop, entry) : NULL;

	if (h && h->health.last_success.ms < at.ms)
		h->health.last_success = at;
	if (h && h->site && h->site->health.last_success.ms < at.ms)
		h->site->health.last_success = at;
}

static void host_mailbox_known(void *user, struct str address, struct wall at)
{
	guard_note_known(user, address, at);
}

static uint64_t host_outage_new_id(void *user)
{
	return outage_new_id(user);
}

static void host_outages_changed(void *user)
{
	outage_reload(user);
}
