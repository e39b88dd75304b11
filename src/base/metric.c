/* metric - the names of METRIC_LIST. */
#include "base/metric.h"

#include "base/check.h"

const char *metric_name(enum metric which)
{
	static const char *const names[METRIC_COUNT] = {
#define X(name) #name,
		METRIC_LIST(X)
#undef X
	};
	CHECK((size_t)which < METRIC_COUNT);
	return names[which];
}
