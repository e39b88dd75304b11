/*
 * dns_parse - what a DNS message says, and whether it may be believed.
 *
 * A reply counts when id and question are those of the query, it is complete, and its rcode is
 * NOERROR or NXDOMAIN; a negative one only with an SOA record of the name's own zone or one above
 * it. Only records of the answer section whose owner is the name asked for, or what CNAMEs there
 * make of it, are looked at: others are none of this question's business. Everything else is "try
 * another server", and in the end a temporary problem.
 */
#include "dns_parse.h"

#include <string.h>

#include "base/check.h"
#include "mail/domain.h"

enum {
	HEADER_BYTES = 12,
	LABEL_MAX = 63,
	WIRE_NAME_MAX = 255,
	TLSA_BYTES_MIN = 4, /* usage, selector, matching type and some octet */
	POINTER_MAX = 128,  /* of a name: it has no more labels than that */
	EDNS_PAYLOAD_BYTES = 1232,
	CLASS_IN = 1,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_OPT = 41,
	/* the second and third octet pairs of the header */
	FLAG_QR = 0x8000,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_AD = 0x0020,
	OPCODE_MASK = 0x7800,
	RCODE_MASK = 0x000f
};

enum rcode {
	RCODE_NOERROR,
	RCODE_FORMERR,
	RCODE_SERVFAIL,
	RCODE_NXDOMAIN,
	RCODE_NOTIMP,
	RCODE_REFUSED
};

/* A domain name as lower-case text, without the final dot; "" is the root. */
struct name {
	char text[DNS_NAME_MAX + 1];
	size_t len;
};

struct reader {
	const uint8_t *data;
	size_t len;
	size_t at;
	bool is_bad; /* stays set: check once after several reads */
};

struct record {
	struct name owner;
	unsigned type, class;
	uint32_t ttl_s;
	size_t data_at, data_len;
};

struct header {
	unsigned id, flags, question_count, answer_count, authority_count, additional_count;
};

/* What the reader of one reply gathers. */
struct gathering {
	struct reader reader;
	struct header header;
	struct name current; /* the name asked for, then its CNAMEs' targets */
	unsigned type;
	unsigned rcode;
	size_t answers_at, authority_at;
	bool has_soa;
	struct dns_answer *answer;
};

static unsigned read_u16(struct reader *r)
{
	if (r->is_bad || r->len - r->at < 2) {
		r->is_bad = true;
		return 0;
	}
	unsigned value = (unsigned)r->data[r->at] << 8 | r->data[r->at + 1];
	r->at += 2;
	return value;
}

static uint32_t read_u32(struct reader *r)
{
	uint32_t high = read_u16(r);

	return high << 16 | read_u16(r);
}

/* RFC 2181 section 8: a TTL with the top bit set is 0. */
static uint32_t read_ttl(struct reader *r)
{
	uint32_t ttl_s = read_u32(r);

	return ttl_s > INT32_MAX ? 0 : ttl_s;
}

static void append_label(struct name *name, const uint8_t *label, size_t len)
{
	if (name->len > 0)
		name->text[name->len++] = '.';
	for (size_t i = 0; i < len; i++) {
		char c = (char)label[i];
		/* A dot inside a label must not look like two labels: no name of ours has 0xff. */
		if (c == '.' || c == '\0')
			c = (char)0xff;
		else if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		name->text[name->len++] = c;
	}
}

/* Pointers must go backwards, each before the last: no loops (RFC 1035 section 4.1.4, "a prior
 * occurrence"). */
