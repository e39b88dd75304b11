/* message - see queue/message.h. */
#include "queue/message.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct message *message_new(void)
{
	struct message *m = mem_zalloc(sizeof(*m));

	m->references = 1;
	return m;
}

struct message *message_ref(struct message *m)
{
	CHECK(m->references > 0);
	m->references++;
	return m;
}

void message_unref(struct message *m)
{
	if (!m)
		return;
	CHECK(m->references > 0);
	if (--m->references > 0)
		return;
	message_drop_content(m);
	arena_fini(&m->arena);
	free(m);
}

void message_drop_content(struct message *m)
{
	if (m->held_bytes)
		*m->held_bytes -= m->content.len;
	m->held_bytes = NULL;
	buf_fini(&m->content);
	m->has_content = false;
}
