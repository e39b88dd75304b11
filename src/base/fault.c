/*
 * fault - arming one point and striking it once.
 *
 * A point that has struck is disarmed, so a site that failed once goes on as usual afterwards.
 */
#include "base/fault.h"

#include <signal.h>
#include <unistd.h>

#include "base/check.h"

static enum fault_point find_point(struct str name);

enum err fault_parse(struct fault *f, struct str spec)
{
	struct fault parsed = { .action = FAULT_KILL, .countdown = 1 };
	bool has_count = str_find(spec, ':') < spec.len;
	struct str name = str_cut(&spec, ':');
	bool has_action = str_find(spec, ':') < spec.len;
	struct str count = str_cut(&spec, ':');
	if (name.len == 0)
		return ERR_SYNTAX;
	if (has_count) {
		uint64_t n = 0;
		if (str_to_u64(count, &n) != OK || n == 0 || n > UINT32_MAX)
			return ERR_SYNTAX;
		parsed.countdown = (uint32_t)n;
	}
	if (has_action && str_equal(spec, STR("fail")))
		parsed.action = FAULT_FAIL;
	else if (has_action && !str_equal(spec, STR("kill")))
		return ERR_SYNTAX;
	parsed.armed = find_point(name);
	if (parsed.armed == FAULT_NONE)
		return ERR_NOT_FOUND;
	*f = parsed;
	return OK;
}

const char *fault_name(enum fault_point p)
{
	static const char *const names[FAULT_COUNT] = { "none",
#define X(name) #name,
		FAULT_LIST(X)
#undef X
	};
	CHECK((size_t)p < FAULT_COUNT);
	return names[p];
}

bool fault_strike(struct fault *f)
{
	CHECK(f->countdown > 0);
	if (--f->countdown > 0)
		return false;
	f->armed = FAULT_NONE;
	switch (f->action) {
	case FAULT_KILL:
		kill(getpid(), SIGKILL);
		for (;;)
			pause(); /* another thread may have been given the signal first */
	case FAULT_FAIL:
		break;
	}
	return true;
}

static enum fault_point find_point(struct str name)
{
	for (int p = FAULT_NONE + 1; p < FAULT_COUNT; p++) {
		if (str_equal(name, str_from_c(fault_name((enum fault_point)p))))
			return (enum fault_point)p;
	}
	return FAULT_NONE;
}
