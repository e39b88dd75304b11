/* sim_judge - the expect and compare lines of a scenario; see sim_script.h. */
#include <string.h>

#include "sim/sim_words.h"

static bool holds(struct words *w, double left, const char *op, double right)
{
	if (strcmp(op, "=") == 0)
		return left == right;
	if (strcmp(op, "<=") == 0)
		return left <= right;
	if (strcmp(op, ">=") == 0)
		return left >= right;
	words_complain(w, "unknown comparison '%s'", op);
	return false;
}

/* expect FIGURE =|<=|>= VALUE, or another FIGURE */
static unsigned judge(struct words *w, const struct sim_world *world)
{
	const char *name = words_next(w), *op = words_next(w);
	const struct sim_figure *f = sim_world_figure(world, str_from_c(name));
	const struct sim_figure *other = sim_world_figure(world, str_from_c(words_peek(w)));
	double want = other ? other->value : words_value(w);

	if (!f)
		words_complain(w, "no figure '%s'", name);
	if (f && holds(w, f->value, op, want))
		return 0;
	if (f)
		fprintf(stderr, "%s:%u: expected %s %s %.0f, it is %.0f\n", w->script->file,
			w->line->number, name, op, want, f->value);
	return 1;
}

unsigned sim_script_judge(struct sim_script *s, const struct sim_world *world, bool only_promises)
{
	unsigned failed = 0;

	for (uint32_t i = 0; i < s->line_count; i++) {
		struct words w = { s, NULL, &s->lines[i], 0 };

		if (words_take(&w, "in") && (!s->variant || strcmp(words_next(&w), s->variant->name) != 0))
			continue;
		if (words_take(&w, "always"))
			failed += judge(&w, world);
		else if (words_take(&w, "expect") &&
			(!only_promises || strcmp(words_peek(&w), "queued") == 0 ||
				strcmp(words_peek(&w), "stored") == 0))
			failed += judge(&w, world);
	}
	return failed;
}

static const struct sim_world *world_of(struct words *w, const struct sim_world *worlds)
{
	const char *name = words_next(w);

	for (uint32_t i = 0; i < w->script->variant_count; i++)
		if (strcmp(w->script->variants[i].name, name) == 0)
			return &worlds[i];
	words_complain(w, "no variant '%s'", name);
	return &worlds[0];
}

/* compare FIGURE A <= FACTOR B [plus N]: the figure of variant A is at most so many times that of B, and N more */
static unsigned compare(struct words *w, const struct sim_world *worlds)
{
	struct str name = str_from_c(words_next(w));
	const struct sim_figure *a = sim_world_figure(world_of(w, worlds), name), *b;
	double factor, plus = 0;

	(void)words_take(w, "<=");
	factor = words_value(w);
	b = sim_world_figure(world_of(w, worlds), name);
	if (words_take(w, "plus"))
		plus = words_value(w);
	if (!a || !b)
		words_complain(w, "no figure '%.*s'", STR_FMT(name));
	if (!a || !b)
		return 1;
	if (a->value <= factor * b->value + plus)
		return 0;
	fprintf(stderr, "%s:%u: %.*s: %.0f is more than %g times %.0f\n", w->script->file,
		w->line->number, STR_FMT(name), a->value, factor, b->value);
	return 1;
}

unsigned sim_script_compare(struct sim_script *s, const struct sim_world *worlds)
{
	unsigned failed = 0;

	s->variant = NULL;
	for (uint32_t i = 0; i < s->line_count; i++) {
		struct words w = { s, NULL, &s->lines[i], 0 };

		if (words_take(&w, "compare"))
			failed += compare(&w, worlds);
	}
	return failed;
}
