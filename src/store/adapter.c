/*
 * adapter - opening and closing, shared by commit.c, sync.c and readonly.c; and the public
 * store_close.
 */
#include "adapter.h"

#include <stdlib.h>

#include "base/check.h"

static enum err open_engines(struct adapter *a, const struct store_options *options,
	bool is_readonly, struct buf *message);

void store_close(struct store *store)
{
	struct adapter *a = CONTAINER_OF(store, struct adapter, base);
	a->close(a);
}

enum err adapter_open(struct adapter *a, struct env *env, struct str directory,
	const struct store_options *options, bool is_readonly, struct buf *message)
{
	a->env = env;
	a->on_fatal = options->on_fatal;
	a->on_fatal_user = options->on_fatal_user;
	enum err err = directory_open(&a->directory, directory, !is_readonly, message);
	if (err != OK)
		return err;
	if (!is_readonly)
		directory_reserve(&a->directory, options->reserve_bytes);
	err = open_engines(a, options, is_readonly, message);
	if (err == OK && !is_readonly && directory_sync(&a->directory) != OK) {
		buf_printf(message, "cannot sync the queue directory %s", a->directory.path);
		err = ERR_IO;
	}
	if (err != OK) {
		adapter_close(a, false);
		return err;
	}
	if (!is_readonly)
		(void)directory_retake(&a->directory);
	a->batch = (struct batch){
		.engine = a->writer,
		.directory = &a->directory,
		.fault = env ? env->fault : NULL,
		.wal_limit_pages =
			options->wal_limit_pages ? options->wal_limit_pages : STORE_WAL_LIMIT_PAGES,
		.is_checkpoint_each = options->checkpoint == STORE_CHECKPOINT_EACH,
	};
	return OK;
}

void adapter_close(struct adapter *a, bool is_clean)
{
	if (a->reader)
		a->reader->ops->close(a->reader, is_clean);
	if (a->writer)
		a->writer->ops->close(a->writer, is_clean);
	a->reader = a->writer = NULL;
	directory_close(&a->directory);
}

void adapter_complete(struct adapter *a, struct store_op *op)
{
	if (a->env) {
		metric_add(a->env->metrics, METRIC_store_ops_total, 1);
		if (op->err == ERR_NO_SPACE)
			metric_add(a->env->metrics, METRIC_store_full_total, 1);
	}
	op->on_done(op);
}

void adapter_tell_alarm(struct adapter *a, const char *text)
{
	if (text[0])
		log_text(a->env->log, LOG_WARNING, "outlastd", "%s", text);
}

static enum err open_engines(struct adapter *a, const struct store_options *options,
	bool is_readonly, struct buf *message)
{
	char *path = directory_file(&a->directory, "queue.db");
	struct engine_options o = {
		.path = path,
		.vfs = options->vfs,
		.is_compiled_late = options->is_compiled_late,
		.mode = ENGINE_WRITE,
		.journal_bytes = options->journal_bytes,
		.fault = a->env ? a->env->fault : NULL,
	};
	enum err err = is_readonly ? OK : engine_sqlite_open(&o, &a->writer, message);
	o.mode = is_readonly ? ENGINE_INSPECT : ENGINE_READ;
	o.fault = NULL;
	if (err == OK)
		err = engine_sqlite_open(&o, &a->reader, message);
	free(path);
	return err;
}
