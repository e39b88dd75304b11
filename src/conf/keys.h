/*
 * keys - every key of the configuration file, declared once: where it lands, what it may be, its
 * default and one line about it. Loading, range checks, suggestions, defaults and printing all walk
 * these tables.
 */
#ifndef SRC_CONF_KEYS_H
#define SRC_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "conf/conf.h"

enum key_kind {
	KEY_BOOL,
	KEY_COUNT,    /* unsigned of 1, 2 or 4 octets */
	KEY_PERCENT,  /* uint32_t */
	KEY_BYTES,    /* uint64_t */
	KEY_DURATION, /* int64_t, ms */
	KEY_CHOICE,   /* index in choices: an enum, or a bool for two of them */
	KEY_TEXT,     /* one word, may be empty */
	KEY_HOST,     /* host name, normalized */
	KEY_MAILBOX,
	KEY_PATH,       /* relative to the file it stands in; may be empty */
	KEY_SOCKET,     /* KEY_PATH short enough for a UNIX socket, never empty */
	KEY_LOG_TARGET, /* stderr, syslog or a path */
	KEY_PATTERN,    /* glob, lower case */
	KEY_MATCH,      /* of a destination: glob, or mx:glob */
	KEY_IPV4,
	KEY_IPV6,
	KEY_LISTEN, /* address and port, or unix:path */
	KEY_VIA,    /* of a route */
	KEY_USERS,  /* file of name:hash lines */
	KEY_SECRET, /* file with one user:password line */
	KEY_RECIPIENTS, /* file of addresses, of a relay-domain */
	/* of a class */
	KEY_PRIORITY, /* int32_t, -9..9 */
	KEY_HEADER,   /* "Name: glob" */
	KEY_NOTIFY,   /* never, or some of success, failure, delay */
	/* lists of words */
	KEY_NETWORKS,
	KEY_SERVERS,
	KEY_DOMAINS,
	KEY_PATTERNS, /* globs, lower case */
	KEY_SCHEDULE,
	/* list of mappings */
	KEY_ITEMS
};

struct key_items;

struct key {
	const char *section; /* NULL: top level */
	const char *name;
	enum key_kind kind;
	size_t offset, size; /* in struct conf, or in the item */
	size_t count_offset; /* lists: the uint32_t beside */
	int64_t min,
		max; /* of the value; lists: most items is max (min for each step of a schedule) */
	const char *initial;        /* default as it would be written; NULL: none */
	const char *const *choices; /* KEY_CHOICE, ended by NULL */
	const struct key_items *items;
	const char *in_destination; /* its name there, when it is a setting of the policy */
	size_t has_offset;          /* items: a bool that says the key was given; 0: none */
	bool is_required;           /* in items */
	const char *doc;
};

struct key_items {
	const char *what; /* "listener" */
	const struct key *keys;
	size_t key_count;
	size_t size;
	bool has_shorthand; /* a bare word stands for the first key */
	bool has_policy;    /* settings of the policy may follow */
};

extern const char *const keys_tls_policies[];
extern const struct key_items listener_items, user_rule_items, relay_domain_items, destination_items, site_items,
	route_items, class_items;
extern const struct key conf_keys[];
extern const size_t conf_key_count;

/* keys_find - the key of a section (NULL or "": top level), NULL when there is none. */
const struct key *keys_find(const char *section, struct str name);
/* keys_section - the section's name as the table spells it, NULL when there is none. */
const char *keys_section(struct str name);
/*
 * keys_item - the key of an item by name; *out is a copy whose offset counts from the item. The
 * result numbers the keys of items from 0 to KEYS_ITEM_MAX - 1; -1: no such key.
 */
#define KEYS_ITEM_MAX 256
int keys_item(const struct key_items *items, struct str name, struct key *out);
/* keys_item_at - the same by number; false past the last and for numbers without a key. */
bool keys_item_at(const struct key_items *items, size_t number, struct key *out);
#define KEYS_MAX 200 /* no less than conf_key_count */
/* keys_in_destination - key, a setting of the policy, as a key of struct conf_destination. */
struct key keys_in_destination(const struct key *key);

#endif
