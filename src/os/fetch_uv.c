/*
 * fetch_uv - see os/os_fetch.h.
 *
 * Happy path: a process with pipes, the body of a POST written to it, its output gathered up to the bound; at its end the
 * first line says what came of it. What fails: no process (ERR_IO), a helper that is not there or dies (ERR_IO), one that
 * says more than the bound or takes too long (killed). A canceled request leaves its process behind, killed; it ends by
 * itself.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "env_uv.h"
#include "os/os_fetch.h"

#define ADDRESS_TEXT_BYTES 64
/* One line before the body. */
#define HEAD_BYTES_MAX ((size_t)512)

struct fetch_uv {
	struct os_env *env;
	struct arena strings;
	struct os_fetch_params params;
	struct list running; /* of job.link */
	struct list waiting; /* of fetch_request.link */
	struct list failed;  /* the same: to be told so */
	size_t running_count, waiting_count;
	size_t handle_count;
	struct deferred step;
};

struct job {
	struct list link;
	struct fetch_uv *fetch;
	struct fetch_request *request; /* NULL: canceled */
	uv_process_t process;
	uv_pipe_t in, out;
	uv_write_t write;
	struct arena arena; /* arguments, and the body of a POST */
	struct buf output;
	struct timer deadline;
	unsigned open_count; /* handles */
	bool has_exited, is_killed, is_late, is_large;
};

/* What the helper says, and what it means. */
static const struct {
	const char *word;
	enum err err;
	const char *reason;
} results[] = {
	{ "ok", OK, "" },
	{ "status", ERR_REFUSED, "HTTP status is not 200" },
	{ "redirect", ERR_REFUSED, "HTTP redirect, which is not followed" },
	{ "timeout", ERR_TIMEOUT, "timed out" },
	{ "connect", ERR_UNREACHABLE, "cannot connect" },
	{ "resolve", ERR_UNREACHABLE, "no address" },
	{ "tls", ERR_TLS, "TLS handshake failed" },
	{ "certificate-untrusted", ERR_TLS, "certificate not trusted" },
	{ "certificate-expired", ERR_TLS, "certificate expired" },
	{ "certificate-name", ERR_TLS, "certificate for another host" },
	{ "large", ERR_LIMIT, "document too large" },
	{ "http", ERR_IO, "HTTP exchange failed" },
	{ "setup", ERR_IO, "helper could not be set up" },
};

static void start(struct fetch *fetch, struct fetch_request *f);
static void cancel(struct fetch *fetch, struct fetch_request *f);
static void on_step(struct deferred *d);
static bool spawn(struct fetch_uv *fetch, struct fetch_request *f);

static const struct fetch_ops ops = { .start = start, .cancel = cancel };

void os_fetch_init(struct os_fetch *f, struct os_env *env, const struct os_fetch_params *params)
{
	struct fetch_uv *uv = mem_zalloc(sizeof(*uv));

	f->fetch.ops = &ops;
	f->uv = uv;
	uv->env = env;
	uv->step.on_run = on_step;
	list_init(&uv->running);
	list_init(&uv->waiting);
	list_init(&uv->failed);
	os_fetch_set(f, params);
}

void os_fetch_set(struct os_fetch *f, const struct os_fetch_params *params)
{
	struct fetch_uv *uv = f->uv;
	struct arena old = { 0 };

	/* params may be what is there now */
	arena_move(&old, &uv->strings);
	uv->params = *params;
	uv->params.helper = arena_dup(&uv->strings, str_from_c(params->helper)).data;
	uv->params.authorities_path =
		params->authorities_path && params->authorities_path[0]
			? arena_dup(&uv->strings, str_from_c(params->authorities_path)).data
			: NULL;
	arena_fini(&old);
}

/* ---- requests ---- */

static struct fetch_uv *self(struct fetch *fetch)
{
	return CONTAINER_OF(fetch, struct os_fetch, fetch)->uv;
}

static void start(struct fetch *fetch, struct fetch_request *f)
{
	struct fetch_uv *uv = self(fetch);

	f->err = ERR_BUSY;
	f->status = 0;
	f->type[0] = '\0';
	f->reason = "too many requests at once";
	f->adapter = NULL;
	buf_init(&f->body, FETCH_BYTES_MAX);
	if (uv->waiting_count < OS_FETCH_WAITING_MAX) {
		list_push_back(&uv->waiting, &f->link);
		uv->waiting_count++;
	} else {
		list_push_back(&uv->failed, &f->link);
	}
	env_defer(&uv->env->env, &uv->step);
}

static void kill_job(struct job *j)
{
	if (!j->is_killed && !j->has_exited)
		(void)uv_process_kill(&j->process, SIGKILL);
	j->is_killed = true;
}

