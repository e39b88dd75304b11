/* sim_words - see sim_words.h. */
#include "sim/sim_words.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void words_complain(struct words *w, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%u: ", w->script->file, w->line->number);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	w->script->error_count++;
}

/* "$NAME" is what the variant, or else a let line, says. */
static const char *substitute(const struct sim_script *s, const char *word)
{
	if (word[0] != '$')
		return word;

	size_t len = strlen(word + 1);

	if (s->variant) {
		const struct sim_line_text *line = &s->lines[s->variant->line];

		for (uint32_t i = 2; i < line->word_count; i++)
			if (strncmp(line->words[i], word + 1, len) == 0 &&
				line->words[i][len] == '=')
				return line->words[i] + len + 1;
	}
	for (uint32_t i = 0; i < s->line_count; i++)
		if (strcmp(s->lines[i].words[0], "let") == 0 && s->lines[i].word_count == 3 &&
			strcmp(s->lines[i].words[1], word + 1) == 0)
			return s->lines[i].words[2];
	return word;
}

const char *words_peek(const struct words *w)
{
	return w->at < w->line->word_count ? substitute(w->script, w->line->words[w->at]) : "";
}

const char *words_next(struct words *w)
{
	const char *word = words_peek(w);

	if (w->at < w->line->word_count)
		w->at++;
	else
		words_complain(w, "something is missing at the end");
	return word;
}

bool words_take(struct words *w, const char *word)
{
	if (strcmp(words_peek(w), word) != 0)
		return false;
	w->at++;
	return true;
}

uint32_t words_number(struct words *w)
{
	const char *word = words_next(w);
	uint64_t n = 0;

	if (str_to_u64(str_from_c(word), &n) != OK || n > UINT32_MAX)
		words_complain(w, "'%s' is no number", word);
	return (uint32_t)n;
}

int64_t words_span(struct words *w)
{
	const char *word = words_next(w);
	int64_t ms = 0;

	if (strcmp(word, "0") != 0 && instant_parse_span(str_from_c(word), &ms) != OK)
		words_complain(w, "'%s' is no time", word);
	return ms;
}

void words_copy(struct words *w, char *out, size_t room)
{
	(void)snprintf(out, room, "%s", words_next(w));
}

struct sim_site *words_site(struct words *w, struct sim_host **host)
{
	struct str word = str_from_c(words_next(w)), name = str_cut(&word, '/');
	struct sim_site *s = sim_site_find(&w->world->peers, name);
	uint64_t n;

	*host = NULL;
	if (!s)
		words_complain(w, "no site %.*s", STR_FMT(name));
	else if (word.len > 0 && str_to_u64(word, &n) == OK && n >= 1 && n <= s->host_count)
		*host = &s->hosts[n - 1];
	return s;
}

double words_value(struct words *w)
{
	const char *word = words_next(w);
	char *end;
	double value = strtod(word, &end);
	int64_t ms;

	if (*end == '\0')
		return value;
	if (instant_parse_span(str_from_c(word), &ms) == OK)
		return (double)ms;
	words_complain(w, "'%s' is no value", word);
	return 0;
}
