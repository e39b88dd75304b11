/* sim_peer - see sim_peer.h. */
#include "sim/sim_peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define INPUT_MAX (16u << 20)
#define REPLY_MAX 512

struct session {
	struct list link;
	struct sim_peers *peers;
	struct sim_site *site;
	struct conn *sock;
	struct buf input;
	struct timer think;
	struct buf reply; /* waits for the think time */
	bool is_hung, is_closing, is_in_data, has_mail, has_hello, is_tls, is_lmtp;
	char from[256], envid[64];
	char **recipients;
	uint32_t recipient_count;
};

static void advance(struct session *s);

/* ---- sessions ---- */

static void reset_transaction(struct session *s)
{
	for (uint32_t i = 0; i < s->recipient_count; i++)
		free(s->recipients[i]);
	free(s->recipients);
	s->recipients = NULL;
	s->recipient_count = 0;
	s->has_mail = s->is_in_data = false;
	s->from[0] = s->envid[0] = '\0';
}

static void session_free(struct session *s)
{
	reset_transaction(s);
	sim_stop(s->peers->clock, &s->think);
	buf_fini(&s->input);
	buf_fini(&s->reply);
	list_remove(&s->link);
	s->site->open_count--;
	free(s);
}

static void end(struct session *s, bool is_reset)
{
	sim_sock_close(s->sock, is_reset);
	s->sock = NULL;
	s->is_closing = true;
}

/* The reply leaves after the think time; nothing else is read before. */
static void on_thought(struct timer *t)
{
	struct session *s = CONTAINER_OF(t, struct session, think);

	sim_sock_write(s->sock, buf_str(&s->reply));
	buf_clear(&s->reply);
	if (s->is_closing)
		end(s, false);
	advance(s);
}

static void say(struct session *s, unsigned code, const char *text)
{
	if (code >= 400) {
		s->site->refusals++;
		s->site->failed_ms = s->peers->clock->now_ms;
	}
	buf_printf(&s->reply, "%u %s\r\n", code, text);
}

static void flush(struct session *s)
{
	if (s->reply.len == 0 || !s->sock)
		return;
	if (s->site->think_ms > 0) {
		sim_after(s->peers->clock, &s->think, s->site->think_ms);
		return;
	}
	sim_sock_write(s->sock, buf_str(&s->reply));
	buf_clear(&s->reply);
	if (s->is_closing)
		end(s, false);
}

/* ---- rules ---- */

static struct sim_rule *rule_for(struct session *s, enum sim_stage stage, struct str address)
{
	for (uint32_t i = 0; i < s->site->rule_count; i++) {
		struct sim_rule *r = &s->site->rules[i];

		if (r->stage != stage || r->times == UINT32_MAX)
			continue;
		if (r->glob[0] && !str_match_glob(address, str_from_c(r->glob)))
			continue;
		if (r->percent < 100 && rng_below(&s->peers->clock->rng, 100) >= r->percent)
			continue;
		if (r->times > 0 && --r->times == 0)
			r->times = UINT32_MAX; /* used up */
		return r;
	}
	return NULL;
}

static void note_refusal(struct session *s, enum sim_stage stage, unsigned code, struct str address)
{
	if (code >= 400 && code < 500 && stage == AT_RCPT)
		sim_ledger_put_off(s->peers->ledger, str_from_c(s->envid), address);
	if (code < 500 || stage < AT_MAIL)
		return;
	if (stage == AT_RCPT && code == 552)
		return;
	sim_ledger_refuse(
		s->peers->ledger, str_from_c(s->envid), stage == AT_RCPT ? address : STR(""));
	if (stage == AT_DATA || stage == AT_DOT)
		for (uint32_t i = 0; i < s->recipient_count; i++)
			sim_ledger_refuse(s->peers->ledger, str_from_c(s->envid),
				str_from_c(s->recipients[i]));
}

/* An attempt on the destination as a whole, or that it was refused. */
static void note_attempt(struct session *s, bool is_new, bool is_refused)
{
	if (is_new)
		sim_recovery_note(&s->site->recovery, s->peers->clock->now_ms, false);
	if (is_refused)
		sim_recovery_note(&s->site->recovery, s->peers->clock->now_ms, true);
}

