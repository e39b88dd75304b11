/*
 * proxy - PROXY protocol headers, versions 1 and 2. Pure; never reads past what it was given.
 *
 * Which version it is, the first octets say; both are longer than START_BYTES. Extensions of version 2 are skipped: the
 * length says where they end.
 */
#include "mail/proxy.h"

#include <string.h>

#define START_BYTES 12
#define V2_HEAD_BYTES 16
#define V1_BYTES_MAX 107
#define V2_UNIX_BYTES 216

static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_start[] = "PROXY ";

static bool starts_like(struct str octets, const char *start, size_t len)
{
	return memcmp(octets.data, start, octets.len < len ? octets.len : len) == 0;
}

static void read_v2_address(struct endpoint *out, const char *ip, size_t len, const char *port)
{
	const unsigned char *p = (const unsigned char *)port;

	*out = (struct endpoint){ .family = len == 4 ? FAMILY_IPV4 : FAMILY_IPV6 };
	memcpy(out->ip, ip, len);
	out->port = (uint16_t)(p[0] << 8 | p[1]);
	endpoint_unmap(out);
}

/* Source, destination, source port, destination port. */
static enum err read_v2_addresses(struct str block, size_t len, struct proxy_header *out)
{
	if (block.len < 2 * len + 4)
		return ERR_SYNTAX;
	out->origin = PROXY_CLIENT;
	read_v2_address(&out->client, block.data, len, block.data + 2 * len);
	read_v2_address(&out->local, block.data + len, len, block.data + 2 * len + 2);
	return OK;
}

/* Family and transport; what is no stream has no business here. */
static enum err read_v2_block(unsigned kind, struct str block, struct proxy_header *out)
{
	switch (kind) {
	case 0x00: /* UNSPEC */
		out->origin = PROXY_UNKNOWN;
		return OK;
	case 0x11: /* TCP over IPv4 */
		return read_v2_addresses(block, 4, out);
	case 0x21: /* TCP over IPv6 */
		return read_v2_addresses(block, 16, out);
	case 0x31: /* UNIX stream */
		out->origin = PROXY_UNKNOWN;
		return block.len < V2_UNIX_BYTES ? ERR_SYNTAX : OK;
	default:
		return ERR_SYNTAX;
	}
}

static enum err parse_v2(struct str octets, struct proxy_header *out, size_t *wanted)
{
	const unsigned char *p = (const unsigned char *)octets.data;

	*wanted = V2_HEAD_BYTES - octets.len;
	if (octets.len < V2_HEAD_BYTES)
		return OK;
	if (p[12] != 0x20 && p[12] != 0x21) /* version 2; LOCAL, PROXY */
		return ERR_SYNTAX;
	size_t len = V2_HEAD_BYTES + ((size_t)p[14] << 8 | p[15]);
	if (len > PROXY_BYTES_MAX)
		return ERR_LIMIT;
	if (octets.len > len)
		return ERR_SYNTAX; /* the reader took what it was not asked to */
	*wanted = len - octets.len;
	if (*wanted > 0)
		return OK;
	if (p[12] == 0x20) {
		out->origin = PROXY_ITSELF; /* whatever the rest says */
		return OK;
	}
	return read_v2_block(p[13], str_slice(octets, V2_HEAD_BYTES, len), out);
}

static bool read_v1_address(
	struct endpoint *out, enum address_family family, struct str ip, struct str port)
{
	uint64_t number;

	if (endpoint_parse_ip(out, ip) != OK || out->family != family)
		return false;
	if (port.len == 0 || port.len > 5 || str_to_u64(port, &number) != OK || number > UINT16_MAX)
		return false;
	out->port = (uint16_t)number;
	endpoint_unmap(out);
	return true;
}

static enum err read_v1_line(struct str line, struct proxy_header *out)
{
	struct str family = str_cut(&line, ' ');
	struct str client = str_cut(&line, ' '), local = str_cut(&line, ' ');
	struct str client_port = str_cut(&line, ' ');
	enum address_family expected = FAMILY_IPV4;

	if (str_equal(family, STR("UNKNOWN"))) {
		out->origin = PROXY_UNKNOWN;
		return OK;
	}
	if (str_equal(family, STR("TCP6")))
		expected = FAMILY_IPV6;
	else if (!str_equal(family, STR("TCP4")))
		return ERR_SYNTAX;
	if (!read_v1_address(&out->client, expected, client, client_port) ||
		!read_v1_address(&out->local, expected, local, line))
		return ERR_SYNTAX;
	out->origin = PROXY_CLIENT;
	return OK;
}

static enum err parse_v1(struct str octets, struct proxy_header *out, size_t *wanted)
{
	size_t end = str_find(octets, '\r');

	if (octets.len > V1_BYTES_MAX)
		return ERR_LIMIT;
	if (str_find(octets, '\n') < octets.len) {
		if (octets.len < 2 || end + 2 != octets.len || octets.data[end + 1] != '\n')
			return ERR_SYNTAX;
		*wanted = 0;
		return read_v1_line(str_slice(octets, sizeof(v1_start) - 1, end), out);
	}
	if (end + 1 < octets.len)
		return ERR_SYNTAX;
	*wanted = end < octets.len ? 1 : 2;
	return octets.len + *wanted > V1_BYTES_MAX ? ERR_LIMIT : OK;
}

enum err proxy_parse(struct str octets, struct proxy_header *out, size_t *wanted)
{
	*out = (struct proxy_header){ .origin = PROXY_UNKNOWN };
	*wanted = START_BYTES - octets.len;
	if (octets.len == 0)
		return OK;
	bool is_v2 = starts_like(octets, v2_start, START_BYTES);
	if (!is_v2 && !starts_like(octets, v1_start, sizeof(v1_start) - 1))
		return ERR_SYNTAX;
	if (octets.len < START_BYTES)
		return OK;
	return is_v2 ? parse_v2(octets, out, wanted) : parse_v1(octets, out, wanted);
}
