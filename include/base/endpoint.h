/*
 * endpoint - an IP address and port, or a UNIX socket path; and networks in CIDR form.
 */
#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum address_family { FAMILY_NONE = 0, FAMILY_IPV4 = 4, FAMILY_IPV6 = 6, FAMILY_UNIX = 1 };

struct endpoint {
	enum address_family family;
	uint16_t port;  /* host order */
	uint8_t ip[16]; /* network order; IPv4 uses the first 4, the rest is 0 */
	char path[104]; /* FAMILY_UNIX: terminated; longer paths are refused */
};

struct network {
	struct endpoint base; /* port unused */
	unsigned prefix_bits;
};

/* endpoint_parse - "127.0.0.1:25", "[::1]:25", "127.0.0.1" and "::1" (default_port), "unix:/path". Errors: ERR_SYNTAX, ERR_LIMIT (path). */
MUST_USE enum err endpoint_parse(struct endpoint *out, struct str text, uint16_t default_port);
/* endpoint_parse_ip - an address alone, no port, no brackets. */
MUST_USE enum err endpoint_parse_ip(struct endpoint *out, struct str text);
void endpoint_format(
	struct buf *out, const struct endpoint *e); /* "127.0.0.1:25", "[::1]:25", "unix:/path" */
void endpoint_format_ip(struct buf *out, const struct endpoint *e); /* "127.0.0.1", "::1" */
/* endpoint_format_literal - RFC 5321 4.1.3: "[127.0.0.1]", "[IPv6:::1]". */
void endpoint_format_literal(struct buf *out, const struct endpoint *e);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b); /* address and port */
bool endpoint_same_ip(
	const struct endpoint *a, const struct endpoint *b); /* IPv4-mapped IPv6 equals IPv4 */
bool endpoint_is_loopback(const struct endpoint *e);
bool endpoint_is_unspecified(const struct endpoint *e); /* 0.0.0.0/8 and :: */
bool endpoint_is_multicast(
	const struct endpoint *e); /* 224.0.0.0/4, ff00::/8, and 240.0.0.0/4, 255.255.255.255 */
bool endpoint_is_private(
	const struct endpoint *e); /* RFC 1918, 100.64/10, 169.254/16, fc00::/7, fe80::/10; 64:ff9b::/96 (RFC 6052)
	                            * and 2002::/16 (RFC 3056) before an IPv4 address that is not public */

/* endpoint_unmap - an IPv4-mapped IPv6 address becomes the IPv4 address. */
void endpoint_unmap(struct endpoint *e);

/* network_parse - "10.0.0.0/8", "::1/128", "127.0.0.1" (a host), "[2001:db8::]/32". Errors: ERR_SYNTAX. */
MUST_USE enum err network_parse(struct network *out, struct str text);
bool network_contains(const struct network *n, const struct endpoint *e);
bool networks_contain(const struct network *networks, size_t count, const struct endpoint *e); /* one of them does */

#endif
