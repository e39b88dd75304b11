/* salvage_journal - see salvage_journal.h. */
#include "salvage_journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "entry.h"

#define PART_BYTES_MAX ((size_t)1 << 30)

struct salvage_part {
	uint64_t id;
	struct journal_entry at;
	uint32_t chunk;     /* of a SPOOL; of the content of an ACCEPT */
	bool is_last_chunk; /* the content of an ACCEPT is a chunk */
};

static enum err note_entry(void *context, const struct journal_entry *entry, struct str head);
static int compare_parts(const void *a, const void *b);
static const struct salvage_part *next_part(
	const struct salvage_journal *j, uint64_t id, const struct salvage_part *after);
static size_t find_from(const struct salvage_journal *j, uint64_t id);
static bool read_part(
	struct salvage_journal *j, uint64_t at, uint64_t len, struct arena *arena, struct str *out);
static void deliver(struct queued_message *message, const struct store_record *op);

void salvage_journal_open(struct salvage_journal *j, const char *db_path, uint64_t settled)
{
	struct buf path;
	*j = (struct salvage_journal){ 0 };
	buf_init(&path, PART_BYTES_MAX);
	buf_printf(&path, "%s.journal", db_path);
	if (journal_open(&j->journal, buf_cstr(&path), NULL, JOURNAL_BYTES_MIN, true) == OK)
		journal_scan(&j->journal, settled, note_entry, j);
	buf_fini(&path);
	if (j->count > 1)
		qsort(j->parts, j->count, sizeof(*j->parts), compare_parts);
}

void salvage_journal_close(struct salvage_journal *j)
{
	journal_close(&j->journal);
	free(j->parts);
	*j = (struct salvage_journal){ 0 };
}

/* An entry that says nonsense is left out: the others may be sound. */
static enum err note_entry(void *context, const struct journal_entry *entry, struct str head)
{
	struct salvage_journal *j = context;
	struct salvage_part part = { .at = *entry };
	struct arena arena = { 0 };
	struct envelope env;
	struct store_record op;
	enum err err = ERR_CORRUPT;
	if (entry->kind == ENTRY_ACCEPT) {
		err = entry_take_accept(head, &arena, &env, &part.chunk);
		part.id = env.id;
		part.is_last_chunk = entry->content_bytes > 0 || part.chunk == 0;
	} else if (entry->kind == ENTRY_SPOOL) {
		err = entry_take_spool(head, &part.id, &part.chunk);
	} else if (entry->kind == ENTRY_RECORD) {
		err = entry_take_record(head, &arena, &op);
		part.id = op.id;
	}
	arena_fini(&arena);
	if (err != OK || part.id == 0)
		return OK;
	if (j->count == j->cap) {
		j->cap = j->cap ? 2 * j->cap : 256;
		j->parts = mem_realloc(j->parts, j->cap * sizeof(*j->parts));
	}
	j->parts[j->count++] = part;
	return OK;
}

static int compare_parts(const void *a, const void *b)
{
	const struct salvage_part *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->at.number > y->at.number) - (x->at.number < y->at.number);
}

uint64_t salvage_journal_next_id(const struct salvage_journal *j, uint64_t id)
{
	for (size_t i = find_from(j, id + 1); i < j->count; i++) {
		if (j->parts[i].at.kind == ENTRY_ACCEPT)
			return j->parts[i].id;
	}
	return 0;
}

bool salvage_journal_message(
	struct salvage_journal *j, uint64_t id, struct arena *arena, struct queued_message *out)
{
	const struct salvage_part *part = NULL;
	struct str head;
	uint32_t spooled_chunks;
	while ((part = next_part(j, id, part)) && part->at.kind != ENTRY_ACCEPT)
		;
	*out = (struct queued_message){ 0 };
	if (!part || !read_part(j, part->at.at, part->at.head_bytes, arena, &head) ||
		entry_take_accept(head, arena, &out->env, &spooled_chunks) != OK)
		return false;
	out->chunk_count = spooled_chunks + part->is_last_chunk;
	out->recipient_count = out->env.recipient_count;
	out->recipients = arena_array(arena, out->recipient_count, sizeof(*out->recipients));
	for (uint32_t i = 0; i < out->recipient_count; i++)
		out->recipients[i].rcpt = out->env.recipients[i];
	return true;
}

bool salvage_journal_chunk(struct salvage_journal *j, uint64_t id, uint32_t chunk,
	struct arena *arena, struct str *out)
{
	for (const struct salvage_part *part = NULL; (part = next_part(j, id, part));) {
		bool is_content = part->at.kind == ENTRY_SPOOL || part->is_last_chunk;
		if (is_content && part->chunk == chunk)
			return read_part(j, part->at.at + part->at.head_bytes,
				part->at.content_bytes, arena, out);
	}
	return false;
}

bool salvage_journal_deliver(
	struct salvage_journal *j, uint64_t id, struct arena *arena, struct queued_message *message)
{
	for (const struct salvage_part *part = NULL; (part = next_part(j, id, part));) {
		struct store_record op;
		struct str head;
		if (part->at.kind == ENTRY_RECORD &&
			read_part(j, part->at.at, part->at.head_bytes, arena, &head) &&
			entry_take_record(head, arena, &op) == OK)
			deliver(message, &op);
	}
	for (uint32_t i = 0; i < message->recipient_count; i++) {
		if (message->recipients[i].state <= RECIPIENT_QUARANTINED)
			return false;
	}
	return message->recipient_count > 0;
}

static void deliver(struct queued_message *message, const struct store_record *op)
{
	for (uint32_t i = 0; i < op->result_count; i++) {
		const struct store_result *result = &op->results[i];
		for (uint32_t k = 0; k < message->recipient_count; k++) {
			struct queued_recipient *r = &message->recipients[k];
			if (r->rcpt.number != result->number || r->state > RECIPIENT_QUARANTINED ||
				result->kind != RESULT_DELIVERED)
				continue;
			r->state = RECIPIENT_DELIVERED;
			r->attempts = result->attempt;
			r->text = result->text;
		}
	}
}

/* The next part of a message behind one, NULL: the first. */
static const struct salvage_part *next_part(
	const struct salvage_journal *j, uint64_t id, const struct salvage_part *after)
{
	size_t i = after ? (size_t)(after - j->parts) + 1 : find_from(j, id);
	return i < j->count && j->parts[i].id == id ? &j->parts[i] : NULL;
}

/* The first part of the first message whose id is at least id. */
static size_t find_from(const struct salvage_journal *j, uint64_t id)
{
	size_t low = 0, high = j->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (j->parts[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool read_part(
	struct salvage_journal *j, uint64_t at, uint64_t len, struct arena *arena, struct str *out)
{
	struct buf octets;
	buf_init(&octets, PART_BYTES_MAX);
	bool is_read =
		len <= PART_BYTES_MAX && journal_read(&j->journal, at, (size_t)len, &octets) == OK;
	if (is_read)
		*out = arena_dup(arena, buf_str(&octets));
	buf_fini(&octets);
	return is_read;
}
