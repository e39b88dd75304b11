/*
 * entry - operations as the heads of journal entries, and back.
 *
 * A head holds everything of an ACCEPT but its content, which chunk a SPOOL was, or the whole of a RECORD. Reading does not trust it: a number
 * out of its range or an octet too few gives ERR_CORRUPT. Strings of what was read borrow from the head. Pure.
 */
#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include "base/arena.h"
#include "base/buf.h"
#include "port/store.h"

enum entry_kind { ENTRY_ACCEPT = 1, ENTRY_RECORD = 2, ENTRY_SPOOL = 3 };

void entry_put_accept(struct buf *b, const struct envelope *env, uint32_t spooled_chunks);
/* entry_take_accept - recipients in arena. */
MUST_USE enum err entry_take_accept(
	struct str head, struct arena *arena, struct envelope *out, uint32_t *spooled_chunks);

void entry_put_spool(struct buf *b, uint64_t id, uint32_t chunk);
MUST_USE enum err entry_take_spool(struct str head, uint64_t *id, uint32_t *chunk);

/* entry_put_record - without notices. */
void entry_put_record(struct buf *b, const struct store_record *op);
MUST_USE enum err entry_take_record(struct str head, struct arena *arena, struct store_record *out);

#endif
