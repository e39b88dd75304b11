/*
 * Power loss and failing system calls at every point of accepting and recording: RELIABILITY
 * rows 3, 5, 6, 7, 8, 10.
 *
 * One story is told again and again, each time struck at the next call that changes the disk,
 * until it passes unharmed: first from a new queue, until its making has been struck everywhere,
 * then from one that is there. Afterwards the file is opened by the default VFS: all that was
 * acknowledged must be there, whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "store/crash_vfs.h"
#include "store/world.h"

enum { MESSAGES = 4, STRIKES_MAX = 3000 };

/* None; one that starts over within the story. */
static const uint64_t journals[] = { 0, 64 << 10 };

struct told {
	uint64_t ids[MESSAGES];
	bool is_accepted[MESSAGES];
	enum result_kind recorded[MESSAGES];
	bool is_recorded[MESSAGES];
	uint64_t notice;
	bool is_opened;
	uint64_t opening; /* calls until it was */
	unsigned full_count;
};

/* try_op - submits and turns the loop until it completes or the store dies. */
struct try_wait {
	struct store_op *op;
	bool is_done;
};
static struct try_wait *try_current;

static void on_try_done(struct store_op *op)
{
	if (try_current && try_current->op == op)
		try_current->is_done = true;
}

static bool try_op(struct world *w, struct told *t, struct store_op *op, enum store_kind kind)
{
	struct try_wait wait = { .op = op };
	if (w->is_fatal)
		return false;
	try_current = &wait;
	op->on_done = on_try_done;
	store_submit(w->store, op, kind);
	while (!wait.is_done && !w->is_fatal) {
		if (!fake_env_turn(&w->fe))
			break;
	}
	try_current = NULL;
	store_op_fini(op);
	if (wait.is_done && op->err != OK) {
		assert_int_equal(op->err, ERR_NO_SPACE);
		t->full_count++;
	}
	return wait.is_done && op->err == OK;
}

static void tell_accepts(struct world *w, struct told *t)
{
	static const char *const hops[] = { "a.example", "b.example" };
	static char body[20000];
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < MESSAGES; i++) {
		struct sample s;
		sample_make(w, &s, hops, 2);
		s.content = str_of(body, sizeof(body));
		s.env.size_bytes = s.content.len;
		t->ids[i] = s.env.id;
		struct store_accept accept = { .env = &s.env, .content = s.content };
		struct store_spool spool = { .id = s.env.id, .content = s.content };
		if (i == 1) {
			if (!try_op(w, t, &spool.op, STORE_SPOOL))
				continue;
			accept.spooled_chunks = 1;
		}
		t->is_accepted[i] = try_op(w, t, &accept.op, STORE_ACCEPT);
	}
}

static void tell_records(struct world *w, struct told *t)
{
	static const enum result_kind kinds[MESSAGES] = { RESULT_DELIVERED, RESULT_FAILED,
		RESULT_RETRY, RESULT_READY };
	static const char *const hop = "c.example";
	for (int i = 0; i < MESSAGES - 1; i++) {
		if (!t->is_accepted[i])
			continue;
		struct store_result results[2] = {
			{ .number = 1, .kind = kinds[i], .attempt = 1, .due = { 5 } },
			{ .number = 2, .kind = kinds[i], .attempt = 1, .due = { 5 } }
		};
		struct sample dsn;
		sample_make(w, &dsn, &hop, 1);
		struct store_notice notice = { .env = dsn.env, .content = dsn.content };
		struct store_record record = { .id = t->ids[i],
			.at = w->fe.wall,
			.results = results,
			.result_count = 2,
			.notices = &notice,
			.notice_count = kinds[i] == RESULT_FAILED ? 1 : 0 };
		t->recorded[i] = kinds[i];
		t->is_recorded[i] = try_op(w, t, &record.op, STORE_RECORD);
		if (kinds[i] == RESULT_FAILED)
			t->notice = dsn.env.id;
	}
}

static void tell(struct world *w, struct told *t)
{
	*t = (struct told){ 0 };
	w->options.vfs = "crash";
	w->options.checkpoint = STORE_CHECKPOINT_EACH;
	w->open = store_sync_open;
	t->is_opened = world_open(w) == OK;
	t->opening = crash_vfs_calls();
	if (!t->is_opened)
		return;
	tell_accepts(w, t);
	tell_records(w, t);
	world_close(w);
}

