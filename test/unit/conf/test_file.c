/* Includes, files with secrets, and files that are none. */
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

#include "base/check.h"
#include "fixture_conf.h"

#define HASH                                                                                       \
	"$6$salt$"                                                                                 \
	"IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g."

static void assert_loads(
	const struct folder *folder, enum err expected, const char *expected_message)
{
	struct conf *conf;
	struct buf message;
	buf_init(&message, 65536);
	enum err err = folder_load(folder, "main.yaml", &conf, &message);
	assert_string_equal(buf_cstr(&message), expected_message);
	assert_int_equal(err, expected);
	assert_int_equal(conf == NULL, expected != OK);
	conf_unref(conf);
	buf_fini(&message);
}

static struct conf *load_good(const struct folder *folder)
{
	struct conf *conf;
	struct buf message;
	buf_init(&message, 65536);
	enum err err = folder_load(folder, "main.yaml", &conf, &message);
	assert_string_equal(buf_cstr(&message), "");
	assert_int_equal(err, OK);
	buf_fini(&message);
	return conf;
}

static void test_file_includes_gather_in_sorted_order(void **state)
{
	(void)state;
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "main.yaml", 0644,
		"routes: [{name: first, via: mx}]\ninclude: [more-*.yaml, none-*.yaml, last.yaml]\n"
		"queue: {node: 3}\ntrusted: 10.0.0.0/8\n");
	folder_write(&folder, "more-2.yaml", 0644, "routes: [{name: two, via: mx}]\n");
	folder_write(&folder, "more-1.yaml", 0644,
		"routes: [{name: one, via: mx}]\nqueue: {history: 1d}\ntrusted: 192.0.2.0/24\n");
	folder_write(&folder, "last.yaml", 0644, "tls: {certificate: a.pem, key: /b.key}\n");
	struct conf *conf = load_good(&folder);
	char certificate[128];
	assert_int_equal(conf->route_count, 3);
	assert_str(conf->routes[0].name, "first");
	assert_str(conf->routes[1].name, "one");
	assert_str(conf->routes[2].name, "two");
	assert_int_equal(conf->trusted_count, 2);
	assert_int_equal(conf->queue.node, 3);
	assert_int_equal(conf->queue.history_ms, 86400000);
	snprintf(certificate, sizeof(certificate), "%s/a.pem", folder.path);
	assert_str(conf->tls.certificate, certificate);
	assert_str(conf->tls.key, "/b.key");
	conf_unref(conf);
	folder_fini(&folder);
}

static void test_file_includes_report_their_own_place(void **state)
{
	(void)state;
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "main.yaml", 0644,
		"user: a\ninclude: other.yaml\nlog:\n  tag: x\n  level: info\n");
	folder_write(&folder, "other.yaml", 0644, "user: b\nlog:\n  tgg: y\n  tag: y\n");
	assert_loads(&folder, ERR_SYNTAX,
		"other.yaml:1:1: 'user' is set already in line 1 of main.yaml\n"
		"other.yaml:3:3: unknown key 'tgg' in section 'log', did you mean 'tag'?\n"
		"main.yaml:4:3: 'tag' is set already in line 4 of other.yaml\n");
	folder_write(&folder, "main.yaml", 0644, "include: nobody.yaml\n");
	assert_loads(&folder, ERR_SYNTAX,
		"main.yaml:1:10: include: cannot open nobody.yaml: No such file or directory\n");
	folder_write(&folder, "main.yaml", 0644, "include: a*.yaml\ninclude: b*.yaml\n");
	assert_loads(&folder, ERR_SYNTAX,
		"main.yaml:2:1: 'include' stands already in line 1; give it a list of files\n");
	folder_write(&folder, "main.yaml", 0644, "include: {a: b}\n");
	assert_loads(&folder, ERR_SYNTAX,
		"main.yaml:1:10: 'include' needs a file name, a pattern, or a list\n");
	folder_fini(&folder);
}

