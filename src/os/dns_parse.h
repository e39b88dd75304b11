/* dns_parse - queries written and replies read, octet by octet: pure functions, no I/O, bounded
 * work. */
#ifndef OS_DNS_PARSE_H
#define OS_DNS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "port/dns.h"

#define DNS_QUERY_MAX 300
#define DNS_CNAME_MAX 10
#define DNS_NAME_MAX 255 /* of text; longer names do not exist */

/* dns_write_query - one question, RD and AD set, EDNS 1232 octets if has_edns. Returns its length;
 * 0: ill-formed name. */
size_t dns_write_query(uint8_t out[DNS_QUERY_MAX], uint16_t id, struct str name, enum dns_type type,
	bool has_edns);

enum dns_reading {
	DNS_READ_ANSWER,    /* answer is final */
	DNS_READ_TRY_OTHER, /* nothing to rely on: answer->problem says why */
	DNS_READ_TRY_PLAIN, /* the server does not know EDNS: ask without */
	DNS_READ_FOLLOW     /* a CNAME whose target the reply does not tell: ask for *target */
};

/*
 * dns_read_reply - judges a reply to (id, name, type). The zeroed *answer is filled in, its strings
 * and records are in its arena; with DNS_READ_FOLLOW *target is there too. *cname_count counts the
 * aliases followed, across replies.
 */
enum dns_reading dns_read_reply(struct str reply, uint16_t id, struct str name, enum dns_type type,
	struct dns_answer *answer, unsigned *cname_count, struct str *target);

#endif
