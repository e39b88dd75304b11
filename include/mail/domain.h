/* domain - host and domain names as DNS and SMTP want them. */
#ifndef MAIL_DOMAIN_H
#define MAIL_DOMAIN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define DOMAIN_LEN_MAX 253

/* domain_is_hostname - LDH labels (underscore allowed) of 1..63 octets, at most 253 in all, no trailing dot, not all-numeric. */
bool domain_is_hostname(struct str name);
/*
 * domain_normalize - *out becomes the lower-case A-label form (RFC 5891, libidn2) in arena; a trailing dot goes.
 * Errors: ERR_SYNTAX (no host name), ERR_LIMIT (too long).
 */
MUST_USE enum err domain_normalize(struct str name, struct arena *arena, struct str *out);

#endif
