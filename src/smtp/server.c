/*
 * server - the life of a session: its states, its input, its deadlines, its end.
 *
 * Happy path: on_read hands octets to the state's input function until they are used up or the state wants none; what
 * is left waits in input, and reading stops. A state that waits for the handler has no input function; the
 * handler's answer enters another state, and the rest is worked off in a later turn.
 *
 * Closing lets go of the connection at once; the handler is told, and the memory freed, in the next turn, so that
 * nobody on the stack loses the session under its feet.
 */
#include "smtp/server.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "session.h"

#define READ_BYTES ((size_t)64 * 1024)
/* Reading has stopped long before; an adapter that goes on is cut off. */
#define INPUT_BYTES_MAX (4 * READ_BYTES)
#define INPUT_KEEP_BYTES 1024
#define UNSENT_BYTES_MAX ((size_t)64 * 1024) /* RELIABILITY row 33 */
/* The adapter has a shorter one of its own. */
#define HANDSHAKE_MS (60 * SECOND_MS)

static void on_read(void *user, struct str octets);
static void on_end(void *user, enum err err);
static void on_drained(void *user);
static void on_deadline(struct timer *t);
static void on_session_end(struct timer *t);
static void on_turn(struct deferred *d);
static void run(struct smtp_server *s, struct str *in);
static void free_session(struct smtp_server *s);
static void update_reading(struct smtp_server *s);
static int64_t no_deadline(const struct smtp_server *s);
static int64_t greeting_delay_ms(const struct smtp_server *s);
static int64_t handshake_ms(const struct smtp_server *s);
static int64_t idle_ms(const struct smtp_server *s);
static void on_handshake_late(struct smtp_server *s);
static void on_idle(struct smtp_server *s);

#define TO(state) (1u << SESSION_##state)

/* The machine: who reads in a state, how long it may last, and what may follow it. */
static const struct {
	void (*on_input)(struct smtp_server *s, struct str *in); /* NULL: input waits */
	int64_t (*limit_ms)(const struct smtp_server *s);
	void (*on_late)(struct smtp_server *s);
	unsigned next;
} states[SESSION_STATE_COUNT] = {
	[SESSION_DELAY] = { server_on_early_input, greeting_delay_ms, server_greet,
		TO(COMMAND) | TO(CLOSED) },
	[SESSION_HANDSHAKE] = { NULL, handshake_ms, on_handshake_late,
		TO(DELAY) | TO(COMMAND) | TO(CLOSED) },
	[SESSION_COMMAND] = { server_on_command_input, idle_ms, on_idle,
		TO(HANDSHAKE) | TO(AUTH) | TO(CHECKING) | TO(ASKING) | TO(DATA) | TO(CHUNK) |
			TO(CLOSED) },
	[SESSION_AUTH] = { server_on_command_input, idle_ms, on_idle,
		TO(AUTH) | TO(CHECKING) | TO(COMMAND) | TO(CLOSED) },
	[SESSION_CHECKING] = { NULL, no_deadline, NULL, TO(COMMAND) | TO(CLOSED) },
	[SESSION_ASKING] = { NULL, server_answer_ms, server_on_answer_late,
		TO(COMMAND) | TO(CLOSED) },
	[SESSION_DATA] = { server_on_content, server_data_tick_ms, server_on_data_tick,
		TO(SPOOLING) | TO(COMMITTING) | TO(COMMAND) | TO(CLOSED) },
	[SESSION_CHUNK] = { server_on_chunk, server_data_tick_ms, server_on_data_tick,
		TO(SPOOLING) | TO(COMMITTING) | TO(COMMAND) | TO(CLOSED) },
	[SESSION_SPOOLING] = { NULL, no_deadline, NULL, TO(DATA) | TO(CHUNK) | TO(CLOSED) },
	[SESSION_COMMITTING] = { NULL, no_deadline, NULL, TO(COMMAND) | TO(CLOSED) },
	[SESSION_CLOSED] = { NULL, no_deadline, NULL, 0 },
};

static const struct conn_handler conn_handler = {
	.on_read = on_read,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_tls = server_on_tls,
};

static void set_info(struct smtp_server *s, const struct conf_listener *listener, uint64_t number)
{
	struct endpoint peer;

	s->net->conn_peer(s->conn, &peer);
	s->info.is_from_here = endpoint_is_loopback(&peer);
	smtp_server_set_origin(s, &peer);
	s->info.allow = listener->allow;
	s->info.is_submission = listener->is_submission;
	s->info.session = number;
}

