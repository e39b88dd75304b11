/*
 * keys - the tables. Their order is the order of `outlast config show` and of etc/outlast.yaml.
 *
 * A new setting is a field of struct conf, a line here, a line in etc/outlast.yaml and one in the
 * man page; the unit tests miss whichever was forgotten.
 */
#include "keys.h"

#include <string.h>

#include "base/check.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define GIB (KIB * KIB * KIB)

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define AT(member) FIELD(struct conf, member)
#define LIST(member, counter) AT(member), .count_offset = offsetof(struct conf, counter)
#define RANGE(low, high) .min = (low), .max = (high)

static const char *const listener_tls[] = { "none", "starttls", "implicit", NULL };
static const char *const listener_allow[] = { "trusted", "authenticated", NULL };
static const char *const policy_tls[] = { "none", "opportunistic", "require", "verify", NULL };
static const char *const log_levels[] = { "error", "warning", "notice", "info", "debug", NULL };
static const char *const log_formats[] = { "text", "json", NULL };

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
	{ .name = "proxy",
		.kind = KEY_BOOL,
		FIELD(struct conf_listener, is_proxied),
		.initial = "no",
		.doc = "each connection begins with a PROXY header, of a host in proxy-from" },
};
static const struct key_items listener_items = { .what = "listener",
	.keys = listener_keys,
	.key_count = ARRAY_COUNT(listener_keys),
	.size = sizeof(struct conf_listener),
	.has_shorthand = true };

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
static const struct key_items relay_domain_items = { .what = "relay-domain",
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
static const struct key_items destination_items = { .what = "destination",
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
static const struct key_items site_items = { .what = "site",
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
		.doc = "mx, \"[host]:port\" (that host) or host:port (the MX of that name)" },
	{ .name = "tls",
		.kind = KEY_CHOICE,
		FIELD(struct conf_route, tls),
		.choices = policy_tls,
		.has_offset = offsetof(struct conf_route, has_tls),
		.doc = "as delivery.tls, for this route" },
	{ .name = "auth",
		.kind = KEY_SECRET,
		FIELD(struct conf_route, user),
		.doc = "file with one line user:password, closed to others" },
};
static const struct key_items route_items = { .what = "route",
	.keys = route_keys,
	.key_count = ARRAY_COUNT(route_keys),
	.size = sizeof(struct conf_route) };

const struct key conf_keys[] = {
	{ .name = "hostname",
		.kind = KEY_HOST,
		AT(hostname),
		.doc = "name in our greeting, EHLO and trace fields; default: the name of the "
		       "system" },
	{ .name = "postmaster",
		.kind = KEY_MAILBOX,
		AT(postmaster),
		.doc = "who gets notices that nobody else can get; default: postmaster@hostname" },
	{ .name = "bounce-from",
		.kind = KEY_MAILBOX,
		AT(bounce_from),
		.doc = "From: of our notices; default: MAILER-DAEMON@hostname" },
	{ .name = "user",
		.kind = KEY_TEXT,
		AT(user),
		.initial = "",
		.doc = "account to run as when started as root; empty: stay root" },

	{ .name = "listeners",
		.kind = KEY_ITEMS,
		LIST(listeners, listener_count),
		RANGE(1, 64),
		.items = &listener_items,
		.initial = "127.0.0.1:2525",
		.doc = "where clients bring mail: a list of address, tls, allow" },
	{ .name = "trusted",
		.kind = KEY_NETWORKS,
		LIST(trusted, trusted_count),
		RANGE(0, 1000),
		.initial = "127.0.0.0/8 ::1",
		.doc = "networks whose hosts may relay without AUTH" },
	{ .name = "proxy-from",
		.kind = KEY_NETWORKS,
		LIST(proxies, proxy_count),
		RANGE(0, 1000),
		.initial = "",
		.doc = "load balancers that may send PROXY headers to listeners with 'proxy: yes'" },
	{ .name = "xclient-from",
		.kind = KEY_NETWORKS,
		LIST(xclient, xclient_count),
		RANGE(0, 1000),
		.initial = "",
		.doc = "servers in front that may say XCLIENT and XFORWARD: who the client is" },
	{ .name = "relay-domains",
		.kind = KEY_ITEMS,
		LIST(relay_domains, relay_domain_count),
		RANGE(0, 10000),
		.items = &relay_domain_items,
		.doc = "backup MX: domains whose mail is taken from anybody" },

	{ .section = "auth",
		.name = "users",
		.kind = KEY_USERS,
		LIST(users, user_count),
		RANGE(1, 10000),
		.doc = "file of name:hash lines, hashes of crypt(5), closed to others" },
	{ .section = "auth",
		.name = "without-tls",
		.kind = KEY_BOOL,
		AT(auth_without_tls),
		.initial = "no",
		.doc = "offer AUTH in clear text too; loopback clients always may" },

#define SMTPD(text, member) .section = "limits", .name = (text), AT(smtpd.member)
	{ SMTPD("sessions-max", sessions_max), .kind = KEY_COUNT, RANGE(1, 100000),
		.initial = "1000", .doc = "clients at a time; more get 421" },
	{ SMTPD("sessions-per-client", sessions_per_client), .kind = KEY_COUNT, RANGE(1, 100000),
		.initial = "200", .doc = "of these from one address" },
	{ SMTPD("recipients-max", recipients_max), .kind = KEY_COUNT, RANGE(1, 100000),
		.initial = "1000", .doc = "recipients of a message; more get 452 and come again" },
	{ SMTPD("message-size-max", message_bytes_max), .kind = KEY_BYTES, RANGE(64 * KIB, 2 * GIB),
		.initial = "50M", .doc = "size of a message, announced by SIZE" },
	{ SMTPD("line-max", line_bytes_max), .kind = KEY_COUNT, RANGE(512, 65536),
		.initial = "4096", .doc = "octets of a command line" },
	{ SMTPD("text-line-max", text_line_bytes_max), .kind = KEY_COUNT, RANGE(0, INT32_MAX),
		.initial = "0", .doc = "octets of a line of content; 0: any" },
	{ SMTPD("errors-max", errors_max), .kind = KEY_COUNT, RANGE(1, 10000), .initial = "20",
		.doc = "wrong commands before we hang up" },
	{ SMTPD("commands-without-mail-max", commands_without_mail_max), .kind = KEY_COUNT,
		RANGE(1, 100000), .initial = "100",
		.doc = "NOOP, RSET, VRFY and such before we hang up" },
	{ SMTPD("messages-per-session", messages_per_session), .kind = KEY_COUNT,
		RANGE(0, INT32_MAX), .initial = "0",
		.doc = "messages in one session; 0: any number" },
	{ SMTPD("hold-max", hold_max_ms), .kind = KEY_DURATION, RANGE(0, 365 * DAY),
		.initial = "30d",
		.doc = "how long a known client may have its mail held (FUTURERELEASE); 0: not at all" },
	{ SMTPD("hops-max", hops_max), .kind = KEY_COUNT, RANGE(10, 1000), .initial = "100",
		.doc = "Received fields before we call it a loop" },
	{ SMTPD("own-hops-max", own_hops_max), .kind = KEY_COUNT, RANGE(1, 100), .initial = "5",
		.doc = "Received fields of ours before we call it a loop" },
	{ SMTPD("greeting-delay", greeting_delay_ms), .kind = KEY_DURATION, RANGE(0, 5 * MINUTE),
		.initial = "0",
		.doc = "pause before the greeting: who talks first is no mail client" },
	{ SMTPD("idle-timeout", idle_ms), .kind = KEY_DURATION, RANGE(SECOND, HOUR),
		.initial = "5m", .doc = "silence of a client before we hang up" },
	{ SMTPD("session-timeout", session_ms), .kind = KEY_DURATION, RANGE(MINUTE, 7 * DAY),
		.initial = "4h", .doc = "length of a session" },
	{ SMTPD("data-timeout", data_total_ms), .kind = KEY_DURATION, RANGE(SECOND, DAY),
		.initial = "30m",
		.doc = "time for a content, on top of what its size needs at data-rate-min" },
	{ SMTPD("data-rate-min", data_rate_min), .kind = KEY_COUNT, RANGE(0, INT32_MAX),
		.initial = "100",
		.doc = "octets a second, over a minute, that content must come in at" },
	{ SMTPD("spool-from", spool_from_bytes), .kind = KEY_BYTES, RANGE(4 * KIB, GIB),
		.initial = "256K", .doc = "content above it goes to disk while it comes in" },

	{ .section = "queue",
		.name = "directory",
		.kind = KEY_PATH,
		AT(queue.directory),
		RANGE(1, 0),
		.initial = "/var/lib/outlast",
		.doc = "where the queue lives; a reload does not move it" },
	{ .section = "queue",
		.name = "min-free",
		.kind = KEY_BYTES,
		AT(queue.min_free_bytes),
		RANGE(0, 1024 * GIB),
		.initial = "256M",
		.doc = "with less free disk clients get 452" },
	{ .section = "queue",
		.name = "reserve",
		.kind = KEY_BYTES,
		AT(queue.reserve_bytes),
		RANGE(0, GIB),
		.initial = "40M",
		.doc = "kept so that deliveries go on when the disk is full" },
	{ .section = "queue",
		.name = "journal",
		.kind = KEY_BYTES,
		AT(queue.journal_bytes),
		RANGE(0, GIB),
		.initial = "64M",
		.doc = "mail delivered before it fills never enters the tables; 0: none" },
	{ .section = "queue",
		.name = "history",
		.kind = KEY_DURATION,
		AT(queue.history_ms),
		RANGE(0, 3650 * DAY),
		.initial = "7d",
		.doc = "how long delivered mail can be looked up" },
	{ .section = "queue",
		.name = "wal-pages",
		.kind = KEY_COUNT,
		AT(queue.wal_pages),
		RANGE(100, 10000000),
		.initial = "8000",
		.doc = "write-ahead log pages before a checkpoint" },
	{ .section = "queue",
		.name = "node",
		.kind = KEY_COUNT,
		AT(queue.node),
		RANGE(0, 255),
		.initial = "0",
		.doc = "number of this relay in queue ids, when there are several" },

#define POLICY(part, text, member)                                                                 \
	.section = (part), .name = (text), AT(policy.member), .in_destination = (text)
	{ POLICY("queue", "lifetime", lifetime_ms), .kind = KEY_DURATION, RANGE(SECOND, 3650 * DAY),
		.initial = "14d",
		.doc = "how long we try; time in which mail could not move is not counted" },
	{ POLICY("queue", "lifetime-max", lifetime_max_ms), .kind = KEY_DURATION,
		RANGE(SECOND, 3650 * DAY), .initial = "30d",
		.doc = "how long we keep mail whatever happens" },
	{ POLICY("queue", "bounce-lifetime", bounce_lifetime_ms), .kind = KEY_DURATION,
		RANGE(SECOND, 3650 * DAY), .initial = "5d",
		.doc = "how long we try to deliver our own notices" },

	{ .section = "retry",
		.name = "schedule",
		AT(policy.retry_ms),
		.kind = KEY_SCHEDULE,
		.count_offset = offsetof(struct conf, policy.retry_count),
		.in_destination = "retry-schedule",
		RANGE(SECOND, CONF_RETRY_STEPS_MAX),
		.initial = "5m 10m 20m 30m 1h 2h",
		.doc = "pauses between attempts; the last one repeats" },
	{ .section = "retry",
		.name = "jitter",
		AT(policy.retry_jitter_percent),
		.kind = KEY_PERCENT,
		.in_destination = "retry-jitter",
		RANGE(0, 50),
		.initial = "10%",
		.doc = "random part of each pause, so that attempts spread" },

	{ POLICY("outage", "probe-first", probe_first_ms), .kind = KEY_DURATION, RANGE(SECOND, DAY),
		.initial = "1m",
		.doc = "first probe of a dead site that is known good or declared" },
	{ POLICY("outage", "probe-last", probe_last_ms), .kind = KEY_DURATION, RANGE(SECOND, DAY),
		.initial = "10m", .doc = "the pause between its probes grows to this" },
	{ POLICY("outage", "probe-unknown-first", probe_unknown_first_ms), .kind = KEY_DURATION,
		RANGE(SECOND, DAY), .initial = "5m",
		.doc = "first probe of a dead site that never took mail" },
	{ POLICY("outage", "probe-unknown-last", probe_unknown_last_ms), .kind = KEY_DURATION,
		RANGE(SECOND, DAY), .initial = "2h",
		.doc = "the pause between its probes grows to this" },
	{ POLICY("outage", "known-good", known_good_ms), .kind = KEY_DURATION, RANGE(0, 3650 * DAY),
		.initial = "90d", .doc = "a site that took mail within this time is known good" },
	{ POLICY("outage", "no-domain-grace", no_domain_grace_ms), .kind = KEY_DURATION,
		RANGE(0, 365 * DAY), .initial = "4d",
		.doc = "how long a known-good domain may vanish from DNS before mail bounces" },
	{ POLICY("outage", "outage-after", outage_after_ms), .kind = KEY_DURATION,
		RANGE(MINUTE, 30 * DAY), .initial = "15m",
		.doc = "a known-good site that is down so long has an outage: clocks stand still" },
	{ POLICY("outage", "storm-guard", has_storm_guard), .kind = KEY_BOOL, .initial = "yes",
		.doc = "doubt permanent refusals of mailboxes that took mail; no: they are final" },
	{ POLICY("outage", "quarantine", quarantine_ms), .kind = KEY_DURATION, RANGE(MINUTE, 7 * DAY),
		.initial = "30m", .doc = "pause before a doubted refusal is tried once more" },
	{ POLICY("outage", "notice-hold", notice_hold_ms), .kind = KEY_DURATION, RANGE(0, 7 * DAY),
		.initial = "10m",
		.doc = "pause before a notice of failure leaves; it can be taken back" },
	{ POLICY("outage", "keep-failed", keep_failed_ms), .kind = KEY_DURATION, RANGE(0, 365 * DAY),
		.initial = "3d", .doc = "how long failed mail can be revived" },
	{ POLICY("outage", "site-share", site_share_percent), .kind = KEY_PERCENT, RANGE(1, 100),
		.initial = "50%",
		.doc = "part of the usable disk for the mail of one dead site; more gets 452" },
	{ .section = "outage",
		.name = "mailboxes-max",
		.kind = KEY_COUNT,
		AT(mailboxes_max),
		RANGE(1000, 100000000),
		.initial = "1000000",
		.doc = "mailboxes remembered that took mail, in 2.5 octets each; at the next start" },
	{ .section = "outage",
		.name = "probes-max",
		.kind = KEY_COUNT,
		AT(client.probes_max),
		RANGE(1, 10000),
		.initial = "64",
		.doc = "probes at a time, to all sites" },
	{ .section = "outage",
		.name = "canaries",
		.kind = KEY_DOMAINS,
		LIST(canaries, canary_count),
		RANGE(0, 8),
		.initial = "",
		.doc = "domains that are never down all at once: asked whether it is our own connection" },

	{ .section = "notify",
		.name = "delay",
		AT(policy.delay_notice_ms),
		.kind = KEY_DURATION,
		.in_destination = "delay-notice",
		RANGE(0, 365 * DAY),
		.initial = "4h",
		.doc = "mail is so late before its sender hears of it; 0: never" },
	{ .section = "notify",
		.name = "delay-repeat",
		.kind = KEY_DURATION,
		AT(notify.delay_repeat_ms),
		RANGE(HOUR, 365 * DAY),
		.initial = "24h",
		.doc = "pause before a sender hears of mail that is still late once more" },
	{ .section = "notify",
		.name = "digests-per-minute",
		.kind = KEY_COUNT,
		AT(notify.digests_per_minute),
		RANGE(1, 60000),
		.initial = "600",
		.doc = "notices of delay, and digests, to all senders together; others wait" },
	{ .section = "notify",
		.name = "failures-per-hour",
		.kind = KEY_COUNT,
		AT(notify.failures_per_hour),
		RANGE(0, 1000000),
		.initial = "100",
		.doc = "notices of failure to one sender; more are summed up in a digest; 0: any" },
	{ .section = "notify",
		.name = "operators",
		.kind = KEY_MAILBOX,
		AT(notify.operators),
		.initial = "",
		.doc = "who gets mail when an outage begins and ends; empty: nobody" },

#define CLIENT(text, member) .section = "delivery", .name = (text), AT(client.member)
#define WAIT(text, member, low, high, value, line)                                                 \
	{                                                                                          \
		CLIENT(text, member), .kind = KEY_DURATION, RANGE(low, high), .initial = (value),  \
				      .doc = (line)                                                \
	}
	{ CLIENT("connections-max", connections_max), .kind = KEY_COUNT, RANGE(1, 100000),
		.initial = "500", .doc = "connections to all sites" },
	{ POLICY("delivery", "connections", connections_max), .kind = KEY_COUNT, RANGE(1, 10000),
		.initial = "20", .doc = "connections to one site" },
	{ POLICY("delivery", "rate", rate_max), .kind = KEY_COUNT, RANGE(0, 100000000),
		.initial = "0", .doc = "messages a minute to one site; 0: as it bears" },
	{ POLICY("delivery", "messages-per-connection", messages_per_connection), .kind = KEY_COUNT,
		RANGE(1, 1000000), .initial = "100",
		.doc = "messages before a connection is closed" },
	{ POLICY("delivery", "recipients-per-message", recipients_per_message), .kind = KEY_COUNT,
		RANGE(1, 100000), .initial = "100",
		.doc = "recipients in one transaction; more are split" },
	{ POLICY("delivery", "connection-idle", connection_idle_ms), .kind = KEY_DURATION,
		RANGE(0, 10 * MINUTE), .initial = "5s",
		.doc = "how long an idle connection waits for mail" },
	{ POLICY("delivery", "tls", tls), .kind = KEY_CHOICE, .choices = policy_tls,
		.initial = "opportunistic",
		.doc = "none, opportunistic, require (any certificate), verify (chain and name)" },
	{ CLIENT("port", port), .kind = KEY_COUNT, RANGE(1, 65535), .initial = "25",
		.doc = "port of other mail servers" },
	{ CLIENT("source-ipv4", source_ipv4), .kind = KEY_IPV4, .initial = "",
		.doc = "IPv4 address to connect from; empty: the system chooses" },
	{ CLIENT("source-ipv6", source_ipv6), .kind = KEY_IPV6, .initial = "",
		.doc = "IPv6 address to connect from; empty: the system chooses" },
	{ CLIENT("prefer-ipv4", prefer_ipv4), .kind = KEY_BOOL, .initial = "no",
		.doc = "try the IPv4 addresses of a host first" },
	{ CLIENT("hosts-max", hosts_max), .kind = KEY_COUNT, RANGE(1, 100), .initial = "10",
		.doc = "addresses tried in one attempt" },
	WAIT("connect-timeout", connect_ms, 10, 10 * MINUTE, "30s", "wait for a connection"),
	WAIT("greeting-timeout", greeting_ms, SECOND, HOUR, "5m", "wait for the greeting"),
	WAIT("helo-timeout", helo_ms, SECOND, HOUR, "5m", "wait for the reply to EHLO"),
	WAIT("mail-timeout", mail_ms, SECOND, HOUR, "5m", "wait for the reply to MAIL"),
	WAIT("rcpt-timeout", rcpt_ms, SECOND, HOUR, "5m", "wait for the reply to RCPT"),
	WAIT("data-init-timeout", data_init_ms, SECOND, HOUR, "2m", "wait for the reply to DATA"),
	WAIT("data-block-timeout", data_block_ms, SECOND, HOUR, "3m",
		"wait until a block is taken"),
	WAIT("data-done-timeout", data_done_ms, SECOND, 2 * HOUR, "10m",
		"wait for the reply to the content; shorter means duplicates"),
	WAIT("rset-timeout", rset_ms, SECOND, HOUR, "20s", "wait for the reply to RSET"),
	WAIT("quit-timeout", quit_ms, 0, HOUR, "5s", "wait for the reply to QUIT"),
	WAIT("tls-timeout", tls_ms, SECOND, HOUR, "30s", "wait for the TLS handshake"),
	WAIT("session-timeout", session_ms, MINUTE, 7 * DAY, "4h", "length of a session"),

	{ .name = "destinations",
		.kind = KEY_ITEMS,
		LIST(destinations, destination_count),
		RANGE(0, 10000),
		.items = &destination_items,
		.doc = "settings by destination; the first that matches counts" },
	{ .name = "sites",
		.kind = KEY_ITEMS,
		LIST(sites, site_count),
		RANGE(0, 1000),
		.items = &site_items,
		.doc = "MX hosts that fail and recover together" },
	{ .name = "routes",
		.kind = KEY_ITEMS,
		LIST(routes, route_count),
		RANGE(0, 1000),
		.items = &route_items,
		.doc = "mail that goes elsewhere than MX says; the first that matches counts" },
	{ .name = "classes",
		.kind = KEY_ITEMS,
		LIST(classes, class_count),
		RANGE(0, CONF_CLASSES_MAX),
		.items = &class_items,
		.doc = "what mail of a kind gets that its sender did not ask for; the first that "
		       "matches counts" },

	{ .section = "dns",
		.name = "servers",
		.kind = KEY_SERVERS,
		LIST(dns.servers, dns.server_count),
		RANGE(0, 8),
		.initial = "",
		.doc = "resolvers to ask; empty: those of /etc/resolv.conf" },
	{ .section = "dns",
		.name = "timeout",
		.kind = KEY_DURATION,
		AT(dns.timeout_ms),
		RANGE(10, MINUTE),
		.initial = "2s",
		.doc = "wait for an answer, each try" },
	{ .section = "dns",
		.name = "tries",
		.kind = KEY_COUNT,
		AT(dns.tries),
		RANGE(1, 10),
		.initial = "2",
		.doc = "times to ask each server" },
	{ .section = "dns",
		.name = "cache-entries",
		.kind = KEY_COUNT,
		AT(dns.cache_entries),
		RANGE(0, 10000000),
		.initial = "20000",
		.doc = "answers kept in memory" },
	{ .section = "dns",
		.name = "ttl-min",
		.kind = KEY_DURATION,
		AT(dns.ttl_min_ms),
		RANGE(0, DAY),
		.initial = "30s",
		.doc = "an answer is kept at least this long" },
	{ .section = "dns",
		.name = "ttl-max",
		.kind = KEY_DURATION,
		AT(dns.ttl_max_ms),
		RANGE(SECOND, 7 * DAY),
		.initial = "1h",
		.doc = "an answer is kept at most this long" },
	{ .section = "dns",
		.name = "stale-max",
		.kind = KEY_DURATION,
		AT(dns.stale_max_ms),
		RANGE(0, 90 * DAY),
		.initial = "7d",
		.doc = "while DNS gives no answer the last hosts that worked are used so long; 0: never" },
	{ .section = "dns",
		.name = "allow-addresses",
		.kind = KEY_NETWORKS,
		LIST(dns.allow, dns.allow_count),
		RANGE(0, 1000),
		.initial = "",
		.doc = "loopback and private networks that MX may point to; others are refused" },

	{ .section = "tls",
		.name = "certificate",
		.kind = KEY_PATH,
		AT(tls.certificate),
		.initial = "",
		.doc = "PEM file, chain included, for our listeners; empty: no STARTTLS" },
	{ .section = "tls",
		.name = "key",
		.kind = KEY_PATH,
		AT(tls.key),
		.initial = "",
		.doc = "PEM file with its private key" },

	{ .section = "log",
		.name = "level",
		.kind = KEY_CHOICE,
		AT(log.level),
		.choices = log_levels,
		.initial = "info",
		.doc = "error, warning, notice, info or debug" },
	{ .section = "log",
		.name = "format",
		.kind = KEY_CHOICE,
		AT(log.is_json),
		.choices = log_formats,
		.initial = "text",
		.doc = "text (the shape of Postfix) or json" },
	{ .section = "log",
		.name = "target",
		.kind = KEY_LOG_TARGET,
		AT(log.target),
		.initial = "stderr",
		.doc = "stderr, syslog, or a file" },
	{ .section = "log",
		.name = "tag",
		.kind = KEY_TEXT,
		AT(log.tag),
		RANGE(1, 0),
		.initial = "outlast",
		.doc = "program name in each line; postfix for tools that look for it" },

	{ .section = "control",
		.name = "socket",
		.kind = KEY_SOCKET,
		AT(control.socket),
		.initial = "/run/outlast/control.sock",
		.doc = "where the outlast command reaches the daemon" },
	{ .section = "control",
		.name = "admin-group",
		.kind = KEY_TEXT,
		AT(control.admin_group),
		.initial = "outlast-admin",
		.doc = "group that may change things; empty: root and our user only" },
	{ .section = "control",
		.name = "sessions-max",
		.kind = KEY_COUNT,
		AT(control.sessions_max),
		RANGE(1, 1000),
		.initial = "32",
		.doc = "commands at a time" },
};
const size_t conf_key_count = ARRAY_COUNT(conf_keys);

static bool in_section(const struct key *key, const char *section)
{
	return strcmp(key->section ? key->section : "", section ? section : "") == 0;
}

const struct key *keys_find(const char *section, struct str name)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (in_section(&conf_keys[i], section) &&
			str_equal(name, str_from_c(conf_keys[i].name)))
			return &conf_keys[i];
	return NULL;
}