static void read_name(struct reader *r, struct name *name)
{
	size_t at = r->at, wire_len = 1;
	size_t lowest = at;
	unsigned jumps = 0;

	name->len = 0;
	while (!r->is_bad && at < r->len) {
		unsigned len = r->data[at];
		if (len == 0) {
			if (jumps == 0)
				r->at = at + 1;
			return;
		}
		if (len >= 0xc0 && at + 1 < r->len) {
			size_t to = (size_t)(len & 0x3f) << 8 | r->data[at + 1];
			if (jumps == 0)
				r->at = at + 2;
			if (to >= lowest || ++jumps > POINTER_MAX)
				break;
			at = lowest = to;
			continue;
		}
		wire_len += len + 1;
		if (len > LABEL_MAX || wire_len > WIRE_NAME_MAX || r->len - at - 1 < len)
			break;
		append_label(name, r->data + at + 1, len);
		at += len + 1;
	}
	r->is_bad = true;
}

static void read_record(struct reader *r, struct record *out)
{
	read_name(r, &out->owner);
	out->type = read_u16(r);
	out->class = read_u16(r);
	out->ttl_s = read_ttl(r);
	out->data_len = read_u16(r);
	out->data_at = r->at;
	if (r->is_bad || r->len - r->at < out->data_len)
		r->is_bad = true;
	else
		r->at += out->data_len;
}

/* A name that fills the rest of a record's data, after skipped octets of it. */
static bool read_data_name(
	const struct gathering *g, const struct record *record, size_t skipped, struct name *out)
{
	struct reader r = g->reader;

	r.at = record->data_at + skipped;
	r.len = record->data_at + record->data_len;
	if (record->data_len <= skipped)
		return false;
	read_name(&r, out);
	return !r.is_bad && r.at == r.len;
}

static struct str name_str(const struct name *name)
{
	return str_of(name->text, name->len);
}

static bool set_name(struct name *name, struct str text)
{
	if (text.len > DNS_NAME_MAX)
		return false;
	memcpy(name->text, text.data, text.len);
	name->len = text.len;
	return true;
}

static void put_u16(uint8_t *out, size_t *at, unsigned value)
{
	out[(*at)++] = (uint8_t)(value >> 8);
	out[(*at)++] = (uint8_t)value;
}

static bool put_name(uint8_t *out, size_t *at, struct str name)
{
	if (name.len == 0 || name.len > DOMAIN_LEN_MAX)
		return false;
	while (name.len > 0) {
		bool has_more = str_find(name, '.') < name.len;
		struct str label = str_cut(&name, '.');
		if (label.len == 0 || label.len > LABEL_MAX || (has_more && name.len == 0))
			return false;
		out[(*at)++] = (uint8_t)label.len;
		memcpy(out + *at, label.data, label.len);
		*at += label.len;
	}
	out[(*at)++] = 0;
	return true;
}

size_t dns_write_query(
	uint8_t out[DNS_QUERY_MAX], uint16_t id, struct str name, enum dns_type type, bool has_edns)
{
	size_t at = 0;

	put_u16(out, &at, id);
	put_u16(out, &at,
		FLAG_RD | FLAG_AD); /* AD in a query: please tell (RFC 6840 section 5.7) */
	put_u16(out, &at, 1);
	put_u16(out, &at, 0);
	put_u16(out, &at, 0);
	put_u16(out, &at, has_edns ? 1 : 0);
	if (!put_name(out, &at, name))
		return 0;
	put_u16(out, &at, type);
	put_u16(out, &at, CLASS_IN);
	if (has_edns) {
		out[at++] = 0; /* the root owns OPT */
		put_u16(out, &at, TYPE_OPT);
		put_u16(out, &at, EDNS_PAYLOAD_BYTES);
		put_u16(out, &at, 0);
		put_u16(out, &at, 0);
		put_u16(out, &at, 0);
	}
	CHECK(at <= DNS_QUERY_MAX);
	return at;
}

static enum dns_reading reject(struct gathering *g, const char *problem)
{
	g->answer->result = DNS_TEMPORARY;
	g->answer->problem = problem;
	g->answer->count = 0;
	g->answer->ttl_s = 0;
	return DNS_READ_TRY_OTHER;
}

