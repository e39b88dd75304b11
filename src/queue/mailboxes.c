/* mailboxes - see queue/mailboxes.h. */
#include "queue/mailboxes.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define BLOCK_BYTES 64u
#define PROBES 7
#define PROBE_BITS 9 /* of a block of 512 bits */
#define HASH_SEED UINT64_C(0x6d61696c626f7865)
#define HEAD_MAGIC UINT64_C(0x31786f626c69616d) /* and version */
#define HEAD_BYTES 32u
#define PAGE_HEAD_BYTES 8u

static size_t place_bytes(const struct mailboxes *m)
{
	return (size_t)m->page_count * MAILBOXES_PAGE_BYTES;
}

static uint32_t place_of(uint64_t generation)
{
	return (uint32_t)(generation % 2);
}

void mailboxes_init(struct mailboxes *m, uint64_t capacity, struct wall now)
{
	uint64_t page_bits = (uint64_t)MAILBOXES_PAGE_BYTES * 8;

	*m = (struct mailboxes){ .generation = 1, .began = now };
	m->page_count = (uint32_t)((capacity * MAILBOXES_BITS_EACH + page_bits - 1) / page_bits);
	if (m->page_count == 0)
		m->page_count = 1;
	m->bits = mem_zalloc(2 * place_bytes(m));
	m->dirty = mem_zalloc(mailboxes_pages(m) * sizeof(*m->dirty));
	m->is_head_dirty = true;
}

void mailboxes_fini(struct mailboxes *m)
{
	free(m->bits);
	free(m->dirty);
	*m = (struct mailboxes){ 0 };
}

uint64_t mailboxes_hash(struct str address)
{
	return str_hash_fold(address, HASH_SEED);
}

/* The block by the upper half; the bits in it by a product, whose upper bits depend on all of the hash. */
static size_t block_of(const struct mailboxes *m, uint64_t hash)
{
	uint64_t blocks = place_bytes(m) / BLOCK_BYTES;

	return (size_t)(((hash >> 32) * blocks) >> 32) * BLOCK_BYTES;
}

static uint64_t bits_of(uint64_t hash)
{
	uint64_t mixed = (hash ^ (hash >> 29)) * UINT64_C(0x9e3779b97f4a7c15);

	return mixed ^ (mixed >> 32);
}

static bool has_in(const unsigned char *block, uint64_t bits)
{
	for (int i = 0; i < PROBES; i++, bits >>= PROBE_BITS) {
		unsigned bit = bits & 0x1ff;

		if (!(block[bit / 8] & 1u << bit % 8))
			return false;
	}
	return true;
}

bool mailboxes_has(const struct mailboxes *m, uint64_t hash)
{
	size_t at = block_of(m, hash);
	uint64_t bits = bits_of(hash);

	return has_in(m->bits + at, bits) || has_in(m->bits + place_bytes(m) + at, bits);
}

static void set_dirty(struct mailboxes *m, uint32_t page)
{
	m->dirty_count += !m->dirty[page];
	m->dirty[page] = true;
}

bool mailboxes_add(struct mailboxes *m, uint64_t hash)
{
	uint32_t place = place_of(m->generation);
	size_t at = block_of(m, hash);
	unsigned char *block = m->bits + place * place_bytes(m) + at;
	uint64_t bits = bits_of(hash);

	if (has_in(block, bits))
		return true;
	bool was_known = has_in(m->bits + (1 - place) * place_bytes(m) + at, bits);
	for (int i = 0; i < PROBES; i++, bits >>= PROBE_BITS) {
		unsigned bit = bits & 0x1ff;

		block[bit / 8] |= (unsigned char)(1u << bit % 8);
	}
	set_dirty(m, place * m->page_count + (uint32_t)(at / MAILBOXES_PAGE_BYTES));
	return was_known;
}

static void begin_generation(struct mailboxes *m)
{
	uint32_t place;

	m->generation++;
	place = place_of(m->generation);
	memset(m->bits + place * place_bytes(m), 0, place_bytes(m));
	for (uint32_t i = 0; i < m->page_count; i++) {
		/* what was saved of it says that it is an old one */
		m->dirty_count -= m->dirty[place * m->page_count + i];
		m->dirty[place * m->page_count + i] = false;
	}
	m->is_head_dirty = true;
}

