/*
 * server_front - XCLIENT and XFORWARD: a trusted server in front of us says who the client is (Postfix, XCLIENT_README and
 * XFORWARD_README).
 *
 * XCLIENT puts another client in the place of the one that is connected, for access rules, limits, trace and log; the
 * session starts over with it, so trust is looked up anew. XFORWARD changes nothing but log and trace, for one
 * message. Both are for clients in xclient-from alone: as the load balancer names them, if there is one, so that not
 * everybody behind it may speak so. A line is taken as a whole or not at all.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "mail/domain.h"
#include "mail/xtext.h"
#include "session.h"

#define VALUE_BYTES_MAX 255
#define NO_VALUE "[UNAVAILABLE]"
#define NO_VALUE_NOW "[TEMPUNAVAIL]"

enum attribute {
	ATTRIBUTE_NAME,
	ATTRIBUTE_ADDR,
	ATTRIBUTE_PORT,
	ATTRIBUTE_PROTO,
	ATTRIBUTE_HELO,
	ATTRIBUTE_LOGIN,
	ATTRIBUTE_DESTADDR,
	ATTRIBUTE_DESTPORT,
	ATTRIBUTE_IDENT,
	ATTRIBUTE_SOURCE,
	ATTRIBUTE_COUNT
};

#define BIT(name) (1u << ATTRIBUTE_##name)
#define SHARED_BITS (BIT(NAME) | BIT(ADDR) | BIT(PORT) | BIT(PROTO) | BIT(HELO))
#define XCLIENT_BITS (SHARED_BITS | BIT(LOGIN) | BIT(DESTADDR) | BIT(DESTPORT))
#define XFORWARD_BITS (SHARED_BITS | BIT(IDENT) | BIT(SOURCE))

static const char *const names[ATTRIBUTE_COUNT] = {
	[ATTRIBUTE_NAME] = "NAME",
	[ATTRIBUTE_ADDR] = "ADDR",
	[ATTRIBUTE_PORT] = "PORT",
	[ATTRIBUTE_PROTO] = "PROTO",
	[ATTRIBUTE_HELO] = "HELO",
	[ATTRIBUTE_LOGIN] = "LOGIN",
	[ATTRIBUTE_DESTADDR] = "DESTADDR",
	[ATTRIBUTE_DESTPORT] = "DESTPORT",
	[ATTRIBUTE_IDENT] = "IDENT",
	[ATTRIBUTE_SOURCE] = "SOURCE",
};

/* Attributes of one command. */
struct said {
	unsigned bits;
	struct str value[ATTRIBUTE_COUNT]; /* decoded; empty: unavailable */
};

/* Fixed sizes: a session may hear these commands for each of a million messages. */
struct front {
	struct endpoint origin;                            /* the client before any XCLIENT */
	char name[VALUE_BYTES_MAX], user[VALUE_BYTES_MAX]; /* of info */
	bool has_login;                                    /* info.user is from LOGIN */
	char forward[ATTRIBUTE_COUNT][VALUE_BYTES_MAX];
	size_t forward_len[ATTRIBUTE_COUNT];
	char text[3 * VALUE_BYTES_MAX + 32]; /* info.forwarded */
};

static struct front *front_of(struct smtp_server *s)
{
	if (!s->front) {
		s->front = mem_zalloc(sizeof(*s->front));
		s->front->origin = s->info.client;
	}
	return s->front;
}

/* --- who --- */

static void set_client(struct smtp_server *s, const struct endpoint *client)
{
	s->info.client = *client;
	s->info.client_name = STR("");
	/* 127.0.0.1 is this host only if nobody between us speaks of his own. */
	bool is_foreign = endpoint_is_loopback(client) && !s->info.is_from_here;
	s->info.is_trusted =
		client->family != FAMILY_NONE && !is_foreign && conf_is_trusted(s->conf, client);
}

void smtp_server_set_origin(struct smtp_server *s, const struct endpoint *client)
{
	CHECK(!s->front);
	set_client(s, client);
}

bool server_offers_front(const struct smtp_server *s)
{
	const struct endpoint *origin = s->front ? &s->front->origin : &s->info.client;

	return networks_contain(s->conf->xclient, s->conf->xclient_count, origin);
}

void server_forget_front(struct smtp_server *s)
{
	if (!s->front)
		return;
	server_forget_forward(s);
	s->front->has_login = false;
	set_client(s, &s->front->origin);
}

