/*
 * commit - the store on two threads: the only place of the house where threads share data.
 *
 * Happy path of a write: submit puts it on `writes`; the writer takes all that has gathered
 * there (up to a bound), applies it as one transaction and syncs; meanwhile the next batch
 * gathers, so throughput follows load without any delay timer. Done operations go on `done`,
 * env->wake makes the loop call on_wake, which runs on_done. Reads go the same way through the
 * reader, whose connection only reads, so that fetching a body never waits behind a commit.
 *
 * The lock guards the lists and the words next to them, nothing else: an operation belongs to
 * the thread that took it from a list. A fatal error of the writer stops it with its operations
 * uncompleted; the loop is told once.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter.h"
#include "base/check.h"
#include "base/mem.h"

enum { BATCH_BYTES_MAX = 4 << 20 };

struct commit_store {
	struct adapter a;
	pthread_t writer, reader;
	pthread_mutex_t lock;
	pthread_cond_t on_write, on_read, on_finished, on_retired;

	/* Under the lock. */
	struct list writes, reads, done;
	struct list fetches;     /* of content that may be young: the writer looks first */
	struct list table_reads; /* of content that is not */
	bool is_stopping;
	bool is_dead; /* the writer met a fatal error: problem says which */
	/* A read must see what was completed before it, which may still be young: the reader asks, the writer
	 * answers with the same number. */
	bool is_young; /* something is */
	uint64_t retire_asked, retire_done;
	enum err retire_err;
	char problem[512];
	char alarm[256];
	uint64_t commit_count;

	/* Loop. */
	uint64_t pending_count;
	uint64_t counted_commits;
	bool is_fatal_told;
};

static void submit(struct store *store, struct store_op *op);
static void on_wake(struct env *env);
static void tell_fatal(struct commit_store *s, bool is_dead);
static void commit_close(struct adapter *a);
static void drain(struct commit_store *s);
static enum err start_threads(struct commit_store *s);
static void stop_threads(struct commit_store *s);
static void *run_writer(void *context);
static bool write_batch(struct commit_store *s, struct list *batch);
static void take_batch(struct commit_store *s, struct list *out);
static size_t input_bytes(const struct store_op *op);
static void fetch_young(struct commit_store *s, struct list *fetches);
static bool retire(struct commit_store *s, uint64_t asked);
static bool has_young(const struct commit_store *s);
static void *run_reader(void *context);
static bool pass_to_writer(struct commit_store *s, struct list *link);
static enum err wait_for_young(struct commit_store *s);
static void finish(struct commit_store *s, struct list *done);
static void die(struct commit_store *s, enum err err);
static void wake(struct commit_store *s);
static void lock(struct commit_store *s);
static void unlock(struct commit_store *s);
static void wait_for(struct commit_store *s, pthread_cond_t *what);

static const struct store_ops commit_ops = { .submit = submit };

enum err store_open(struct env *env, struct str directory, const struct store_options *options,
	struct store **out, struct buf *message)
{
	struct commit_store *s = mem_zalloc(sizeof(*s));
	s->a.base.ops = &commit_ops;
	s->a.close = commit_close;
	list_init(&s->writes);
	list_init(&s->reads);
	list_init(&s->fetches);
	list_init(&s->table_reads);
	list_init(&s->done);
	enum err err = adapter_open(&s->a, env, directory, options, false, message);
	if (err == OK) {
		s->is_young = has_young(s);
		err = start_threads(s);
		if (err != OK) {
			buf_printf(message, "cannot start the threads of the queue");
			adapter_close(&s->a, false);
		}
	}
	if (err != OK) {
		free(s);
		return err;
	}
	env->wake_context = s;
	env->on_wake = on_wake;
	*out = &s->a.base;
	return OK;
}

static void submit(struct store *store, struct store_op *op)
{
	struct commit_store *s = CONTAINER_OF(store, struct commit_store, a.base);
	bool is_write = store_kind_is_write(op->kind);
	s->pending_count++;
	lock(s);
	list_push_back(is_write ? &s->writes : &s->reads, &op->link);
	pthread_cond_signal(is_write ? &s->on_write : &s->on_read);
	unlock(s);
}

