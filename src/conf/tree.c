/*
 * tree - a YAML file as words, lists and mappings that know where they stand.
 *
 * Built from libyaml's events with a stack of fixed depth. Of YAML only what a configuration needs
 * is let in: no anchors and aliases (a few lines of them can stand for gigabytes), no tags, one
 * document. What a word means is decided by the key that it is given for, so "no" is a word like
 * any other.
 */
#include "tree.h"

#include <string.h>
#include <yaml.h>

#include "base/check.h"

struct builder {
	struct arena *arena;
	struct problems *problems;
	struct str file;
	struct str text;
	struct node *open[TREE_DEPTH_MAX]; /* lists and mappings being filled */
	struct node *key[TREE_DEPTH_MAX]; /* of an open mapping: the key that waits for its value */
	unsigned depth;
	unsigned documents;
	struct node *root;
};

static bool next_event(struct builder *b, yaml_parser_t *parser, yaml_event_t *event);
static bool take_event(struct builder *b, const yaml_event_t *event);
static bool add_word(struct builder *b, const yaml_event_t *event);
static bool open_node(struct builder *b, const yaml_event_t *event, enum node_kind kind);
static bool close_node(struct builder *b);
static bool attach(struct builder *b, struct node *node);
static void explain(struct builder *b, const yaml_parser_t *parser);

static struct place place_of(const struct builder *b, yaml_mark_t mark)
{
	return (struct place){ b->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1 };
}

static bool refuse(struct builder *b, const yaml_event_t *event, const char *text)
{
	problem_add(b->problems, place_of(b, event->start_mark), "%s", text);
	return false;
}

struct node *tree_parse(
	struct str file, struct str text, struct arena *arena, struct problems *problems)
{
	struct builder b = { .arena = arena, .problems = problems, .file = file, .text = text };
	yaml_parser_t parser;
	bool is_ok = true, is_end = false;
	CHECK(yaml_parser_initialize(&parser));
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	while (is_ok && !is_end) {
		yaml_event_t event;
		is_ok = next_event(&b, &parser, &event);
		if (!is_ok)
			break;
		is_end = event.type == YAML_STREAM_END_EVENT;
		is_ok = take_event(&b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (!is_ok)
		return NULL;
	if (b.root && !node_is_nothing(b.root))
		return b.root;
	struct node *empty = arena_alloc(arena, sizeof(*empty));
	*empty = (struct node){ .kind = NODE_MAP, .at = { file, 1, 1 } };
	return empty;
}

bool node_is_nothing(const struct node *node)
{
	return node->kind == NODE_WORD && !node->is_quoted &&
	       (node->text.len == 0 || str_equal(node->text, STR("~")) ||
		       str_equal_fold(node->text, STR("null")));
}

static bool next_event(struct builder *b, yaml_parser_t *parser, yaml_event_t *event)
{
	if (yaml_parser_parse(parser, event))
		return true;
	explain(b, parser);
	return false;
}

static bool take_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return true;
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++ == 0)
			return true;
		return refuse(b, event, "a second document begins here; a file may hold one only");
	case YAML_ALIAS_EVENT:
		return refuse(b, event,
			"aliases are not supported; a value that begins with '*' needs quotes");
	case YAML_SCALAR_EVENT:
		return add_word(b, event);
	case YAML_SEQUENCE_START_EVENT:
		if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
			return refuse(b, event, "anchors and tags are not supported");
		return open_node(b, event, NODE_LIST);
	case YAML_MAPPING_START_EVENT:
		if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
			return refuse(b, event, "anchors and tags are not supported");
		return open_node(b, event, NODE_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_node(b);
	}
	return true;
}

static bool add_word(struct builder *b, const yaml_event_t *event)
{
	if (event->data.scalar.anchor || event->data.scalar.tag)
		return refuse(b, event,
			"anchors and tags are not supported; a value that begins with '&' or '!' "
			"needs quotes");
	struct node *node = arena_alloc(b->arena, sizeof(*node));
	*node = (struct node){ .kind = NODE_WORD, .at = place_of(b, event->start_mark) };
	node->text = arena_dup(b->arena,
		str_of((const char *)event->data.scalar.value, event->data.scalar.length));
	node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return attach(b, node);
}

static bool open_node(struct builder *b, const yaml_event_t *event, enum node_kind kind)
{
	struct node *node = arena_alloc(b->arena, sizeof(*node));
	*node = (struct node){ .kind = kind, .at = place_of(b, event->start_mark) };
	if (b->depth == TREE_DEPTH_MAX)
		return refuse(b, event, "nested too deep");
	if (!attach(b, node))
		return false;
	b->open[b->depth] = node;
	b->key[b->depth] = NULL;
	b->depth++;
	return true;
}

static bool close_node(struct builder *b)
{
	CHECK(b->depth > 0);
	b->depth--;
	return true;
}

/* To the innermost open list or mapping; in a mapping keys and values take turns. */
static bool attach(struct builder *b, struct node *node)
{
	if (b->depth == 0) {
		b->root = node;
		return true;
	}
	struct node *parent = b->open[b->depth - 1];
	struct node **key = &b->key[b->depth - 1];
	if (parent->kind == NODE_MAP && *key) {
		(*key)->value = node;
		*key = NULL;
		return true;
	}
	if (parent->kind == NODE_MAP) {
		if (node->kind != NODE_WORD) {
			problem_add(b->problems, node->at, "a key must be a word");
			return false;
		}
		*key = node;
	}
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return true;
}

static struct place place_of_octet(const struct builder *b, size_t offset)
{
	struct str before = str_slice(b->text, 0, offset);
	struct place at = { b->file, 1, 1 };
	while (str_find(before, '\n') < before.len) {
		str_cut(&before, '\n');
		at.line++;
	}
	at.column += (unsigned)before.len;
	return at;
}

/*
 * The octet at a place; columns count characters, but up to a fault in the indentation that is the
 * same.
 */
static char octet_at(const struct builder *b, struct place at)
{
	struct str rest = b->text, line = { 0 };
	for (unsigned i = 0; i < at.line; i++)
		line = str_cut(&rest, '\n');
	return at.column >= 1 && at.column <= line.len && line.data ? line.data[at.column - 1]
								    : '\0';
}

/* libyaml's words, and for the slips that are made most what to do about them. */
static void explain(struct builder *b, const yaml_parser_t *parser)
{
	if (parser->error == YAML_READER_ERROR) {
		problem_add(b->problems, place_of_octet(b, parser->problem_offset),
			"not UTF-8 text, or a control character: %s", parser->problem);
		return;
	}
	struct place at = place_of(b, parser->problem_mark);
	const char *problem = parser->problem ? parser->problem : "not valid";
	const char *context = parser->context ? parser->context : "";
	char octet = octet_at(b, at);
	if (octet == '\t')
		problem_add(b->problems, at, "YAML does not allow tabs here, use spaces");
	else if (strstr(context, "alias") || strstr(context, "anchor"))
		problem_add(b->problems, place_of(b, parser->context_mark),
			"a value that begins with '*' or '&' needs quotes");
	else if (strstr(problem, "cannot start any token"))
		problem_add(b->problems, at, "a value that begins with '%c' needs quotes", octet);
	else if (strstr(problem, "mapping values are not allowed"))
		problem_add(b->problems, at,
			"a ':' does not belong here; check the indentation, or quote the value");
	else
		problem_add(b->problems, at, "not valid YAML: %s%s%s%s", problem,
			*context ? " (" : "", context, *context ? ")" : "");
}