void server_forget_forward(struct smtp_server *s)
{
	if (!s->front)
		return;
	memset(s->front->forward_len, 0, sizeof(s->front->forward_len));
	s->info.forwarded = STR("");
	s->info.forwarded_id = STR("");
}

/* --- reading --- */

static bool read_value(struct smtp_server *s, struct str text, struct str *out)
{
	struct buf value;

	buf_init(&value, VALUE_BYTES_MAX);
	bool is_good = xtext_decode(&value, text) == OK && value.len > 0;
	bool is_absent = is_good && (str_equal_fold(buf_str(&value), STR(NO_VALUE)) ||
					    str_equal_fold(buf_str(&value), STR(NO_VALUE_NOW)));
	if (is_good)
		*out = is_absent ? STR("") : arena_dup(&s->scratch, buf_str(&value));
	buf_fini(&value);
	return is_good;
}

static bool read_attribute(
	struct smtp_server *s, struct str word, unsigned allowed, struct said *said)
{
	struct str value = word;
	struct str name = str_cut(&value, '=');

	if (name.len == word.len)
		return false;
	for (unsigned i = 0; i < ATTRIBUTE_COUNT; i++) {
		if (!str_equal_fold(name, str_from_c(names[i])))
			continue;
		if (!(allowed & ~said->bits & 1u << i))
			return false; /* not of this command, or given twice */
		said->bits |= 1u << i;
		return read_value(s, value, &said->value[i]);
	}
	return false;
}

static bool read_attributes(
	struct smtp_server *s, struct str text, unsigned allowed, struct said *said)
{
	while (text.len > 0) {
		struct str word = str_cut(&text, ' ');
		if (word.len > 0 && !read_attribute(s, word, allowed, said))
			return false;
	}
	return said->bits != 0;
}

static bool read_address(struct str text, struct endpoint *out)
{
	struct str prefix = STR("IPV6:");
	bool is_ipv6 = str_starts_fold(text, prefix);
	uint16_t port = out->port;

	if (text.len == 0) {
		*out = (struct endpoint){ 0 };
		return true;
	}
	if (is_ipv6)
		text = str_slice(text, prefix.len, text.len);
	if (endpoint_parse_ip(out, text) != OK || (out->family == FAMILY_IPV6) != is_ipv6)
		return false;
	endpoint_unmap(out);
	out->port = port;
	return true;
}

static bool read_port(struct str text, struct endpoint *out)
{
	uint64_t port = 0;

	if (text.len > 0 && (str_to_u64(text, &port) != OK || port > UINT16_MAX))
		return false;
	out->port = (uint16_t)port;
	return true;
}

static bool is_protocol(struct str text)
{
	return text.len == 0 || str_equal_fold(text, STR("SMTP")) ||
	       str_equal_fold(text, STR("ESMTP"));
}

static bool is_one_word(struct str text)
{
	return str_find(text, ' ') == text.len;
}

static struct str keep(char *to, struct str text)
{
	memcpy(to, text.data ? text.data : "", text.len);
	return str_of(to, text.len);
}

/* Returns false, and has answered, when the client may not say this, or says it wrong. */
static bool read_line(
	struct smtp_server *s, const struct command *c, unsigned allowed, struct said *said)
{
	*said = (struct said){ 0 };
	if (!server_offers_front(s))
		server_refuse(s, 550, STATUS(5, 7, 0), "%s is not for this client",
			command_name(c->verb));
	else if (!read_attributes(s, c->argument, allowed, said) ||
		 !is_protocol(said->value[ATTRIBUTE_PROTO]) ||
		 !is_one_word(said->value[ATTRIBUTE_HELO]))
		server_refuse(s, 501, STATUS(5, 5, 4), "bad or repeated attribute of %s",
			command_name(c->verb));
	else
		return true;
	return false;
}

/* --- XCLIENT --- */

/* ADDR, PORT and NAME into what they mean. DESTADDR and DESTPORT are of no use to us. Returns false when one is
 * malformed. */
static bool read_client(const struct said *said, struct endpoint *client)
{
	struct endpoint local = { 0 };
	const struct str *value = said->value;

	if (said->bits & BIT(ADDR) && !read_address(value[ATTRIBUTE_ADDR], client))
		return false;
	if (said->bits & BIT(PORT) && !read_port(value[ATTRIBUTE_PORT], client))
		return false;
	if (said->bits & BIT(DESTADDR) && !read_address(value[ATTRIBUTE_DESTADDR], &local))
		return false;
	if (said->bits & BIT(DESTPORT) && !read_port(value[ATTRIBUTE_DESTPORT], &local))
		return false;
	return value[ATTRIBUTE_NAME].len == 0 || domain_is_hostname(value[ATTRIBUTE_NAME]);
}

