/* fuzz - what the fuzz targets share: the entry point's prototype and a way to cut the input. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct str fuzz_str(const uint8_t *data, size_t size)
{
	return str_of((const char *)data, size);
}
/* fuzz_octet - takes one octet of control from the input; 0 at its end. */
static inline unsigned fuzz_octet(struct str *in)
{
	if (in->len == 0)
		return 0;
	unsigned octet = (unsigned char)in->data[0];
	*in = str_slice(*in, 1, in->len);
	return octet;
}

#endif
