/*
 * problem - what is wrong with a configuration, and where; collected so that one look finds all of
 * it.
 */
#ifndef SRC_CONF_PROBLEM_H
#define SRC_CONF_PROBLEM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

#define PROBLEMS_MAX 20

struct place {
	struct str file;
	unsigned line, column; /* from 1; line 0: the file as a whole */
};

struct problems {
	struct buf *message;
	unsigned count;
};

/* problem_add - "file:line:column: text" and a newline. Beyond PROBLEMS_MAX nothing is added. */
void problem_add(struct problems *problems, struct place at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline bool problems_are_enough(const struct problems *problems)
{
	return problems->count >= PROBLEMS_MAX;
}

#endif
