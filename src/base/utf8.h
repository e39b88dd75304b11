/* utf8 - where a well-formed UTF-8 sequence ends. Private to base. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

#include "base/str.h"

/* utf8_sequence_len - octets of the sequence s begins with; 0: ill-formed. s is not empty. */
size_t utf8_sequence_len(struct str s);
/* utf8_is_control - the sequence of len octets at data is C0, DEL or C1 (U+0080 to U+009F). */
bool utf8_is_control(const char *data, size_t len);

#endif
