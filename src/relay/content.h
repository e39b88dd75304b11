/*
 * content - the reader a session gets for a message's content: from memory, else from the store chunk by chunk.
 */
#ifndef RELAY_CONTENT_H
#define RELAY_CONTENT_H

#include "port/env.h"
#include "port/store.h"
#include "queue/message.h"
#include "smtp/client.h"

struct content_fetch;

struct content {
	struct content_reader reader;
	struct env *env;
	struct store *store;
	struct message *message; /* borrowed */
	uint32_t next_chunk;
	uint64_t read_bytes;         /* by the chunks before it */
	struct content_fetch *fetch; /* the chunk read last, or being read */
	struct deferred deliver;
	enum err err; /* the content could not be read: ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO */
};

void content_init(struct content *c, struct env *env, struct store *store, struct message *message);
/* content_fini - also with a read under way: its result is thrown away. */
void content_fini(struct content *c);

#endif
