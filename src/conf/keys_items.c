/* keys_items - the keys of what comes in lists: listeners, user-rules, relay-domains, destinations, sites, routes. */
#include "base/check.h"
#include "keys.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define RANGE(low, high) .min = (low), .max = (high)

static const char *const listener_tls[] = { "none", "starttls", "implicit", NULL };
static const char *const listener_allow[] = { "trusted", "authenticated", NULL };
const char *const keys_tls_policies[] = { "none", "opportunistic", "require", "verify", "dane",
	NULL };

static const struct key listener_keys[] = {
	{ .name = "address",
		.kind = KEY_LISTEN,
		FIELD(struct conf_listener, at),
		.is_required = true,
		.doc = "IP address and port, or unix:PATH" },
	{ .name = "tls",
		.kind = KEY_CHOICE,
		FIELD(struct conf_listener, tls),
		.choices = listener_tls,
		.initial = "none",
		.doc = "none, starttls, or implicit (TLS from the first octet)" },
	{ .name = "allow",
		.kind = KEY_CHOICE,
		FIELD(struct conf_listener, allow),
		.choices = listener_allow,
		.initial = "trusted",
		.doc = "trusted (networks, and users if there are any) or authenticated (users "
		       "only)" },
	{ .name = "submission",
		.kind = KEY_BOOL,
		FIELD(struct conf_listener, is_submission),
		.initial = "no",
		.doc = "add a missing Date and Message-ID, take Bcc out (RFC 6409)" },
	{ .name = "proxy",
		.kind = KEY_BOOL,
		FIELD(struct conf_listener, is_proxied),
		.initial = "no",
		.doc = "each connection begins with a PROXY header, of a host in proxy-from" },
};
const struct key_items listener_items = { .what = "listener",
	.keys = listener_keys,
	.key_count = ARRAY_COUNT(listener_keys),
	.size = sizeof(struct conf_listener),
	.has_shorthand = true };

static const struct key user_rule_keys[] = {
	{ .name = "user",
		.kind = KEY_PATTERN,
		FIELD(struct conf_user_rule, pattern),
		.is_required = true,
		.doc = "glob on the name that the client logged in with" },
	{ .name = "senders",
		.kind = KEY_PATTERNS,
		FIELD(struct conf_user_rule, senders),
		.count_offset = offsetof(struct conf_user_rule, sender_count),
		RANGE(0, 1000),
		.initial = "",
		.doc = "globs on the addresses it may send from, and \"<>\"; empty: any" },
	{ .name = "messages-per-hour",
		.kind = KEY_COUNT,
		FIELD(struct conf_user_rule, messages_per_hour),
		RANGE(0, 100000000),
		.initial = "0",
		.doc = "messages in any hour, more get 451; 0: any number" },
	{ .name = "recipients-per-hour",
		.kind = KEY_COUNT,
		FIELD(struct conf_user_rule, recipients_per_hour),
		RANGE(0, 100000000),
		.initial = "0",
		.doc = "recipients in any hour, more get 450; 0: any number" },
};
const struct key_items user_rule_items = { .what = "user rule",
	.keys = user_rule_keys,
	.key_count = ARRAY_COUNT(user_rule_keys),
	.size = sizeof(struct conf_user_rule) };
static const struct key relay_domain_keys[] = {
	{ .name = "domain",
		.kind = KEY_PATTERN,
		FIELD(struct conf_relay_domain, pattern),
		.is_required = true,
		.doc = "recipient domain or glob" },
	{ .name = "recipients",
		.kind = KEY_RECIPIENTS,
		FIELD(struct conf_relay_domain, recipients),
		.doc = "file of the addresses that exist; not given: the next hop is asked" },
};
const struct key_items relay_domain_items = { .what = "relay-domain",
	.keys = relay_domain_keys,
	.key_count = ARRAY_COUNT(relay_domain_keys),
	.size = sizeof(struct conf_relay_domain),
	.has_shorthand = true };

static const struct key destination_keys[] = {
	{ .name = "match",
		.kind = KEY_MATCH,
		FIELD(struct conf_destination, pattern),
		.is_required = true,
		.doc = "recipient domain or glob; mx:GLOB matches the MX hosts or the name of the "
		       "site" },
};
const struct key_items destination_items = { .what = "destination",
	.keys = destination_keys,
	.key_count = ARRAY_COUNT(destination_keys),
	.size = sizeof(struct conf_destination),
	.has_policy = true };

static const struct key site_keys[] = {
	{ .name = "name",
		.kind = KEY_TEXT,
		FIELD(struct conf_site, name),
		.is_required = true,
		.doc = "what the site is called in status, logs and mx: patterns" },
	{ .name = "match",
		.kind = KEY_PATTERN,
		FIELD(struct conf_site, pattern),
		.is_required = true,
		.doc = "glob on the names of its MX hosts" },
};
const struct key_items site_items = { .what = "site",
	.keys = site_keys,
	.key_count = ARRAY_COUNT(site_keys),
	.size = sizeof(struct conf_site) };

static const struct key route_keys[] = {
	{ .name = "name",
		.kind = KEY_TEXT,
		FIELD(struct conf_route, name),
		.is_required = true,
		.doc = "what the route is called in status and logs" },
	{ .name = "to",
		.kind = KEY_PATTERN,
		FIELD(struct conf_route, to),
		.doc = "glob on the recipient domain; not given: any" },
	{ .name = "from",
		.kind = KEY_PATTERN,
		FIELD(struct conf_route, from),
		.doc = "glob on the sender address, \"<>\" for notices; not given: any" },
	{ .name = "via",
		.kind = KEY_VIA,
		FIELD(struct conf_route, host),
		.is_required = true,
		.doc = "mx, \"[host]:port\" (that host), host:port (the MX of that name), "
		       "\"lmtp:[host]:port\" or lmtp:unix:/path" },
	{ .name = "tls",
		.kind = KEY_CHOICE,
		FIELD(struct conf_route, tls),
		.choices = keys_tls_policies,
		.has_offset = offsetof(struct conf_route, has_tls),
		.doc = "as delivery.tls, for this route" },
	{ .name = "auth",
		.kind = KEY_SECRET,
		FIELD(struct conf_route, user),
		.doc = "file with one line user:password, closed to others" },
	{ .name = "source-ipv4",
		.kind = KEY_IPV4,
		FIELD(struct conf_route, source_ipv4),
		.doc = "as delivery.source-ipv4, for this route" },
	{ .name = "source-ipv6",
		.kind = KEY_IPV6,
		FIELD(struct conf_route, source_ipv6),
		.doc = "as delivery.source-ipv6, for this route" },
	{ .name = "hostname",
		.kind = KEY_HOST,
		FIELD(struct conf_route, hostname),
		.doc = "name in EHLO and LHLO; not given: ours" },
};
const struct key_items route_items = { .what = "route",
	.keys = route_keys,
	.key_count = ARRAY_COUNT(route_keys),
	.size = sizeof(struct conf_route) };

_Static_assert(KEYS_ITEM_MAX >= KEYS_MAX + ARRAY_COUNT(route_keys),
	"arrays by key of an item are too short");
