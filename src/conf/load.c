/*
 * load - a file, its includes, and its keys into a struct conf.
 *
 * Each file becomes a tree; sections and words are set as they come; lists of mappings wait for the
 * end, because a destination begins as a copy of the policy that holds everywhere. Problems are
 * collected, not fatal, so that one run shows all of them; any problem means that the configuration
 * is not used.
 */
#include "load.h"

#include <glob.h>
#include <string.h>

#include "base/check.h"
#include "complete.h"
#include "file.h"
#include "loader.h"

#define INCLUDE_DEPTH_MAX 8
#define FILES_MAX 256

static enum err finish(struct loader *l, struct conf **out);
static void loader_init(
	struct loader *l, struct str file, bool may_read_files, struct buf *message);
static void load_file_text(struct loader *l, struct str file, struct str text, unsigned depth);
static void load_top(
	struct loader *l, const struct node *map, struct str directory, unsigned depth);
static void load_section(
	struct loader *l, const char *section, const struct node *key, struct str directory);
static void load_key(
	struct loader *l, const struct key *key, const struct node *name, struct str directory);
static void include(
	struct loader *l, const struct node *value, struct str directory, unsigned depth);
static void include_pattern(
	struct loader *l, const struct node *word, struct str directory, unsigned depth);
static void include_file(struct loader *l, struct place at, struct str file, unsigned depth);

enum err conf_load(const char *file, struct conf **out, struct buf *message)
{
	struct buf text, why;
	*out = NULL;
	buf_init(&text, FILE_BYTES_MAX);
	buf_init(&why, VALUE_WHY_MAX);
	enum err err = file_read(file, FILE_PUBLIC, &text, &why);
	if (err == OK)
		err = load_text(str_from_c(file), buf_str(&text), true, out, message);
	else
		buf_printf(message, "%s\n", buf_cstr(&why));
	if (err == ERR_LIMIT || err == ERR_UNSUPPORTED)
		err = ERR_SYNTAX;
	buf_fini(&text);
	buf_fini(&why);
	return err;
}

enum err load_text(struct str file, struct str text, bool may_read_files, struct conf **out,
	struct buf *message)
{
	struct loader l;
	loader_init(&l, file, may_read_files, message);
	load_file_text(&l, file, text, 0);
	l.is_clean = l.problems.count == 0;
	for (const struct pending_items *list = l.items; list; list = list->next)
		loader_items(&l, list);
	if (l.is_clean)
		cross_check(&l);
	return finish(&l, out);
}

static void loader_init(struct loader *l, struct str file, bool may_read_files, struct buf *message)
{
	memset(l, 0, sizeof(*l));
	l->conf = conf_new();
	l->problems.message = message;
	l->may_read_files = may_read_files;
	l->top.file = file;
	l->items_tail = &l->items;
	buf_init(&l->why, VALUE_WHY_MAX);
}

static enum err finish(struct loader *l, struct conf **out)
{
	enum err err = l->problems.count > 0 ? ERR_SYNTAX : OK;
	*out = NULL;
	if (err == OK) {
		conf_complete(l->conf);
		*out = l->conf;
	} else {
		conf_unref(l->conf);
	}
	buf_fini(&l->why);
	arena_fini(&l->arena);
	return err;
}

struct place loader_place(
	const struct loader *l, const char *section, const char *name, const char *other)
{
	const char *const names[] = { name, other };
	for (size_t i = 0; i < ARRAY_COUNT(names) && names[i]; i++) {
		const struct key *key = keys_find(section, str_from_c(names[i]));
		CHECK(key);
		if (l->given[key - conf_keys].line > 0)
			return l->given[key - conf_keys];
	}
	return l->top;
}

static void load_file_text(struct loader *l, struct str file, struct str text, unsigned depth)
{
	l->file_count++;
	struct node *root = tree_parse(file, text, &l->arena, &l->problems);
	if (!root)
		return;
	if (root->kind == NODE_MAP)
		load_top(l, root, file_directory(file), depth);
	else
		problem_add(&l->problems, root->at,
			"a configuration begins with a key, like 'hostname: relay.example.org'");
}

static void load_top(struct loader *l, const struct node *map, struct str directory, unsigned depth)
{
	const struct node *included = NULL;
	for (const struct node *n = map->first; n; n = n->next) {
		if (problems_are_enough(&l->problems))
			return;
		const char *section = keys_section(n->text);
		const struct key *key = keys_find(NULL, n->text);
		if (str_equal(n->text, STR("include"))) {
			if (included)
				problem_add(&l->problems, n->at,
					"'include' stands already in line %u; give it a list of "
					"files",
					included->at.line);
			else
				include(l, n->value, directory, depth);
			included = n;
		} else if (section) {
			load_section(l, section, n, directory);
		} else if (key) {
			load_key(l, key, n, directory);
		} else {
			loader_unknown(l, NULL, n);
		}
	}
}

static size_t section_index(const char *section)
{
	size_t i = 0;
	while (!conf_keys[i].section || strcmp(conf_keys[i].section, section) != 0)
		i++;
	return i;
}

/* A section may go on in another file, not in the same one. */
static void load_section(
	struct loader *l, const char *section, const struct node *key, struct str directory)
{
	struct place *opened = &l->section[section_index(section)];
	const struct node *map = key->value;
	if (opened->line > 0 && opened->file.data == key->at.file.data) {
		problem_add(&l->problems, key->at, "section '%s' stands already in line %u",
			section, opened->line);
		return;
	}
	*opened = key->at;
	if (node_is_nothing(map))
		return;
	if (map->kind != NODE_MAP) {
		problem_add(&l->problems, map->at,
			"'%s' is a section: its settings go below it, indented, as 'key: value'",
			section);
		return;
	}
	for (const struct node *n = map->first; n; n = n->next) {
		const struct key *known = keys_find(section, n->text);
		if (problems_are_enough(&l->problems))
			return;
		if (known)
			load_key(l, known, n, directory);
		else
			loader_unknown(l, section, n);
	}
}

