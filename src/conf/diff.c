/* diff - see conf/diff.h. Each text becomes a table of names and values; two items of one name are told apart by number. */
#include "conf/diff.h"

#include "base/arena.h"
#include "base/map.h"

struct setting {
	struct map_entry entry; /* by name */
	struct str value;
};

struct table {
	struct map settings;
	struct arena arena;
	struct str section; /* "queue", "destinations[libero.it]", or empty */
	struct str list;    /* "destinations" */
};

static void table_read(struct table *t, struct str text);
static void read_line(struct table *t, struct str line);
static void begin_item(struct table *t, struct str value);
static void add(struct table *t, struct str key, struct str value);
static void table_fini(struct table *t);
static struct str value_of(const struct table *t, struct str name);

uint32_t conf_diff(
	struct str old_text, struct str new_text, conf_diff_setting *on_setting, void *user)
{
	struct table before = { 0 }, after = { 0 };
	uint32_t count = 0;

	table_read(&before, old_text);
	table_read(&after, new_text);
	for (struct map_entry *e = map_first(&after.settings); e;
		e = map_next(&after.settings, e)) {
		struct str value = CONTAINER_OF(e, struct setting, entry)->value;
		struct str old_value = value_of(&before, e->key);

		if (str_equal(value, old_value))
			continue;
		on_setting(user, e->key, old_value, value);
		count++;
	}
	for (struct map_entry *e = map_first(&before.settings); e;
		e = map_next(&before.settings, e)) {
		if (map_find(&after.settings, e->key))
			continue;
		on_setting(user, e->key, CONTAINER_OF(e, struct setting, entry)->value, STR(""));
		count++;
	}
	table_fini(&before);
	table_fini(&after);
	return count;
}

static void table_read(struct table *t, struct str text)
{
	map_init(&t->settings, (uint64_t)(uintptr_t)t * 0x9e3779b97f4a7c15u);
	while (text.len)
		read_line(t, str_cut(&text, '\n'));
}

/* "section:", "key: value", "  key: value", "  - key: value" (an item begins), "    key: value" and "# what: of secrets". */
static void read_line(struct table *t, struct str line)
{
	bool is_inner = line.len > 0 && line.data[0] == ' ';
	struct str rest = str_trim(line);
	bool is_item = rest.len > 2 && rest.data[0] == '-' && rest.data[1] == ' ';

	if (rest.len > 0 && rest.data[0] == '#')
		rest = str_trim(str_slice(rest, 1, rest.len));
	if (is_item)
		rest = str_trim(str_slice(rest, 1, rest.len));
	struct str key = str_cut(&rest, ':');
	struct str value = str_trim(rest);
	if (!key.len)
		return;
	if (!is_inner && !value.len) {
		t->section = t->list = key;
		return;
	}
	if (!is_inner)
		t->section = t->list = STR("");
	if (is_item)
		begin_item(t, value);
	else if (is_inner || !str_equal(value, STR("[]")))
		add(t, key, value);
}

static void begin_item(struct table *t, struct str value)
{
	for (unsigned n = 1;; n++) {
		t->section = n == 1 ? arena_printf(&t->arena, "%.*s[%.*s]", STR_FMT(t->list),
					      STR_FMT(value))
				    : arena_printf(&t->arena, "%.*s[%.*s #%u]", STR_FMT(t->list),
					      STR_FMT(value), n);
		if (!map_find(&t->settings, t->section))
			break;
	}
	struct setting *item = arena_alloc(&t->arena, sizeof(*item));
	item->value = STR("there");
	map_insert(&t->settings, &item->entry, t->section);
}

static void add(struct table *t, struct str key, struct str value)
{
	struct str name = t->section.len ? arena_printf(&t->arena, "%.*s.%.*s", STR_FMT(t->section),
						   STR_FMT(key))
					 : arena_dup(&t->arena, key);

	if (map_find(&t->settings, name))
		return;
	struct setting *s = arena_alloc(&t->arena, sizeof(*s));
	s->value = value.len ? value : STR("\"\"");
	map_insert(&t->settings, &s->entry, name);
}

static void table_fini(struct table *t)
{
	map_fini(&t->settings);
	arena_fini(&t->arena);
}

static struct str value_of(const struct table *t, struct str name)
{
	const struct map_entry *e = map_find(&t->settings, name);

	return e ? CONTAINER_OF(e, struct setting, entry)->value : STR("");
}
