/*
 * unit - numbers with units.
 *
 * A duration is a run of number and unit, largest first or not; a bare number is refused, since
 * nobody can tell whether "30" was meant as seconds or minutes. Only 0 needs no unit.
 */
#include "unit.h"

#include <stdint.h>

#include "base/check.h"

struct unit {
	struct str name;
	int64_t factor;
};

/* Largest first: that is the order in which printing tries them. */
static const struct unit durations[] = {
	{ { "w", 1 }, 604800000 },
	{ { "d", 1 }, 86400000 },
	{ { "h", 1 }, 3600000 },
	{ { "m", 1 }, 60000 },
	{ { "s", 1 }, 1000 },
	{ { "ms", 2 }, 1 },
};
static const struct unit sizes[] = {
	{ { "T", 1 }, INT64_C(1) << 40 },
	{ { "G", 1 }, INT64_C(1) << 30 },
	{ { "M", 1 }, INT64_C(1) << 20 },
	{ { "K", 1 }, INT64_C(1) << 10 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Cuts the digits off *rest. */
static enum err take_number(struct str *rest, int64_t *out)
{
	size_t n = 0;
	uint64_t value;
	while (n < rest->len && is_digit(rest->data[n]))
		n++;
	enum err err = str_to_u64(str_slice(*rest, 0, n), &value);
	if (err != OK)
		return err;
	if (value > INT64_MAX)
		return ERR_LIMIT;
	*rest = str_trim(str_slice(*rest, n, rest->len));
	*out = (int64_t)value;
	return OK;
}

/* Cuts the letters off *rest. */
static struct str take_word(struct str *rest)
{
	size_t n = 0;
	while (n < rest->len && !is_digit(rest->data[n]) && rest->data[n] != ' ')
		n++;
	struct str word = str_slice(*rest, 0, n);
	*rest = str_trim(str_slice(*rest, n, rest->len));
	return word;
}

enum err unit_parse_duration(struct str text, int64_t *out_ms)
{
	struct str rest = str_trim(text);
	int64_t total = 0;
	if (str_equal(rest, STR("0"))) {
		*out_ms = 0;
		return OK;
	}
	do {
		int64_t number, part;
		enum err err = take_number(&rest, &number);
		if (err != OK)
			return err;
		struct str name = take_word(&rest);
		if (name.len == 0)
			return ERR_UNSUPPORTED;
		const struct unit *unit = NULL;
		for (size_t i = 0; i < ARRAY_COUNT(durations); i++)
			if (str_equal(name, durations[i].name))
				unit = &durations[i];
		if (!unit)
			return ERR_SYNTAX;
		if (__builtin_mul_overflow(number, unit->factor, &part) ||
			__builtin_add_overflow(total, part, &total))
			return ERR_LIMIT;
	} while (rest.len > 0);
	*out_ms = total;
	return OK;
}

enum err unit_parse_bytes(struct str text, int64_t *out)
{
	struct str rest = str_trim(text);
	int64_t number;
	enum err err = take_number(&rest, &number);
	if (err != OK)
		return err;
	if (rest.len == 0 || str_equal_fold(rest, STR("B"))) {
		*out = number;
		return OK;
	}
	struct str tail = str_slice(rest, 1, rest.len);
	if (tail.len > 0 && !str_equal_fold(tail, STR("iB")) && !str_equal_fold(tail, STR("B")))
		return ERR_SYNTAX;
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		if (str_equal_fold(str_slice(rest, 0, 1), sizes[i].name))
			return __builtin_mul_overflow(number, sizes[i].factor, out) ? ERR_LIMIT
										    : OK;
	}
	return ERR_SYNTAX;
}

enum err unit_parse_percent(struct str text, int64_t *out)
{
	struct str rest = str_trim(text);
	int64_t number;
	enum err err = take_number(&rest, &number);
	if (err != OK)
		return err;
	if (rest.len > 0 && !str_equal(rest, STR("%")))
		return ERR_SYNTAX;
	*out = number;
	return OK;
}

static void print_unit(struct buf *out, int64_t value, const struct unit *units, size_t count)
{
	for (size_t i = 0; value != 0 && i < count; i++) {
		if (value % units[i].factor == 0) {
			buf_printf(out, "%lld%.*s", (long long)(value / units[i].factor),
				STR_FMT(units[i].name));
			return;
		}
	}
	buf_printf(out, "%lld", (long long)value);
}

void unit_print_duration(struct buf *out, int64_t ms)
{
	/* Weeks are read but not written: "14d" is what everybody says. */
	print_unit(out, ms, durations + 1, ARRAY_COUNT(durations) - 1);
}

void unit_print_bytes(struct buf *out, uint64_t bytes)
{
	print_unit(out, (int64_t)bytes, sizes, ARRAY_COUNT(sizes));
}
