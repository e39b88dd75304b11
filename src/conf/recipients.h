/* recipients - files of addresses that exist: one a line, "@domain" for all of a domain, '#' begins a comment. */
#ifndef SRC_CONF_RECIPIENTS_H
#define SRC_CONF_RECIPIENTS_H

#include "value.h"

/* recipients_read - fills item; false, and context->why tells file and line, when the file cannot be used. */
bool recipients_read(
	struct conf_relay_domain *item, struct str file, struct value_context *context);

#endif
