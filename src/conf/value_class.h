/* value_class - values of the kinds that only a class has: see keys_class.c. As value_set and value_print. */
#ifndef SRC_CONF_VALUE_CLASS_H
#define SRC_CONF_VALUE_CLASS_H

#include "value.h"

bool value_set_priority(const struct key *key, void *base, struct str text, struct buf *why);
bool value_set_header(const struct key *key, void *base, struct str text, struct value_context *c);
bool value_set_notify(const struct key *key, void *base, struct str text, struct buf *why);
void value_print_class(struct buf *out, const struct key *key, const void *base);

#endif
