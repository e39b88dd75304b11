/*
 * message - a queued message in memory, shared by the deliveries that carry it. Reference-counted, loop thread only.
 *
 * Content is there while it is fresh from intake (one chunk, whole); otherwise it is read from the store chunk by
 * chunk. Memory held this way is bounded by the caller (intake's budget).
 */
#ifndef QUEUE_MESSAGE_H
#define QUEUE_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "mail/envelope.h"

struct message {
	unsigned references;
	struct arena arena;  /* strings of env */
	struct envelope env; /* recipients NULL unless fresh */
	struct buf content;  /* whole content if has_content */
	bool has_content;
	uint64_t *
		held_bytes; /* the holder's count of content in memory, lowered when it is freed; NULL: not counted */
	uint32_t chunk_count; /* in the store */
};

struct message *message_new(void); /* one reference */
struct message *message_ref(struct message *m);
void message_unref(struct message *m); /* NULL is legal */
/* message_drop_content - frees the content; later deliveries read the store. */
void message_drop_content(struct message *m);

#endif
