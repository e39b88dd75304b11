/* load - the loader as its tests and its fuzz target see it: from memory. */
#ifndef SRC_CONF_LOAD_H
#define SRC_CONF_LOAD_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"

/*
 * load_text - as conf_load, from text; file is what messages call it and where relative paths
 * start. Without may_read_files every key that names a file to be read now (include, users, auth)
 * is a problem.
 */
MUST_USE enum err load_text(struct str file, struct str text, bool may_read_files,
	struct conf **out, struct buf *message);

#endif
