/*
 * json - reads the journals' lines: one object of strings, plain values, and arrays of strings.
 * Decodes in place; what it returns points into the line and lives as long. A line that is no such
 * object (the last one of a killed tool) is told.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include "tool.h"

#define JSON_MEMBERS_MAX 32

struct json_member {
	const char *key;
	const char *text;    /* the string, or the plain value as it is written; NULL: an array */
	size_t first, count; /* of the array, in items */
};

struct json_line {
	struct json_member members[JSON_MEMBERS_MAX];
	size_t count;
	const char **items; /* of all arrays; reused from line to line */
	size_t item_count, item_room;
};

static inline void json_skip(char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static inline bool json_unescape(char **from, char **to)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found = **from != '\0' ? strchr(names, **from) : NULL;

	if (found != NULL) {
		*(*to)++ = values[found - names];
		(*from)++;
		return true;
	}
	if (**from == 'u' && strnlen(*from, 5) == 5) {
		char hex[5];
		unsigned long code;

		memcpy(hex, *from + 1, 4);
		hex[4] = '\0';
		code = strtoul(hex, NULL, 16);
		*(*to)++ = (char)(code <= 0xff ? code : '?');
		*from += 5;
		return true;
	}
	return false;
}

static inline const char *json_string(char **at)
{
	char *from = *at + 1, *to = from;
	const char *text = from;

	if (**at != '"')
		return NULL;
	while (*from != '"') {
		if (*from == '\0')
			return NULL;
		if (*from != '\\') {
			*to++ = *from++;
			continue;
		}
		from++;
		if (!json_unescape(&from, &to))
			return NULL;
	}
	*at = from + 1;
	*to = '\0';
	return text;
}

static inline bool json_array(char **at, struct json_line *line, struct json_member *member)
{
	member->first = line->item_count;
	(*at)++;
	json_skip(at);
	while (**at != ']') {
		const char *text = json_string(at);

		if (text == NULL)
			return false;
		if (line->item_count == line->item_room) {
			line->item_room = line->item_room * 2 + 16;
			line->items = must(
				reallocarray(line->items, line->item_room, sizeof(*line->items)));
		}
		line->items[line->item_count++] = text;
		member->count++;
		json_skip(at);
		if (**at == ',')
			(*at)++;
		json_skip(at);
	}
	(*at)++;
	return true;
}

/* A plain value ends where a ',' or '}' stands, which *ended keeps: its place takes the NUL. */
static inline bool json_value(
	char **at, struct json_line *line, struct json_member *member, char *ended)
{
	size_t len;

	json_skip(at);
	*ended = '\0';
	if (**at == '"') {
		member->text = json_string(at);
		return member->text != NULL;
	}
	if (**at == '[')
		return json_array(at, line, member);
	len = strcspn(*at, ",}");
	member->text = *at;
	*at += len;
	*ended = **at;
	if (**at != '\0')
		*(*at)++ = '\0';
	return len > 0;
}

static inline bool json_read(char *text, struct json_line *line)
{
	char ended;

	line->count = line->item_count = 0;
	json_skip(&text);
	if (*text++ != '{')
		return false;
	for (;;) {
		struct json_member *member = &line->members[line->count];

		if (line->count == JSON_MEMBERS_MAX)
			return false;
		*member = (struct json_member){ 0 };
		json_skip(&text);
		member->key = json_string(&text);
		json_skip(&text);
		if (member->key == NULL || *text++ != ':' ||
			!json_value(&text, line, member, &ended))
			return false;
		line->count++;
		if (ended == '\0') {
			json_skip(&text);
			ended = *text;
			if (ended != '\0')
				text++;
		}
		if (ended != ',')
			return ended == '}';
	}
}

static inline const struct json_member *json_find(const struct json_line *line, const char *key)
{
	for (size_t i = 0; i < line->count; i++)
		if (strcmp(line->members[i].key, key) == 0)
			return &line->members[i];
	return NULL;
}

/* json_text - "" when the member is not there. */
static inline const char *json_text(const struct json_line *line, const char *key)
{
	const struct json_member *member = json_find(line, key);

	return member != NULL && member->text != NULL ? member->text : "";
}

#endif
