/* fixture_conf - configurations from text, and files for those that need some. */
#include "fixture_conf.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/load.h"

#define MESSAGE_MAX 65536

struct conf *conf_good(const char *text)
{
	struct conf *conf;
	struct buf message;
	buf_init(&message, MESSAGE_MAX);
	enum err err = load_text(STR("test.yaml"), str_from_c(text), false, &conf, &message);
	assert_string_equal(buf_cstr(&message), "");
	assert_int_equal(err, OK);
	assert_non_null(conf);
	buf_fini(&message);
	return conf;
}

void assert_refused(const char *text, const char *expected)
{
	struct conf *conf;
	struct buf message;
	buf_init(&message, MESSAGE_MAX);
	enum err err = load_text(STR("test.yaml"), str_from_c(text), false, &conf, &message);
	assert_string_equal(buf_cstr(&message), expected);
	assert_int_equal(err, ERR_SYNTAX);
	assert_null(conf);
	buf_fini(&message);
}

void assert_str(struct str got, const char *expected)
{
	char text[512];
	snprintf(text, sizeof(text), "%.*s", STR_FMT(got));
	assert_string_equal(text, expected);
}

void folder_init(struct folder *folder)
{
	snprintf(folder->path, sizeof(folder->path), "/tmp/conf-test-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
}

void folder_fini(struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	assert_non_null(dir);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (entry->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
	closedir(dir);
	assert_int_equal(rmdir(folder->path), 0);
}

void folder_write(const struct folder *folder, const char *name, unsigned mode, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

enum err folder_load(
	const struct folder *folder, const char *name, struct conf **out, struct buf *message)
{
	char path[128];
	struct buf whole;
	buf_init(&whole, MESSAGE_MAX);
	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	enum err err = conf_load(path, out, &whole);
	size_t prefix = strlen(folder->path) + 1;
	for (const char *at = buf_cstr(&whole); *at;) {
		if (strncmp(at, folder->path, prefix - 1) == 0)
			at += prefix;
		else
			buf_append_char(message, *at++);
	}
	buf_fini(&whole);
	return err;
}
