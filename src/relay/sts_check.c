/*
 * sts_check - one look at what a domain publishes: the TXT record of _mta-sts.DOMAIN, and if that asks for it the policy of
 * https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 sections 3.1 to 3.3).
 *
 * Happy path: a record with an id, a document of type text/plain, a policy that is well-formed; it takes the place of the
 * old one, in memory at once and on the shelf as soon as may be. What fails leaves what was known; queue/sts_times says
 * when it is tried again, and when what was known is over.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/sts_private.h"

#define HTTP_NOT_FOUND 404
#define HTTP_GONE 410

struct sts_check {
	struct sts_domain *domain;
	struct arena arena; /* names */
	struct lookup txt;
	struct web_request web;
	char id[STS_ID_BYTES_MAX + 1]; /* in the record */
};

static void on_txt(struct lookup *l);
static void take_record(struct sts_check *c, const struct dns_answer *answer);
static void on_document(struct web_request *w);
static void take_policy(struct sts_check *c, struct str text);
static void take_failure(struct sts_check *c, enum err err, const char *reason, bool is_denied);
static void end(struct sts_check *c);

static struct wall now_of(const struct sts_domain *d)
{
	return env_wall(d->sts->params.env);
}

void sts_check_start(struct sts_domain *d)
{
	struct sts_check *c = mem_zalloc(sizeof(*c));

	d->check = c;
	c->domain = d;
	c->txt.name = arena_printf(&c->arena, "_mta-sts.%.*s", STR_FMT(d->name));
	c->txt.type = DNS_TXT;
	c->txt.on_done = on_txt;
	resolver_start(d->sts->params.resolver, &c->txt);
}

static void check_free(struct sts_check *c)
{
	c->domain->check = NULL;
	buf_fini(&c->web.fetch.body);
	arena_fini(&c->arena);
	free(c);
}

void sts_check_cancel(struct sts_domain *d)
{
	struct sts_check *c = d->check;

	if (!c)
		return;
	resolver_cancel(d->sts->params.resolver, &c->txt);
	web_cancel(&c->web);
	check_free(c);
}

static void end(struct sts_check *c)
{
	struct sts_domain *d = c->domain;

	check_free(c);
	d->was_checked = true;
	sts_go_on(d);
}

static void log_change(
	const struct sts_domain *d, enum log_level level, const char *what, const char *more)
{
	log_text(d->sts->params.env->log, level, "mta-sts", "%.*s: %s%s", STR_FMT(d->name), what,
		more);
}

static void forget(struct sts_domain *d, const char *why)
{
	log_change(d, LOG_NOTICE, "policy ran out: ", why);
	sts_forget_policy(d);
	sts_shelf_write(d);
}

/* ---- the record ---- */

static void on_txt(struct lookup *l)
{
	struct sts_check *c = CONTAINER_OF(l, struct sts_check, txt);
	struct sts_domain *d = c->domain;

	switch (l->answer->result) {
	case DNS_FOUND:
		take_record(c, l->answer);
		return;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		if (sts_times_note_absent(&d->times, now_of(d), l->answer->ttl_s))
			forget(d, "its record is gone");
		end(c);
		return;
	case DNS_TEMPORARY:
		sts_times_note_silence(&d->times, now_of(d));
		end(c);
		return;
	}
}

static void fetch(struct sts_check *c)
{
	struct sts_domain *d = c->domain;
	struct web_request *w = &c->web;

	w->host = arena_printf(&c->arena, "mta-sts.%.*s", STR_FMT(d->name));
	w->fetch.url =
		arena_printf(&c->arena, "https://%.*s/.well-known/mta-sts.txt", STR_FMT(w->host));
	w->on_done = on_document;
	web_start(&d->sts->web, w);
}

static void take_record(struct sts_check *c, const struct dns_answer *answer)
{
	struct sts_domain *d = c->domain;
	struct str records[DNS_TXT_MAX], id;
	uint32_t count = 0;

	for (; count < answer->count && count < DNS_TXT_MAX; count++)
		records[count] = answer->records[count].text;
	/* Other text, or text that is none: as though nothing were there. */
	if (sts_record_find(records, count, &id) != OK) {
		if (sts_times_note_absent(&d->times, now_of(d), answer->ttl_s))
			forget(d, "its record is gone");
		end(c);
		return;
	}
	sts_times_note_record(&d->times, now_of(d), answer->ttl_s);
	memcpy(c->id, id.data, id.len);
	if (sts_times_wants_fetch(&d->times, now_of(d), !str_equal(id, str_from_c(d->id))))
		fetch(c);
	else
		end(c);
}

/* ---- the document ---- */

static void on_document(struct web_request *w)
{
	struct sts_check *c = CONTAINER_OF(w, struct sts_check, web);
	const struct fetch_request *f = &w->fetch;

	c->domain->is_policy_bad = false;
	c->domain->failure_status = f->status;
	if (f->err != OK)
		take_failure(c, f->err, f->reason,
			f->err == ERR_REFUSED &&
				(f->status == HTTP_NOT_FOUND || f->status == HTTP_GONE));
	else if (strcmp(f->type, "text/plain") != 0)
		take_failure(c, ERR_SYNTAX, "policy is not of type text/plain", false);
	else
		take_policy(c, buf_str(&f->body));
	end(c);
}

static void log_policy(const struct sts_domain *d)
{
	struct buf until;

	buf_init(&until, 128);
	buf_printf(&until, "%s, id %s, until ", sts_mode_name(d->policy.mode), d->id);
	instant_format_iso(&until, sts_times_until(&d->times));
	log_change(d, LOG_INFO, "policy ", buf_cstr(&until));
	buf_fini(&until);
}

static void take_policy(struct sts_check *c, struct str text)
{
	struct sts_domain *d = c->domain;
	struct arena arena = { 0 };
	struct sts_policy policy;
	const char *reason;
	enum err err = sts_policy_parse(text, &arena, &policy, &reason);

	if (err != OK) {
		arena_fini(&arena);
		d->is_policy_bad = true;
		take_failure(c, err, reason, false);
		return;
	}
	bool is_other = !d->times.has_policy || strcmp(d->id, c->id) != 0 ||
			d->policy.mode != policy.mode || d->failed.ms > 0;
	arena_fini(&d->arena);
	d->arena = arena;
	d->policy = policy;
	memcpy(d->id, c->id, sizeof(d->id));
	d->failed = WALL_NONE;
	d->failure = "";
	d->failure_err = OK;
	sts_times_note_policy(&d->times, now_of(d), policy.max_age_s * SECOND_MS);
	if (is_other)
		log_policy(d);
	if (!d->times.has_policy)
		sts_forget_policy(d);
	sts_shelf_write(d);
}

static void take_failure(struct sts_check *c, enum err err, const char *reason, bool is_denied)
{
	struct sts_domain *d = c->domain;
	bool is_first = d->failed.ms == 0;

	d->failed = now_of(d);
	d->failure = reason;
	d->failure_err = err;
	if (d->sts->params.on_failure)
		d->sts->params.on_failure(d->sts->params.user, d->name, err, d->is_policy_bad);
	/* Told once, until it works again. */
	if (is_first)
		log_change(d, LOG_NOTICE,
			d->times.has_policy ? "policy cannot be renewed, the last one stays: "
					    : "policy cannot be fetched, mail goes without: ",
			reason);
	if (sts_times_note_failure(&d->times, d->failed, is_denied, &d->sts->rng))
		forget(d, "its host has none any more");
}