struct smtp_server *smtp_server_new(struct env *env, struct conf *conf, struct conn *conn,
	const struct net_ops *net, const struct conf_listener *listener, bool has_tls,
	uint64_t session_number, const struct smtp_server_handler *handler, void *user)
{
	struct smtp_server *s = mem_zalloc(sizeof(*s));

	s->env = env;
	s->conf = conf_ref(conf);
	s->conn = conn;
	s->net = net;
	s->handler = handler;
	s->user = user;
	s->tls_mode = listener->tls;
	s->has_tls = has_tls;
	s->deadline.on_fire = on_deadline;
	s->session_end.on_fire = on_session_end;
	s->turn.on_run = on_turn;
	buf_init(&s->input, INPUT_BYTES_MAX);
	buf_init(&s->line, conf->smtpd.line_bytes_max);
	buf_init(&s->auth_name, conf->smtpd.line_bytes_max);
	set_info(s, listener, session_number);
	net->conn_set_user(conn, &conn_handler, s);
	env_timer_after(env, &s->session_end, conf->smtpd.session_ms);
	if (s->tls_mode == LISTENER_IMPLICIT) {
		s->state = SESSION_HANDSHAKE;
		env_timer_after(env, &s->deadline, HANDSHAKE_MS);
		server_start_tls(s);
	} else {
		s->state = SESSION_DELAY;
		if (conf->smtpd.greeting_delay_ms > 0)
			env_timer_after(env, &s->deadline, conf->smtpd.greeting_delay_ms);
		else
			server_greet(s);
	}
	return s;
}

const struct smtp_server_info *smtp_server_info(const struct smtp_server *s)
{
	return &s->info;
}

void smtp_server_shutdown(struct smtp_server *s)
{
	s->is_shutting_down = true;
	switch (s->state) {
	case SESSION_DELAY:
	case SESSION_COMMAND:
	case SESSION_AUTH:
	case SESSION_CHECKING:
	case SESSION_ASKING:
		server_end(s, STATUS(4, 3, 2), "service is shutting down");
		break;
	case SESSION_HANDSHAKE:
		server_close(s, "shutdown", false);
		break;
	case SESSION_DATA:
	case SESSION_CHUNK:
	case SESSION_SPOOLING:
	case SESSION_COMMITTING:
	case SESSION_CLOSED:
	case SESSION_STATE_COUNT:
		break;
	}
}

void smtp_server_drop(struct smtp_server *s)
{
	server_close(s, "dropped", false);
	if (s->is_running || s->is_ending)
		return;
	env_undefer(s->env, &s->turn);
	free_session(s);
}

int64_t smtp_server_idle_ms(const struct smtp_server *s, bool *has_mail)
{
	bool is_silent = s->state == SESSION_COMMAND || s->state == SESSION_AUTH ||
			 s->state == SESSION_HANDSHAKE;

	*has_mail = s->t != NULL;
	if (!is_silent || s->input.len > 0)
		return 0;
	/* The deadline was set when its turn came: the limit less what is left of it. */
	return states[s->state].limit_ms(s) - (s->deadline.when.ms - env_now(s->env).ms);
}

void smtp_server_crowd_out(struct smtp_server *s)
{
	if (s->state == SESSION_HANDSHAKE)
		server_close(s, "crowded out in the TLS handshake", false);
	else
		server_end(s, STATUS(4, 3, 2), "too many sessions and silence in this one");
}

/* --- states --- */

void server_enter(struct smtp_server *s, enum session_state state)
{
	CHECK(states[s->state].next & 1u << state);
	s->state = state;
	int64_t limit = states[state].limit_ms(s);
	if (limit > 0)
		env_timer_after(s->env, &s->deadline, limit);
	else
		env_timer_stop(s->env, &s->deadline);
	if (!s->is_running && states[state].on_input)
		env_defer(s->env, &s->turn);
}

void server_await(struct smtp_server *s)
{
	/* A deadline for each whole command, not for each octet: RELIABILITY row 30. */
	if (s->state == SESSION_COMMAND || s->state == SESSION_AUTH)
		env_timer_after(s->env, &s->deadline, s->conf->smtpd.idle_ms);
}

static int64_t no_deadline(const struct smtp_server *s)
{
	(void)s;
	return 0;
}

static int64_t greeting_delay_ms(const struct smtp_server *s)
{
	/* After a handshake the deadline is what leads to the greeting, so there must be one. */
	int64_t delay = s->conf->smtpd.greeting_delay_ms;

	return delay > 0 ? delay : 1;
}

