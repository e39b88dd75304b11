#include "unit/os/fixture_dns.h"

#include <string.h>

void message_octets(struct message *m, const void *data, size_t len)
{
	if (len > MESSAGE_MAX - m->len)
		len = MESSAGE_MAX - m->len;
	memcpy(m->data + m->len, data, len);
	m->len += len;
}

void message_u16(struct message *m, unsigned value)
{
	const uint8_t octets[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	message_octets(m, octets, 2);
}

void message_name(struct message *m, const char *name)
{
	while (*name) {
		uint8_t len = (uint8_t)strcspn(name, ".");
		message_octets(m, &len, 1);
		message_octets(m, name, len);
		name += len;
		name += *name == '.';
	}
	message_octets(m, "", 1);
}

void message_begin(struct message *m, uint16_t id, unsigned flags, const char *name, unsigned type)
{
	m->len = 0;
	message_u16(m, id);
	message_u16(m, flags);
	message_u16(m, 1);
	for (int i = 0; i < 3; i++)
		message_u16(m, 0);
	message_name(m, name);
	message_u16(m, type);
	message_u16(m, 1);
}

static void record_head(
	struct message *m, enum section s, const char *owner, unsigned type, uint32_t ttl_s)
{
	unsigned count = (unsigned)m->data[s] << 8 | m->data[s + 1];

	count++;
	m->data[s] = (uint8_t)(count >> 8);
	m->data[s + 1] = (uint8_t)count;
	message_name(m, owner);
	message_u16(m, type);
	message_u16(m, 1);
	message_u16(m, ttl_s >> 16);
	message_u16(m, ttl_s & 0xffff);
	message_u16(m, 0);
}

void message_record(struct message *m, enum section s, const char *owner, unsigned type,
	uint32_t ttl_s, const struct message *data)
{
	record_head(m, s, owner, type, ttl_s);
	m->data[m->len - 2] = (uint8_t)(data->len >> 8);
	m->data[m->len - 1] = (uint8_t)data->len;
	message_octets(m, data->data, data->len);
}

void message_soa(struct message *m, const char *zone, uint32_t ttl_s, uint32_t minimum_s)
{
	struct message data = { .len = 0 };

	message_name(&data, "ns");
	message_name(&data, "hostmaster");
	for (int i = 0; i < 8; i++)
		message_u16(&data, 0);
	message_u16(&data, minimum_s >> 16);
	message_u16(&data, minimum_s & 0xffff);
	message_record(m, AUTHORITY, zone, T_SOA, ttl_s, &data);
}

void message_cname(struct message *m, const char *owner, const char *target)
{
	struct message data = { .len = 0 };

	message_name(&data, target);
	message_record(m, ANSWER, owner, T_CNAME, 300, &data);
}

void message_mx(struct message *m, const char *owner, unsigned preference, const char *host)
{
	struct message data = { .len = 0 };

	message_u16(&data, preference);
	message_name(&data, host);
	message_record(m, ANSWER, owner, T_MX, 600, &data);
}

void message_data(
	struct message *m, const char *owner, unsigned type, const void *octets, size_t len)
{
	struct message data = { .len = 0 };

	message_octets(&data, octets, len);
	message_record(m, ANSWER, owner, type, 60, &data);
}

void message_a(struct message *m, const char *owner, const char *octets4)
{
	struct message data = { .len = 0 };

	message_octets(&data, octets4, 4);
	message_record(m, ANSWER, owner, T_A, 60, &data);
}

struct str message_str(const struct message *m)
{
	return str_of((const char *)m->data, m->len);
}