static bool apply(
	struct session *s, const struct sim_rule *r, enum sim_stage stage, struct str address)
{
	s->site->failed_ms = s->peers->clock->now_ms;
	sim_trace(s->peers->clock, "rule %s stage %d action %d %u", s->site->name, (int)stage,
		(int)r->action, r->code);
	switch (r->action) {
	case ACT_REPLY:
		if (!r->is_false)
			note_refusal(s, stage, r->code, address);
		if (stage != AT_RCPT && r->code >= 400)
			note_attempt(s, stage <= AT_EHLO, true);
		say(s, r->code, r->text[0] ? r->text : "so the script says");
		s->is_closing = r->code == 421 || stage == AT_CONNECT;
		return true;
	case ACT_CLOSE:
	case ACT_RESET:
		end(s, r->action == ACT_RESET);
		return true;
	case ACT_HANG:
		s->is_hung = true;
		sim_sock_hang(s->sock);
		return true;
	case ACT_LOSE:
		break; /* at the dot, by do_content */
	}
	return false;
}

/* A rule that acts at this stage. True: the command is done with. */
static bool act(struct session *s, enum sim_stage stage, struct str address)
{
	const struct sim_rule *r = rule_for(s, stage, address);

	return r && apply(s, r, stage, address);
}

static bool is_too_fast(struct session *s)
{
	struct sim_site *site = s->site;
	int64_t minute = s->peers->clock->now_ms / MINUTE_MS;

	if (!sim_recovery_ask(&site->recovery, s->peers->clock->now_ms))
		return true;
	if (site->rate_per_min == 0)
		return false;
	if (minute != site->minute) {
		site->minute = minute;
		site->rate_count = 0;
	}
	return ++site->rate_count > site->rate_per_min;
}

/* ---- commands ---- */

static struct str path_of(struct str line)
{
	struct str rest = str_slice(line, str_find(line, '<') + 1, line.len);

	return str_slice(rest, 0, str_find(rest, '>'));
}

static void set_text(char *out, size_t room, struct str text)
{
	size_t len = text.len < room - 1 ? text.len : room - 1;

	memcpy(out, text.data, len);
	out[len] = '\0';
}

static void do_mail(struct session *s, struct str line)
{
	struct str path = path_of(line), rest = line, word;

	if (s->has_mail || !s->has_hello) {
		sim_violation(s->peers->ledger, "MAIL out of order at %s", s->site->name);
		say(s, 503, "5.5.1 bad sequence");
		return;
	}
	while ((word = str_cut(&rest, ' ')).len > 0 || rest.len > 0)
		if (str_starts_fold(word, STR("ENVID=")))
			set_text(s->envid, sizeof(s->envid), str_slice(word, 6, word.len));
	set_text(s->from, sizeof(s->from), path);
	note_attempt(s, true, false);
	if (act(s, AT_MAIL, path))
		return;
	if (is_too_fast(s)) {
		note_attempt(s, false, true);
		say(s, 421, "4.7.0 too many messages, slow down");
		s->is_closing = true;
		return;
	}
	s->has_mail = true;
	say(s, 250, "2.1.0 sender ok");
}

static bool is_ours(struct session *s, struct str address)
{
	size_t at = str_find(address, '@');

	return s->site->takes_all ||
	       sim_site_of(s->peers, str_slice(address, at + 1, address.len)) == s->site;
}

static void do_rcpt(struct session *s, struct str line)
{
	struct str path = path_of(line);

	if (!s->has_mail) {
		say(s, 503, "5.5.1 MAIL first");
		return;
	}
	if (!is_ours(s, path)) {
		sim_violation(
			s->peers->ledger, "mail for %.*s came to %s", STR_FMT(path), s->site->name);
		say(s, 550, "5.7.1 not here");
		return;
	}
	if (act(s, AT_RCPT, path))
		return;
	if (s->site->rcpt_max > 0 && s->recipient_count >= s->site->rcpt_max) {
		say(s, 452, "4.5.3 too many recipients");
		return;
	}
	if (sim_site_is_grey(s->site, s->from, path, s->peers->clock->now_ms)) {
		say(s, 450, "4.2.0 greylisted, come again");
		return;
	}
	s->recipients =
		mem_realloc(s->recipients, (s->recipient_count + 1) * sizeof(*s->recipients));
	char *copy = mem_alloc(path.len + 1);
	set_text(copy, path.len + 1, path);
	s->recipients[s->recipient_count++] = copy;
	say(s, 250, "2.1.5 recipient ok");
}

static void take_for(struct session *s, struct str content, uint32_t recipient, bool is_doubt)
{
	struct sim_site *site = s->site;
	int64_t now_ms = s->peers->clock->now_ms;

	sim_ledger_take(s->peers->ledger, content, str_from_c(s->recipients[recipient]),
		site->index, is_doubt);
	site->taken++;
	site->last_ms = now_ms;
	if (site->up_ms >= 0 && site->recovered_ms < 0)
		site->recovered_ms = now_ms;
}

