/*
 * problem - text of the file may be in a problem's text, so it is escaped for the terminal and the
 * log.
 */
#include "problem.h"

#define TEXT_MAX ((size_t)64 * 1024)

void problem_add(struct problems *problems, struct place at, const char *format, ...)
{
	struct buf text;
	va_list args;
	if (problems_are_enough(problems))
		return;
	problems->count++;
	buf_init(&text, TEXT_MAX);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	buf_append_safe(problems->message, at.file);
	if (at.line > 0)
		buf_printf(problems->message, ":%u:%u", at.line, at.column);
	buf_append_str(problems->message, STR(": "));
	buf_append_safe(problems->message, buf_str(&text));
	buf_append_char(problems->message, '\n');
	buf_fini(&text);
}
