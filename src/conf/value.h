/*
 * value - one setting from its text into its field, and back.
 *
 * Numbers carry units: 4h, 1h30m, 50M, 10 %. A text that is refused leaves the field as it was and
 * says why in a sentence that an admin can act on.
 */
#ifndef SRC_CONF_VALUE_H
#define SRC_CONF_VALUE_H

#include "keys.h"

#define VALUE_WHY_MAX 16384 /* room for the longest value, quoted twice */

struct value_context {
	struct arena *arena;  /* strings and arrays go here */
	struct str directory; /* of the file read; relative paths start there */
	bool may_read_files;
	struct buf *why; /* VALUE_WHY_MAX; set when false is returned */
};

/*
 * value_set - text into the field of key in base (struct conf or an item). A list is replaced by
 * the words of text.
 */
bool value_set(const struct key *key, void *base, struct str text, struct value_context *context);
/* value_append - one more word of a list. */
bool value_append(
	const struct key *key, void *base, struct str word, struct value_context *context);
/*
 * value_add_item - one more item of a KEY_ITEMS list, its defaults set; NULL with why when there
 * are too many.
 */
void *value_add_item(const struct key *key, void *base, struct value_context *context);
/* value_clear - empties a list. */
void value_clear(const struct key *key, void *base);
uint32_t value_count(const struct key *key, const void *base);
/*
 * value_print - the field as it could be written in the file, quotes included where YAML wants
 * them.
 */
void value_print(struct buf *out, const struct key *key, const void *base);
bool value_is_list(const struct key *key);
/*
 * value_next_word - cuts the next word off *rest; words are parted by spaces and commas. False at
 * the end.
 */
bool value_next_word(struct str *rest, struct str *word);

/* value_print_number - as value_print, for kinds that are numbers. */
void value_print_number(struct buf *out, enum key_kind kind, int64_t value);
/* value_print_quoted - text in double quotes, escaped as YAML does it. */
void value_print_quoted(struct buf *out, struct str text);

#endif
