/*
 * conf - the configuration as the program uses it: read once from YAML, checked, then immutable.
 *
 * Every field has a default; an empty file relays from loopback. Durations are milliseconds of wall (schedule) time
 * unless the comment says protocol time. A reload makes a new struct conf; whoever needs one for longer than
 * a call holds a reference. Thread: loop.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "mail/header.h"

enum listener_tls { LISTENER_PLAIN, LISTENER_STARTTLS, LISTENER_IMPLICIT };
enum listener_allow {
	ALLOW_TRUSTED, /* clients of trusted networks relay; AUTH is offered too when users are configured */
	ALLOW_AUTHENTICATED /* only after AUTH, whatever the address */
};

struct conf_listener {
	struct endpoint at;
	enum listener_tls tls;
	enum listener_allow allow;
	bool is_submission; /* a missing Date and Message-ID is added, Bcc taken out (RFC 6409 section 8) */
	bool is_proxied;    /* each connection begins with a PROXY protocol v2 header */
};

enum tls_policy {
	TLS_NONE,
	TLS_OPPORTUNISTIC, /* used when offered, any certificate; one attempt in clear text when the handshake fails */
	TLS_REQUIRE, /* any certificate */
	TLS_VERIFY,  /* chain and name */
	TLS_DANE     /* only as TLSA records say (RFC 7672); without usable ones mail waits */
};

#define CONF_RETRY_STEPS_MAX 32

/* What may differ by destination. */
struct conf_policy {
	int64_t lifetime_ms;                    /* default 14 d */
	int64_t lifetime_max_ms;                /* default 30 d */
	int64_t bounce_lifetime_ms;             /* notices of ours, default 5 d */
	int64_t retry_ms[CONF_RETRY_STEPS_MAX]; /* default 5m 10m 20m 30m 1h 2h; the last repeats */
	uint32_t retry_count;
	uint32_t retry_jitter_percent;    /* default 10 */
	uint32_t connections_max;         /* to the site, default 20 */
	uint32_t messages_per_connection; /* default 100 */
	uint32_t recipients_per_message;  /* a transaction, default 100 */
	int64_t connection_idle_ms;       /* protocol time: reuse window, default 5 s */
	int64_t probe_first_ms; /* known-good and declared: 1 min growing to probe_last_ms 10 min */
	int64_t probe_last_ms;
	int64_t probe_unknown_first_ms; /* others: 5 min doubling to 2 h */
	int64_t probe_unknown_last_ms;
	int64_t no_domain_grace_ms; /* NXDOMAIN, null MX at a known-good domain: default 4 d */
	int64_t known_good_ms;      /* accepted mail within: default 90 d */
	int64_t outage_after_ms;    /* down so long and known good: an outage; default 15 min */
	bool has_storm_guard;       /* default yes; no: a 5xx is final at once */
	int64_t quarantine_ms;      /* a doubted 5xx is tried again after, default 30 min */
	int64_t notice_hold_ms;     /* a notice of failure waits before it leaves, default 10 min */
	int64_t keep_failed_ms;     /* content of what failed can be revived, default 3 d */
	uint32_t site_share_percent; /* of the usable disk for what is parked behind one site, default 50 */
	int64_t delay_notice_ms;    /* the sender hears that mail is late, default 4 h; 0: never */
	uint32_t rate_max;          /* messages per minute to a site, 0: no limit */
	enum tls_policy tls;
	bool has_dane; /* TLSA records are looked for and bind; default yes */
	bool has_sts;  /* MTA-STS policies are fetched and bind; default yes */
};

struct conf_destination {
	struct str
		pattern; /* domain or glob; "mx:GLOB" matches the site name or one of its hosts */
	bool is_mx;
	struct conf_policy
		policy; /* complete: the global policy with this one's settings over it */
};

struct conf_site { /* sites: MX hosts that belong together */
	struct str name;
	struct str pattern; /* glob on MX host names */
};