static void test_file_that_includes_itself_ends(void **state)
{
	(void)state;
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "main.yaml", 0644, "include: main.yaml\n");
	assert_loads(
		&folder, ERR_SYNTAX, "main.yaml:1:10: files include each other too deep (8)\n");
	folder_write(&folder, "main.yaml", 0644, "include: [main.yaml, main.yaml, main.yaml]\n");
	struct conf *conf;
	struct buf message;
	buf_init(&message, 65536);
	assert_int_equal(folder_load(&folder, "main.yaml", &conf, &message), ERR_SYNTAX);
	buf_fini(&message);
	folder_fini(&folder);
}

static void test_file_must_be_regular_readable_and_small(void **state)
{
	(void)state;
	struct folder folder;
	char path[128];
	folder_init(&folder);
	snprintf(path, sizeof(path), "%s/main.yaml", folder.path);
	assert_loads(&folder, ERR_NOT_FOUND, "cannot open main.yaml: No such file or directory\n");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_loads(&folder, ERR_SYNTAX, "main.yaml is not a regular file\n");
	assert_int_equal(unlink(path), 0);
	char *large = malloc(1024 * 1024 + 2);
	memset(large, '#', 1024 * 1024 + 1);
	large[1024 * 1024 + 1] = '\0';
	folder_write(&folder, "main.yaml", 0644, large);
	assert_loads(&folder, ERR_SYNTAX, "main.yaml is larger than 1 MiB\n");
	large[1024 * 1024] = '\0';
	folder_write(&folder, "main.yaml", 0644, large);
	assert_loads(&folder, OK, "");
	free(large);
	if (getuid() != 0) {
		folder_write(&folder, "main.yaml", 0, "");
		assert_loads(&folder, ERR_PERMISSION, "cannot open main.yaml: Permission denied\n");
	}
	folder_fini(&folder);
}

static void test_file_of_users_is_read(void **state)
{
	(void)state;
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "main.yaml", 0644, "auth: {users: users}\n");
	folder_write(&folder, "users", 0640,
		"# who may send\n\nalice:" HASH "\r\nbob@x:abCDefGHijKL.\n");
	struct conf *conf = load_good(&folder);
	struct buf shown;
	assert_int_equal(conf->user_count, 2);
	assert_str(conf->users[0].name, "alice");
	assert_str(conf->users[0].hash, HASH);
	assert_str(conf->users[1].name, "bob@x");
	assert_str(conf->users[1].hash, "abCDefGHijKL.");
	buf_init(&shown, 65536);
	conf_print(&shown, conf);
	assert_non_null(strstr(buf_cstr(&shown), "auth:\n  # users: 2 users, hashes not shown\n"));
	assert_null(strstr(buf_cstr(&shown), "$6$"));
	buf_fini(&shown);
	conf_unref(conf);
	folder_fini(&folder);
}

static void test_file_of_users_is_refused_when_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned mode;
		const char *message;
	} cases[] = {
		{ "a:" HASH "\n", 0644,
			"users holds secrets, but others may read or change it: chmod 640 users" },
		{ "a:" HASH "\n", 0660,
			"users holds secrets, but others may read or change it: chmod 640 users" },
		{ "# a\nalice\n", 0600, "line 2 of users is not of the form name:hash" },
		{ ":" HASH "\n", 0600, "line 1 of users is not of the form name:hash" },
		{ "a:secret\n", 0600,
			"line 1 of users has no crypt(5) hash; make one with: outlast passwd" },
		{ "a:" HASH "\nb:" HASH "\na:" HASH "\n", 0600,
			"line 3 of users names a user again" },
		{ "# nobody\n", 0600, "users names no user" },
	};
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "main.yaml", 0644, "auth: {users: users}\n");
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char message[256];
		folder_write(&folder, "users", cases[i].mode, cases[i].text);
		snprintf(message, sizeof(message), "main.yaml:1:15: users: %s\n", cases[i].message);
		assert_loads(&folder, ERR_SYNTAX, message);
	}
	folder_fini(&folder);
}

