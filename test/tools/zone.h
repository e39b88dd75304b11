/*
 * zone - the records of outlast-dns and how its names misbehave.
 *
 * A zone line is "NAME TYPE VALUE [TTL]" with type A, AAAA, MX ("10 host", "0 ." for a null MX),
 * CNAME, NS, PTR or TXT (one word); "*.x" is a wildcard. Names are kept in lower case without the
 * last dot; the root is "".
 */
#ifndef TOOLS_ZONE_H
#define TOOLS_ZONE_H

#include <ctype.h>
#include <fnmatch.h>

#include "loop.h"

#define TYPE_A 1
#define TYPE_NS 2
#define TYPE_CNAME 5
#define TYPE_SOA 6
#define TYPE_PTR 12
#define TYPE_MX 15
#define TYPE_TXT 16
#define TYPE_AAAA 28
#define TYPE_OPT 41
#define NAME_MAX_OCTETS 256
#define DEFAULT_TTL 60

struct record {
	struct record *next;
	char *name;
	uint16_t type;
	uint16_t preference;
	char *value;
	uint32_t ttl;
};

enum manner {
	MANNER_NORMAL,
	MANNER_SERVFAIL,
	MANNER_REFUSED,
	MANNER_TIMEOUT,
	MANNER_NXDOMAIN,
	MANNER_TRUNCATE,
	MANNER_GARBAGE,
	MANNER_EMPTY,
	MANNER_WRONG_ID,
	MANNER_WRONG_QUESTION,
	MANNER_COUNT
};

static const char *const manner_names[MANNER_COUNT] = { "normal", "servfail", "refused", "timeout",
	"nxdomain", "truncate", "garbage", "empty", "wrong-id", "wrong-question" };

struct exception { /* the newest that matches a name counts */
	struct exception *next;
	char *glob;
	enum manner manner;
	int64_t delay_ms;
};

struct zone {
	struct record *records;
	struct exception *exceptions;
};

struct type_name {
	const char *name;
	uint16_t type;
};

static const struct type_name type_names[] = { { "A", TYPE_A }, { "NS", TYPE_NS },
	{ "CNAME", TYPE_CNAME }, { "SOA", TYPE_SOA }, { "PTR", TYPE_PTR }, { "MX", TYPE_MX },
	{ "TXT", TYPE_TXT }, { "AAAA", TYPE_AAAA } };

static inline uint16_t type_of_name(const char *name)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
		if (strcasecmp(type_names[i].name, name) == 0)
			return type_names[i].type;
	return 0;
}

static inline const char *name_of_type(uint16_t type, char *out, size_t room)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
		if (type_names[i].type == type)
			return type_names[i].name;
	snprintf(out, room, "TYPE%u", (unsigned)type);
	return out;
}

static inline char *name_copy(const char *text)
{
	size_t len = strlen(text);
	char *name;

	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len >= NAME_MAX_OCTETS)
		len = NAME_MAX_OCTETS - 1;
	name = copy_text(text, len);
	for (char *c = name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return name;
}

static inline const char *zone_add(struct zone *zone, char *line)
{
	char *name = next_word(&line), *type = next_word(&line), *value = next_word(&line), *word;
	struct record *record;
	char scratch[16];

	if (name == NULL || type == NULL || value == NULL || type_of_name(type) == 0)
		return "NAME TYPE VALUE [TTL] expected";
	record = allocate(1, sizeof(*record));
	record->type = type_of_name(type);
	if (record->type == TYPE_MX) {
		record->preference = (uint16_t)strtoul(value, NULL, 10);
		value = next_word(&line);
	}
	if (value == NULL || (record->type == TYPE_A && inet_pton(AF_INET, value, scratch) != 1) ||
		(record->type == TYPE_AAAA && inet_pton(AF_INET6, value, scratch) != 1)) {
		free(record);
		return "the value does not fit the type";
	}
	record->name = name_copy(name);
	record->value =
		record->type == TYPE_TXT ? copy_text(value, strlen(value)) : name_copy(value);
	word = next_word(&line);
	record->ttl = word != NULL ? (uint32_t)strtoul(word, NULL, 10) : DEFAULT_TTL;
	record->next = NULL;
	/* Behind the others: answers keep the order of the file. */
	for (struct record **link = &zone->records;; link = &(*link)->next) {
		if (*link == NULL) {
			*link = record;
			return NULL;
		}
	}
}