enum route_via { ROUTE_MX, ROUTE_SMARTHOST, ROUTE_LMTP };

struct conf_route {
	struct str name;
	struct str to;   /* glob on the recipient domain; empty: any */
	struct str from; /* glob on the reverse-path ("<>" the null sender); empty: any */
	enum route_via via;
	struct str host;      /* smarthost: name or address literal without brackets */
	bool is_host_literal; /* host was an IP address */
	bool uses_mx;         /* smarthost without brackets: its MX is looked up */
	uint16_t port;
	bool has_tls;
	enum tls_policy tls;
	struct str user, password; /* AUTH to it; empty: none */
	struct str path;           /* LMTP over a UNIX socket; empty: host and port */
	struct endpoint source_ipv4, source_ipv6; /* FAMILY_NONE: those of client */
	struct str hostname;                      /* in EHLO and LHLO; empty: ours */
};

/* classes: what mail of a kind gets that its sender did not ask for himself. */
struct conf_class {
	struct str name;
	/* all that are given must hold */
	struct str from; /* glob on the reverse-path ("<>" the null sender) */
	struct str to;   /* glob on a forward-path, of any recipient */
	struct str user; /* glob on the AUTH user */
	struct header_watch header;
	/* what it sets */
	bool has_priority, has_deliver_by, has_hold, has_notify;
	int32_t priority;       /* -9..9 */
	int64_t deliver_by_ms;  /* after arrival */
	bool deliver_by_notify; /* then a notice, and the mail is kept; else it is returned */
	int64_t hold_ms;        /* after arrival */
	uint32_t notify;        /* bits of enum notify */
};
#define CONF_CLASSES_MAX HEADER_WATCHES_MAX

struct conf_user {
	struct str name;
	struct str hash; /* crypt(5) */
};

/* user-rules: what a user may do; the first whose pattern matches counts, none: anything. */
struct conf_user_rule {
	struct str pattern;  /* glob on the name of the user */
	struct str *senders; /* globs on the reverse-path; none: any */
	uint32_t sender_count;
	uint32_t messages_per_hour, recipients_per_hour; /* 0: no limit */
};

/* relay-domains: mail for them is taken from anybody (backup MX). */
struct conf_relay_domain {
	struct str pattern;    /* glob on the recipient domain */
	struct str recipients; /* path of a file of addresses, one a line, "@domain" for all; empty: the next hop is asked */
	struct str *addresses; /* of that file, sorted, lower case */
	uint32_t address_count;
};

struct conf {
	struct arena arena;  /* holds all strings and arrays */
	unsigned references; /* private */

	struct str hostname; /* default: the system's name, made fully qualified as far as known */
	struct str
		postmaster; /* where double bounces go and notices come from; default postmaster@hostname */
	struct str bounce_from; /* From: header of notices, default MAILER-DAEMON@hostname */

	struct conf_listener *listeners; /* default 127.0.0.1:2525 plain trusted */
	uint32_t listener_count;
	struct network *trusted; /* default 127.0.0.0/8, ::1 */
	uint32_t trusted_count;
	struct conf_user *users;
	uint32_t user_count;
	struct str users_file; /* they come from; empty: none */
	bool auth_without_tls; /* default false (loopback listeners may always) */
	uint32_t auth_failures_max; /* wrong passwords of one address in ten minutes, 10; then 454 unheard */
	struct conf_user_rule *user_rules;
	uint32_t user_rule_count;
	struct conf_relay_domain *relay_domains;
	uint32_t relay_domain_count;
	struct network *xclient; /* who may say XCLIENT and XFORWARD; default nobody */
	uint32_t xclient_count;
	struct network *proxies; /* who may send PROXY headers to the listeners that expect them */
	uint32_t proxy_count;

