/*
 * cli_passwd - who may log in: adds users to the users file, changes, checks, lists and deletes them.
 *
 * A password comes from the terminal, unseen and twice, or from standard input; never from the arguments, which
 * everybody on the host can read. The daemon is not asked: it reads the file at its next reload.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli.h"
#include "cli_users.h"
#include "os/os_secret.h"

#define NAME_LEN_MAX 255

struct password {
	char text[OS_SECRET_PASSWORD_MAX + 1];
};

static int make_hash(struct buf *out);
static int run(struct cli *cli, struct users_file *f, struct str hash);

static int exit_status(enum err err)
{
	return err == ERR_PERMISSION ? VERB_NOT_PERMITTED
	       : err == ERR_LIMIT    ? VERB_DATA
				     : VERB_TEMPORARY;
}

static bool is_usage_good(const struct cli *cli)
{
	int actions = cli->is_delete + cli->is_list + cli->is_check;
	int wanted = cli->is_list ? 0 : 1;

	if (actions > 1)
		cli_say("only one of --delete, --list and --check");
	else if (cli->operand_count > wanted && !cli->is_list)
		cli_say("passwd takes one user; the password is asked for, or comes on standard "
			"input");
	else if (cli->operand_count != wanted)
		cli_say(cli->is_list ? "passwd --list takes no user"
				     : "passwd needs the name of a user");
	else
		return true;
	return false;
}

/* As the daemon wants it: it stands in front of a colon, and in log lines. */
static bool is_name_good(struct str name)
{
	bool is_good = name.len > 0 && name.len <= NAME_LEN_MAX && str_is_utf8(name) &&
		       name.data[0] != '#' && str_find(name, ':') == name.len &&
		       str_trim(name).len == name.len;

	for (size_t i = 0; i < name.len; i++)
		is_good = is_good && (unsigned char)name.data[i] >= ' ' && name.data[i] != 0x7f;
	if (!is_good)
		cli_say("'%.*s' cannot be a user: at most %d octets of UTF-8, no colon, no control "
			"characters, no '#' or space in front",
			STR_FMT(name), NAME_LEN_MAX);
	return is_good;
}

static const char *find_file(struct cli *cli)
{
	if (cli->file)
		return cli->file;
	if (cli_load_conf(cli) != 0) {
		cli_say("name the users file: --file FILE");
		return NULL;
	}
	if (cli->conf->users_file.len == 0) {
		cli_say("%s sets no auth.users; name the users file: --file FILE",
			cli->config_file);
		return NULL;
	}
	return cli->conf->users_file.data;
}

/* A new file that root makes must be readable by the daemon after it gave up root. Not before it is there: a configuration
 * that names it could not be read. */
static void open_to_daemon(const struct cli *cli, const struct users_file *f)
{
	struct conf *conf = NULL;
	struct buf message;

	if (f->is_there || geteuid() != 0)
		return;
	buf_init(&message, 1 << 20);
	if (conf_load(cli->config_file, &conf, &message) == OK && conf->user.len > 0) {
		const struct passwd *pw = getpwnam(conf->user.data);
		if (pw && (chown(f->path, 0, pw->pw_gid) != 0 ||
				  chmod(f->path, S_IRUSR | S_IWUSR | S_IRGRP) != 0))
			cli_say("%s cannot be opened to user %s: %s", f->path, conf->user.data,
				strerror(errno));
	}
	conf_unref(conf);
	buf_fini(&message);
}

int cli_passwd(struct cli *cli)
{
	struct users_file f;
	struct buf why, hash;
	const char *path;
	int status = VERB_DONE;

	if (!is_usage_good(cli) ||
		(cli->operand_count > 0 && !is_name_good(str_from_c(cli->operands[0]))))
		return VERB_USAGE;
	path = find_file(cli);
	if (!path)
		return VERB_DATA;
	buf_init(&why, 8192);
	buf_init(&hash, 1024);
	/* First, for the file is locked while it is open. */
	if (!cli->is_list && !cli->is_check && !cli->is_delete)
		status = make_hash(&hash);
	if (status == VERB_DONE) {
		enum err err = users_open(&f, path, &why);
		if (err != OK) {
			cli_say("%s", buf_cstr(&why));
			status = exit_status(err);
		} else {
			status = run(cli, &f, buf_str(&hash));
			if (status == VERB_DONE && hash.len > 0)
				open_to_daemon(cli, &f);
		}
		users_close(&f);
	}
	buf_fini(&hash);
	buf_fini(&why);
	return status;
}

/* ---- the password ---- */

static bool read_line(struct password *p)
{
	size_t len = 0;
	char c;
	ssize_t n;
	bool is_good = true;

	while ((n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
		/* Ctrl-C and Ctrl-Z reach us as octets, so that the terminal is put right first. */
		is_good = is_good && c != '\0' && c != '\x03' && c != '\x1a' &&
			  len < OS_SECRET_PASSWORD_MAX;
		if (is_good)
			p->text[len++] = c;
	}
	if (len > 0 && p->text[len - 1] == '\r')
		len--;
	p->text[len] = '\0';
	return is_good && len > 0 && n >= 0;
}

static bool ask(const char *prompt, struct password *p)
{
	struct termios seen, unseen;
	bool is_good;

	(void)fputs(prompt, stderr);
	(void)fflush(stderr);
	if (tcgetattr(STDIN_FILENO, &seen) != 0)
		return false;
	unseen = seen;
	unseen.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen) != 0)
		return false;
	is_good = read_line(p);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &seen);
	(void)fputs("\n", stderr);
	return is_good;
}