static void cancel(struct fetch *fetch, struct fetch_request *f)
{
	struct fetch_uv *uv = self(fetch);
	struct job *j = f->adapter;

	if (j) {
		j->request = NULL;
		f->adapter = NULL;
		kill_job(j);
		return;
	}
	if (!list_is_linked(&f->link))
		return;
	LIST_FOR_EACH (link, &uv->waiting) {
		if (link == &f->link) {
			uv->waiting_count--;
			break;
		}
	}
	list_remove(&f->link);
}

static void fail(struct fetch_request *f, enum err err, const char *reason)
{
	f->err = err;
	f->reason = reason;
	f->on_done(f);
}

static void on_step(struct deferred *d)
{
	struct fetch_uv *uv = CONTAINER_OF(d, struct fetch_uv, step);

	struct list *link;

	while ((link = list_pop_front(&uv->failed))) {
		struct fetch_request *f = CONTAINER_OF(link, struct fetch_request, link);
		f->on_done(f);
	}
	while (uv->running_count < OS_FETCH_RUNNING_MAX && (link = list_pop_front(&uv->waiting))) {
		struct fetch_request *f = CONTAINER_OF(link, struct fetch_request, link);
		uv->waiting_count--;
		if (f->address_count == 0)
			fail(f, ERR_UNREACHABLE, "no address");
		else if (!spawn(uv, f))
			fail(f, ERR_IO, "helper cannot be started");
	}
}

/* ---- the end of a process ---- */

/* "-" stands for none. */
static void take_type(struct fetch_request *f, struct str type)
{
	size_t n = 0;

	for (; n < type.len && n + 1 < sizeof(f->type) && !str_equal(type, STR("-")); n++)
		f->type[n] = (char)(type.data[n] |
				    (type.data[n] >= 'A' && type.data[n] <= 'Z' ? 0x20 : 0));
	f->type[n] = '\0';
}

static bool take_answer(struct fetch_request *f, struct str output)
{
	size_t end = str_find(output, '\n');
	struct str head = str_slice(output, 0, end), word;
	uint64_t status = 0;

	if (end == output.len || end > HEAD_BYTES_MAX ||
		!str_equal(str_cut(&head, ' '), STR("outlast-fetch")))
		return false;
	word = str_cut(&head, ' ');
	if (str_to_u64(str_cut(&head, ' '), &status) != OK || status > 999)
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
		if (!str_equal(word, str_from_c(results[i].word)))
			continue;
		f->err = results[i].err;
		f->reason = results[i].reason;
		f->status = (unsigned)status;
		take_type(f, head);
		buf_append_str(&f->body, str_slice(output, end + 1, output.len));
		return true;
	}
	return false;
}

static void job_free(struct job *j)
{
	arena_fini(&j->arena);
	buf_fini(&j->output);
	free(j);
}

static void tell(struct job *j)
{
	struct fetch_request *f = j->request;
	struct str output = buf_str(&j->output);

	if (j->is_late) {
		f->err = ERR_TIMEOUT;
		f->reason = "timed out";
	} else if (j->is_large) {
		f->err = ERR_LIMIT;
		f->reason = "document too large";
	} else if (!take_answer(f, output)) {
		f->err = ERR_IO;
		f->reason = "helper gave no answer";
	} else if (f->body.is_full) {
		f->err = ERR_LIMIT;
		f->reason = "document too large";
	}
	f->adapter = NULL;
	f->on_done(f);
}

static void job_end(struct job *j)
{
	struct fetch_uv *uv = j->fetch;

	list_remove(&j->link);
	uv->running_count--;
	env_timer_stop(&uv->env->env, &j->deadline);
	if (j->request && !uv->env->uv->is_draining)
		tell(j);
	job_free(j);
	env_defer(&uv->env->env, &uv->step);
}

static void on_closed(uv_handle_t *handle)
{
	struct job *j = handle->data;

	j->fetch->handle_count--;
	if (--j->open_count == 0)
		job_end(j);
}

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void on_exit_of(uv_process_t *process, int64_t status, int by_signal)
{
	struct job *j = process->data;

	(void)status;
	(void)by_signal;
	j->has_exited = true;
	close_handle((uv_handle_t *)process);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
	struct job *j = handle->data;
	enum { READ_BYTES = 8192 };
	char *room = buf_reserve(&j->output, READ_BYTES);

	(void)wanted;
	*out = room ? uv_buf_init(room, READ_BYTES) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *read)
{
	struct job *j = stream->data;

	(void)read;
	if (n > 0) {
		j->output.len += (size_t)n;
		return;
	}
	if (n == 0)
		return;
	/* the end, or no room for more */
	j->is_large = n == UV_ENOBUFS;
	if (n != UV_EOF)
		kill_job(j);
	close_handle((uv_handle_t *)stream);
}

static void on_written(uv_write_t *write, int status)
{
	(void)status; /* the helper says what came of it */
	close_handle((uv_handle_t *)write->handle);
}

static void on_deadline(struct timer *t)
{
	struct job *j = CONTAINER_OF(t, struct job, deadline);

	j->is_late = true;
	kill_job(j);
	/* a grandchild that holds it open would keep us waiting; there is none, and this is cheap */
	close_handle((uv_handle_t *)&j->out);
}

