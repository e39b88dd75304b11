/*
 * recipients - files of addresses that exist, and which relay-domain an address belongs to.
 *
 * Addresses are compared without regard to case, local parts too: mail for a mailbox is not lost over a capital. They are
 * sorted once, when the file is read, so that a look-up is a binary search.
 */
#include "recipients.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "mail/address.h"
#include "mail/domain.h"

#define RECIPIENTS_FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define RECIPIENTS_MAX 1000000

static bool read_lines(
	struct conf_relay_domain *item, struct str text, struct str file, struct value_context *c);
static int compare(const void *a, const void *b);

bool recipients_read(struct conf_relay_domain *item, struct str file, struct value_context *context)
{
	struct buf text;

	buf_init(&text, RECIPIENTS_FILE_BYTES_MAX);
	bool is_ok = file_read_named(file, FILE_PUBLIC, context, &text);
	if (is_ok) {
		item->recipients = file_path(file, context);
		is_ok = read_lines(item, buf_str(&text), file, context);
	}
	buf_fini(&text);
	return is_ok;
}

/* "local@domain" or "@domain", the domain as DNS has it. */
static bool read_address(struct str line, struct arena *arena, struct str *out)
{
	struct arena scratch = { 0 };
	struct address address = { .local = STR("") };
	bool is_good;

	if (line.data[0] == '@')
		is_good = domain_normalize(
				  str_slice(line, 1, line.len), &scratch, &address.domain) == OK;
	else
		is_good = address_parse(line, true, &scratch, &address) == OK &&
			  address.domain.len > 0;
	if (is_good) {
		struct str local = arena_lower(&scratch, address.local);
		*out = arena_printf(arena, "%.*s@%.*s", STR_FMT(local), STR_FMT(address.domain));
	}
	arena_fini(&scratch);
	return is_good;
}

static uint32_t count_lines(struct str text)
{
	uint32_t count = 0;

	for (; text.len > 0 && count < RECIPIENTS_MAX; count++)
		str_cut(&text, '\n');
	return count;
}

static bool read_lines(
	struct conf_relay_domain *item, struct str text, struct str file, struct value_context *c)
{
	unsigned number = 0;

	item->address_count = 0;
	item->addresses = arena_array(c->arena, count_lines(text), sizeof(*item->addresses));
	while (text.len > 0) {
		struct str line = str_trim(str_cut(&text, '\n'));

		number++;
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line = str_trim(str_slice(line, 0, line.len - 1));
		if (line.len == 0 || line.data[0] == '#')
			continue;
		if (number > RECIPIENTS_MAX) {
			buf_printf(c->why, "%.*s has more than %d lines", STR_FMT(file),
				RECIPIENTS_MAX);
			return false;
		}
		if (!read_address(line, c->arena, &item->addresses[item->address_count])) {
			buf_printf(c->why,
				"line %u of %.*s is not an address, and not @domain for all of one",
				number, STR_FMT(file));
			return false;
		}
		item->address_count++;
	}
	if (item->address_count > 1)
		qsort(item->addresses, item->address_count, sizeof(*item->addresses), compare);
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->data, y->data, len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

const struct conf_relay_domain *conf_relay_domain_for(const struct conf *conf, struct str domain)
{
	for (uint32_t i = 0; i < conf->relay_domain_count; i++)
		if (str_match_glob(domain, conf->relay_domains[i].pattern))
			return &conf->relay_domains[i];
	return NULL;
}

static bool has(const struct conf_relay_domain *item, struct str address)
{
	return item->address_count > 0 && bsearch(&address, item->addresses, item->address_count,
						  sizeof(*item->addresses), compare) != NULL;
}

bool conf_relay_domain_lists(
	const struct conf_relay_domain *item, struct str local, struct str domain)
{
	struct arena arena = { 0 };
	struct str lower = arena_lower(&arena, local);
	struct str address = arena_printf(&arena, "%.*s@%.*s", STR_FMT(lower), STR_FMT(domain));
	bool is_listed =
		has(item, address) || has(item, str_slice(address, local.len, address.len));

	arena_fini(&arena);
	return is_listed;
}
