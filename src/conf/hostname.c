/*
 * hostname - what this host is called, when the configuration does not say.
 *
 * The kernel's name, made fully qualified by /etc/hosts. The resolver is not asked: it may take
 * half a minute in an outage, and the answer of today may not be that of tomorrow.
 */
#include "hostname.h"

#include <unistd.h>

#include "base/buf.h"
#include "file.h"
#include "mail/domain.h"

#define HOST_NAME_BYTES 256

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool next_name(struct str *rest, struct str *name)
{
	size_t from = 0;
	while (from < rest->len && is_space(rest->data[from]))
		from++;
	size_t to = from;
	while (to < rest->len && !is_space(rest->data[to]))
		to++;
	*name = str_slice(*rest, from, to);
	*rest = str_slice(*rest, to, rest->len);
	return name->len > 0;
}

static bool is_dotted(struct str name)
{
	return str_find(name, '.') < name.len;
}

struct str hostname_qualify(struct str name, struct str hosts)
{
	while (hosts.len > 0) {
		struct str line = str_cut(&hosts, '\n');
		struct str names = str_slice(line, 0, str_find(line, '#'));
		struct str word, best = { 0 };
		bool is_ours = false;
		if (!next_name(&names, &word)) /* the address */
			continue;
		while (next_name(&names, &word)) {
			is_ours = is_ours || str_equal_fold(word, name);
			if (best.len == 0 && is_dotted(word) && domain_is_hostname(word))
				best = word;
		}
		if (is_ours && best.len > 0)
			return best;
	}
	return name;
}

struct str hostname_of_system(struct arena *arena)
{
	char text[HOST_NAME_BYTES] = "";
	struct buf hosts, why;
	struct str out = STR("localhost");
	if (gethostname(text, sizeof(text) - 1) != 0)
		text[0] = '\0';
	struct str name = str_from_c(text);
	buf_init(&hosts, FILE_BYTES_MAX);
	buf_init(&why, 256);
	if (name.len > 0 && !is_dotted(name) &&
		file_read("/etc/hosts", FILE_PUBLIC, &hosts, &why) == OK)
		name = hostname_qualify(name, buf_str(&hosts));
	if (domain_is_hostname(name))
		out = name;
	out = arena_lower(arena, out);
	buf_fini(&hosts);
	buf_fini(&why);
	return out;
}
