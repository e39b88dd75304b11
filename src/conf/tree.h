/* tree - a YAML file as words, lists and mappings that know where they stand. */
#ifndef SRC_CONF_TREE_H
#define SRC_CONF_TREE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "problem.h"

#define TREE_DEPTH_MAX 8

enum node_kind { NODE_WORD, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	struct place at;
	struct str text;           /* NODE_WORD */
	bool is_quoted;            /* NODE_WORD: "" is a value, nothing at all is not */
	struct node *first, *last; /* entries of a list, keys of a mapping */
	struct node *next;         /* the entry or key after this one */
	struct node *value;        /* of a key */
};

/*
 * tree_parse - text as a tree in arena; file names it in places. NULL after a problem was added. A
 * file without content is an empty mapping.
 */
struct node *tree_parse(
	struct str file, struct str text, struct arena *arena, struct problems *problems);
/* node_is_nothing - a key with nothing behind it. */
bool node_is_nothing(const struct node *node);

#endif
