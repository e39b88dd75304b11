/*
 * scenario - plays a file of the scenario language (test/scenarios/README.md) for `outlast simulate`; see sim/simulate.h.
 *
 * What does not hold is said on standard error by those who notice it.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "sim/sim_script.h"
#include "sim/simulate.h"

static void put_figures(const struct sim_world *w, const char *variant, struct buf *out)
{
	buf_append_str(out, STR("{\"variant\":"));
	buf_append_json(out, str_from_c(variant));
	for (uint32_t i = 0; i < w->figure_count; i++) {
		buf_append_char(out, ',');
		buf_append_json(out, str_from_c(w->figures[i].name));
		buf_printf(out, ":%.0f", w->figures[i].value);
	}
	buf_append_str(out, STR("}\n"));
}

static unsigned play(struct sim_script *s, const struct sim_variant *variant, uint64_t seed,
	const char *directory, struct sim_world *w, struct buf *figures)
{
	unsigned failed;

	sim_world_init(w, seed, directory, NULL);
	if (sim_script_play(s, w, variant)) {
		sim_world_boot(w);
		sim_world_run(w, s->days_ms);
		sim_world_close(w);
	}
	failed = s->error_count + w->ledger.violation_count;
	if (s->error_count == 0)
		failed += sim_script_judge(s, w, false);
	put_figures(w, variant ? variant->name : "", figures);
	sim_world_fini(w);
	sim_script_drop(s);
	return failed;
}

unsigned sim_scenario(const char *file, uint64_t seed, const char *directory, struct buf *figures)
{
	struct sim_script *s = mem_zalloc(sizeof(*s));
	unsigned failed = 0;

	if (!sim_script_load(s, file)) {
		free(s);
		return 1;
	}
	uint32_t count = s->variant_count > 0 ? s->variant_count : 1;
	struct sim_world *worlds = mem_array(count, sizeof(*worlds));

	for (uint32_t i = 0; i < count; i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/%u", directory, i);
		if (mkdir(path, 0700) != 0) {
			failed++;
			break;
		}
		failed += play(s, s->variant_count > 0 ? &s->variants[i] : NULL, seed, path,
			&worlds[i], figures);
	}
	if (failed == 0)
		failed += sim_script_compare(s, worlds);
	free(worlds);
	sim_script_free(s);
	free(s);
	return failed;
}
