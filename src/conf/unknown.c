/*
 * unknown - what to say about a key that nobody knows: the name that was meant, here first, then
 * elsewhere.
 *
 * A setting in the wrong section is the common case, since it looks right; it is found by its exact
 * name.
 */
#include <string.h>

#include "loader.h"
#include "suggest.h"

#define SHOWN_LEN_MAX 64

static const struct key *same_name_elsewhere(struct str name)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (str_equal(name, str_from_c(conf_keys[i].name)))
			return &conf_keys[i];
	return NULL;
}

static bool is_top_level(struct str name)
{
	return keys_section(name) || keys_find(NULL, name) || str_equal(name, STR("include"));
}

static void offer_section(struct suggest *s, const char *section)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct key *key = &conf_keys[i];
		if (strcmp(key->section ? key->section : "", section ? section : "") == 0)
			suggest_offer(s, key->name);
		if (!section && key->section)
			suggest_offer(s, key->section);
	}
	if (!section)
		suggest_offer(s, "include");
}

static void report(struct loader *l, const struct node *key, const char *where, const char *meant)
{
	struct str shown = str_slice(key->text, 0, SHOWN_LEN_MAX);
	problem_add(&l->problems, key->at, "unknown key '%.*s'%s%s%s%s", STR_FMT(shown), where,
		meant ? ", did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

void loader_unknown(struct loader *l, const char *section, const struct node *key)
{
	struct suggest s;
	struct buf where, meant;
	const struct key *elsewhere = same_name_elsewhere(key->text);
	buf_init(&where, 128);
	buf_init(&meant, 128);
	if (section)
		buf_printf(&where, " in section '%s'", section);
	suggest_init(&s, key->text);
	offer_section(&s, section);
	if (elsewhere && elsewhere->section)
		buf_printf(&meant, "%s: %s", elsewhere->section, elsewhere->name);
	else if (s.best)
		buf_append_str(&meant, str_from_c(s.best));
	if (section && is_top_level(key->text))
		problem_add(&l->problems, key->at,
			"'%.*s' stands in section '%s', but belongs to the top level, not indented",
			STR_FMT(key->text), section);
	else
		report(l, key, buf_cstr(&where), meant.len > 0 ? buf_cstr(&meant) : NULL);
	buf_fini(&where);
	buf_fini(&meant);
}

void loader_unknown_in_item(struct loader *l, const struct key_items *items, const struct node *key)
{
	struct suggest s;
	struct buf where;
	struct key known;
	suggest_init(&s, key->text);
	for (size_t i = 0; i < KEYS_ITEM_MAX; i++)
		if (keys_item_at(items, i, &known))
			suggest_offer(&s, known.name);
	buf_init(&where, 128);
	buf_printf(&where, " of a %s", items->what);
	report(l, key, buf_cstr(&where), s.best);
	buf_fini(&where);
}
