/*
 * check - the end of a program whose own invariant broke.
 *
 * Runs with the heap or stdio in any state, so it builds its line by hand and hands it to write(2).
 */
#include "base/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct line {
	char text[512];
	size_t len;
};

static void add_text(struct line *line, const char *text);
static void add_number(struct line *line, unsigned number);

_Noreturn void check_failed(const char *expression, const char *file, int line_number)
{
	struct line line = { .len = 0 };
	add_text(&line, "check failed: ");
	add_text(&line, expression);
	add_text(&line, " at ");
	add_text(&line, file);
	add_text(&line, ":");
	add_number(&line, line_number > 0 ? (unsigned)line_number : 0);
	line.text[line.len++] = '\n';
	/* Nothing can be done about a failure here: the abort below tells the rest. */
	ssize_t ignored = write(STDERR_FILENO, line.text, line.len);
	(void)ignored;
	abort();
}

static void add_text(struct line *line, const char *text)
{
	size_t len = strlen(text);
	size_t room = sizeof(line->text) - 1 - line->len; /* the newline keeps its place */
	if (len > room)
		len = room;
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void add_number(struct line *line, unsigned number)
{
	char digits[3 * sizeof(number) + 1];
	size_t at = sizeof(digits) - 1;
	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	add_text(line, digits + at);
}
