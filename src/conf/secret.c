/*
 * secret - files of "name:secret" lines; empty lines and those that begin with '#' do not count.
 *
 * Faults name the file and line, never the secret.
 */
#include "secret.h"

#include <string.h>

#include "file.h"

#define USERS_MAX 10000
#define NAME_LEN_MAX 255
#define SECRET_LEN_MAX 1024
/*
 * The shortest hash of crypt(5) is the 13 octets of DES; without a '$' it is more likely a
 * password.
 */
#define HASH_LEN_MIN 13

static size_t count_lines(struct str text);
static bool next_line(struct str *rest, struct str *line, unsigned *number);
static bool split(struct str line, struct str *name, struct str *secret);
static bool is_hash(struct str text);
static bool has_user(const struct conf *conf, struct str name);

bool secret_read_users(struct conf *conf, struct str file, struct value_context *context)
{
	struct buf text;
	struct str line, name, hash;
	unsigned number = 0;
	const char *fault = NULL;
	buf_init(&text, FILE_BYTES_MAX);
	conf->user_count = 0;
	conf->users_file = context->may_read_files ? file_path(file, context) : STR("");
	bool is_ok = file_read_named(file, FILE_SECRET, context, &text);
	struct str rest = buf_str(&text);
	if (is_ok)
		conf->users = arena_array(context->arena, count_lines(rest), sizeof(*conf->users));
	while (is_ok && !fault && next_line(&rest, &line, &number)) {
		if (!split(line, &name, &hash))
			fault = "is not of the form name:hash";
		else if (!is_hash(hash))
			fault = "has no crypt(5) hash; make one with: outlast passwd";
		else if (has_user(conf, name))
			fault = "names a user again";
		else if (conf->user_count == USERS_MAX)
			fault = "is one user too many (10000)";
		else
			conf->users[conf->user_count++] =
				(struct conf_user){ arena_dup(context->arena, name),
					arena_dup(context->arena, hash) };
	}
	if (fault) {
		buf_printf(context->why, "line %u of %.*s %s", number, STR_FMT(file), fault);
	} else if (is_ok && conf->user_count == 0) {
		buf_printf(context->why, "%.*s names no user", STR_FMT(file));
		is_ok = false;
	}
	buf_fini(&text);
	return is_ok && !fault;
}

bool secret_read_login(struct conf_route *route, struct str file, struct value_context *context)
{
	struct buf text;
	struct str line, user, password, more;
	unsigned number = 0;
	buf_init(&text, FILE_BYTES_MAX);
	bool is_ok = file_read_named(file, FILE_SECRET, context, &text);
	if (is_ok) {
		struct str rest = buf_str(&text);
		bool is_login = next_line(&rest, &line, &number) && split(line, &user, &password) &&
				!next_line(&rest, &more, &number);
		if (is_login) {
			route->user = arena_dup(context->arena, user);
			route->password = arena_dup(context->arena, password);
		} else {
			buf_printf(context->why, "%.*s must hold one line user:password",
				STR_FMT(file));
			is_ok = false;
		}
	}
	buf_fini(&text);
	return is_ok;
}

/* Room for that many users is enough. */
static size_t count_lines(struct str text)
{
	size_t lines = 0;
	while (text.len > 0) {
		str_cut(&text, '\n');
		lines++;
	}
	return lines;
}

/* The next line that counts, without its line end. */
static bool next_line(struct str *rest, struct str *line, unsigned *number)
{
	while (rest->len > 0) {
		*line = str_cut(rest, '\n');
		(*number)++;
		if (line->len > 0 && line->data[line->len - 1] == '\r')
			line->len--;
		if (str_trim(*line).len > 0 && line->data[0] != '#')
			return true;
	}
	return false;
}

static bool split(struct str line, struct str *name, struct str *secret)
{
	*secret = line;
	*name = str_cut(secret, ':');
	return name->len > 0 && name->len <= NAME_LEN_MAX && secret->len > 0 &&
	       secret->len <= SECRET_LEN_MAX && str_find(line, '\0') == line.len &&
	       str_is_utf8(*name);
}

static bool is_hash(struct str text)
{
	bool has_gap = str_find(text, ' ') < text.len || str_find(text, ':') < text.len;
	return text.len >= HASH_LEN_MIN && !has_gap &&
	       (text.data[0] == '$' || text.len == HASH_LEN_MIN);
}

static bool has_user(const struct conf *conf, struct str name)
{
	for (uint32_t i = 0; i < conf->user_count; i++)
		if (str_equal(conf->users[i].name, name))
			return true;
	return false;
}