static bool read_password(bool is_new, struct password *p)
{
	struct password again;
	bool is_same = true;

	if (!isatty(STDIN_FILENO)) {
		if (read_line(p))
			return true;
	} else if (ask("Password: ", p)) {
		if (is_new)
			is_same = ask("Again: ", &again) && strcmp(p->text, again.text) == 0;
		mem_wipe(&again, sizeof(again));
		if (is_same)
			return true;
		cli_say("these were two different passwords; nothing was changed");
		return false;
	}
	cli_say("a password has 1 to %d octets and no NUL; nothing was changed",
		OS_SECRET_PASSWORD_MAX);
	return false;
}

/* ---- what is done ---- */

/* "$y$..." is yescrypt: crypt(5). */
static const char *method_of(struct str hash)
{
	static const struct {
		const char *prefix, *name;
	} methods[] = { { "$y$", "yescrypt" }, { "$gy$", "gost-yescrypt" }, { "$7$", "scrypt" },
		{ "$2", "bcrypt" }, { "$6$", "sha512crypt" }, { "$5$", "sha256crypt" },
		{ "$1$", "md5crypt, weak" }, { "$", "another" } };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_starts_fold(hash, str_from_c(methods[i].prefix)))
			return methods[i].name;
	return "descrypt, weak";
}

static int list(const struct cli *cli, const struct users_file *f)
{
	struct str rest = buf_str(&f->text), name, hash;
	struct cli_line line = { .cli = cli };
	bool has_any = false;

	while (users_next(&rest, &name, &hash)) {
		has_any = true;
		if (cli->format == FORMAT_JSON) {
			json_t *row = json_pack("{s:s%, s:s}", "user", name.data, name.len,
				"method", method_of(hash));
			cli_put_json(row);
			json_decref(row);
			continue;
		}
		cli_cell(&line, name, 24, COLOR_NONE);
		cli_cell(&line, str_from_c(method_of(hash)), 0, COLOR_DIM);
		cli_line_end(&line);
	}
	return has_any ? VERB_DONE : VERB_NO_MATCH;
}

static bool find_hash(const struct users_file *f, struct str user, struct str *hash)
{
	struct str rest = buf_str(&f->text), name;

	while (users_next(&rest, &name, hash))
		if (str_equal(name, user))
			return true;
	return false;
}

static int check(const struct users_file *f, struct str user)
{
	struct password p;
	struct str hash;
	struct buf text;
	int status = VERB_NO_MATCH;

	buf_init(&text, 4096);
	if (!find_hash(f, user, &hash)) {
		cli_say("%s has no user '%.*s'", f->path, STR_FMT(user));
	} else if (!read_password(false, &p)) {
		status = VERB_DATA;
	} else {
		buf_append_str(&text, hash);
		if (os_secret.fits(p.text, buf_cstr(&text)))
			status = VERB_DONE;
		cli_say(status == VERB_DONE ? "this is the password of %.*s"
					    : "this is not the password of %.*s",
			STR_FMT(user));
	}
	mem_wipe(&p, sizeof(p));
	buf_fini(&text);
	return status;
}

static int write_back(struct users_file *f, struct str user, const char *what)
{
	struct buf why;
	struct str rest = buf_str(&f->text), name, hash;
	int status = VERB_DONE;

	buf_init(&why, 8192);
	enum err err = users_write(f, &why);
	if (err != OK) {
		cli_say("%s; nothing was changed", buf_cstr(&why));
		status = exit_status(err);
	} else {
		cli_say("%s: %s %.*s; 'outlast reload' tells a running daemon", f->path, what,
			STR_FMT(user));
		if (!users_next(&rest, &name, &hash))
			cli_say("no user is left: a configuration that names this file is refused");
	}
	buf_fini(&why);
	return status;
}

static int make_hash(struct buf *out)
{
	struct password p;
	int status = VERB_DATA;

	if (read_password(true, &p)) {
		status = os_secret_hash(out, p.text) == OK ? VERB_DONE : VERB_BUG;
		if (status == VERB_BUG)
			cli_say("the libcrypt of this system makes no hash");
	}
	mem_wipe(&p, sizeof(p));
	return status;
}

static int run(struct cli *cli, struct users_file *f, struct str hash)
{
	struct str user = str_from_c(cli->operand_count > 0 ? cli->operands[0] : "");

	if (cli->is_list)
		return list(cli, f);
	if (cli->is_check)
		return check(f, user);
	bool was_there = users_set(f, user, hash);
	if (!cli->is_delete)
		return write_back(f, user, was_there ? "changed" : "added");
	if (was_there)
		return write_back(f, user, "deleted");
	cli_say("%s has no user '%.*s'", f->path, STR_FMT(user));
	return VERB_NO_MATCH;
}