static enum recipient_state want_state(const struct told *t, int i)
{
	if (!t->is_recorded[i])
		return RECIPIENT_READY;
	switch (t->recorded[i]) {
	case RESULT_DELIVERED:
		return RECIPIENT_DELIVERED;
	case RESULT_FAILED:
		return RECIPIENT_FAILED;
	case RESULT_RETRY:
		return RECIPIENT_WAITING;
	case RESULT_READY:
	case RESULT_HELD:
	case RESULT_QUARANTINED:
		break;
	}
	return RECIPIENT_READY;
}

/* lost - how many acknowledged facts are missing, with the default VFS. */
static unsigned lost(struct world *w, const struct told *t)
{
	unsigned count = 0;
	w->options.vfs = NULL;
	w->options.checkpoint = STORE_CHECKPOINT_AT_LIMIT;
	if (world_open(w) != OK) {
		fprintf(stderr, "%.*s\n", STR_FMT(buf_str(&w->message)));
		return 1000;
	}
	for (int i = 0; i < MESSAGES; i++) {
		struct store_show show = { .id = t->ids[i] };
		enum err err = world_run(w, &show.op, STORE_SHOW);
		enum recipient_state want = want_state(t, i);
		if (t->is_accepted[i] && err != OK) {
			count++;
		} else if (t->is_accepted[i]) {
			struct store_fetch fetch = { .id = t->ids[i] };
			enum err fetched = world_run(w, &fetch.op, STORE_FETCH);
			enum recipient_state is = show.message.recipients[0].state;
			/* A record that was under way may have become durable without our word. */
			count += t->is_recorded[i] && is != want;
			count += is <= RECIPIENT_QUARANTINED &&
				 (fetched != OK || fetch.content.len != 20000);
			store_op_fini(&fetch.op);
		}
		store_op_fini(&show.op);
	}
	struct store_show show = { .id = t->notice };
	if (t->is_recorded[1] && world_run(w, &show.op, STORE_SHOW) != OK)
		count++;
	store_op_fini(&show.op);
	const char *wrong = world_recount(w);
	if (wrong)
		count += 100;
	world_close(w);
	return count;
}

/* A queue that nothing has come to yet: to make one costs more than all the rest of the story. */
static const char *const image_names[] = { "queue.db", "queue.db.journal" };
struct image {
	char *data[ARRAY_COUNT(image_names)];
	size_t len[ARRAY_COUNT(image_names)];
};

static void image_take(struct image *image, uint64_t journal_bytes)
{
	struct world w;

	world_init(&w, store_sync_open);
	w.options.journal_bytes = journal_bytes;
	world_must_open(&w);
	world_close(&w);
	for (size_t i = 0; i < ARRAY_COUNT(image_names); i++) {
		char *path = world_path(&w, image_names[i]);
		FILE *file = fopen(path, "rb");

		if (file) {
			assert_int_equal(fseek(file, 0, SEEK_END), 0);
			image->len[i] = (size_t)ftell(file);
			image->data[i] = mem_alloc(image->len[i]);
			rewind(file);
			assert_int_equal(
				fread(image->data[i], 1, image->len[i], file), image->len[i]);
			assert_int_equal(fclose(file), 0);
		}
		free(path);
	}
	assert_true(image->len[0] > 0 && (image->len[1] > 0) == (journal_bytes > 0));
	world_fini(&w);
}

static void image_put(const struct image *image, struct world *w)
{
	for (size_t i = 0; i < ARRAY_COUNT(image_names); i++) {
		char *path = world_path(w, image_names[i]);
		FILE *file = image->data[i] ? fopen(path, "wb") : NULL;

		assert_int_equal(file != NULL, image->data[i] != NULL);
		if (file) {
			assert_int_equal(
				fwrite(image->data[i], 1, image->len[i], file), image->len[i]);
			assert_int_equal(fclose(file), 0);
		}
		free(path);
	}
}

static void image_fini(struct image *image)
{
	for (size_t i = 0; i < ARRAY_COUNT(image_names); i++)
		free(image->data[i]);
}