static const char *rcode_problem(unsigned rcode)
{
	switch (rcode) {
	case RCODE_FORMERR:
		return "FORMERR";
	case RCODE_SERVFAIL:
		return "SERVFAIL";
	case RCODE_NOTIMP:
		return "NOTIMP";
	case RCODE_REFUSED:
		return "REFUSED";
	default:
		return "unexpected rcode";
	}
}

static const char *read_header(struct gathering *g, uint16_t id)
{
	struct reader *r = &g->reader;
	struct name question;

	g->header.id = read_u16(r);
	g->header.flags = read_u16(r);
	g->header.question_count = read_u16(r);
	g->header.answer_count = read_u16(r);
	g->header.authority_count = read_u16(r);
	g->header.additional_count = read_u16(r);
	if (r->is_bad)
		return "malformed reply";
	if (g->header.id != id)
		return "reply with a wrong id";
	if (!(g->header.flags & FLAG_QR) || (g->header.flags & OPCODE_MASK))
		return "not a reply";
	g->rcode = g->header.flags & RCODE_MASK;
	/* a server that cannot make sense of the query may leave the question out */
	if (g->rcode == RCODE_FORMERR && g->header.question_count == 0)
		return NULL;
	if (g->header.question_count != 1)
		return "reply to another question";
	read_name(r, &question);
	unsigned type = read_u16(r);
	unsigned class = read_u16(r);
	if (r->is_bad)
		return "malformed reply";
	if (type != g->type || class != CLASS_IN ||
		!str_equal_fold(name_str(&question), name_str(&g->current)))
		return "reply to another question";
	return NULL;
}

static bool is_in_zone(struct str name, struct str zone)
{
	if (zone.len == 0)
		return true;
	return str_ends_fold(name, zone) &&
	       (name.len == zone.len || name.data[name.len - zone.len - 1] == '.');
}

static void lower_ttl(struct dns_answer *answer, uint32_t ttl_s)
{
	if (ttl_s < answer->ttl_s)
		answer->ttl_s = ttl_s;
}

/* The alias of the current name: 1 found (current is its target now), 0 none, -1 malformed. */
static int follow_one(struct gathering *g)
{
	struct reader r = g->reader;
	struct record record;

	r.at = g->answers_at;
	for (unsigned i = 0; i < g->header.answer_count; i++) {
		read_record(&r, &record);
		if (r.is_bad)
			return -1;
		if (record.type != TYPE_CNAME || record.class != CLASS_IN ||
			!str_equal_fold(name_str(&record.owner), name_str(&g->current)))
			continue;
		if (!read_data_name(g, &record, 0, &g->current))
			return -1;
		lower_ttl(g->answer, record.ttl_s);
		return 1;
	}
	return 0;
}

static const char *follow_aliases(struct gathering *g, unsigned *cname_count)
{
	int found;

	while ((found = follow_one(g)) > 0) {
		if (++*cname_count > DNS_CNAME_MAX)
			return "too many CNAMEs";
	}
	return found < 0 ? "malformed reply" : NULL;
}

static struct dns_record *insert_record(
	struct dns_answer *answer, uint32_t max, uint16_t preference)
{
	uint32_t at = answer->count;

	while (at > 0 && answer->records[at - 1].preference > preference)
		at--;
	if (at == max)
		return NULL;
	uint32_t last = answer->count < max ? answer->count++ : max - 1;
	memmove(&answer->records[at + 1], &answer->records[at],
		(last - at) * sizeof(*answer->records));
	answer->records[at] = (struct dns_record){ .preference = preference };
	return &answer->records[at];
}

static bool take_mx(struct gathering *g, const struct record *record)
{
	struct reader r = g->reader;
	struct name host;

	r.at = record->data_at;
	uint16_t preference = (uint16_t)read_u16(&r);
	if (!read_data_name(g, record, 2, &host))
		return false;
	/* the root as a host is the null MX, RFC 7505 */
	if (host.len > 0 && !domain_is_hostname(name_str(&host))) {
		g->answer->bad_count++;
		return true;
	}
	struct dns_record *to = insert_record(g->answer, DNS_MX_MAX, preference);
	if (to)
		to->host = arena_lower(&g->answer->arena, name_str(&host));
	return true;
}