/* zone_remove - all records of the name, or those of one type (0: all). */
static inline void zone_remove(struct zone *zone, const char *name, uint16_t type)
{
	struct record **link = &zone->records;
	char *wanted = name_copy(name);

	while (*link != NULL) {
		struct record *record = *link;

		if (strcmp(record->name, wanted) != 0 || (type != 0 && record->type != type)) {
			link = &record->next;
			continue;
		}
		*link = record->next;
		free(record->name);
		free(record->value);
		free(record);
	}
	free(wanted);
}

static inline bool zone_has(const struct zone *zone, const char *name)
{
	for (const struct record *record = zone->records; record != NULL; record = record->next)
		if (strcmp(record->name, name) == 0)
			return true;
	return false;
}

/*
 * zone_owner - the name whose records answer for this one: itself, or the closest wildcard; NULL:
 * none.
 */
static inline const char *zone_owner(
	const struct zone *zone, const char *name, char out[NAME_MAX_OCTETS + 2])
{
	if (zone_has(zone, name))
		return name;
	for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
		snprintf(out, NAME_MAX_OCTETS + 2, "*%s", dot);
		if (zone_has(zone, out))
			return out;
	}
	return NULL;
}

/* zone_is_above - some record stands below the name, so that it exists, without data. */
static inline bool zone_is_above(const struct zone *zone, const char *name)
{
	size_t len = strlen(name);

	for (const struct record *record = zone->records; record != NULL; record = record->next) {
		size_t own = strlen(record->name);

		if (own > len && record->name[own - len - 1] == '.' &&
			strcmp(record->name + own - len, name) == 0)
			return true;
	}
	return false;
}

static inline const struct exception *zone_exception(const struct zone *zone, const char *name)
{
	for (const struct exception *e = zone->exceptions; e != NULL; e = e->next)
		if (fnmatch(e->glob, name, FNM_CASEFOLD) == 0)
			return e;
	return NULL;
}

static inline void zone_forget_exceptions(struct zone *zone, const char *glob)
{
	struct exception **link = &zone->exceptions;

	while (*link != NULL) {
		struct exception *exception = *link;

		if (fnmatch(glob, exception->glob, FNM_CASEFOLD) != 0) {
			link = &exception->next;
			continue;
		}
		*link = exception->next;
		free(exception->glob);
		free(exception);
	}
}

static inline void zone_except(
	struct zone *zone, const char *glob, enum manner manner, int64_t delay_ms)
{
	struct exception *exception;

	zone_forget_exceptions(zone, glob);
	if (manner == MANNER_NORMAL && delay_ms == 0 && strcmp(glob, "*") == 0)
		return;
	exception = allocate(1, sizeof(*exception));
	exception->glob = name_copy(glob);
	exception->manner = manner;
	exception->delay_ms = delay_ms;
	exception->next = zone->exceptions;
	zone->exceptions = exception;
}

/*
 * zone_command - "MANNER NAME|GLOB", "delay GLOB MS", "set|add NAME TYPE VALUE [TTL]", "unset NAME
 * [TYPE]".
 */
static inline const char *zone_command(struct zone *zone, char *line)
{
	char *verb = next_word(&line);
	char *rest = line, *name, *type;

	if (verb == NULL)
		return "no command";
	if (strcmp(verb, "add") == 0)
		return zone_add(zone, line);
	if (strcmp(verb, "set") == 0) {
		char *copy = copy_text(rest, strlen(rest)), *at = copy;
		const char *wrong;

		name = next_word(&at);
		type = next_word(&at);
		if (name != NULL && type != NULL && type_of_name(type) != 0)
			zone_remove(zone, name, type_of_name(type));
		wrong = zone_add(zone, rest);
		free(copy);
		return wrong;
	}
	name = next_word(&line);
	if (name == NULL)
		return "a name, or *, is missing";
	if (strcmp(verb, "unset") == 0) {
		type = next_word(&line);
		zone_remove(zone, name, type != NULL ? type_of_name(type) : 0);
		return NULL;
	}
	if (strcmp(verb, "delay") == 0) {
		zone_except(zone, name, MANNER_NORMAL, strtoll(line, NULL, 10));
		return NULL;
	}
	for (size_t i = 0; i < MANNER_COUNT; i++) {
		if (strcmp(verb, manner_names[i]) == 0) {
			zone_except(zone, name, (enum manner)i, 0);
			return NULL;
		}
	}
	return "no such command";
}

#endif
