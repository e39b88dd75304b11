/*
 * address - mailboxes and paths of RFC 5321 section 4.1.2, with RFC 6531 where it is allowed.
 *
 * A path is parsed into parts or refused; nothing is patched up, expanded or evaluated. The local part
 * is opaque: '%', '!' and a quoted '@' have no meaning here (RELIABILITY row 35). Limits of section
 * 4.5.3.1: local part 64 octets, domain 255, path 256.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/endpoint.h"
#include "base/str.h"

struct address {
	struct str text;  /* "local@domain" as it was given (source route dropped); empty for <> */
	struct str local; /* as given, quotes included */
	struct str
		domain; /* lower-case A-label, or "[...]" for a literal; empty for <> and <Postmaster> */
	struct endpoint literal; /* family set for an address literal; port 0 */
	bool is_utf8;            /* some octet of text is above 0x7f */
};

/*
 * address_parse_path - reads "<...>" at the start of text; *rest is what follows. Strings live in arena.
 * Errors: ERR_SYNTAX; ERR_LIMIT (a part is too long); ERR_UNSUPPORTED (non-ASCII and !allow_utf8).
 */
MUST_USE enum err address_parse_path(struct str text, bool allow_utf8, struct arena *arena,
	struct address *out, struct str *rest);
/* address_parse - the same for a bare "local@domain" (configuration, CLI). */
MUST_USE enum err address_parse(
	struct str text, bool allow_utf8, struct arena *arena, struct address *out);

#endif