	struct {                       /* limits: of the SMTP server. Times are protocol time */
		uint32_t sessions_max; /* 1000 */
		uint32_t sessions_per_client; /* 200 */
		uint32_t recipients_max;      /* 1000 a message: then 452 4.5.3 */
		uint64_t message_bytes_max;   /* 50M */
		uint32_t line_bytes_max;      /* command line, 4096 */
		uint32_t
			text_line_bytes_max; /* content line, 0: no limit (binary-ish mail passes), default 0 */
		uint32_t errors_max;                /* 20 */
		uint32_t commands_without_mail_max; /* NOOP, RSET, VRFY ... : 100 */
		uint32_t messages_per_session;      /* 0: no limit */
		int64_t hold_max_ms;                /* FUTURERELEASE, 30 d; wall time; 0: not offered */
		uint32_t hops_max;                  /* Received fields, 100 */
		uint32_t own_hops_max;              /* Received fields of ours, 5 */
		int64_t greeting_delay_ms;          /* 0 */
		int64_t idle_ms;                    /* 5 min */
		uint32_t crowded_percent; /* of sessions_max, 80: from there on the next counts */
		int64_t crowded_idle_ms;  /* 10 s; six times that within a transaction */
		int64_t session_ms;                 /* 4 h in all */
		int64_t data_total_ms;     /* 30 min plus what the size needs at data_rate_min */
		uint32_t data_rate_min;    /* octets/s over a minute, 100 */
		uint64_t spool_from_bytes; /* content above it streams to disk, 256K */
	} smtpd;

	struct {
		struct str directory;    /* /var/lib/outlast */
		uint64_t min_free_bytes; /* 452 below it, 256M */
		uint64_t
			reserve_bytes; /* kept for deliveries when the disk is full, 40M: more than wal_pages of 4 KiB */
		uint64_t journal_bytes; /* size of the journal before the tables, 64M; 0: none */
		int64_t history_ms;     /* 7 d */
		uint32_t wal_pages; /* checkpoint beyond, 8000 */
		uint8_t node;       /* 0..255, part of every id */
	} queue;

	struct str *canaries; /* domains that tell whether we are offline; empty: none */
	uint32_t canary_count;
	uint32_t mailboxes_max; /* remembered as known good, 1000000; at the next start */

	struct conf_policy policy;
	struct conf_destination *destinations;
	uint32_t destination_count;
	struct conf_site *sites;
	uint32_t site_count;
	struct conf_route *routes;
	uint32_t route_count;
	struct conf_class *classes;
	uint32_t class_count;
	struct header_watch *header_watches; /* of classes[i]; NULL when none has a header */
	uint32_t header_watch_count;         /* class_count, or 0 */

	struct {
		int64_t delay_repeat_ms;     /* told again after, 24 h */
		uint32_t digests_per_minute; /* delay notices and digests of all senders, 600 */
		uint32_t failures_per_hour;  /* notices of failure to one sender; more are summed up, 100; 0: no limit */
		struct str operators;        /* hears of outages and storms; empty: nobody */
	} notify;

	struct {
		uint32_t connections_max;                 /* to all destinations, 500 */
		uint32_t probes_max;                      /* 64 */
		uint16_t port;                            /* 25; tests use another */
		struct endpoint source_ipv4, source_ipv6; /* FAMILY_NONE: the system chooses */
		bool prefer_ipv4;
		int64_t connect_ms;    /* real protocol times of RFC 5321 4.5.3.2: 30 s */
		int64_t greeting_ms;   /* 5 min */
		int64_t helo_ms;       /* 5 min */
		int64_t mail_ms;       /* 5 min */
		int64_t rcpt_ms;       /* 5 min */
		int64_t data_init_ms;  /* 2 min */
		int64_t data_block_ms; /* 3 min */
		int64_t data_done_ms;  /* 10 min */
		int64_t rset_ms;       /* 20 s */
		int64_t quit_ms;       /* 5 s */
		int64_t tls_ms;        /* 30 s */
		int64_t session_ms;    /* 4 h cap */
		uint32_t hosts_max;    /* addresses tried per attempt, 10 */
	} client;