void mailboxes_turn(struct mailboxes *m, struct wall now)
{
	int64_t age_ms = now.ms - m->began.ms;

	if (age_ms < MAILBOXES_GENERATION_MS)
		return;
	begin_generation(m);
	if (age_ms >= 2 * MAILBOXES_GENERATION_MS)
		begin_generation(m); /* nothing was learned for so long */
	m->began = now;
}

/* ---- saving ---- */

static void put_u64(struct buf *out, uint64_t value)
{
	for (int i = 0; i < 8; i++, value >>= 8)
		buf_append_char(out, (char)(unsigned char)(value & 0xff));
}

static uint64_t take_u64(struct str s, size_t at)
{
	uint64_t value = 0;

	for (size_t i = 8; i-- > 0;)
		value = value << 8 | (unsigned char)s.data[at + i];
	return value;
}

void mailboxes_put_head(struct mailboxes *m, struct buf *out)
{
	put_u64(out, HEAD_MAGIC);
	put_u64(out, m->page_count);
	put_u64(out, m->generation);
	put_u64(out, (uint64_t)m->began.ms);
	m->is_head_dirty = false;
}

void mailboxes_put_page(struct mailboxes *m, uint32_t page, struct buf *out)
{
	uint32_t place = page / m->page_count;

	CHECK(page < mailboxes_pages(m));
	put_u64(out, place == place_of(m->generation) ? m->generation : m->generation - 1);
	buf_append_str(out, str_of((const char *)m->bits + (size_t)page * MAILBOXES_PAGE_BYTES,
				    MAILBOXES_PAGE_BYTES));
	m->dirty_count -= m->dirty[page];
	m->dirty[page] = false;
}

void mailboxes_mark(struct mailboxes *m, uint32_t page)
{
	CHECK(page < mailboxes_pages(m));
	set_dirty(m, page);
}

bool mailboxes_next_dirty(const struct mailboxes *m, uint32_t from, uint32_t *page)
{
	for (uint32_t i = from; m->dirty_count > 0 && i < mailboxes_pages(m); i++) {
		if (!m->dirty[i])
			continue;
		*page = i;
		return true;
	}
	return false;
}

bool mailboxes_take_head(struct mailboxes *m, struct str head)
{
	if (head.len != HEAD_BYTES || take_u64(head, 0) != HEAD_MAGIC ||
		take_u64(head, 8) != m->page_count || take_u64(head, 16) == 0 ||
		take_u64(head, 24) > INT64_MAX)
		return false;
	if (place_of(take_u64(head, 16)) != place_of(m->generation)) {
		/* what was learned while it was read goes to where the newer generation is */
		size_t bytes = place_bytes(m);
		uint32_t from = place_of(m->generation);

		memcpy(m->bits + (1 - from) * bytes, m->bits + from * bytes, bytes);
		memset(m->bits + from * bytes, 0, bytes);
		for (uint32_t i = 0; i < m->page_count; i++) {
			m->dirty[(1 - from) * m->page_count + i] =
				m->dirty[from * m->page_count + i];
			m->dirty[from * m->page_count + i] = false;
		}
	}
	m->generation = take_u64(head, 16);
	m->began.ms = (int64_t)take_u64(head, 24);
	m->is_head_dirty = false;
	return true;
}

void mailboxes_take_page(struct mailboxes *m, uint32_t page, struct str blob)
{
	uint32_t place = page / m->page_count;
	uint64_t generation = place == place_of(m->generation) ? m->generation : m->generation - 1;

	CHECK(page < mailboxes_pages(m));
	if (blob.len != PAGE_HEAD_BYTES + MAILBOXES_PAGE_BYTES || take_u64(blob, 0) != generation)
		return;
	unsigned char *bits = m->bits + (size_t)page * MAILBOXES_PAGE_BYTES;
	for (size_t i = 0; i < MAILBOXES_PAGE_BYTES; i++)
		bits[i] |= (unsigned char)blob.data[PAGE_HEAD_BYTES + i];
}
