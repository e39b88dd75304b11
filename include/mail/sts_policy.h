/*
 * sts_policy - MTA-STS (RFC 8461): the TXT record that announces a policy, the policy file, and which MX hosts it allows.
 *
 * Pure. What outsiders write is bounded: 64 KiB of text, STS_MX_MAX patterns.
 */
#ifndef MAIL_STS_POLICY_H
#define MAIL_STS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define STS_TEXT_BYTES_MAX ((size_t)64 * 1024)
#define STS_ID_BYTES_MAX 32
#define STS_MX_MAX 200
#define STS_MAX_AGE_S INT64_C(31557600)

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE, STS_MODE_COUNT };

struct sts_policy {
	enum sts_mode mode;
	int64_t max_age_s;
	struct str *mx; /* lower case; "*.example" stands for one label more */
	uint32_t mx_count;
};

/* sts_mode_name - "none", "testing", "enforce". */
const char *sts_mode_name(enum sts_mode mode);

/*
 * sts_record_find - the id in the TXT records of _mta-sts.DOMAIN (RFC 8461 section 3.1). Records that do not begin with
 * "v=STSv1;" do not count. *id points into records. Errors: ERR_NOT_FOUND (none, or more than one), ERR_SYNTAX (the one is
 * ill-formed: no policy either).
 */
MUST_USE enum err sts_record_find(const struct str *records, uint32_t count, struct str *id);

/*
 * sts_policy_parse - a policy file (section 3.2): lines that end with CRLF or LF, fields in any order, of repeated ones
 * the first counts, unknown ones are passed over. A max_age beyond a year counts as a year. Strings in arena. Errors:
 * ERR_SYNTAX, ERR_LIMIT; *reason (static) says what is wrong.
 */
MUST_USE enum err sts_policy_parse(
	struct str text, struct arena *arena, struct sts_policy *out, const char **reason);

/* sts_policy_print - a policy file that parses to the same. */
void sts_policy_print(struct buf *out, const struct sts_policy *policy);

/* sts_policy_has_mx - some pattern matches the host (section 4.1). host: no trailing dot. */
bool sts_policy_has_mx(const struct sts_policy *policy, struct str host);

#endif