static void on_wake(struct env *env)
{
	struct commit_store *s = env->wake_context;
	struct list done, *link;
	char alarm[sizeof(s->alarm)];
	list_init(&done);
	lock(s);
	list_splice(&done, &s->done);
	bool is_dead = s->is_dead;
	uint64_t commits = s->commit_count;
	(void)snprintf(alarm, sizeof(alarm), "%s", s->alarm);
	s->alarm[0] = '\0';
	unlock(s);
	metric_add(env->metrics, METRIC_store_commits_total, commits - s->counted_commits);
	s->counted_commits = commits;
	adapter_tell_alarm(&s->a, alarm);
	while ((link = list_pop_front(&done))) {
		s->pending_count--;
		adapter_complete(&s->a, CONTAINER_OF(link, struct store_op, link));
	}
	tell_fatal(s, is_dead);
}

static void tell_fatal(struct commit_store *s, bool is_dead)
{
	if (!is_dead || s->is_fatal_told)
		return;
	s->is_fatal_told = true;
	if (s->a.on_fatal)
		s->a.on_fatal(s->a.on_fatal_user, str_from_c(s->problem));
}

static void commit_close(struct adapter *a)
{
	struct commit_store *s = CONTAINER_OF(a, struct commit_store, a);
	drain(s);
	stop_threads(s);
	a->env->on_wake = NULL;
	a->env->wake_context = NULL;
	adapter_close(a, !s->is_dead);
	pthread_cond_destroy(&s->on_write);
	pthread_cond_destroy(&s->on_read);
	pthread_cond_destroy(&s->on_finished);
	pthread_cond_destroy(&s->on_retired);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* drain - completes all, and what completions submit; stops short when the writer is dead. */
static void drain(struct commit_store *s)
{
	for (;;) {
		lock(s);
		while (list_is_empty(&s->done) && !s->is_dead && s->pending_count > 0)
			wait_for(s, &s->on_finished);
		bool is_over = list_is_empty(&s->done);
		unlock(s);
		on_wake(s->a.env);
		if (is_over)
			return;
	}
}

static enum err start_threads(struct commit_store *s)
{
	sigset_t all, old;
	CHECK(pthread_mutex_init(&s->lock, NULL) == 0 &&
		pthread_cond_init(&s->on_write, NULL) == 0 &&
		pthread_cond_init(&s->on_read, NULL) == 0 &&
		pthread_cond_init(&s->on_finished, NULL) == 0 &&
		pthread_cond_init(&s->on_retired, NULL) == 0);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	enum err err = pthread_create(&s->writer, NULL, run_writer, s) == 0 ? OK : ERR_LIMIT;
	if (err == OK && pthread_create(&s->reader, NULL, run_reader, s) != 0) {
		err = ERR_LIMIT;
		lock(s);
		s->is_stopping = true;
		pthread_cond_signal(&s->on_write);
		unlock(s);
		pthread_join(s->writer, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

static void stop_threads(struct commit_store *s)
{
	lock(s);
	s->is_stopping = true;
	pthread_cond_signal(&s->on_write);
	pthread_cond_signal(&s->on_read);
	unlock(s);
	pthread_join(s->writer, NULL);
	pthread_join(s->reader, NULL);
}

static void *run_writer(void *context)
{
	struct commit_store *s = context;
	struct list batch, fetches;
	bool is_alive = true;
	list_init(&batch);
	list_init(&fetches);
	while (is_alive) {
		lock(s);
		while (list_is_empty(&s->writes) && list_is_empty(&s->fetches) &&
			s->retire_done == s->retire_asked && !s->is_stopping)
			wait_for(s, &s->on_write);
		uint64_t asked = s->retire_asked;
		bool must_retire = s->retire_done != asked;
		list_splice(&fetches, &s->fetches);
		take_batch(s, &batch);
		unlock(s);
		if (list_is_empty(&batch) && list_is_empty(&fetches) && !must_retire)
			break;
		if (!list_is_empty(&fetches))
			fetch_young(s, &fetches);
		if (!list_is_empty(&batch))
			is_alive = write_batch(s, &batch);
		if (is_alive && must_retire)
			is_alive = retire(s, asked);
	}
	return NULL;
}

static void fetch_young(struct commit_store *s, struct list *fetches)
{
	struct list found, *link;
	struct engine *writer = s->a.writer;
	list_init(&found);
	while ((link = list_pop_front(fetches))) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		bool is_found = false;
		op->err = writer->ops->fetch(
			writer, CONTAINER_OF(op, struct store_fetch, op), &is_found);
		if (is_found) {
			list_push_back(&found, link);
			continue;
		}
		lock(s);
		list_push_back(&s->table_reads, link);
		pthread_cond_signal(&s->on_read);
		unlock(s);
	}
	if (!list_is_empty(&found))
		finish(s, &found);
}

static bool retire(struct commit_store *s, uint64_t asked)
{
	enum err err = batch_retire(&s->a.batch, 0);
	lock(s);
	s->retire_done = asked;
	s->retire_err = err;
	s->is_young = has_young(s);
	pthread_cond_signal(&s->on_retired);
	unlock(s);
	if (err == OK || err == ERR_NO_SPACE)
		return true;
	die(s, err);
	return false;
}

/* For the thread that has the writer. */
static bool has_young(const struct commit_store *s)
{
	return s->a.writer->ops->young_count(s->a.writer) > 0;
}

/* write_batch - the answers leave before the rest, which may take its time. */
static bool write_batch(struct commit_store *s, struct list *batch)
{
	enum err err = batch_run(&s->a.batch, batch);
	if (err == OK) {
		lock(s);
		s->commit_count = s->a.batch.commit_count;
		s->is_young = has_young(s);
		unlock(s);
		finish(s, batch);
		err = batch_rest(&s->a.batch);
	}
	if (s->a.batch.alarm[0]) {
		lock(s);
		(void)snprintf(s->alarm, sizeof(s->alarm), "%s", s->a.batch.alarm);
		unlock(s);
		s->a.batch.alarm[0] = '\0';
		wake(s);
	}
	if (err != OK)
		die(s, err);
	return err == OK;
}

static void take_batch(struct commit_store *s, struct list *out)
{
	size_t bytes = 0;
	for (int count = 0;
		count < BATCH_OPS_MAX && bytes < BATCH_BYTES_MAX && !list_is_empty(&s->writes);
		count++) {
		struct list *link = list_pop_front(&s->writes);
		bytes += input_bytes(CONTAINER_OF(link, struct store_op, link));
		list_push_back(out, link);
	}
}

static size_t input_bytes(const struct store_op *op)
{
	if (op->kind == STORE_ACCEPT)
		return ((const struct store_accept *)(const void *)op)->content.len;
	if (op->kind == STORE_SPOOL)
		return ((const struct store_spool *)(const void *)op)->content.len;
	return 0;
}

static void *run_reader(void *context)
{
	struct commit_store *s = context;
	struct engine *reader = s->a.reader;
	for (;;) {
		struct list one;
		enum err err = OK;
		list_init(&one);
		lock(s);
		while (list_is_empty(&s->reads) && list_is_empty(&s->table_reads) &&
			!s->is_stopping)
			wait_for(s, &s->on_read);
		struct list *link = list_pop_front(&s->table_reads);
		if (!link && (link = list_pop_front(&s->reads))) {
			if (s->is_young && pass_to_writer(s, link)) {
				unlock(s);
				continue;
			}
			err = wait_for_young(s);
		}
		unlock(s);
		if (!link)
			return NULL;
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		op->err = err == OK ? reader->ops->read(reader, op) : err;
		list_push_back(&one, link);
		finish(s, &one);
	}
}

/* Under the lock. Content is read where it is; for all else the tables must be told first. */
static bool pass_to_writer(struct commit_store *s, struct list *link)
{
	if (CONTAINER_OF(link, struct store_op, link)->kind != STORE_FETCH || s->is_dead)
		return false;
	list_push_back(&s->fetches, link);
	pthread_cond_signal(&s->on_write);
	return true;
}

/* Under the lock. What completes meanwhile may stay young. */
static enum err wait_for_young(struct commit_store *s)
{
	if (!s->is_young)
		return OK;
	uint64_t mine = ++s->retire_asked;
	pthread_cond_signal(&s->on_write);
	while (s->retire_done < mine && !s->is_dead)
		wait_for(s, &s->on_retired);
	return s->is_dead ? ERR_IO : s->retire_err;
}

static void finish(struct commit_store *s, struct list *done)
{
	lock(s);
	list_splice(&s->done, done);
	pthread_cond_signal(&s->on_finished);
	unlock(s);
	wake(s);
}

static void die(struct commit_store *s, enum err err)
{
	lock(s);
	s->is_dead = true;
	(void)snprintf(s->problem, sizeof(s->problem), "the queue cannot go on (%s): %s",
		err_name(err), s->a.writer->ops->problem(s->a.writer));
	pthread_cond_signal(&s->on_finished);
	pthread_cond_signal(&s->on_retired);
	unlock(s);
	wake(s);
}

static void wake(struct commit_store *s)
{
	s->a.env->ops->wake(s->a.env);
}

static void lock(struct commit_store *s)
{
	CHECK(pthread_mutex_lock(&s->lock) == 0);
}

static void unlock(struct commit_store *s)
{
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
}

static void wait_for(struct commit_store *s, pthread_cond_t *what)
{
	CHECK(pthread_cond_wait(what, &s->lock) == 0);
}
