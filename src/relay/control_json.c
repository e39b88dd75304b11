/* control_json - records of port/store.h as JSON: pure, cannot fail (memory aside). */
#include "relay/control_json.h"

#include <jansson.h>

#include "base/buf.h"
#include "base/check.h"
#include "mail/orcpt.h"
#include "mail/queue_id.h"
#include "queue/health.h"
#include "relay/control_call.h"

static json_t *message_recipient(const struct queued_recipient *r);
static const char *queue_name(const struct queued_message *m);
static void append_notify(json_t *object, unsigned notify);

/* NUL counts as ill-formed too: C programs that read our answers would stop there. */
json_t *json_text(struct str s)
{
	if (str_is_utf8(s) && str_find(s, '\0') == s.len)
		return json_stringn_nocheck(s.len ? s.data : "", s.len);
	struct buf quoted;
	buf_init(&quoted, s.len * 6 + 16);
	for (struct str rest = s; rest.len;) {
		size_t part = str_find(rest, '\0');
		struct buf one;

		buf_init(&one, part * 6 + 16);
		buf_append_json(&one, str_slice(rest, 0, part));
		json_t *clean =
			json_loadb(one.data, one.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		buf_fini(&one);
		if (clean)
			buf_append(&quoted, json_string_value(clean), json_string_length(clean));
		json_decref(clean);
		if (part < rest.len)
			buf_append_str(&quoted, STR("\xef\xbf\xbd"));
		rest = str_slice(rest, part + 1, rest.len);
	}
	json_t *value = json_stringn(quoted.len ? quoted.data : "", quoted.len);
	buf_fini(&quoted);
	return value ? value : json_string("");
}

void json_put(json_t *object, const char *key, json_t *value)
{
	int rc = json_object_set_new_nocheck(object, key, value);

	CHECK(rc == 0);
}

void json_put_text(json_t *object, const char *key, struct str s)
{
	json_put(object, key, json_text(s));
}

void json_put_u64(json_t *object, const char *key, uint64_t n)
{
	json_put(object, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void json_put_wall(json_t *object, const char *key, struct wall t)
{
	if (t.ms == WALL_NONE.ms || t.ms == WALL_NEVER.ms)
		json_put(object, key, json_null());
	else
		json_put(object, key, json_real((double)t.ms / 1000.0));
}

void json_put_status(json_t *object, const char *key, struct status s)
{
	struct buf text;

	buf_init(&text, 32);
	if (s.klass)
		status_format(&text, s);
	json_put_text(object, key, buf_str(&text));
	buf_fini(&text);
}

/* ENVID and ORCPT are kept as xtext; people look for what stands behind it. */
static void put_decoded(json_t *object, const char *key, struct str value, bool is_orcpt)
{
	struct buf text;

	buf_init(&text, value.len + 2);
	if (is_orcpt && value.len > 0)
		orcpt_text(&text, value, true);
	else
		envid_text(&text, value);
	json_put_text(object, key, buf_str(&text));
	buf_fini(&text);
}

/* The first seven keys are those of postqueue -j. */
json_t *json_message(const struct queued_message *m, struct wall now)
{
	const struct envelope *env = &m->env;
	json_t *o = json_object(), *recipients = json_array();

	json_put(o, "queue_name", json_string(queue_name(m)));
	json_put(o, "queue_id", json_string(queue_id_format(env->id).text));
	json_put(o, "arrival_time", json_integer(env->accepted.ms / 1000));
	json_put_u64(o, "message_size", env->size_bytes);
	json_put(o, "forced_expire", json_false());
	json_put_text(
		o, "sender", env->reverse_path.len ? env->reverse_path : STR("MAILER-DAEMON"));
	for (uint32_t i = 0; i < m->recipient_count; i++)
		json_array_append_new(recipients, message_recipient(&m->recipients[i]));
	json_put(o, "recipients", recipients);
	json_put_wall(o, "arrival", env->accepted);
	json_put(o, "age", json_integer((now.ms - env->accepted.ms) / 1000));
	json_put_text(o, "reverse_path", env->reverse_path);
	json_put(o, "origin", json_string(env->origin != ORIGIN_SMTP ? "notice" : "smtp"));
	json_put(o, "priority", json_integer(env->priority));
	json_put(o, "body", json_string(env->body == BODY_8BITMIME ? "8bitmime" : "7bit"));
	json_put(o, "smtputf8", json_boolean(env->is_smtputf8));
	json_put_text(o, "user", env->user);
	json_put_text(o, "client", env->client);
	json_put_text(o, "helo", env->helo);
	json_put_text(o, "message_id", env->message_id);
	put_decoded(o, "envid", env->envid, false);
	json_put_wall(o, "hold_until", env->hold_until);
	json_put_wall(o, "deliver_by", env->deliver_by);
	json_put_wall(o, "finished", m->finished);
	json_put_text(o, "hold_reason", m->hold_reason);
	return o;
}

static json_t *message_recipient(const struct queued_recipient *r)
{
	json_t *o = json_object();

	json_put_text(o, "address", r->rcpt.address);
	if (r->text.len)
		json_put_text(o, "delay_reason", r->text);
	json_put_u64(o, "number", r->rcpt.number);
	json_put_text(o, "domain", r->rcpt.domain);
	json_put_text(o, "hop", r->rcpt.hop);
	json_put(o, "state", json_string(recipient_state_name(r->state)));
	json_put_u64(o, "attempts", r->attempts);
	json_put_wall(o, "next_attempt", r->state == RECIPIENT_WAITING ? r->due : WALL_NONE);
	json_put_wall(o, "last_attempt", r->last_attempt);
	json_put_wall(o, "finished", r->finished);
	json_put(o, "in_doubt", json_boolean(r->is_in_doubt));
	json_put_u64(o, "code", r->code);
	json_put_status(o, "status", r->status);
	json_put_text(o, "reply", r->text);
	json_put_text(o, "host", r->host);
	put_decoded(o, "orcpt", r->rcpt.orcpt, true);
	append_notify(o, r->rcpt.notify);
	return o;
}

/* queue_name - the word Postfix would use. */
static const char *queue_name(const struct queued_message *m)
{
	uint32_t held = 0, deferred = 0, queued = 0;

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct queued_recipient *r = &m->recipients[i];

		if (!(RECIPIENT_STATE_BIT(r->state) & RECIPIENT_QUEUED_BITS))
			continue;
		queued++;
		held += r->state == RECIPIENT_HELD;
		deferred += r->state == RECIPIENT_WAITING || r->attempts > 0;
	}
	if (!queued)
		return m->recipient_count ? "history" : "active";
	return held == queued ? "hold" : deferred ? "deferred" : "active";
}

static void append_notify(json_t *object, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { NOTIFY_NEVER, "never" }, { NOTIFY_SUCCESS, "success" },
		{ NOTIFY_FAILURE, "failure" }, { NOTIFY_DELAY, "delay" } };
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if (notify & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	json_put(object, "notify", list);
}

json_t *json_attempt(const struct attempt_record *a)
{
	json_t *o = json_object();

	json_put_u64(o, "recipient", a->recipient);
	json_put_u64(o, "attempt", a->attempt);
	json_put_wall(o, "at", a->at);
	json_put(o, "duration_ms", json_integer(a->duration_ms));
	json_put_text(o, "host", a->host);
	json_put_text(o, "stage", a->stage);
	json_put_text(o, "disposition", a->disposition);
	json_put_u64(o, "code", a->code);
	json_put_status(o, "status", a->status);
	json_put_text(o, "reply", a->text);
	json_put_text(o, "tls", a->tls);
	return o;
}

json_t *json_health(const struct health_record *h)
{
	json_t *o = json_object();

	json_put(o, "state", json_string(health_state_name(h->state)));
	json_put_wall(o, "since", h->since);
	json_put_wall(o, "first_failure", h->first_failure);
	json_put_wall(o, "last_failure", h->last_failure);
	json_put_wall(o, "last_success", h->last_success);
	json_put_wall(o, "next_probe", h->state == HEALTH_DOWN ? h->next_probe : WALL_NONE);
	json_put_u64(o, "failures", h->failures);
	json_put_u64(o, "probes", h->probes);
	json_put(o, "declared", json_boolean(h->is_declared));
	json_put_text(o, "stage", str_from_c(h->stage));
	json_put_u64(o, "code", h->code);
	json_put_text(o, "host", str_from_c(h->host));
	json_put_text(o, "reply", str_from_c(h->text));
	return o;
}

json_t *json_base64(struct str octets)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)octets.data;
	struct buf out;

	buf_init(&out, octets.len / 3 * 4 + 8);
	for (size_t i = 0; i < octets.len; i += 3) {
		size_t left = octets.len - i;
		uint32_t group = (uint32_t)in[i] << 16;

		if (left > 1)
			group |= (uint32_t)in[i + 1] << 8;
		if (left > 2)
			group |= in[i + 2];
		buf_append_char(&out, digits[group >> 18]);
		buf_append_char(&out, digits[group >> 12 & 63]);
		buf_append_char(&out, left > 1 ? digits[group >> 6 & 63] : '=');
		buf_append_char(&out, left > 2 ? digits[group & 63] : '=');
	}
	json_t *value = json_stringn_nocheck(out.len ? out.data : "", out.len);
	buf_fini(&out);
	return value;
}

bool json_check_depth(struct str text, unsigned max)
{
	unsigned depth = 0;
	bool is_string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (is_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				is_string = false;
		} else if (c == '"') {
			is_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > max)
				return false;
		} else if ((c == ']' || c == '}') && depth) {
			depth--;
		}
	}
	return true;
}
