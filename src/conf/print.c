/*
 * print - a configuration in effect, as a file that means the same. Secrets are comments that say
 * that they exist.
 *
 * The table of keys drives it, so nothing that can be set can be forgotten here.
 */
#include <string.h>

#include "keys.h"
#include "value.h"

static void print_key(struct buf *out, const struct key *key, const struct conf *conf);
static void print_items(struct buf *out, const struct key *list, const struct conf *conf);
static void print_item(
	struct buf *out, const struct key_items *items, const void *item, const struct conf *conf);
static bool is_worth_printing(const struct key *key, size_t number, const struct key_items *items,
	const void *item, const struct conf *conf);

void conf_print(struct buf *out, const struct conf *conf)
{
	const char *section = NULL;
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct key *key = &conf_keys[i];
		if (key->section && (!section || strcmp(section, key->section) != 0))
			buf_printf(out, "%s:\n", key->section);
		section = key->section;
		print_key(out, key, conf);
	}
}

static void print_key(struct buf *out, const struct key *key, const struct conf *conf)
{
	const char *indent = key->section ? "  " : "";
	if (key->kind == KEY_USERS) {
		if (conf->user_count > 0)
			buf_printf(out, "%s# %s: %u users, hashes not shown\n", indent, key->name,
				conf->user_count);
		return;
	}
	buf_printf(out, "%s%s:", indent, key->name);
	if (key->kind == KEY_ITEMS) {
		print_items(out, key, conf);
		return;
	}
	buf_append_char(out, ' ');
	value_print(out, key, conf);
	buf_append_char(out, '\n');
}

static void print_items(struct buf *out, const struct key *list, const struct conf *conf)
{
	const char *items;
	uint32_t count = value_count(list, conf);
	memcpy(&items, (const char *)conf + list->offset, sizeof(items));
	buf_append_str(out, count > 0 ? STR("\n") : STR(" []\n"));
	for (uint32_t i = 0; i < count; i++)
		print_item(out, list->items, items + i * list->items->size, conf);
}

static void print_item(
	struct buf *out, const struct key_items *items, const void *item, const struct conf *conf)
{
	const char *indent = "  - ";
	for (size_t i = 0; i < KEYS_ITEM_MAX; i++) {
		struct key key;
		if (!keys_item_at(items, i, &key) || !is_worth_printing(&key, i, items, item, conf))
			continue;
		if (key.kind == KEY_SECRET) {
			const struct conf_route *route = item;
			buf_printf(out, "    # %s: as ", key.name);
			value_print_quoted(out, route->user);
			buf_append_str(out, STR(", password not shown\n"));
			continue;
		}
		buf_printf(out, "%s%s: ", indent, key.name);
		value_print(out, &key, item);
		buf_append_char(out, '\n');
		indent = "    ";
	}
}

/* What was not given stays out, and of a destination what is no different from elsewhere. */
static bool is_worth_printing(const struct key *key, size_t number, const struct key_items *items,
	const void *item, const struct conf *conf)
{
	struct str text;
	if (key->has_offset > 0)
		return *((const bool *)item + key->has_offset);
	if (key->kind == KEY_HEADER)
		return ((const struct conf_class *)item)->header.name.len > 0;
	if (items == &class_items && key->kind == KEY_CHOICE)
		return ((const struct conf_class *)item)->has_deliver_by;
	if (key->kind == KEY_IPV4 || key->kind == KEY_IPV6)
		return ((const struct endpoint *)(const void *)((const char *)item + key->offset))
			       ->family != FAMILY_NONE;
	if (key->kind == KEY_PATTERN || key->kind == KEY_SECRET || key->kind == KEY_HOST ||
		key->kind == KEY_RECIPIENTS) {
		memcpy(&text, (const char *)item + key->offset, sizeof(text));
		return text.len > 0;
	}
	if (number < items->key_count)
		return true;
	struct buf here, elsewhere;
	buf_init(&here, 1024);
	buf_init(&elsewhere, 1024);
	value_print(&here, key, item);
	value_print(&elsewhere, &conf_keys[number - items->key_count], conf);
	bool differs = !str_equal(buf_str(&here), buf_str(&elsewhere));
	buf_fini(&here);
	buf_fini(&elsewhere);
	return differs;
}
