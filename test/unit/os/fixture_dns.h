/* fixture_dns - DNS replies written by hand. */
#ifndef FIXTURE_DNS_H
#define FIXTURE_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define MESSAGE_MAX 65535

struct message {
	uint8_t data[MESSAGE_MAX];
	size_t len;
};

enum section { ANSWER = 6, AUTHORITY = 8, ADDITIONAL = 10 };
enum {
	REPLY = 0x8180,
	TRUNCATED = 0x0200,
	AUTHENTIC = 0x0020,
	FORMERR = 1,
	SERVFAIL = 2,
	NXDOMAIN = 3,
	REFUSED = 5
};
enum { T_A = 1, T_NS = 2, T_CNAME = 5, T_SOA = 6, T_MX = 15, T_TXT = 16, T_AAAA = 28, T_OPT = 41, T_TLSA = 52 };

void message_begin(struct message *m, uint16_t id, unsigned flags, const char *name, unsigned type);
void message_u16(struct message *m, unsigned value);
void message_octets(struct message *m, const void *data, size_t len);
void message_name(struct message *m, const char *name); /* dotted; "" is the root */
/* message_record - class IN, counted in its section. */
void message_record(struct message *m, enum section s, const char *owner, unsigned type,
	uint32_t ttl_s, const struct message *data);
void message_soa(struct message *m, const char *zone, uint32_t ttl_s, uint32_t minimum_s);
void message_cname(struct message *m, const char *owner, const char *target);
void message_mx(struct message *m, const char *owner, unsigned preference, const char *host);
/* message_data - one record of any type in the answer. */
void message_data(struct message *m, const char *owner, unsigned type, const void *data, size_t len);
void message_a(struct message *m, const char *owner, const char *octets4);
struct str message_str(const struct message *m);

#endif
