/* Every key stands in the man page and in the installed file, and that file changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/file.h"
#include "conf/keys.h"
#include "conf/value.h"
#include "fixture_conf.h"

#define SHIPPED "etc/outlast.yaml"
#define PAGE "man/outlast.yaml.5"

static void read_whole(const char *path, struct buf *out)
{
	struct buf why;
	buf_init(out, FILE_BYTES_MAX);
	buf_init(&why, 1000);
	assert_int_equal(file_read(path, FILE_PUBLIC, out, &why), OK);
	buf_fini(&why);
}

static void test_documented_file_equals_the_defaults(void **state)
{
	(void)state;
	struct buf message, a, b;
	struct conf *shipped, *plain = conf_default();
	buf_init(&message, 65536);
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	enum err err = conf_load(SHIPPED, &shipped, &message);
	assert_string_equal(buf_cstr(&message), "");
	assert_int_equal(err, OK);
	conf_print(&a, shipped);
	conf_print(&b, plain);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	buf_fini(&message);
	buf_fini(&a);
	buf_fini(&b);
	conf_unref(shipped);
	conf_unref(plain);
}

/* The part of text from the line that is head to the next line of that kind. */
static struct str part_after(struct str text, const char *head, const char *stop)
{
	char line[128];
	snprintf(line, sizeof(line), "\n%s", head);
	const char *from = strstr(text.data, line);
	if (!from)
		fail_msg("no line %s", head);
	from += strlen(line);
	const char *to = strstr(from, stop);
	return str_of(from, to ? (size_t)(to - from) : strlen(from));
}

static bool has(struct str text, const char *wanted)
{
	size_t len = strlen(wanted);
	for (size_t i = 0; i + len <= text.len; i++)
		if (memcmp(text.data + i, wanted, len) == 0)
			return true;
	return false;
}

static void test_documented_file_shows_every_key(void **state)
{
	(void)state;
	struct buf file;
	char wanted[128];
	read_whole(SHIPPED, &file);
	struct str text = str_of(buf_cstr(&file), file.len);
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct key *key = &conf_keys[i];
		struct str part = text;
		if (key->section) {
			snprintf(wanted, sizeof(wanted), "%s:\n", key->section);
			part = part_after(text, wanted, "\n\n");
		}
		const char *indent = key->section ? "  " : "\n";
		snprintf(wanted, sizeof(wanted), "%s%s:", indent, key->name);
		bool is_shown = has(part, wanted);
		snprintf(wanted, sizeof(wanted), "%s#%s:", indent, key->name);
		if (!is_shown && !has(part, wanted))
			fail_msg("%s lacks %s of %s", SHIPPED, key->name,
				key->section ? key->section : "");
		if (key->in_destination && !has(text, key->in_destination))
			fail_msg("%s lacks %s of destinations", SHIPPED, key->in_destination);
	}
	buf_fini(&file);
}

static void test_documented_page_names_every_key(void **state)
{
	(void)state;
	struct buf file;
	char wanted[128];
	read_whole(PAGE, &file);
	struct str text = str_of(buf_cstr(&file), file.len);
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct key *key = &conf_keys[i];
		struct str part = text;
		if (key->section) {
			snprintf(wanted, sizeof(wanted), ".Cm %s :\n", key->section);
			part = part_after(text, wanted, "\n.Ss");
		}
		snprintf(wanted, sizeof(wanted), ".It Cm %s\n", key->name);
		if (!has(part, wanted))
			fail_msg("%s lacks %s of %s", PAGE, key->name,
				key->section ? key->section : "");
		for (size_t j = 0; key->items && j < key->items->key_count; j++) {
			snprintf(wanted, sizeof(wanted), ".It Cm %s\n", key->items->keys[j].name);
			if (!has(part, wanted))
				fail_msg("%s lacks %s of a %s", PAGE, key->items->keys[j].name,
					key->items->what);
		}
		if (key->in_destination) {
			snprintf(wanted, sizeof(wanted), ".Cm %s .\n", key->in_destination);
			if (!has(part, wanted))
				fail_msg("%s lacks %s of destinations", PAGE, key->in_destination);
		}
	}
	buf_fini(&file);
}

static bool has_range(const struct key *key)
{
	return key->kind == KEY_COUNT || key->kind == KEY_PERCENT || key->kind == KEY_BYTES ||
	       key->kind == KEY_DURATION;
}

static void test_documented_page_tells_defaults_and_ranges(void **state)
{
	(void)state;
	struct buf file, wanted;
	read_whole(PAGE, &file);
	buf_init(&wanted, 1000);
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct key *key = &conf_keys[i];
		if (!has_range(key))
			continue;
		buf_clear(&wanted);
		buf_printf(&wanted, ".Cm %s :\n", key->section);
		struct str section =
			part_after(str_of(buf_cstr(&file), file.len), buf_cstr(&wanted), "\n.Ss");
		buf_clear(&wanted);
		buf_printf(&wanted, ".It Cm %s\n", key->name);
		struct str entry = part_after(section, buf_cstr(&wanted), "\n.It");
		buf_clear(&wanted);
		buf_printf(&wanted, "Default:\n.Li %s .\nRange: ", key->initial);
		value_print_number(&wanted, key->kind, key->min);
		buf_append_str(&wanted, STR(" to "));
		value_print_number(&wanted, key->kind, key->max);
		buf_append_str(&wanted, STR(".\n"));
		if (!has(str_of(entry.data, entry.len + 1), buf_cstr(&wanted)))
			fail_msg("%s tells other of %s than: %s", PAGE, key->name,
				buf_cstr(&wanted));
	}
	buf_fini(&file);
	buf_fini(&wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documented_file_equals_the_defaults),
		cmocka_unit_test(test_documented_file_shows_every_key),
		cmocka_unit_test(test_documented_page_names_every_key),
		cmocka_unit_test(test_documented_page_tells_defaults_and_ranges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
