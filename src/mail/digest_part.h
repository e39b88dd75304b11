/* digest_part - the text of a digest, apart from its frame. */
#ifndef MAIL_DIGEST_PART_H
#define MAIL_DIGEST_PART_H

#include "dsn_part.h"
#include "mail/digest.h"

/* digest_write_text - the part for people. part_count: how many status parts follow. */
void digest_write_text(struct buf *out, const struct digest_params *p, size_t part_count);

#endif