/* ---- its beginning ---- */

/* Terminated, and not const: libuv wants both. */
static char *argument(struct job *j, struct str text)
{
	char *out = arena_alloc(&j->arena, text.len + 1);

	memcpy(out, text.data, text.len);
	return out;
}

static char **make_arguments(struct job *j, const struct fetch_request *f)
{
	const struct os_fetch_params *p = &j->fetch->params;
	char **args = arena_array(&j->arena, 16 + 2 * FETCH_ADDRESSES_MAX, sizeof(*args));
	size_t n = 0;

	args[n++] = argument(j, str_from_c(p->helper));
	if (f->post.len > 0) {
		args[n++] = argument(j, STR("--post"));
		args[n++] = argument(j, f->post_type);
	}
	if (p->authorities_path) {
		args[n++] = argument(j, STR("--cacert"));
		args[n++] = argument(j, str_from_c(p->authorities_path));
	}
	if (p->port > 0) {
		args[n++] = argument(j, STR("--port"));
		args[n++] = argument(j, arena_printf(&j->arena, "%u", (unsigned)p->port));
	}
	for (uint32_t i = 0; i < f->address_count && i < FETCH_ADDRESSES_MAX; i++) {
		struct buf text;
		buf_init(&text, ADDRESS_TEXT_BYTES);
		endpoint_format_ip(&text, &f->addresses[i]);
		args[n++] = argument(j, STR("--connect"));
		args[n++] = argument(j, buf_str(&text));
		buf_fini(&text);
	}
	args[n++] = argument(j, f->url);
	return args;
}

static void open_pipe(struct job *j, uv_pipe_t *pipe)
{
	CHECK(uv_pipe_init(&j->fetch->env->uv->loop, pipe, 0) == 0);
	pipe->data = j;
	j->open_count++;
	j->fetch->handle_count++;
}

/* A process that did not come about: its handles close, and job_end frees it without a word. */
static bool give_up(struct job *j)
{
	j->request = NULL;
	j->has_exited = true;
	close_handle((uv_handle_t *)&j->process);
	close_handle((uv_handle_t *)&j->out);
	if (j->in.data)
		close_handle((uv_handle_t *)&j->in);
	return false;
}

static void send_post(struct job *j, const struct fetch_request *f)
{
	uv_buf_t out = { .base = argument(j, f->post), .len = f->post.len };

	if (uv_write(&j->write, (uv_stream_t *)&j->in, &out, 1, on_written) < 0)
		close_handle((uv_handle_t *)&j->in);
}

static bool spawn(struct fetch_uv *uv, struct fetch_request *f)
{
	struct job *j = mem_zalloc(sizeof(*j));
	bool is_post = f->post.len > 0;
	char *environment[] = { NULL };
	uv_stdio_container_t stdio[3] = { { .flags = UV_IGNORE }, { .flags = UV_IGNORE },
		{ .flags = UV_IGNORE } };
	uv_process_options_t options = { .exit_cb = on_exit_of,
		.file = uv->params.helper,
		.env = environment,
		.stdio_count = 3,
		.stdio = stdio };

	j->fetch = uv;
	j->request = f;
	j->deadline.on_fire = on_deadline;
	buf_init(&j->output, FETCH_BYTES_MAX + HEAD_BYTES_MAX + 8192);
	list_push_back(&uv->running, &j->link);
	uv->running_count++;
	options.args = make_arguments(j, f);
	open_pipe(j, &j->out);
	stdio[1].flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
	stdio[1].data.stream = (uv_stream_t *)&j->out;
	if (is_post) {
		open_pipe(j, &j->in);
		stdio[0].flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_READABLE_PIPE);
		stdio[0].data.stream = (uv_stream_t *)&j->in;
	}
	j->process.data = j;
	j->open_count++;
	uv->handle_count++;
	/* Also after a failure the handle must be closed. */
	if (uv_spawn(&uv->env->uv->loop, &j->process, &options) < 0)
		return give_up(j);
	f->adapter = j;
	if (is_post)
		send_post(j, f);
	if (uv_read_start((uv_stream_t *)&j->out, on_alloc, on_read) < 0)
		close_handle((uv_handle_t *)&j->out);
	env_timer_after(&uv->env->env, &j->deadline,
		uv->params.limit_ms > 0 ? uv->params.limit_ms : FETCH_MS + 5 * SECOND_MS);
	return true;
}

void os_fetch_fini(struct os_fetch *f)
{
	struct fetch_uv *uv = f->uv;

	if (!uv)
		return;
	LIST_FOR_EACH_SAFE (link, &uv->running) {
		struct job *j = CONTAINER_OF(link, struct job, link);
		j->request = NULL;
		kill_job(j);
	}
	env_uv_drain(uv->env, &uv->handle_count);
	env_undefer(&uv->env->env, &uv->step);
	arena_fini(&uv->strings);
	free(uv);
	f->uv = NULL;
}
