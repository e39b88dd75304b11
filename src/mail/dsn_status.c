/*
 * dsn_status - the message/delivery-status part, RFC 3464 section 2: a block on the message, then
 * one for each recipient, blank lines between. Every value from outside is cleaned; empty ones
 * leave their field out.
 */
#include "dsn_part.h"

#include <string.h>

#include "base/endpoint.h"
#include "mail/orcpt.h"
#include "mail/queue_id.h"

/* As \x{HEX} an address is three times as long. */
#define ADDRESS_BYTES_MAX ((size_t)4096)

/* One value that must not be folded or have its spaces changed: an address, a name, an identifier.
 */
static void put_field(
	struct buf *out, const struct dsn_params *p, const char *label, struct str value)
{
	if (value.len == 0)
		return;
	buf_printf(out, "%s ", label);
	fill_clean(out, value, p->is_smtputf8);
	buf_append(out, "\r\n", 2);
}

static void put_date(struct buf *out, const char *label, struct wall at)
{
	if (at.ms == WALL_NONE.ms || at.ms == WALL_NEVER.ms)
		return;
	buf_printf(out, "%s ", label);
	instant_format_rfc5322(out, at);
	buf_append(out, "\r\n", 2);
}

static const char *action_name(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:
		return "failed";
	case DSN_DELAYED:
		return "delayed";
	case DSN_DELIVERED:
		return "delivered";
	case DSN_RELAYED:
		return "relayed";
	case DSN_EXPANDED:
		return "expanded";
	}
	return "failed";
}

/* RFC 3464 2.3.6: the server's own words under "smtp", ours under a type of our own. */
static void put_diagnostic(
	struct buf *out, const struct dsn_params *p, const struct dsn_recipient *r)
{
	struct fill f = { .out = out, .indent = " ", .allow_utf8 = p->is_smtputf8 };
	size_t start = out->len;

	if (r->diagnostic_code != 0)
		buf_printf(out, "Diagnostic-Code: smtp; %u", r->diagnostic_code);
	else if (r->diagnostic.len > 0)
		buf_append_str(out, STR("Diagnostic-Code: x-outlast;"));
	else
		return;
	f.column = out->len - start;
	fill_words(&f, r->diagnostic);
	buf_append(out, "\r\n", 2);
}

/* RFC 6533 3: an address in UTF-8 has its own type, and a form for where octets over 127 are not allowed. */
static void put_addresses(
	struct buf *out, const struct dsn_params *p, const struct dsn_recipient *r)
{
	bool is_utf8 = !str_is_ascii(r->final_recipient) && str_is_utf8(r->final_recipient);
	struct buf text;

	buf_init(&text, ADDRESS_BYTES_MAX);
	if (r->orcpt.len > 0)
		orcpt_text(&text, r->orcpt, p->is_smtputf8);
	put_field(out, p, "Original-Recipient:", buf_str(&text));
	buf_clear(&text);
	utf8_address_text(&text, r->final_recipient, p->is_smtputf8);
	put_field(out, p, is_utf8 ? "Final-Recipient: utf-8;" : "Final-Recipient: rfc822;",
		buf_str(&text));
	buf_fini(&text);
}

/* RFC 3464 2.3.5, RFC 1123: a name of DNS, or an address in brackets. A path of a socket is neither. */
static void put_remote(struct buf *out, const struct dsn_params *p, struct str name)
{
	struct endpoint address;
	struct buf literal;

	if (str_find(name, '/') < name.len)
		return;
	if (endpoint_parse_ip(&address, name) != OK) {
		put_field(out, p, "Remote-MTA: dns;", name);
		return;
	}
	buf_init(&literal, ADDRESS_BYTES_MAX);
	buf_printf(
		&literal, "[%s%.*s]", address.family == FAMILY_IPV6 ? "IPv6:" : "", STR_FMT(name));
	put_field(out, p, "Remote-MTA: dns;", buf_str(&literal));
	buf_fini(&literal);
}

static void put_recipient(
	struct buf *out, const struct dsn_params *p, const struct dsn_recipient *r)
{
	buf_append(out, "\r\n", 2);
	put_addresses(out, p, r);
	buf_printf(out, "Action: %s\r\nStatus: ", action_name(r->action));
	status_format(out, r->status);
	buf_append(out, "\r\n", 2);
	put_remote(out, p, r->remote_mta);
	put_diagnostic(out, p, r);
	put_date(out, "Last-Attempt-Date:", r->last_attempt);
	if (r->action == DSN_DELAYED)
		put_date(out, "Will-Retry-Until:", r->will_retry_until);
}

/* RFC 4865 5.1.2: as it was asked for at MAIL. */
static void put_hold(struct buf *out, const struct dsn_params *p)
{
	int64_t for_ms = p->hold_until.ms - p->arrival.ms;

	switch (p->hold_wish) {
	case HOLD_WISH_FOR:
		buf_printf(out, "Future-Release-Request: for;%lld\r\n",
			(long long)(for_ms / SECOND_MS));
		break;
	case HOLD_WISH_UNTIL:
		buf_append_str(out, STR("Future-Release-Request: until;"));
		instant_format_iso(out, p->hold_until);
		out->len -= sizeof(".123Z") - 1; /* it came in whole seconds, mostly */
		buf_append_str(out, STR("Z\r\n"));
		break;
	case HOLD_WISH_NONE:
	case HOLD_WISH_COUNT:
		break;
	}
}

void dsn_write_status(struct buf *out, const struct dsn_params *p)
{
	struct buf envid;

	buf_init(&envid, ADDRESS_BYTES_MAX);
	envid_text(&envid, p->envid);
	put_field(out, p, "Original-Envelope-Id:", buf_str(&envid));
	buf_fini(&envid);
	put_field(out, p, "Reporting-MTA: dns;", p->reporting_mta);
	put_field(out, p, "Received-From-MTA: dns;", p->received_from);
	put_date(out, "Arrival-Date:", p->arrival);
	put_date(out, "Deliver-By-Date:", p->deliver_by); /* RFC 2852 */
	put_hold(out, p);
	/* Extension fields come last (RFC 3464 2.2). */
	if (p->original_id > 0)
		buf_printf(out, "X-Outlast-Queue-ID: %s\r\n", queue_id_format(p->original_id).text);
	for (size_t i = 0; i < p->recipient_count; i++)
		put_recipient(out, p, &p->recipients[i]);
}
