/*
 * diff - which settings differ between two configurations, as conf_print writes them.
 *
 * Texts, not structs: one of them comes from a daemon, perhaps of another version. A setting is named by its place:
 * "queue.lifetime", "destinations[libero.it].tls"; an item of a list by its first key. Secrets are not in the
 * texts, so a changed password is not seen.
 */
#ifndef CONF_DIFF_H
#define CONF_DIFF_H

#include <stdint.h>

#include "base/str.h"

/* name, and values as printed; an empty value: not there. Borrowed during the call. */
typedef void conf_diff_setting(
	void *user, struct str name, struct str old_value, struct str new_value);
/* conf_diff - in the order of the new text, what only the old has at the end. Returns how many. Cannot fail: lines that make
 * no sense are taken as settings without a value. */
uint32_t conf_diff(
	struct str old_text, struct str new_text, conf_diff_setting *on_setting, void *user);

#endif
