/*
 * suggest - the name that was probably meant: the one with the fewest slips of the finger between
 * them, as long as these are no more than a third of its letters.
 */
#include "suggest.h"

#include <limits.h>
#include <string.h>

#define NAME_LEN_MAX 40

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

void suggest_init(struct suggest *s, struct str wanted)
{
	*s = (struct suggest){ .wanted = wanted, .distance = UINT_MAX };
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	struct str name = str_from_c(candidate);
	if (s->wanted.len > NAME_LEN_MAX || name.len > NAME_LEN_MAX)
		return;
	unsigned distance = suggest_distance(s->wanted, name);
	if (distance > name.len / 3 + 1 || distance >= name.len || distance >= s->distance)
		return;
	s->best = candidate;
	s->distance = distance;
}

/* '_' is what other programs write for '-', and case does not matter. */
static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '_' ? '-' : c;
}

unsigned suggest_distance(struct str a, struct str b)
{
	unsigned rows[3][NAME_LEN_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];
	memset(rows, 0, sizeof(rows));
	for (unsigned j = 0; j <= b.len; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			char x = fold(a.data[i - 1]), y = fold(b.data[j - 1]);
			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == fold(b.data[j - 2]) && y == fold(a.data[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		unsigned *oldest = before;
		before = last;
		last = row;
		row = oldest;
	}
	return last[b.len];
}