static void take(struct session *s, struct str content, bool is_doubt)
{
	for (uint32_t i = 0; i < s->recipient_count; i++)
		take_for(s, content, i, is_doubt);
}

/* LMTP: a reply for each recipient; a rule at the dot looks at each by himself, and "lose" ends the session among the
 * replies. */
static void take_each(struct session *s, struct str content)
{
	for (uint32_t i = 0; i < s->recipient_count && s->sock; i++) {
		struct str address = str_from_c(s->recipients[i]);
		const struct sim_rule *r = rule_for(s, AT_DOT, address);

		if (!r || r->action == ACT_LOSE)
			take_for(s, content, i, r != NULL);
		if (!r) {
			say(s, 250, "2.1.5 taken");
		} else if (r->action == ACT_REPLY) {
			if (r->code >= 500 && !r->is_false)
				sim_ledger_refuse(
					s->peers->ledger, str_from_c(s->envid), address);
			say(s, r->code, r->text[0] ? r->text : "so the script says");
		} else {
			sim_sock_write(s->sock, buf_str(&s->reply)); /* those before him have theirs */
			end(s, false);
		}
	}
}

/* The content is undone of its dots and taken. False: not all there yet. */
static bool do_content(struct session *s)
{
	struct str in = buf_str(&s->input);
	struct buf content;
	size_t used = 0;
	bool is_done = false;

	if (in.len < 3 || (!str_equal(str_slice(in, 0, 3), STR(".\r\n")) &&
				  memmem(in.data, in.len, "\r\n.\r\n", 5) == NULL))
		return false;
	buf_init(&content, INPUT_MAX);
	while (!is_done) {
		struct str rest = str_slice(in, used, in.len);
		size_t end_of_line = str_find(rest, '\n');
		struct str line = str_slice(rest, 0, end_of_line + 1);

		used += line.len;
		if (line.len < 2 || line.data[line.len - 2] != '\r')
			sim_violation(s->peers->ledger, "a bare LF came to %s", s->site->name);
		is_done = str_equal(line, STR(".\r\n"));
		if (!is_done)
			buf_append_str(&content,
				line.data[0] == '.' ? str_slice(line, 1, line.len) : line);
	}
	buf_consume(&s->input, used);
	const struct sim_rule *r = s->is_lmtp ? NULL : rule_for(s, AT_DOT, STR(""));
	if (s->is_lmtp) {
		take_each(s, buf_str(&content));
	} else if (r && r->action == ACT_LOSE) {
		take(s, buf_str(&content), true);
		end(s, false);
	} else if (!r || !apply(s, r, AT_DOT, STR(""))) {
		take(s, buf_str(&content), false);
		say(s, 250, "2.0.0 taken");
	}
	buf_fini(&content);
	reset_transaction(s);
	return true;
}

static void do_data(struct session *s)
{
	if (s->recipient_count == 0) {
		say(s, s->has_mail ? 554 : 503, "5.5.1 no valid recipients");
		return;
	}
	if (act(s, AT_DATA, STR("")))
		return;
	s->is_in_data = true;
	say(s, 354, "go on");
}

static bool offers_tls(const struct session *s)
{
	return !s->is_tls && s->site->line.tls != SIM_TLS_NONE;
}

static void do_command(struct session *s, struct str line)
{
	if (str_starts_fold(line, STR("EHLO")) || str_starts_fold(line, STR("LHLO"))) {
		s->is_lmtp = line.data[0] == 'L';
		if (act(s, AT_EHLO, STR("")))
			return;
		reset_transaction(s);
		s->has_hello = true;
		buf_printf(&s->reply,
			"250-%s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-"
			"ENHANCEDSTATUSCODES\r\n%s%s",
			s->site->hosts[0].name, s->site->has_no_dsn ? "" : "250-DSN\r\n",
			offers_tls(s) ? "250-STARTTLS\r\n" : "");
		say(s, 250, "SIZE 50000000");
	} else if (str_starts_fold(line, STR("HELO"))) {
		s->has_hello = true;
		say(s, 250, s->site->hosts[0].name);
	} else if (str_starts_fold(line, STR("MAIL FROM:"))) {
		do_mail(s, line);
	} else if (str_starts_fold(line, STR("RCPT TO:"))) {
		do_rcpt(s, line);
	} else if (str_equal_fold(line, STR("DATA"))) {
		do_data(s);
	} else if (str_equal_fold(line, STR("STARTTLS")) && offers_tls(s)) {
		s->is_tls = true;
		s->has_hello = false;
		say(s, 220, "2.0.0 ready");
	} else if (str_equal_fold(line, STR("RSET"))) {
		reset_transaction(s);
		say(s, 250, "2.0.0 ok");
	} else if (str_equal_fold(line, STR("QUIT"))) {
		if (!act(s, AT_QUIT, STR(""))) {
			say(s, 221, "2.0.0 bye");
			s->is_closing = true;
		}
	} else {
		sim_violation(s->peers->ledger, "strange command at %s: %.*s", s->site->name,
			STR_FMT(line));
		say(s, 500, "5.5.2 what?");
	}
}

