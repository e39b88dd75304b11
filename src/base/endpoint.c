/*
 * endpoint - reading, writing and classifying addresses.
 *
 * An IPv4-mapped IPv6 address is the IPv4 address in all questions asked here, since the peer
 * behind it is the same; only endpoint_equal and the formats keep them apart.
 */
#include "base/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"

bool networks_contain(const struct network *networks, size_t count, const struct endpoint *e)
{
	for (size_t i = 0; i < count; i++) {
		if (network_contains(&networks[i], e))
			return true;
	}
	return false;
}

static enum err parse_unix(struct endpoint *out, struct str path);
static enum err parse_port(struct str text, uint16_t *out);
static bool starts_mapped(const uint8_t ip[16]);
static struct endpoint plain_ip(const struct endpoint *e);
void endpoint_unmap(struct endpoint *e)
{
	*e = plain_ip(e);
}

static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits);

#define NET4(a, b, bits)                                                                           \
	{                                                                                          \
		{ FAMILY_IPV4, 0, { a, b }, { 0 } }, bits                                          \
	}
#define NET6(a, b, bits)                                                                           \
	{                                                                                          \
		{ FAMILY_IPV6, 0, { a, b }, { 0 } }, bits                                          \
	}

enum err endpoint_parse(struct endpoint *out, struct str text, uint16_t default_port)
{
	struct endpoint e = { 0 };
	uint16_t port = default_port;
	struct str address = text;
	struct str unix_prefix = STR("unix:");
	enum err err = OK;
	if (str_starts_fold(text, unix_prefix))
		return parse_unix(out, str_slice(text, unix_prefix.len, text.len));
	bool is_bracketed = text.len > 0 && text.data[0] == '[';
	if (is_bracketed) {
		size_t close = str_find(text, ']');
		if (close == text.len)
			return ERR_SYNTAX;
		address = str_slice(text, 1, close);
		struct str rest = str_slice(text, close + 1, text.len);
		if (rest.len > 0 && rest.data[0] != ':')
			return ERR_SYNTAX;
		if (rest.len > 0)
			err = parse_port(str_slice(rest, 1, rest.len), &port);
	} else {
		struct str rest = text;
		struct str before = str_cut(&rest, ':');
		bool is_single_colon = before.len < text.len && str_find(rest, ':') == rest.len;
		if (is_single_colon) {
			address = before;
			err = parse_port(rest, &port);
		}
	}
	if (err == OK)
		err = endpoint_parse_ip(&e, address);
	if (err == OK && is_bracketed && e.family != FAMILY_IPV6)
		err = ERR_SYNTAX;
	if (err != OK)
		return err;
	e.port = port;
	*out = e;
	return OK;
}

enum err endpoint_parse_ip(struct endpoint *out, struct str text)
{
	char copy[INET6_ADDRSTRLEN] = { 0 };
	struct endpoint e = { 0 };
	if (text.len == 0 || text.len >= sizeof(copy) || str_find(text, '\0') < text.len)
		return ERR_SYNTAX;
	memcpy(copy, text.data, text.len);
	if (inet_pton(AF_INET, copy, e.ip) == 1)
		e.family = FAMILY_IPV4;
	else if (inet_pton(AF_INET6, copy, e.ip) == 1)
		e.family = FAMILY_IPV6;
	else
		return ERR_SYNTAX;
	*out = e;
	return OK;
}

void endpoint_format(struct buf *out, const struct endpoint *e)
{
	switch (e->family) {
	case FAMILY_IPV4:
		endpoint_format_ip(out, e);
		buf_append_char(out, ':');
		buf_append_number(out, e->port, 1);
		return;
	case FAMILY_IPV6:
		buf_append_char(out, '[');
		endpoint_format_ip(out, e);
		buf_append_str(out, STR("]:"));
		buf_append_number(out, e->port, 1);
		return;
	case FAMILY_UNIX:
		buf_printf(out, "unix:%s", e->path);
		return;
	case FAMILY_NONE:
		break;
	}
	buf_append_str(out, STR("none"));
}

void endpoint_format_ip(struct buf *out, const struct endpoint *e)
{
	char text[INET6_ADDRSTRLEN] = "";
	switch (e->family) {
	case FAMILY_IPV4:
		for (size_t i = 0; i < 4; i++) {
			if (i > 0)
				buf_append_char(out, '.');
			buf_append_number(out, e->ip[i], 1);
		}
		return;
	case FAMILY_IPV6:
		inet_ntop(AF_INET6, e->ip, text, sizeof(text));
		buf_append_str(out, str_from_c(text));
		return;
	case FAMILY_UNIX:
	case FAMILY_NONE:
		endpoint_format(out, e);
		return;
	}
}