/* strike_from - the story with a strike at each call, from an image or (NULL) a new queue; returns the sum of what was
 * lost. A new queue's is over when the strikes have passed its making. */
static unsigned strike_from(const struct image *image, struct crash_plan *plan,
	uint64_t journal_bytes, unsigned *strikes)
{
	unsigned sum = 0;

	for (plan->at = 1; plan->at < STRIKES_MAX; plan->at++) {
		static struct world w;
		struct told told;
		world_init(&w, store_sync_open);
		w.options.journal_bytes = journal_bytes;
		w.options.is_compiled_late = true;
		if (image)
			image_put(image, &w);
		plan->seed++;
		crash_vfs_plan(plan);
		tell(&w, &told);
		bool has_struck = crash_vfs_has_struck();
		bool is_past = crash_vfs_calls() < plan->at;
		bool is_made = told.is_opened && told.opening < plan->at;
		unsigned gone = lost(&w, &told);
		if (gone > 0 && !plan->is_sync_ignored)
			fprintf(stderr, "kind %d at %llu%s: lost %u\n", (int)plan->kind,
				(unsigned long long)plan->at, image ? "" : " of a new queue", gone);
		sum += gone;
		*strikes += has_struck;
		world_fini(&w);
		if (is_past)
			for (int i = 0; i < MESSAGES; i++)
				assert_true(has_struck || told.is_accepted[i]);
		if (is_past || (is_made && !image))
			return sum;
	}
	fail_msg("the story has no end");
	return sum;
}

static unsigned strike_all(struct crash_plan plan, uint64_t journal_bytes, unsigned *strikes)
{
	struct image image = { 0 };
	unsigned sum;

	crash_vfs_register();
	image_take(&image, journal_bytes);
	sum = strike_from(NULL, &plan, journal_bytes, strikes);
	sum += strike_from(&image, &plan, journal_bytes, strikes);
	image_fini(&image);
	return sum;
}

/* With the journal alone, or also without. */
static void strike(struct crash_plan plan, bool is_also_without)
{
	for (size_t i = is_also_without ? 0 : 1; i < ARRAY_COUNT(journals); i++) {
		unsigned strikes = 0;
		assert_int_equal(strike_all(plan, journals[i], &strikes), 0);
		assert_true(strikes > 20);
	}
}

static void test_power_loss_that_drops_all_unsynced_writes(void **state)
{
	(void)state;
	strike((struct crash_plan){ .kind = CRASH_POWER, .keep_percent = 0 }, true);
}

static void test_power_loss_that_tears_and_reorders(void **state)
{
	(void)state;
	strike((struct crash_plan){ .kind = CRASH_POWER, .keep_percent = 50, .seed = 1000 }, true);
	strike((struct crash_plan){ .kind = CRASH_POWER, .keep_percent = 90, .seed = 2000 }, false);
}

static void test_planted_defect_of_missing_syncs_is_found(void **state)
{
	unsigned strikes = 0;
	(void)state;
	struct crash_plan plan = {
		.kind = CRASH_POWER, .keep_percent = 0, .is_sync_ignored = true
	};
	for (size_t i = 0; i < ARRAY_COUNT(journals); i++)
		assert_true(strike_all(plan, journals[i], &strikes) > 0);
}

static void test_failing_calls(void **state)
{
	(void)state;
	strike((struct crash_plan){ .kind = CRASH_EIO }, true);
	strike((struct crash_plan){ .kind = CRASH_EIO, .is_for_ever = true }, false);
}

static void test_full_disk(void **state)
{
	(void)state;
	strike((struct crash_plan){ .kind = CRASH_ENOSPC }, true);
	strike((struct crash_plan){ .kind = CRASH_ENOSPC, .is_for_ever = true }, false);
	strike((struct crash_plan){ .kind = CRASH_SHORT }, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_loss_that_drops_all_unsynced_writes),
		cmocka_unit_test(test_power_loss_that_tears_and_reorders),
		cmocka_unit_test(test_planted_defect_of_missing_syncs_is_found),
		cmocka_unit_test(test_failing_calls),
		cmocka_unit_test(test_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
