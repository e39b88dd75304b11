/*
 * fuzz_entry - heads of journal entries: whatever the octets are, there is an answer; what is taken is written back and
 * taken again.
 */
#include "fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "store/entry.h"

enum { HEAD_MAX = 1 << 20 };

static void fuzz_accept(struct str head)
{
	struct arena arena = { 0 };
	struct envelope env;
	struct buf again;
	uint32_t chunks;

	buf_init(&again, HEAD_MAX);
	if (entry_take_accept(head, &arena, &env, &chunks) == OK) {
		CHECK(env.id > 0 && env.recipient_count > 0);
		entry_put_accept(&again, &env, chunks);
		CHECK(str_equal(buf_str(&again), head));
	}
	buf_fini(&again);
	arena_fini(&arena);
}

/* Texts of fixed size end at a NUL: what stood behind it is not written back. */
static void fuzz_record(struct str head)
{
	struct arena arena = { 0 };
	struct store_record op, twice;
	struct buf again;

	buf_init(&again, HEAD_MAX);
	if (entry_take_record(head, &arena, &op) == OK) {
		entry_put_record(&again, &op);
		CHECK(again.len <= head.len);
		CHECK(entry_take_record(buf_str(&again), &arena, &twice) == OK);
		CHECK(twice.result_count == op.result_count && twice.hop_count == op.hop_count);
	}
	buf_fini(&again);
	arena_fini(&arena);
}

static void fuzz_spool(struct str head)
{
	uint64_t id;
	uint32_t chunk;
	struct buf again;

	buf_init(&again, HEAD_MAX);
	if (entry_take_spool(head, &id, &chunk) == OK) {
		entry_put_spool(&again, id, chunk);
		CHECK(str_equal(buf_str(&again), head));
	}
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);

	switch (fuzz_octet(&in) % 3) {
	case 0:
		fuzz_accept(in);
		break;
	case 1:
		fuzz_record(in);
		break;
	default:
		fuzz_spool(in);
	}
	return 0;
}
