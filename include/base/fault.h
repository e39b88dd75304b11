/*
 * fault - named points where a test may strike the real program.
 *
 * The points name rows of the crash table. In production no point is armed and a point costs one
 * comparison. outlastd arms one by --fault NAME[:N[:ACTION]] (loopback listeners only): at the N-th
 * passage of the point (default the first) the action is taken.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdint.h>

#include "base/str.h"

#define FAULT_LIST(X)                                                                              \
	X(accept_in_data)    /* body octets received, nothing committed */                         \
	X(accept_spooled)    /* a chunk of a large body is on disk, ACCEPT is not */               \
	X(accept_applied)    /* ACCEPT applied, the transaction not committed */                   \
	X(accept_committed)  /* durable, our 250 not sent */                                       \
	X(accept_replied)    /* 250 handed to the socket */                                        \
	X(attempt_connected) /* session to the next hop open */                                    \
	X(attempt_in_data)   /* part of the content sent */                                        \
	X(attempt_dot_sent)  /* final dot sent, reply outstanding */                               \
	X(attempt_delivered) /* next hop said 250, RECORD not submitted */                         \
	X(record_applied)    /* RECORD applied, the transaction not committed */                   \
	X(record_committed)  /* durable, not yet logged */                                         \
	X(retire_begin)      /* before what is young goes to the tables */                         \
	X(retire_end)        /* after it */                                                        \
	X(checkpoint_begin)  /* before a WAL checkpoint */                                         \
	X(checkpoint_end)    /* after it */                                                        \
	X(migrate_step)      /* between two steps of a schema migration */

enum fault_point {
	FAULT_NONE,
#define X(name) FAULT_##name,
	FAULT_LIST(X)
#undef X
		FAULT_COUNT
};

enum fault_action {
	FAULT_KILL, /* SIGKILL to ourselves */
	FAULT_FAIL  /* fault_hit returns true; the site acts as if the operation had failed */
};

struct fault {
	enum fault_point armed;
	enum fault_action action;
	uint32_t countdown; /* passages left */
};

/* fault_parse - reads "NAME", "NAME:N" or "NAME:N:fail". Errors: ERR_SYNTAX, ERR_NOT_FOUND. */
MUST_USE enum err fault_parse(struct fault *f, struct str spec);
const char *fault_name(enum fault_point p);
/* fault_strike - counts a passage of the armed point; may not return. */
bool fault_strike(struct fault *f);
/* fault_hit - true when the site must act as failed. f may be NULL. Thread: the one that passes the point. */
static inline bool fault_hit(struct fault *f, enum fault_point p)
{
	return f && f->armed == p && fault_strike(f);
}

#endif
