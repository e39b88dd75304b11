/* route_text - see route_text.h. */
#include "route_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "deliver/route.h"

#define PREFERENCE_DIGITS_MAX 5
#define BOUND STR("dane")

static int by_address(const void *a, const void *b)
{
	const struct endpoint *x = a, *y = b;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	return memcmp(x->ip, y->ip, sizeof(x->ip));
}

static int by_preference(const void *a, const void *b)
{
	const struct route_text_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return str_compare(x->name, y->name);
}

struct str route_text_write(struct route_text_host *hosts, uint32_t count, struct arena *arena)
{
	struct str text = STR("");
	uint32_t addresses = 0;
	struct buf b;

	buf_init(&b, ROUTE_TEXT_BYTES_MAX);
	qsort(hosts, count, sizeof(hosts[0]), by_preference);
	for (uint32_t i = 0; i < count; i++) {
		struct route_text_host *h = &hosts[i];

		if (i > 0)
			buf_append_char(&b, ';');
		buf_append_number(&b, h->preference, 1);
		buf_append_char(&b, ' ');
		buf_append_str(&b, h->name);
		if (h->is_bound) {
			buf_append_char(&b, ' ');
			buf_append_str(&b, BOUND);
		}
		qsort(h->addresses, h->address_count, sizeof(h->addresses[0]), by_address);
		for (uint32_t j = 0; j < h->address_count; j++, addresses++) {
			buf_append_char(&b, ' ');
			endpoint_format_ip(&b, &h->addresses[j]);
		}
	}
	if (addresses > 0 && !b.is_full)
		text = arena_dup(arena, buf_str(&b));
	buf_fini(&b);
	return text;
}

static bool read_preference(struct str text, uint16_t *out)
{
	uint32_t value = 0;

	if (text.len == 0 || text.len > PREFERENCE_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = 10 * value + (uint32_t)(text.data[i] - '0');
	}
	*out = (uint16_t)value;
	return value <= UINT16_MAX;
}

static bool read_host(struct str text, struct route_text_host *out)
{
	*out = (struct route_text_host){ 0 };
	if (!read_preference(str_cut(&text, ' '), &out->preference))
		return false;
	out->name = str_cut(&text, ' ');
	while (text.len > 0 && out->address_count < ROUTE_TEXT_ADDRESSES_MAX) {
		struct str word = str_cut(&text, ' ');

		if (str_equal(word, BOUND))
			out->is_bound = true;
		else if (endpoint_parse_ip(&out->addresses[out->address_count], word) == OK)
			out->address_count++;
	}
	return out->name.len > 0;
}

uint32_t route_text_read(struct str text, struct route_text_host *hosts, uint32_t max)
{
	uint32_t count = 0;

	while (text.len > 0 && count < max)
		count += read_host(str_cut(&text, ';'), &hosts[count]);
	return count;
}

/* Both are in one order: host by host. */
bool route_text_same_hosts(struct str a, struct str b)
{
	while (a.len > 0 && b.len > 0) {
		struct str x = str_cut(&a, ';'), y = str_cut(&b, ';');

		if (!str_equal(str_cut(&x, ' '), str_cut(&y, ' ')) ||
			!str_equal(str_cut(&x, ' '), str_cut(&y, ' ')) ||
			str_equal(str_cut(&x, ' '), BOUND) != str_equal(str_cut(&y, ' '), BOUND))
			return false;
	}
	return a.len == b.len;
}