static int64_t handshake_ms(const struct smtp_server *s)
{
	(void)s;
	return HANDSHAKE_MS;
}

static int64_t idle_ms(const struct smtp_server *s)
{
	return s->conf->smtpd.idle_ms;
}

static void on_handshake_late(struct smtp_server *s)
{
	server_close(s, "timeout in the TLS handshake", false);
}

static void on_idle(struct smtp_server *s)
{
	server_end(s, STATUS(4, 4, 2), "timeout while waiting for a command");
}

static void on_deadline(struct timer *t)
{
	struct smtp_server *s = CONTAINER_OF(t, struct smtp_server, deadline);

	states[s->state].on_late(s);
}

static void on_session_end(struct timer *t)
{
	struct smtp_server *s = CONTAINER_OF(t, struct smtp_server, session_end);

	/* Content that is complete gets its reply: without one it would come again. */
	if (s->state == SESSION_COMMITTING)
		s->is_shutting_down = true;
	else if (s->state == SESSION_HANDSHAKE)
		server_close(s, "session lasts too long", false);
	else
		server_end(s, STATUS(4, 4, 2), "session lasts too long");
}

/* --- input --- */

static void on_read(void *user, struct str octets)
{
	struct smtp_server *s = user;

	if (s->state == SESSION_CLOSED)
		return;
	if (s->input.len == 0)
		run(s, &octets);
	buf_append_str(&s->input, octets);
	if (s->input.is_full)
		server_close(s, "input that nobody asked for", false);
	else
		update_reading(s);
}

/* Reads what came; returns when it is used up or must wait. */
static void run(struct smtp_server *s, struct str *in)
{
	s->is_running = true;
	s->behind = in;
	while (in->len > 0 && states[s->state].on_input &&
		s->net->conn_unsent(s->conn) <= UNSENT_BYTES_MAX)
		states[s->state].on_input(s, in);
	s->behind = NULL;
	s->is_running = false;
	if (s->state == SESSION_CLOSED)
		*in = str_slice(*in, in->len, in->len);
}

static void update_reading(struct smtp_server *s)
{
	if (s->state == SESSION_CLOSED)
		return;
	/* In a handshake the adapter reads for itself. */
	bool is_wanted = s->state == SESSION_HANDSHAKE ||
			 (states[s->state].on_input && s->input.len == 0 &&
				 s->net->conn_unsent(s->conn) <= UNSENT_BYTES_MAX);
	if (is_wanted)
		s->net->conn_read_start(s->conn);
	else
		s->net->conn_read_stop(s->conn);
}

static void free_session(struct smtp_server *s)
{
	s->is_ending = true;
	server_reset(s);
	s->handler->on_close(s->user, s, s->close_reason);
	arena_fini(&s->arena);
	arena_fini(&s->scratch);
	server_wipe(&s->input);
	server_wipe(&s->line);
	server_wipe(&s->auth_name);
	free(s->front);
	free(s->tls_text);
	free(s->helo);
	conf_unref(s->conf);
	free(s);
}

static void on_turn(struct deferred *d)
{
	struct smtp_server *s = CONTAINER_OF(d, struct smtp_server, turn);
	struct str in = buf_str(&s->input);

	if (s->state == SESSION_CLOSED) {
		free_session(s);
		return;
	}
	run(s, &in);
	buf_consume(&s->input, s->input.len - in.len);
	if (s->input.len == 0 && s->input.cap > INPUT_KEEP_BYTES) {
		buf_fini(&s->input); /* an idle session keeps no buffer */
		buf_init(&s->input, INPUT_BYTES_MAX);
	}
	update_reading(s);
}

static void on_drained(void *user)
{
	struct smtp_server *s = user;

	if (s->input.len > 0 && s->state != SESSION_CLOSED)
		env_defer(s->env, &s->turn);
	else
		update_reading(s);
}

static void on_end(void *user, enum err err)
{
	server_close(
		user, err == ERR_EOF ? "connection closed by the client" : err_name(err), true);
}

/* --- the end --- */

void server_close(struct smtp_server *s, const char *reason, bool is_flushed)
{
	if (s->state == SESSION_CLOSED)
		return;
	s->close_reason = reason;
	s->state = SESSION_CLOSED;
	s->net->conn_close(s->conn, is_flushed);
	s->conn = NULL;
	env_timer_stop(s->env, &s->deadline);
	env_timer_stop(s->env, &s->session_end);
	env_defer(s->env, &s->turn);
}

void server_wipe(struct buf *b)
{
	mem_wipe(b->data, b->cap);
	buf_fini(b);
}