/* Words are set once; lists of mappings and networks gather over all files. */
static void load_key(
	struct loader *l, const struct key *key, const struct node *name, struct str directory)
{
	struct place *given = &l->given[key - conf_keys];
	bool gathers = key->kind == KEY_ITEMS || key->kind == KEY_NETWORKS;
	bool is_same_file = given->file.data == name->at.file.data;
	if (given->line > 0 && is_same_file) {
		problem_add(&l->problems, name->at, "'%s' is set already in line %u", key->name,
			given->line);
		return;
	}
	if (given->line > 0 && !gathers) {
		problem_add(&l->problems, name->at, "'%s' is set already in line %u of %.*s",
			key->name, given->line, STR_FMT(given->file));
		return;
	}
	if (value_is_list(key) && given->line == 0 && !node_is_nothing(name->value))
		value_clear(key, l->conf);
	*given = name->at;
	if (key->kind != KEY_ITEMS) {
		loader_word(l, key, l->conf, name->value, directory);
		return;
	}
	struct pending_items *list = arena_alloc(&l->arena, sizeof(*list));
	*list = (struct pending_items){ NULL, key, name->value, directory };
	*l->items_tail = list;
	l->items_tail = &list->next;
}

static void append_words(struct loader *l, const struct key *key, void *base,
	const struct node *word, struct value_context *context)
{
	struct str rest = word->text, one;
	if (word->kind != NODE_WORD) {
		problem_add(&l->problems, word->at, "an entry of '%s' must be a word", key->name);
		return;
	}
	while (value_next_word(&rest, &one)) {
		if (value_append(key, base, one, context))
			continue;
		problem_add(&l->problems, word->at, "%s: %s", key->name, buf_cstr(&l->why));
		return;
	}
}

void loader_word(struct loader *l, const struct key *key, void *base, const struct node *value,
	struct str directory)
{
	struct value_context context = loader_context(l, directory);
	bool is_list = value_is_list(key);
	if (is_list && value->kind == NODE_LIST) {
		for (const struct node *n = value->first; n && !problems_are_enough(&l->problems);
			n = n->next)
			append_words(l, key, base, n, &context);
	} else if (node_is_nothing(value)) {
		problem_add(&l->problems, value->at,
			"'%s' has no value; leave it out to get the default", key->name);
	} else if (value->kind != NODE_WORD) {
		problem_add(&l->problems, value->at, "'%s' takes one value, not a %s", key->name,
			value->kind == NODE_LIST ? "list" : "mapping");
	} else if (is_list) {
		append_words(l, key, base, value, &context);
	} else if (!value_set(key, base, value->text, &context)) {
		problem_add(&l->problems, value->at, "%s: %s", key->name, buf_cstr(&l->why));
	}
}

static void include(
	struct loader *l, const struct node *value, struct str directory, unsigned depth)
{
	if (!l->may_read_files || depth == INCLUDE_DEPTH_MAX) {
		problem_add(&l->problems, value->at,
			depth == INCLUDE_DEPTH_MAX ? "files include each other too deep (8)"
						   : "files cannot be included here");
		return;
	}
	if (value->kind != NODE_LIST) {
		include_pattern(l, value, directory, depth);
		return;
	}
	for (const struct node *n = value->first; n && !problems_are_enough(&l->problems);
		n = n->next)
		include_pattern(l, n, directory, depth);
}

/* A pattern may match nothing (conf.d/ *.yaml of a new installation); a plain name must exist. */
static void include_pattern(
	struct loader *l, const struct node *word, struct str directory, unsigned depth)
{
	struct value_context context = { .arena = &l->arena, .directory = directory };
	glob_t found = { 0 };
	if (word->kind != NODE_WORD || word->text.len == 0 ||
		str_find(word->text, '\0') < word->text.len) {
		problem_add(&l->problems, word->at,
			"'include' needs a file name, a pattern, or a list");
		return;
	}
	struct str path = file_path(word->text, &context);
	if (!strpbrk(path.data, "*?[")) {
		include_file(l, word->at, path, depth);
		return;
	}
	int rc = glob(path.data, GLOB_ERR, NULL, &found);
	if (rc != 0 && rc != GLOB_NOMATCH)
		problem_add(&l->problems, word->at, "cannot list %s", path.data);
	for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
		if (!problems_are_enough(&l->problems))
			include_file(l, word->at,
				arena_dup(&l->arena, str_from_c(found.gl_pathv[i])), depth);
	globfree(&found);
}

/* The way back into load_file_text; INCLUDE_DEPTH_MAX and FILES_MAX bound it. */
static void include_file(struct loader *l, struct place at, struct str file, unsigned depth)
{
	struct buf text;
	if (l->file_count >= FILES_MAX) {
		problem_add(&l->problems, at, "more than %d files in all", FILES_MAX);
		return;
	}
	buf_init(&text, FILE_BYTES_MAX);
	if (file_read(file.data, FILE_PUBLIC, &text, &l->why) == OK)
		load_file_text(l, file, buf_str(&text), depth + 1);
	else
		problem_add(&l->problems, at, "include: %s", buf_cstr(&l->why));
	buf_fini(&text);
}