void endpoint_format_literal(struct buf *out, const struct endpoint *e)
{
	buf_append_str(out, e->family == FAMILY_IPV6 ? STR("[IPv6:") : STR("["));
	endpoint_format_ip(out, e);
	buf_append_char(out, ']');
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	if (a->family != b->family)
		return false;
	if (a->family == FAMILY_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b)
{
	struct endpoint x = plain_ip(a), y = plain_ip(b);
	x.port = y.port = 0;
	return endpoint_equal(&x, &y);
}

bool endpoint_is_loopback(const struct endpoint *e)
{
	static const struct network networks[] = {
		NET4(127, 0, 8),
		{ { FAMILY_IPV6, 0, { [15] = 1 }, { 0 } }, 128 },
	};
	return networks_contain(networks, ARRAY_COUNT(networks), e);
}

bool endpoint_is_unspecified(const struct endpoint *e)
{
	static const struct network networks[] = { NET4(0, 0, 8), NET6(0, 0, 128) };
	return networks_contain(networks, ARRAY_COUNT(networks), e);
}

bool endpoint_is_multicast(const struct endpoint *e)
{
	static const struct network networks[] = {
		NET4(224, 0, 4),
		NET4(240, 0, 4), /* reserved, and 255.255.255.255 */
		NET6(0xff, 0, 8),
	};
	return networks_contain(networks, ARRAY_COUNT(networks), e);
}

static bool is_in_private_network(const struct endpoint *e)
{
	static const struct network networks[] = {
		NET4(10, 0, 8),
		NET4(172, 16, 12),
		NET4(192, 168, 16),
		NET4(100, 64, 10),  /* RFC 6598 */
		NET4(169, 254, 16), /* RFC 3927 */
		NET6(0xfc, 0, 7),   /* RFC 4193 */
		NET6(0xfe, 0x80, 10),
	};
	return networks_contain(networks, ARRAY_COUNT(networks), e);
}

/* The IPv4 address that a translator (RFC 6052) or a tunnel (RFC 3056) makes of it. */
static bool is_carried(const struct endpoint *e, struct endpoint *out)
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	bool is_6to4 = e->ip[0] == 0x20 && e->ip[1] == 0x02;

	if (e->family != FAMILY_IPV6 || (!is_6to4 && memcmp(e->ip, nat64, sizeof(nat64)) != 0))
		return false;
	*out = (struct endpoint){ .family = FAMILY_IPV4, .port = e->port };
	memcpy(out->ip, is_6to4 ? e->ip + 2 : e->ip + 12, 4);
	return true;
}

bool endpoint_is_private(const struct endpoint *e)
{
	struct endpoint carried;

	if (is_carried(e, &carried))
		return is_in_private_network(&carried) || endpoint_is_loopback(&carried) ||
		       endpoint_is_unspecified(&carried) || endpoint_is_multicast(&carried);
	return is_in_private_network(e);
}

enum err network_parse(struct network *out, struct str text)
{
	size_t slash = str_find(text, '/');
	struct str address = str_slice(text, 0, slash);
	bool is_bracketed = address.len >= 2 && address.data[0] == '[';
	if (is_bracketed) {
		if (address.data[address.len - 1] != ']')
			return ERR_SYNTAX;
		address = str_slice(address, 1, address.len - 1);
	}
	struct network n = { 0 };
	enum err err = endpoint_parse_ip(&n.base, address);
	if (err != OK || (is_bracketed && n.base.family != FAMILY_IPV6))
		return ERR_SYNTAX;
	unsigned bits_max = n.base.family == FAMILY_IPV4 ? 32 : 128;
	uint64_t bits = bits_max;
	if (slash < text.len &&
		(str_to_u64(str_slice(text, slash + 1, text.len), &bits) != OK || bits > bits_max))
		return ERR_SYNTAX;
	if (bits >= 96 && starts_mapped(n.base.ip) && n.base.family == FAMILY_IPV6) {
		n.base = plain_ip(&n.base);
		bits -= 96;
	}
	n.prefix_bits = (unsigned)bits;
	*out = n;
	return OK;
}

bool network_contains(const struct network *n, const struct endpoint *e)
{
	struct endpoint plain = plain_ip(e);
	if (plain.family != FAMILY_IPV4 && plain.family != FAMILY_IPV6)
		return false;
	return plain.family == n->base.family && has_prefix(plain.ip, n->base.ip, n->prefix_bits);
}

static enum err parse_unix(struct endpoint *out, struct str path)
{
	struct endpoint e = { .family = FAMILY_UNIX };
	if (path.len == 0 || path.data[0] != '/' || str_find(path, '\0') < path.len)
		return ERR_SYNTAX;
	if (path.len >= sizeof(e.path))
		return ERR_LIMIT;
	memcpy(e.path, path.data, path.len);
	*out = e;
	return OK;
}

static enum err parse_port(struct str text, uint16_t *out)
{
	uint64_t port = 0;
	if (str_to_u64(text, &port) != OK || port > UINT16_MAX)
		return ERR_SYNTAX;
	*out = (uint16_t)port;
	return OK;
}

static bool starts_mapped(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

static struct endpoint plain_ip(const struct endpoint *e)
{
	struct endpoint plain = *e;
	if (e->family == FAMILY_IPV6 && starts_mapped(e->ip)) {
		plain.family = FAMILY_IPV4;
		memset(plain.ip, 0, sizeof(plain.ip));
		memcpy(plain.ip, e->ip + 12, 4);
	}
	return plain;
}

static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
	unsigned octets = bits / 8;
	if (octets > 0 && memcmp(ip, prefix, octets) != 0)
		return false;
	unsigned rest = bits % 8;
	return rest == 0 || (ip[octets] ^ prefix[octets]) >> (8 - rest) == 0;
}
