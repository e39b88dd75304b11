/* fixture_conf - configurations from text, and files for those that need some. */
#ifndef FIXTURE_CONF_H
#define FIXTURE_CONF_H

#include "base/buf.h"
#include "conf/conf.h"

/* conf_good - the configuration of text, which must be good; the caller drops its reference. */
struct conf *conf_good(const char *text);
/* assert_refused - text as test.yaml must be refused with just this message. */
void assert_refused(const char *text, const char *message);
void assert_str(struct str got, const char *expected);

/* A folder of its own for a test, removed with the files in it. */
struct folder {
	char path[64];
};
void folder_init(struct folder *folder);
void folder_fini(struct folder *folder);
/* folder_write - a file of the folder, created or overwritten, with this mode. */
void folder_write(const struct folder *folder, const char *name, unsigned mode, const char *text);
/*
 * folder_load - conf_load of a file of the folder; in message its path is cut off wherever it
 * stands.
 */
MUST_USE enum err folder_load(
	const struct folder *folder, const char *name, struct conf **out, struct buf *message);

#endif
