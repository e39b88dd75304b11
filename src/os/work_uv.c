/*
 * work_uv - env_work on libuv's thread pool. Work that is still running when the loop ends has no on_done: whoever asked
 * for it is gone.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "env_uv.h"

struct work_request {
	uv_work_t request;
	struct os_env *env;
	struct env_work *work;
};

static void on_run(uv_work_t *request)
{
	struct work_request *w = CONTAINER_OF(request, struct work_request, request);

	w->work->run(w->work);
}

static void on_after(uv_work_t *request, int status)
{
	struct work_request *w = CONTAINER_OF(request, struct work_request, request);

	(void)status; /* never canceled */
	if (!w->env->uv->is_draining)
		w->work->on_done(w->work);
	free(w);
}

void env_uv_work(struct env *env, struct env_work *work)
{
	struct work_request *w = mem_zalloc(sizeof(*w));

	w->env = os_env_of(env);
	w->work = work;
	CHECK(uv_queue_work(&w->env->uv->loop, &w->request, on_run, on_after) == 0);
}
