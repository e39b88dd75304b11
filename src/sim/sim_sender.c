/* sim_sender - see sim_sender.h. */
#include "sim/sim_sender.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define RETRY_MS (20 * SECOND_MS)
#define CONTENT_MAX (16u << 20)
#define ADDRESS_MAX 160

enum step { STEP_GREETING, STEP_EHLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_CONTENT, STEP_QUIT };

struct client {
	struct list link;
	struct sim_senders *senders;
	struct conn *sock;
	struct timer retry;
	struct buf input;
	uint32_t token;
	uint32_t position; /* recipient */
	enum step step;
	bool is_offered; /* MT-PRIORITY, by the relay */
};

static void client_dial(struct client *c);

/* ---- one client ---- */

static void client_free(struct client *c)
{
	sim_stop(c->senders->clock, &c->retry);
	if (c->sock)
		sim_sock_close(c->sock, true);
	buf_fini(&c->input);
	list_remove(&c->link);
	c->senders->client_count--;
	free(c);
}

static void hang_up(struct client *c)
{
	sim_sock_close(c->sock, false);
	c->sock = NULL;
}

static void on_retry(struct timer *t)
{
	client_dial(CONTAINER_OF(t, struct client, retry));
}

static void try_again(struct client *c)
{
	hang_up(c);
	buf_clear(&c->input);
	sim_after(c->senders->clock, &c->retry, RETRY_MS);
}

/* What became of this one is settled, but not well: the sender makes a new one of it. */
static void try_anew(struct client *c, enum sim_fate fate)
{
	struct sim_ledger *l = c->senders->ledger;
	const struct sim_mail *m = &l->mails[c->token];
	const char **recipients = mem_array(m->recipient_count, sizeof(*recipients));

	for (uint32_t i = 0; i < m->recipient_count; i++)
		recipients[i] = m->recipients[i].address;
	sim_ledger_answer(l, c->token, fate);
	int priority = m->priority;
	enum sim_style style = m->style;
	bool wants_receipt = m->wants_receipt;

	c->token = sim_ledger_new(l, m->from, recipients, m->recipient_count, m->body_bytes);
	l->mails[c->token].priority = priority;
	l->mails[c->token].style = style;
	l->mails[c->token].wants_receipt = wants_receipt;
	free(recipients);
	try_again(c);
}

static void put_content(struct client *c, struct buf *out)
{
	struct buf plain;
	struct str rest;

	buf_init(&plain, CONTENT_MAX);
	sim_ledger_content(c->senders->ledger, c->token, &plain);
	rest = buf_str(&plain);
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		if (line.len > 0 && line.data[0] == '.')
			buf_append_char(out, '.');
		buf_append_str(out, line);
		buf_append_char(out, '\n');
	}
	buf_append_str(out, STR(".\r\n"));
	buf_fini(&plain);
}

/* The reply to what was said last; says the next. */
static void on_reply(struct client *c, unsigned code)
{
	struct sim_ledger *l = c->senders->ledger;
	const struct sim_mail *m = &l->mails[c->token];
	struct buf line;

	if (code >= 400 && c->step == STEP_CONTENT) {
		try_anew(c, FATE_REFUSED);
		return;
	}
	if (code >= 400 && c->step != STEP_QUIT) {
		if (code >= 500)
			sim_violation(l, "a client heard %u", code);
		try_again(c);
		return;
	}
	buf_init(&line, CONTENT_MAX);
	switch (c->step) {
	case STEP_GREETING:
		buf_append_str(&line, STR("EHLO client.sender.test\r\n"));
		break;
	case STEP_EHLO:
		buf_printf(&line, "MAIL FROM:<%s>", strcmp(m->from, "<>") == 0 ? "" : m->from);
		if (m->style == STYLE_ENVID)
			buf_printf(&line, " ENVID=t%u", c->token);
		if (m->priority != 0 && c->is_offered)
			buf_printf(&line, " MT-PRIORITY=%d", m->priority);
		buf_append_str(&line, STR("\r\n"));
		c->position = 0;
		break;
	case STEP_MAIL:
	case STEP_RCPT:
		if (c->position < m->recipient_count) {
			buf_printf(&line, "RCPT TO:<%s>%s\r\n", m->recipients[c->position++].address,
				m->wants_receipt ? " NOTIFY=SUCCESS,FAILURE,DELAY" : "");
			c->step = STEP_MAIL;
		} else {
			buf_append_str(&line, STR("DATA\r\n"));
			c->step = STEP_RCPT;
		}
		break;
	case STEP_DATA:
		put_content(c, &line);
		break;
	case STEP_CONTENT:
		sim_ledger_answer(l, c->token, FATE_ANSWERED);
		buf_append_str(&line, STR("QUIT\r\n"));
		break;
	case STEP_QUIT:
		hang_up(c);
		client_free(c);
		return;
	}
	c->step++;
	sim_sock_write(c->sock, buf_str(&line));
	buf_fini(&line);
}

static void on_read(void *user, struct str octets)
{
	struct client *c = user;

	buf_append_str(&c->input, octets);
	for (;;) {
		size_t len = str_find(buf_str(&c->input), '\n');
		unsigned code;
		bool is_last;

		if (len == c->input.len)
			return;
		code = len >= 3 ? (unsigned)(c->input.data[0] - '0') * 100 : 0;
		is_last = len < 4 || c->input.data[3] != '-';
		c->is_offered |= c->step == STEP_EHLO && len > 4 &&
				 str_starts_fold(str_slice(buf_str(&c->input), 4, len),
					 STR("MT-PRIORITY"));
		buf_consume(&c->input, len + 1);
		if (!is_last)
			continue;
		on_reply(c, code);
		return; /* one command at a time: nothing else can be there */
	}
}

