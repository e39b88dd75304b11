/*
 * loader - the state of one load, shared by its parts: load (files, sections, words), item (lists
 * of mappings), cross (what settings owe each other), unknown (names that nobody knows).
 */
#ifndef SRC_CONF_LOADER_H
#define SRC_CONF_LOADER_H

#include "keys.h"
#include "problem.h"
#include "tree.h"
#include "value.h"

struct pending_items {
	struct pending_items *next;
	const struct key *key;
	struct node *value;
	struct str directory;
};

struct loader {
	struct conf *conf;
	struct arena arena; /* trees and file names; gone when the load is done */
	struct problems problems;
	struct buf why;
	bool may_read_files;
	bool is_clean;    /* no problem in sections and words: settings can be compared */
	struct place top; /* the first file as a whole */
	struct place
		given[KEYS_MAX]; /* by index in conf_keys: where the key was set; line 0: nowhere */
	struct place
		section[KEYS_MAX]; /* by index of a section's first key: where it was opened last */
	struct pending_items *items; /* lists of mappings wait until everything else is known */
	struct pending_items **items_tail; /* where the next one goes */
	unsigned file_count;
};

static inline struct value_context loader_context(struct loader *l, struct str directory)
{
	return (struct value_context){ &l->conf->arena, directory, l->may_read_files, &l->why };
}
/*
 * loader_place - where the key was given, else the other (may be NULL), else the file as a whole.
 */
struct place loader_place(
	const struct loader *l, const char *section, const char *name, const char *other);

/* loader_word - the value of key from a word or, for lists of words, a list of them. */
void loader_word(struct loader *l, const struct key *key, void *base, const struct node *value,
	struct str directory);
/* loader_items - a list of mappings. */
void loader_items(struct loader *l, const struct pending_items *list);
/* loader_unknown - says that a section (NULL: top level) has no such key, and which was meant. */
void loader_unknown(struct loader *l, const char *section, const struct node *key);
void loader_unknown_in_item(
	struct loader *l, const struct key_items *items, const struct node *key);
/* cross_check - settings against each other; only called when sections and words are good. */
void cross_check(struct loader *l);
/* cross_check_item - one item, when all of it, sections and words are good. */
void cross_check_item(
	struct loader *l, const struct key_items *items, const void *item, struct place at);

#endif
