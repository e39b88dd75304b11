/*
 * sim_words - a cursor over the words of one line of a scenario, with complaints that name the line.
 *
 * A complaint counts in the script, which is then not played on.
 */
#ifndef SIM_WORDS_H
#define SIM_WORDS_H

#include "sim/sim_script.h"

struct words {
	struct sim_script *script;
	struct sim_world *world;
	const struct sim_line_text *line;
	uint32_t at;
};

void words_complain(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* words_peek - the next word, "$NAME" replaced; "" at the end. */
const char *words_peek(const struct words *w);
const char *words_next(struct words *w);
bool words_take(struct words *w, const char *word); /* goes on if it is the next word */
uint32_t words_number(struct words *w);
int64_t words_span(struct words *w); /* milliseconds */
double words_value(struct words *w); /* a number, or a span in milliseconds */
void words_copy(struct words *w, char *out, size_t room);
/* words_site - "NAME" or "NAME/2": then *host is that host of it. NULL: no such site. */
struct sim_site *words_site(struct words *w, struct sim_host **host);

/* sim_script_conf - a statement "conf KEY VALUE", from its second word on. */
void sim_script_conf(struct words *w);

#endif
