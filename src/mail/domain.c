/*
 * domain - checks host names and brings them into the one form that is compared, stored and looked
 * up.
 *
 * ASCII names never meet libidn2: underscores, which exist in the wild, must pass, and a name that
 * is its own A-label needs no conversion. Whatever libidn2 returns is checked like any other name,
 * since its mappings can produce dots and other ASCII.
 */
#include "mail/domain.h"

#include <idn2.h>
#include <string.h>

#define LABEL_LEN_MAX 63
/* No U-label form is longer than this many octets and still fits 253 as A-labels. */
#define UTF8_LEN_MAX ((size_t)4 * DOMAIN_LEN_MAX)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_label_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' ||
	       c == '_';
}

static bool is_label(struct str label)
{
	if (label.len == 0 || label.data[0] == '-' || label.data[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_label_octet(label.data[i]))
			return false;
	return true;
}

static bool is_numeric(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!is_digit(name.data[i]) && name.data[i] != '.')
			return false;
	return true;
}

static enum err check_hostname(struct str name)
{
	enum err err = name.len > DOMAIN_LEN_MAX ? ERR_LIMIT : OK;

	if (name.len == 0 || name.data[name.len - 1] == '.' || is_numeric(name))
		return ERR_SYNTAX;
	for (struct str rest = name; rest.len > 0;) {
		struct str label = str_cut(&rest, '.');
		if (!is_label(label))
			return ERR_SYNTAX;
		if (label.len > LABEL_LEN_MAX)
			err = ERR_LIMIT;
	}
	return err;
}

bool domain_is_hostname(struct str name)
{
	return check_hostname(name) == OK;
}

static enum err to_a_labels(struct str name, struct arena *arena, struct str *out)
{
	if (name.len > UTF8_LEN_MAX)
		return ERR_LIMIT;
	if (!str_is_utf8(name) || str_find(name, '\0') != name.len)
		return ERR_SYNTAX;

	char text[UTF8_LEN_MAX + 1];
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	uint8_t *ascii = NULL;
	int rc = idn2_lookup_u8(
		(const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc == IDN2_TOO_BIG_DOMAIN || rc == IDN2_TOO_BIG_LABEL)
		return ERR_LIMIT;
	if (rc != IDN2_OK)
		return ERR_SYNTAX;
	*out = arena_lower(arena, str_from_c((const char *)ascii));
	idn2_free(ascii);
	return check_hostname(*out);
}

enum err domain_normalize(struct str name, struct arena *arena, struct str *out)
{
	if (name.len > 0 && name.data[name.len - 1] == '.')
		name.len--;
	if (!str_is_ascii(name))
		return to_a_labels(name, arena, out);
	enum err err = check_hostname(name);
	if (err == OK)
		*out = arena_lower(arena, name);
	return err;
}
