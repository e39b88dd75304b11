/*
 * str - a borrowed run of octets: pointer and length, not terminated, may hold NUL.
 *
 * Never owns. The octets live in an arena, a buf or a literal named by whoever hands it out.
 * Functions are pure. Case folding is ASCII only, as SMTP wants it. Thread: any.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct str {
	const char *data;
	size_t len;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_FMT(s) (int)(s).len, (s).data /* for "%.*s" */

static inline struct str str_of(const char *data, size_t len)
{
	return (struct str){ data, len };
}

struct str str_from_c(const char *text); /* NULL gives the empty str */
bool str_equal(struct str a, struct str b);
bool str_equal_fold(struct str a, struct str b); /* ASCII case-insensitive */
int str_compare(struct str a, struct str b);     /* memcmp order, shorter first */
bool str_starts_fold(struct str s, struct str prefix);
bool str_ends_fold(struct str s, struct str suffix);
/* str_find - offset of the first c, or s.len. */
size_t str_find(struct str s, char c);
struct str str_slice(struct str s, size_t from, size_t to); /* clamped to s */
struct str str_trim(struct str s);                          /* SP and HTAB at both ends */
/* str_cut - the part of *rest before the first sep; *rest becomes what follows it (empty if none). */
struct str str_cut(struct str *rest, char sep);
/* str_to_u64 - decimal digits only, the whole of s. Errors: ERR_SYNTAX, ERR_LIMIT (overflow). */
MUST_USE enum err str_to_u64(struct str s, uint64_t *out);
static inline bool char_is_alnum(char c) /* of ASCII */
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool str_is_keyword(struct str s); /* letters, digits, and hyphens but for the first: RFC 5321's esmtp-keyword */
bool str_is_ascii(struct str s); /* no octet above 0x7f */
bool str_is_utf8(struct str s);  /* well-formed UTF-8 (RFC 3629) */
/* str_match_glob - '*' and '?' against all of s, ASCII case-insensitive; linear in |s| * |pattern|, no recursion. */
bool str_match_glob(struct str s, struct str pattern);
uint64_t str_hash(
	struct str s, uint64_t seed); /* siphash-like strength is not needed: keyed by seed */
uint64_t str_hash_fold(
	struct str s, uint64_t seed); /* equal for strings equal under str_equal_fold */

#endif
