/*
 * sim_script - the scenario language (test/scenarios/README.md): what the world is, what happens when, what must come of it.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "sim/sim_world.h"

#define SCRIPT_LINES_MAX 400
#define SCRIPT_WORDS_MAX 24
#define SCRIPT_VARIANTS_MAX 6
#define SCRIPT_CRASHES_MAX 500

struct sim_line_text {
	unsigned number;
	char *words[SCRIPT_WORDS_MAX];
	uint32_t word_count;
};

struct sim_variant {
	char name[32];
	uint32_t line; /* index of its "variant" line */
};

struct sim_event {
	struct timer timer;
	struct sim_script *script;
	struct sim_world *world;
	const struct sim_line_text *line;
	uint32_t first_word;
};

struct sim_script {
	char *text; /* words point into it */
	const char *file;
	struct sim_line_text lines[SCRIPT_LINES_MAX];
	uint32_t line_count;
	struct sim_variant variants[SCRIPT_VARIANTS_MAX];
	uint32_t variant_count;
	struct sim_event *events;
	uint32_t event_count;
	const struct sim_variant *variant; /* that is played */
	int64_t days_ms;
	unsigned error_count;
};

/* sim_script_load - false: not readable, or wrong; said on stderr. */
bool sim_script_load(struct sim_script *s, const char *file);
void sim_script_free(struct sim_script *s);
/* sim_script_play - sets up the world as the script says. Events fire while it runs. */
bool sim_script_play(struct sim_script *s, struct sim_world *w, const struct sim_variant *variant);
void sim_script_drop(struct sim_script *s); /* after the world is gone */
/* sim_script_add_crashes - so many more, at random, up to a day after the last event and load of the script. */
void sim_script_add_crashes(struct sim_script *s, struct sim_world *w, unsigned count);
/* sim_script_judge - the expect lines, against the figures. Number of those that fail; said on stderr. only_promises:
 * "queued" and "stored" alone. */
unsigned sim_script_judge(struct sim_script *s, const struct sim_world *w, bool only_promises);
/* sim_script_compare - the compare lines, against the figures of all variants, in their order. */
unsigned sim_script_compare(struct sim_script *s, const struct sim_world *worlds);

#endif