/* A client that is another one has not given the password of the one before, and the certificate is of the server in
 * front. */
static void set_user(struct smtp_server *s, const struct said *said)
{
	struct front *f = front_of(s);

	if (said->bits & (BIT(ADDR) | BIT(LOGIN)))
		s->info.certificate = STR("");
	if (said->bits & BIT(LOGIN)) {
		s->info.user = keep(f->user, said->value[ATTRIBUTE_LOGIN]);
		f->has_login = true;
	} else if (said->bits & BIT(ADDR) && !f->has_login) {
		s->info.user = STR("");
	}
}

static void start_over(
	struct smtp_server *s, const struct said *said, const struct endpoint *client)
{
	struct front *f = front_of(s); /* before the client is another one */
	struct str name = s->info.client_name;

	if (said->bits & BIT(NAME))
		name = keep(f->name, said->value[ATTRIBUTE_NAME]);
	else if (said->bits & BIT(ADDR))
		name = STR("");
	server_reset(s);
	set_client(s, client);
	s->info.client_name = name;
	set_user(s, said);
	server_set_helo(s, said->value[ATTRIBUTE_HELO]);
	s->info.is_esmtp = str_equal_fold(said->value[ATTRIBUTE_PROTO], STR("ESMTP"));
}

void server_on_xclient(struct smtp_server *s, const struct command *c)
{
	struct endpoint client = s->info.client;
	struct smtp_answer answer = { 0 };
	struct said said;

	if (!read_line(s, c, XCLIENT_BITS, &said))
		return;
	if (!read_client(&said, &client)) {
		server_refuse(s, 501, STATUS(5, 5, 4), "bad value of an attribute of XCLIENT");
		return;
	}
	start_over(s, &said, &client);
	if (s->handler->on_client)
		s->handler->on_client(s->user, s, &answer);
	if (s->state == SESSION_CLOSED)
		return;
	if (answer.code != 0)
		server_answer(s, &answer);
	else
		server_reply(s, 220, (struct status){ 0 }, "%.*s ESMTP Outlast",
			STR_FMT(s->conf->hostname));
}

/* --- XFORWARD --- */

/* Names and identifiers of strangers: one word, and nothing that a reader of the log takes for its own. */
static struct str clean(char *to, struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		to[i] = text.data[i] == ' ' || strchr("[]()<>,;=\"\\", text.data[i]) ? '?'
										     : text.data[i];
	return str_of(to, text.len);
}

static struct str forwarded(const struct front *f, enum attribute which)
{
	return str_of(f->forward[which], f->forward_len[which]);
}

static void append_or_unknown(struct buf *out, struct str text)
{
	buf_append_str(out, text.len > 0 ? text : STR("unknown"));
}

/* "name[address] helo=name" */
static void set_forwarded(struct smtp_server *s)
{
	struct front *f = front_of(s);
	struct str address = forwarded(f, ATTRIBUTE_ADDR);
	struct buf text;

	if (str_starts_fold(address, STR("IPV6:")))
		address = str_slice(address, 5, address.len);
	buf_init(&text, sizeof(f->text));
	append_or_unknown(&text, forwarded(f, ATTRIBUTE_NAME));
	buf_append_char(&text, '[');
	append_or_unknown(&text, address);
	buf_append_char(&text, ']');
	if (forwarded(f, ATTRIBUTE_HELO).len > 0) {
		buf_append_str(&text, STR(" helo="));
		buf_append_str(&text, forwarded(f, ATTRIBUTE_HELO));
	}
	s->info.forwarded = keep(f->text, buf_str(&text));
	s->info.forwarded_id = forwarded(f, ATTRIBUTE_IDENT);
	buf_fini(&text);
}

void server_on_xforward(struct smtp_server *s, const struct command *c)
{
	struct said said;

	if (!read_line(s, c, XFORWARD_BITS, &said))
		return;
	struct front *f = front_of(s);
	for (unsigned i = 0; i < ATTRIBUTE_COUNT; i++)
		if (said.bits & 1u << i)
			f->forward_len[i] = clean(f->forward[i], said.value[i]).len;
	set_forwarded(s);
	server_reply(s, 250, STATUS(2, 0, 0), "ok");
}