/* Works off what came, until a reply has to wait, or nothing whole is left. */
static void advance(struct session *s)
{
	while (s->sock && !s->is_hung && !s->is_closing && s->reply.len == 0) {
		if (s->is_in_data) {
			if (!do_content(s))
				break;
		} else {
			size_t len = str_find(buf_str(&s->input), '\n');

			if (len == s->input.len)
				break;
			if (len == 0 || s->input.data[len - 1] != '\r')
				sim_violation(
					s->peers->ledger, "a bare LF came to %s", s->site->name);

			char line[1024];

			set_text(line, sizeof(line),
				str_slice(buf_str(&s->input), 0, len > 0 ? len - 1 : 0));
			buf_consume(&s->input, len + 1);
			do_command(s, str_from_c(line));
		}
		flush(s);
	}
	if (!s->sock)
		session_free(s);
}

static void on_read(void *user, struct str octets)
{
	struct session *s = user;

	if (s->is_hung || s->is_closing)
		return;
	buf_append_str(&s->input, octets);
	advance(s);
}

static void on_end(void *user, enum err err)
{
	struct session *s = user;

	(void)err;
	end(s, false);
	session_free(s);
}

static const struct sim_sock_handler peer_handler = { .on_read = on_read, .on_end = on_end };

static struct sim_site *site_at(
	struct sim_peers *p, const struct endpoint *to, struct sim_host **host)
{
	for (uint32_t i = 0; i < p->site_count; i++)
		for (uint32_t k = 0; k < p->sites[i]->host_count; k++)
			if (endpoint_same_ip(&p->sites[i]->hosts[k].at, to)) {
				*host = &p->sites[i]->hosts[k];
				return p->sites[i];
			}
	return NULL;
}

static void on_ask(void *user, const struct endpoint *to, struct sim_line *line)
{
	struct sim_peers *p = user;
	struct sim_host *host;
	struct sim_site *site = site_at(p, to, &host);

	*line = (struct sim_line){ .reach = REACH_UNREACHABLE, .latency_ms = 1 };
	if (!site)
		return;
	site->connects++;
	*line = site->line;
	line->reach = host->reach;
	if (host->reach != REACH_ACCEPT) {
		site->failed_ms = p->clock->now_ms;
		sim_recovery_note(&site->recovery, p->clock->now_ms, false);
	}
	sim_trace(p->clock, "connect %s %d", host->name, (int)host->reach);
}

static void on_peer(void *user, const struct endpoint *to, struct conn *c)
{
	struct sim_peers *p = user;
	struct sim_host *host = NULL;
	struct session *s = mem_zalloc(sizeof(*s));

	s->peers = p;
	s->site = site_at(p, to, &host);
	s->sock = c;
	s->think.on_fire = on_thought;
	buf_init(&s->input, INPUT_MAX);
	buf_init(&s->reply, REPLY_MAX);
	list_push_back(&p->sessions, &s->link);
	if (++s->site->open_count > s->site->open_max)
		s->site->open_max = s->site->open_count;
	sim_sock_use(c, &peer_handler, s);
	if (s->site->connections_max > 0 && s->site->open_count > s->site->connections_max) {
		note_attempt(s, true, true);
		say(s, 421, "4.3.2 too many connections");
		s->is_closing = true;
	} else if (!act(s, AT_CONNECT, STR(""))) {
		buf_printf(&s->reply, "220 %s ESMTP\r\n", host->name);
	}
	flush(s);
	if (!s->sock)
		session_free(s);
}

/* ---- init ---- */

void sim_peers_init(struct sim_peers *p, struct sim_clock *clock, struct sim_net *net,
	struct sim_ledger *ledger, struct sim_dns *dns)
{
	*p = (struct sim_peers){ .clock = clock, .net = net, .ledger = ledger, .dns = dns };
	map_init(&p->domains, 1);
	list_init(&p->sessions);
	net->ask = on_ask;
	net->on_peer = on_peer;
	net->user = p;
}

void sim_peers_fini(struct sim_peers *p)
{
	LIST_FOR_EACH_SAFE (link, &p->sessions) {
		struct session *s = CONTAINER_OF(link, struct session, link);

		end(s, true);
		session_free(s);
	}
	sim_sites_fini(p);
}