	struct {
		struct endpoint *servers; /* empty: /etc/resolv.conf */
		uint32_t server_count;
		int64_t timeout_ms;             /* 2000, protocol time */
		uint32_t tries;                 /* 2 */
		uint32_t cache_entries;         /* 20000 */
		int64_t ttl_min_ms, ttl_max_ms; /* 30 s, 1 h; wall time */
		bool has_trusted_ad; /* the AD bit of servers that are not on this host counts too; default no */
		int64_t stale_max_ms; /* the last routing that worked stands in for DNS so long; 7 d; 0: never */
		struct network *allow; /* dns.allow-addresses: exceptions to the refused ranges */
		uint32_t allow_count;
	} dns;

	struct {
		struct str certificate, key; /* files; empty: no STARTTLS on our side */
		struct str client_authorities; /* PEM file: clients are asked for a certificate of these; a good one logs in
		                                * as its common name. Empty: none is asked for */
		struct str authorities; /* PEM file for verify and MTA-STS; empty: those of the system */
	} tls;

	struct {                         /* tls-report: RFC 8460 */
		bool is_on;              /* default no */
		struct str organization; /* default: hostname */
		struct str contact;      /* mailbox; default: postmaster */
	} tls_report;

	struct str fetch_helper; /* program that fetches policies by HTTPS; default PREFIX/libexec/outlast/outlast-fetch */

	struct {
		enum log_level level; /* info */
		bool is_json;
		struct str target; /* "stderr", "syslog", or a file */
		struct str tag;    /* "outlast" */
	} log;

	struct {
		struct str socket;      /* /run/outlast/control.sock */
		struct str admin_group; /* outlast-admin; empty: root and our own uid only */
		uint32_t sessions_max;  /* 32 */
	} control;

	struct str user; /* run as, when started as root; empty: stay */
};

/*
 * conf_load - reads file and its includes. On error *out is NULL and message holds "file:line:column: what, and a
 * suggestion" for each problem found, one a line (at most 20). Errors: ERR_SYNTAX (bad content), ERR_NOT_FOUND,
 * ERR_PERMISSION, ERR_IO.
 */
MUST_USE enum err conf_load(const char *file, struct conf **out, struct buf *message);
/* conf_default - an empty configuration. Tests may change fields of it before they hand it on. */
struct conf *conf_default(void);
struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf *conf);

/* conf_policy_for - the policy of a recipient domain at a site (its name: host names joined by '+', or empty): first matching destination, in file
 * order, else the global one. */
const struct conf_policy *conf_policy_for(
	const struct conf *conf, struct str domain, struct str site);
/* conf_route_for - the first matching route, NULL: by MX. */
const struct conf_route *conf_route_for(
	const struct conf *conf, struct str domain, struct str reverse_path);
/* conf_route_named - NULL when the configuration has none. */
const struct conf_route *conf_route_named(const struct conf *conf, struct str name);
/* conf_route_site - the site of a route that is not by MX: "[host]:port", "lmtp:[host]:port" or "lmtp:unix:/path". */
struct str conf_route_site(const struct conf_route *route, struct arena *arena);
/* conf_relay_domain_for - the first whose pattern matches, NULL: mail for that domain is not taken from everybody. */
const struct conf_relay_domain *conf_relay_domain_for(const struct conf *conf, struct str domain);
/* conf_relay_domain_lists - the address, or all of its domain, is in the file of item. */
bool conf_relay_domain_lists(
	const struct conf_relay_domain *item, struct str local, struct str domain);
bool conf_is_trusted(const struct conf *conf, const struct endpoint *client);

/* conf_print - the configuration in effect as YAML, secrets left out; what `outlast config show` prints. */
void conf_print(struct buf *out, const struct conf *conf);

#endif