static bool take_address(struct gathering *g, const struct record *record)
{
	size_t len = g->type == DNS_A ? 4 : 16;

	if (record->data_len != len)
		return false;
	struct dns_record *to = insert_record(g->answer, DNS_ADDRESS_MAX, 0);
	if (to) {
		to->address.family = g->type == DNS_A ? FAMILY_IPV4 : FAMILY_IPV6;
		memcpy(to->address.ip, g->reader.data + record->data_at, len);
	}
	return true;
}

/* What is too short to be one is passed over; whether the rest can be used is not asked here. */
static bool take_tlsa(struct gathering *g, const struct record *record)
{
	const uint8_t *data = g->reader.data + record->data_at;

	if (record->data_len < TLSA_BYTES_MIN) {
		g->answer->bad_count++;
		return true;
	}
	struct dns_record *to = insert_record(g->answer, DNS_TLSA_MAX, 0);
	if (to)
		to->tlsa = (struct net_tlsa){
			.usage = data[0],
			.selector = data[1],
			.matching = data[2],
			.data = arena_dup(&g->answer->arena,
				str_of((const char *)data + 3, record->data_len - 3)),
		};
	return true;
}

/* Each string has its length before it; joined as they are, RFC 7208 section 3.3 and RFC 8461 section 3.1. */
static bool take_txt(struct gathering *g, const struct record *record)
{
	const uint8_t *data = g->reader.data + record->data_at;
	char text[DNS_TEXT_BYTES_MAX];
	size_t len = 0, at = 0;

	while (at < record->data_len) {
		size_t n = data[at++];

		if (record->data_len - at < n)
			return false;
		if (n > sizeof(text) - len) {
			g->answer->bad_count++;
			return true;
		}
		memcpy(text + len, data + at, n);
		len += n;
		at += n;
	}
	struct dns_record *to = insert_record(g->answer, DNS_TXT_MAX, 0);
	if (to)
		to->text = arena_dup(&g->answer->arena, str_of(text, len));
	return true;
}

static uint32_t records_max(unsigned type)
{
	switch ((enum dns_type)type) {
	case DNS_A:
	case DNS_AAAA:
		return DNS_ADDRESS_MAX;
	case DNS_MX:
		return DNS_MX_MAX;
	case DNS_TLSA:
		return DNS_TLSA_MAX;
	case DNS_TXT:
		return DNS_TXT_MAX;
	}
	return 0;
}

/* Returns false if the record is not what its type says. */
static bool take_record(struct gathering *g, const struct record *record)
{
	switch ((enum dns_type)g->type) {
	case DNS_A:
	case DNS_AAAA:
		return take_address(g, record);
	case DNS_MX:
		return take_mx(g, record);
	case DNS_TLSA:
		return take_tlsa(g, record);
	case DNS_TXT:
		return take_txt(g, record);
	}
	return false;
}

/* Takes the records of the current name; leaves the reader behind the answer section. Returns how
 * many it saw. */
static unsigned take_answers(struct gathering *g)
{
	struct record record;
	unsigned seen = 0;

	g->answer->records =
		arena_array(&g->answer->arena, records_max(g->type), sizeof(struct dns_record));
	g->reader.at = g->answers_at;
	for (unsigned i = 0; i < g->header.answer_count && !g->reader.is_bad; i++) {
		read_record(&g->reader, &record);
		if (g->reader.is_bad || record.type != g->type || record.class != CLASS_IN ||
			!str_equal_fold(name_str(&record.owner), name_str(&g->current)))
			continue;
		if (!take_record(g, &record))
			g->reader.is_bad = true;
		lower_ttl(g->answer, record.ttl_s);
		seen++;
	}
	return seen;
}

/* RFC 2308: what a negative answer is worth is the SOA's to say: the lesser of its TTL and its last
 * field. */