const char *keys_section(struct str name)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].section && str_equal(name, str_from_c(conf_keys[i].section)))
			return conf_keys[i].section;
	return NULL;
}

_Static_assert(ARRAY_COUNT(conf_keys) <= KEYS_MAX, "arrays by key are too short");
_Static_assert(KEYS_ITEM_MAX >= KEYS_MAX + ARRAY_COUNT(route_keys),
	"arrays by key of an item are too short");

int keys_item(const struct key_items *items, struct str name, struct key *out)
{
	for (int i = 0; i < KEYS_ITEM_MAX; i++)
		if (keys_item_at(items, (size_t)i, out) && str_equal(name, str_from_c(out->name)))
			return i;
	return -1;
}

/* The keys of its own come first, then those of conf_keys that are settings of the policy. */
bool keys_item_at(const struct key_items *items, size_t number, struct key *out)
{
	if (number < items->key_count) {
		*out = items->keys[number];
		return true;
	}
	size_t of_conf = number - items->key_count;
	if (!items->has_policy || of_conf >= conf_key_count || !conf_keys[of_conf].in_destination)
		return false;
	*out = keys_in_destination(&conf_keys[of_conf]);
	return true;
}

struct key keys_in_destination(const struct key *key)
{
	CHECK(key->in_destination);
	struct key copy = *key;
	size_t from = offsetof(struct conf, policy);
	size_t to = offsetof(struct conf_destination, policy);
	copy.section = NULL;
	copy.name = key->in_destination;
	copy.offset = key->offset - from + to;
	if (key->count_offset > 0)
		copy.count_offset = key->count_offset - from + to;
	return copy;
}