static void on_end(void *user, enum err err)
{
	struct client *c = user;

	(void)err;
	if (c->step == STEP_QUIT) {
		hang_up(c);
		client_free(c);
	} else if (c->step == STEP_CONTENT) {
		try_anew(c, FATE_UNKNOWN);
	} else {
		try_again(c);
	}
}

static void on_open(void *user, enum err err)
{
	if (err != OK)
		try_again(user);
}

static const struct sim_sock_handler client_handler = { on_open, on_read, on_end };

static void client_dial(struct client *c)
{
	struct sim_senders *s = c->senders;
	struct endpoint from = { .family = FAMILY_IPV4, .ip = { 127, 0, 0, 1 } };

	from.port = (uint16_t)(1024 + c->token % 60000);
	c->step = STEP_GREETING;
	c->sock = sim_net_dial(s->net, &from, &s->listener, &s->line, &client_handler, c);
}

/* ---- loads ---- */

static void expand(struct buf *out, const char *template, uint64_t n, uint64_t r)
{
	for (const char *p = template; *p; p++) {
		uint64_t value = 0, operand = 0;
		char operation = 0;

		if (*p != '{') {
			buf_append_char(out, *p);
			continue;
		}
		for (p++; *p && *p != '}'; p++) {
			if (*p == 'n')
				value = n;
			else if (*p == 'r')
				value = r;
			else if (*p == '%' || *p == '/')
				operation = *p;
			else if (*p >= '0' && *p <= '9')
				operand = operand * 10 + (uint64_t)(*p - '0');
		}
		if (operation && operand > 0)
			value = operation == '%' ? value % operand : value / operand;
		buf_printf(out, "%llu", (unsigned long long)value);
		if (!*p)
			break;
	}
}

static void send_one(struct sim_load *l)
{
	struct sim_senders *s = l->senders;
	struct client *c = mem_zalloc(sizeof(*c));
	const char *list[LOAD_RECIPIENTS_MAX];
	struct buf from, to[LOAD_RECIPIENTS_MAX];

	buf_init(&from, ADDRESS_MAX);
	expand(&from, l->from, l->sent, 0);
	for (uint32_t i = 0; i < l->recipients; i++) {
		buf_init(&to[i], ADDRESS_MAX);
		expand(&to[i], l->to, l->sent, i);
		list[i] = buf_cstr(&to[i]);
	}
	c->senders = s;
	c->retry.on_fire = on_retry;
	c->token = sim_ledger_new(s->ledger, buf_cstr(&from), list, l->recipients, l->body_bytes);
	s->ledger->mails[c->token].priority = l->priority;
	s->ledger->mails[c->token].style = l->style;
	s->ledger->mails[c->token].wants_receipt = l->wants_receipt;
	buf_init(&c->input, 64 << 10);
	list_push_back(&s->clients, &c->link);
	s->client_count++;
	client_dial(c);
	buf_fini(&from);
	for (uint32_t i = 0; i < l->recipients; i++)
		buf_fini(&to[i]);
}

static void on_time(struct timer *t)
{
	struct sim_load *l = CONTAINER_OF(t, struct sim_load, timer);

	for (uint32_t i = 0; i < l->burst && l->sent < l->count; i++) {
		send_one(l);
		l->sent++;
	}
	if (l->sent < l->count)
		sim_after(l->senders->clock, t, l->every_ms);
	else
		l->senders->unfinished--;
}

void sim_senders_add(struct sim_senders *s, const struct sim_load *load)
{
	struct sim_load *l = mem_zalloc(sizeof(*l));

	*l = *load;
	l->senders = s;
	l->timer = (struct timer){ .on_fire = on_time };
	list_push_back(&s->loads, &l->link);
	s->unfinished++;
	sim_after(s->clock, &l->timer, l->start_ms - s->clock->now_ms);
}

bool sim_senders_done(const struct sim_senders *s)
{
	return s->unfinished == 0 && s->client_count == 0;
}

int64_t sim_senders_end_ms(const struct sim_senders *s)
{
	int64_t end_ms = 0;

	LIST_FOR_EACH (link, &s->loads) {
		const struct sim_load *l = CONTAINER_OF(link, struct sim_load, link);
		int64_t last_ms = l->start_ms + l->every_ms * (l->count / l->burst);

		end_ms = last_ms > end_ms ? last_ms : end_ms;
	}
	return end_ms;
}

void sim_senders_init(struct sim_senders *s, struct sim_clock *clock, struct sim_net *net,
	struct sim_ledger *ledger)
{
	*s = (struct sim_senders){
		.clock = clock, .net = net, .ledger = ledger, .line = { .latency_ms = 1 }
	};
	list_init(&s->loads);
	list_init(&s->clients);
}

void sim_senders_fini(struct sim_senders *s)
{
	struct list *link;

	while (!list_is_empty(&s->clients))
		client_free(CONTAINER_OF(s->clients.next, struct client, link));
	while ((link = list_pop_front(&s->loads)) != NULL) {
		struct sim_load *l = CONTAINER_OF(link, struct sim_load, link);

		sim_stop(s->clock, &l->timer);
		free(l);
	}
}
