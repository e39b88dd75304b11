/*
 * sim_peer - scripted SMTP destinations: a site has hosts, a host answers as the script says and keeps the ledger.
 *
 * A peer is strict: a command out of order, a bare CR or LF, mail for a domain that is not the site's or a body that was
 * changed is a violation. Rules act at a stage, by address and by chance; they are looked at in the order they were given.
 */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include "base/map.h"
#include "sim/sim_dns.h"
#include "sim/sim_ledger.h"
#include "sim/sim_net.h"
#include "sim/sim_recovery.h"

#define SITE_HOSTS_MAX 8
#define SITE_RULES_MAX 16

enum sim_stage { AT_CONNECT, AT_EHLO, AT_MAIL, AT_RCPT, AT_DATA, AT_DOT, AT_QUIT, SIM_STAGE_COUNT };
enum sim_action {
	ACT_REPLY,
	ACT_CLOSE,
	ACT_RESET,
	ACT_HANG,
	ACT_LOSE /* at the dot: take the message, then close without a reply */
};

struct sim_rule {
	enum sim_stage stage;
	enum sim_action action;
	unsigned code;
	unsigned percent;
	uint32_t times; /* it acts so often; 0: for ever */
	bool is_false;  /* a 5xx that is not true: no cause to return mail */
	char glob[64];  /* on the address: at MAIL and RCPT */
	char text[96];
};

struct sim_host {
	char name[64];
	struct endpoint at;
	enum sim_reach reach;
};

struct sim_site {
	char name[32];
	int index;
	struct sim_host hosts[SITE_HOSTS_MAX];
	uint32_t host_count;
	struct sim_rule rules[SITE_RULES_MAX];
	uint32_t rule_count;
	struct sim_line line;
	int64_t think_ms;         /* before each reply */
	uint32_t connections_max; /* more hear 421; 0: any */
	uint32_t rate_per_min;    /* more messages hear 421 at MAIL; 0: any */
	uint32_t rcpt_max;        /* more hear 452 4.5.3; 0: any */
	bool has_no_dsn;          /* its hosts do not offer DSN */
	int64_t greylist_ms; /* 450 until so long after the first attempt of a sender and recipient; 0: no */
	bool takes_all; /* a smarthost */
	bool is_plain;  /* one of many: no figures of its own */
	struct sim_recovery recovery; /* its capacity, and how it was used */
	struct map grey;
	int64_t minute; /* that rate_count belongs to */
	uint32_t rate_count;
	uint32_t open_count;
	int64_t up_ms;        /* when the script last said up; -1: never */
	int64_t recovered_ms; /* first acceptance after it; -1: none yet */
	int64_t last_ms;      /* last acceptance */
	uint64_t connects, taken,
		refusals; /* attempts to connect, recipients taken, 4xx and 5xx said */
	uint32_t open_max;
	int64_t failed_ms; /* when it last refused anything */
};

struct sim_peers {
	struct sim_clock *clock;
	struct sim_net *net;
	struct sim_ledger *ledger;
	struct sim_dns *dns;
	struct sim_site **sites;
	uint32_t site_count;
	struct map domains; /* to sites */
	struct list sessions;
};

void sim_peers_init(struct sim_peers *p, struct sim_clock *clock, struct sim_net *net,
	struct sim_ledger *ledger, struct sim_dns *dns);
void sim_peers_fini(struct sim_peers *p);
void sim_sites_fini(struct sim_peers *p); /* of sim_peers_fini */
struct sim_site *sim_site_new(struct sim_peers *p, const char *name, uint32_t host_count);
struct sim_site *sim_site_find(struct sim_peers *p, struct str name);
struct sim_site *sim_site_of(struct sim_peers *p, struct str domain); /* NULL: nobody's */
/* sim_site_is_grey - it is too early for this sender and recipient; the first time begins their wait. */
bool sim_site_is_grey(struct sim_site *s, const char *from, struct str address, int64_t now_ms);
/* sim_site_add_domain - mail of the domain goes to the site: MX records to its hosts, in order of preference. */
void sim_site_add_domain(struct sim_peers *p, struct sim_site *s, struct str domain);

/* sim_site_move_domain - to another site, with its MX records. False: there is no such domain. */
bool sim_site_move_domain(struct sim_peers *p, struct sim_site *s, struct str domain);

#endif