static void test_file_of_login_is_read_and_kept_secret(void **state)
{
	(void)state;
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "main.yaml", 0644,
		"routes:\n  - {name: a, via: '[smart.example]:587', tls: verify, auth: login}\n");
	folder_write(&folder, "login", 0600, "# provider\nme@example.org:pass:wo rd\n");
	struct conf *conf = load_good(&folder);
	struct buf shown;
	assert_str(conf->routes[0].user, "me@example.org");
	assert_str(conf->routes[0].password, "pass:wo rd");
	buf_init(&shown, 65536);
	conf_print(&shown, conf);
	assert_non_null(strstr(
		buf_cstr(&shown), "    # auth: as \"me@example.org\", password not shown\n"));
	assert_null(strstr(buf_cstr(&shown), "wo rd"));
	buf_fini(&shown);
	conf_unref(conf);
	folder_fini(&folder);
}

static void test_file_of_login_is_refused_when_unsafe(void **state)
{
	(void)state;
	static const struct {
		const char *route, *login;
		unsigned mode;
		const char *message;
	} cases[] = {
		{ "via: '[a.example]:587', tls: verify", "a:b\n", 0604,
			"main.yaml:1:63: auth: login holds secrets, but others may read or change "
			"it: chmod 640 "
			"login\n" },
		{ "via: '[a.example]:587', tls: verify", "a:b\nc:d\n", 0600,
			"main.yaml:1:63: auth: login must hold one line user:password\n" },
		{ "via: '[a.example]:587', tls: verify", "a\n", 0600,
			"main.yaml:1:63: auth: login must hold one line user:password\n" },
		{ "via: '[a.example]:587'", "a:b\n", 0600,
			"main.yaml:1:10: the password could go out in clear text: set 'tls: "
			"verify' or 'tls: "
			"require'\n" },
		{ "via: mx, tls: verify", "a:b\n", 0600,
			"main.yaml:1:10: 'auth' needs a smarthost: 'via: mx' may lead to "
			"anybody\n" },
		{ "via: '[127.0.0.1]:587', tls: none", "a:b\n", 0600, "" },
	};
	struct folder folder;
	folder_init(&folder);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[256];
		snprintf(text, sizeof(text), "routes: [{name: a, %s, auth: login}]\n",
			cases[i].route);
		folder_write(&folder, "main.yaml", 0644, text);
		folder_write(&folder, "login", cases[i].mode, cases[i].login);
		assert_loads(&folder, cases[i].message[0] ? ERR_SYNTAX : OK, cases[i].message);
	}
	folder_fini(&folder);
}

static void test_file_of_tls_lets_listeners_speak_it(void **state)
{
	(void)state;
	struct folder folder;
	folder_init(&folder);
	folder_write(&folder, "users", 0600, "a:" HASH "\n");
	folder_write(&folder, "main.yaml", 0644,
		"listeners:\n"
		"  - {address: '0.0.0.0:587', tls: starttls, allow: authenticated}\n"
		"  - {address: '0.0.0.0:465', tls: implicit, allow: authenticated}\n"
		"  - {address: '127.0.0.1:25', allow: authenticated}\n"
		"auth: {users: users}\ntls: {certificate: c, key: k}\n");
	struct conf *conf = load_good(&folder);
	assert_int_equal(conf->listener_count, 3);
	assert_int_equal(conf->listeners[0].tls, LISTENER_STARTTLS);
	assert_int_equal(conf->listeners[1].tls, LISTENER_IMPLICIT);
	assert_int_equal(conf->listeners[1].allow, ALLOW_AUTHENTICATED);
	conf_unref(conf);
	folder_write(&folder, "main.yaml", 0644,
		"listeners: [{address: '0.0.0.0:25', allow: authenticated}]\nauth: {users: "
		"users}\n");
	assert_loads(&folder, ERR_SYNTAX,
		"main.yaml:1:13: nobody could log in: AUTH needs TLS here, set 'tls: starttls' or "
		"auth.without-tls\n");
	folder_fini(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_includes_gather_in_sorted_order),
		cmocka_unit_test(test_file_includes_report_their_own_place),
		cmocka_unit_test(test_file_that_includes_itself_ends),
		cmocka_unit_test(test_file_must_be_regular_readable_and_small),
		cmocka_unit_test(test_file_of_users_is_read),
		cmocka_unit_test(test_file_of_users_is_refused_when_wrong),
		cmocka_unit_test(test_file_of_login_is_read_and_kept_secret),
		cmocka_unit_test(test_file_of_login_is_refused_when_unsafe),
		cmocka_unit_test(test_file_of_tls_lets_listeners_speak_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