static void take_authority(struct gathering *g)
{
	struct record record;

	for (unsigned i = 0; i < g->header.authority_count && !g->reader.is_bad; i++) {
		read_record(&g->reader, &record);
		if (g->reader.is_bad || record.type != TYPE_SOA || record.class != CLASS_IN ||
			!is_in_zone(name_str(&g->current), name_str(&record.owner)))
			continue;
		if (record.data_len < 22) {
			g->reader.is_bad = true;
			return;
		}
		struct reader r = g->reader;
		r.at = record.data_at + record.data_len - 4;
		g->has_soa = true;
		lower_ttl(g->answer, record.ttl_s);
		lower_ttl(g->answer, read_ttl(&r));
	}
}

/* The upper bits of the rcode are in OPT (RFC 6891 section 6.1.3). */
static void take_additional(struct gathering *g)
{
	struct record record;

	for (unsigned i = 0; i < g->header.additional_count && !g->reader.is_bad; i++) {
		struct reader ttl = g->reader;
		read_record(&g->reader, &record);
		if (g->reader.is_bad || record.type != TYPE_OPT)
			continue;
		ttl.at = record.data_at - 6;
		g->rcode |= (read_u16(&ttl) >> 8) << 4;
	}
}

static enum dns_reading judge(
	struct gathering *g, unsigned seen, unsigned cname_count, struct str *target)
{
	struct dns_answer *answer = g->answer;

	answer->is_authentic = g->header.flags & FLAG_AD;
	if (g->rcode == RCODE_NOERROR && seen > 0) {
		if (cname_count > 0)
			answer->alias = arena_dup(&answer->arena, name_str(&g->current));
		answer->result = DNS_FOUND;
		return DNS_READ_ANSWER;
	}
	if (seen > 0)
		return reject(g, "NXDOMAIN with records");
	if (g->has_soa) {
		answer->result = g->rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NODATA;
		return DNS_READ_ANSWER;
	}
	if (g->rcode == RCODE_NOERROR && cname_count > 0) {
		if (!domain_is_hostname(name_str(&g->current)))
			return reject(g, "ill-formed CNAME");
		*target = arena_dup(&answer->arena, name_str(&g->current));
		return DNS_READ_FOLLOW;
	}
	return reject(
		g, g->rcode == RCODE_NXDOMAIN ? "NXDOMAIN without SOA" : "no records and no SOA");
}

enum dns_reading dns_read_reply(struct str reply, uint16_t id, struct str name, enum dns_type type,
	struct dns_answer *answer, unsigned *cname_count, struct str *target)
{
	struct gathering g = { .reader = { .data = (const uint8_t *)reply.data, .len = reply.len },
		.type = type,
		.answer = answer };
	unsigned cnames_before = *cname_count;

	answer->ttl_s = UINT32_MAX;
	CHECK(set_name(&g.current, name));
	const char *problem = read_header(&g, id);
	if (problem)
		return reject(&g, problem);
	if (g.header.flags & FLAG_TC)
		return reject(&g, "truncated reply");
	if (g.rcode == RCODE_FORMERR || g.rcode == RCODE_NOTIMP) {
		reject(&g, rcode_problem(g.rcode));
		return DNS_READ_TRY_PLAIN;
	}
	if (g.rcode != RCODE_NOERROR && g.rcode != RCODE_NXDOMAIN)
		return reject(&g, rcode_problem(g.rcode));
	g.answers_at = g.reader.at;
	problem = follow_aliases(&g, cname_count);
	if (problem)
		return reject(&g, problem);
	unsigned seen = take_answers(&g);
	take_authority(&g);
	take_additional(&g);
	if (g.reader.is_bad)
		return reject(&g, "malformed reply");
	if (g.rcode > RCODE_MASK) /* BADVERS and others known to EDNS only */
		return reject(&g, rcode_problem(g.rcode));
	return judge(&g, seen, *cname_count - cnames_before, target);
}
