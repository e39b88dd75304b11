/*
 * item - lists of mappings: listeners, destinations, sites, routes.
 *
 * A destination starts as a copy of the policy that holds everywhere. An item that has a problem
 * stays in the list as far as it got; nobody will see it.
 */
#include "loader.h"

static void load_item(
	struct loader *l, const struct key *list, const struct node *node, struct str directory);
static void load_item_keys(struct loader *l, const struct key_items *items, void *item,
	const struct node *map, struct str directory);
static void *add_item(
	struct loader *l, const struct key *list, struct place at, struct str directory);

void loader_items(struct loader *l, const struct pending_items *list)
{
	const struct node *value = list->value;
	if (node_is_nothing(value))
		return;
	if (value->kind != NODE_LIST) {
		problem_add(&l->problems, value->at, "'%s' is a list: each %s begins with '- '",
			list->key->name, list->key->items->what);
		return;
	}
	for (const struct node *n = value->first; n && !problems_are_enough(&l->problems);
		n = n->next)
		load_item(l, list->key, n, list->directory);
}

static void load_item(
	struct loader *l, const struct key *list, const struct node *node, struct str directory)
{
	const struct key_items *items = list->items;
	unsigned before = l->problems.count;
	bool is_shorthand =
		items->has_shorthand && node->kind == NODE_WORD && !node_is_nothing(node);
	if (!is_shorthand && node->kind != NODE_MAP) {
		problem_add(&l->problems, node->at, "a %s needs settings, like '%s: ...'",
			items->what, items->keys[0].name);
		return;
	}
	void *item = add_item(l, list, node->at, directory);
	if (!item)
		return;
	if (is_shorthand)
		loader_word(l, &items->keys[0], item, node, directory);
	else
		load_item_keys(l, items, item, node, directory);
	if (l->is_clean && l->problems.count == before)
		cross_check_item(l, items, item, node->at);
}

static void *add_item(
	struct loader *l, const struct key *list, struct place at, struct str directory)
{
	struct value_context context = loader_context(l, directory);
	void *item = value_add_item(list, l->conf, &context);
	if (!item) {
		problem_add(&l->problems, at, "%s: %s", list->name, buf_cstr(&l->why));
		return NULL;
	}
	if (list->items->has_policy)
		((struct conf_destination *)item)->policy = l->conf->policy;
	return item;
}

static void load_item_keys(struct loader *l, const struct key_items *items, void *item,
	const struct node *map, struct str directory)
{
	unsigned line[KEYS_ITEM_MAX] = { 0 };
	for (const struct node *n = map->first; n; n = n->next) {
		struct key key;
		int number = keys_item(items, n->text, &key);
		if (problems_are_enough(&l->problems))
			return;
		if (number < 0) {
			loader_unknown_in_item(l, items, n);
			continue;
		}
		if (line[number] > 0) {
			problem_add(&l->problems, n->at, "'%s' is set already in line %u", key.name,
				line[number]);
			continue;
		}
		line[number] = n->at.line;
		if (value_is_list(&key) && !node_is_nothing(n->value))
			value_clear(&key, item);
		loader_word(l, &key, item, n->value, directory);
	}
	for (size_t i = 0; i < items->key_count; i++)
		if (items->keys[i].is_required && line[i] == 0)
			problem_add(&l->problems, map->at, "this %s lacks '%s'", items->what,
				items->keys[i].name);
}
