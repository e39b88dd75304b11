/*
 * filter - struct store_filter as SQL: a FROM clause that starts at the most selective index,
 * conditions, parameters.
 *
 * Only constant pieces go into the text; every value of the filter is a bound parameter, in the
 * order of the text. Names in scope: m message, r recipient, h its next hop, s its site (or
 * NULL).
 */
#ifndef STORE_FILTER_H
#define STORE_FILTER_H

#include "base/buf.h"
#include "port/store.h"
#include "sql.h"

enum { FILTER_TEXT_MAX_BYTES = 1 << 20, FILTER_IDS_MAX = 32000 };

enum filter_start {
	FILTER_BY_STATE,   /* through the indexes of queued recipients: those only */
	FILTER_BY_MESSAGE, /* through messages, in order of arrival */
	FILTER_BY_FINISH,  /* through finished messages, in order of their end; with finished_after */
	FILTER_BY_FAILED,  /* through the index of failed recipients: those that failed at or after the bound id (an instant) */
	FILTER_ONE_MESSAGE /* the message whose id is bound last */
};

unsigned filter_states(const struct store_filter *f);
bool filter_is_empty(const struct store_filter *f);
/* filter_build - appends " FROM ... WHERE ...". states: bits, instead of those of the filter. */
void filter_build(
	struct buf *text, const struct store_filter *f, unsigned states, enum filter_start start);
/* filter_bind - the parameters of filter_build's text. */
void filter_bind(
	struct query *q, const struct store_filter *f, enum filter_start start, uint64_t id);
/* filter_describe - for the audit: "from=... domain=...". */
void filter_describe(struct buf *out, const struct store_filter *f);
/* filter_hash - tells requests apart: what is done by the filter in salt. */
uint64_t filter_hash(const struct store_filter *f, unsigned salt);

#endif
