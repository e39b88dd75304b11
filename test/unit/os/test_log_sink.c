/* Tests of os/log_sink: shape of lines, targets that block, go away and come back. */
#include "unit/os/fixture_os.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/os_log.h"

struct log_fixture {
	struct fixture base;
	struct os_log log;
	char path[64];
	char text[4096]; /* read last */
};

static void log_fixture_init(struct log_fixture *f, const char *name)
{
	fixture_init(&f->base, 1);
	snprintf(f->path, sizeof(f->path), "/tmp/outlast-%s-%d", name, (int)getpid());
	unlink(f->path);
}

static void open_log(struct log_fixture *f, enum os_log_target target, bool is_json)
{
	struct os_log_params params = {
		.target = target, .path = f->path, .is_json = is_json, .level = LOG_INFO
	};

	assert_int_equal(os_log_init(&f->log, &params), OK);
	os_log_attach(&f->log, &f->base.os);
}

static void log_fixture_fini(struct log_fixture *f)
{
	os_log_fini(&f->log);
	fixture_fini(&f->base);
	unlink(f->path);
}

static size_t read_all(struct log_fixture *f)
{
	int fd = open(f->path, O_RDONLY);
	ssize_t n = read(fd, f->text, sizeof(f->text) - 1);

	assert_true(n >= 0);
	f->text[n] = '\0';
	close(fd);
	return (size_t)n;
}

static void test_log_text_line_has_the_shape_of_syslog(void **state)
{
	struct log_fixture f;
	char month[4], time[9], host[65], program[64], rest[64];
	int day;

	(void)state;
	log_fixture_init(&f, "text");
	open_log(&f, OS_LOG_FILE, false);
	log_text(&f.log.log, LOG_INFO, "smtp", "hello\nworld %d", 5);
	log_text(&f.log.log, LOG_DEBUG, "smtp", "above the level");
	size_t n = read_all(&f);
	assert_int_equal(f.text[n - 1], '\n');
	assert_ptr_equal(strchr(f.text, '\n'), f.text + n - 1);
	assert_int_equal(sscanf(f.text, "%3s %d %8s %64s %63s %63[^\n]", month, &day, time, host,
				 program, rest),
		6);
	char expected[64];
	snprintf(expected, sizeof(expected), "outlast/smtp[%d]:", (int)getpid());
	assert_string_equal(program, expected);
	assert_int_equal(time[2], ':');
	assert_non_null(strstr(rest, "world 5"));
	log_fixture_fini(&f);
}

static void test_log_json_line_is_one_object(void **state)
{
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, "json");
	open_log(&f, OS_LOG_FILE, true);
	log_text(&f.log.log, LOG_WARNING, "outlastd", "quote \" here");
	size_t n = read_all(&f);
	assert_int_equal(f.text[0], '{');
	assert_string_equal(f.text + n - 2, "}\n");
	assert_non_null(strstr(f.text, "quote \\\" here"));
	log_fixture_fini(&f);
}

static void test_log_reopens_after_rotation(void **state)
{
	struct log_fixture f;
	char rotated[80];

	(void)state;
	log_fixture_init(&f, "rotate");
	open_log(&f, OS_LOG_FILE, false);
	log_text(&f.log.log, LOG_INFO, "qmgr", "before");
	snprintf(rotated, sizeof(rotated), "%s.1", f.path);
	assert_int_equal(rename(f.path, rotated), 0);
	assert_int_equal(os_log_reopen(&f.log), OK);
	log_text(&f.log.log, LOG_INFO, "qmgr", "after");
	read_all(&f);
	assert_non_null(strstr(f.text, "after"));
	assert_null(strstr(f.text, "before"));
	unlink(rotated);
	log_fixture_fini(&f);
}

static void test_log_file_that_cannot_be_opened_is_told(void **state)
{
	static const struct {
		const char *path;
		enum err expected;
	} rows[] = {
		{ "/nonexistent/log", ERR_NOT_FOUND },
		{ "/tmp", ERR_IO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct os_log log;
		struct os_log_params params = {
			.target = OS_LOG_FILE, .path = rows[i].path, .level = LOG_INFO
		};
		assert_int_equal(os_log_init(&log, &params), rows[i].expected);
	}
}

/* Reads what is there; checks that line numbers only rise, and counts lines. */
static void drain_pipe(struct log_fixture *f, int fd, struct buf *rest, size_t *lines, long *last)
{
	char chunk[65536];
	ssize_t n;

	(void)f;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		buf_append(rest, chunk, (size_t)n);
		size_t end;
		while ((end = str_find(buf_str(rest), '\n')) < rest->len) {
			const char *mark = memchr(rest->data, '#', end);
			assert_non_null(mark); /* no line is torn */
			long number = strtol(mark + 1, NULL, 10);
			assert_true(number > *last);
			*last = number;
			++*lines;
			buf_consume(rest, end + 1);
		}
	}
}

static void test_log_blocked_pipe_drops_lines_and_recovers(void **state)
{
	enum { LINES = 20000 };
	struct log_fixture f;
	struct buf rest;
	char padding[101];
	size_t lines = 0;
	long last = -1;

	(void)state;
	log_fixture_init(&f, "pipe");
	assert_int_equal(mkfifo(f.path, 0600), 0);
	int fd = open(f.path, O_RDONLY | O_NONBLOCK);
	open_log(&f, OS_LOG_FILE, false);
	memset(padding, 'x', 100);
	padding[100] = '\0';
	for (long i = 0; i < LINES; i++)
		log_text(&f.log.log, LOG_INFO, "smtp", "#%ld %s", i, padding);
	uint64_t dropped = f.base.metrics.value[METRIC_log_dropped_total];
	assert_true(dropped > 0 && dropped < LINES);
	buf_init(&rest, 1u << 20);
	/* the timer writes the backlog as the reader makes room */
	struct mono start = env_now(f.base.env);
	drain_pipe(&f, fd, &rest, &lines, &last);
	while (lines < LINES - dropped) {
		os_env_run_once(&f.base.os);
		drain_pipe(&f, fd, &rest, &lines, &last);
		assert_true(env_now(f.base.env).ms - start.ms < 20 * SECOND_MS);
	}
	log_text(&f.log.log, LOG_INFO, "smtp", "#%d", LINES);
	drain_pipe(&f, fd, &rest, &lines, &last);
	assert_int_equal(last, LINES);
	assert_int_equal(lines, LINES - dropped + 1);
	assert_int_equal(f.base.metrics.value[METRIC_log_dropped_total], dropped);
	buf_fini(&rest);
	close(fd);
	log_fixture_fini(&f);
}

static int open_daemon(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, path, strlen(path));
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void test_log_syslog_sends_datagrams_and_survives_a_restart(void **state)
{
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, "syslog");
	open_log(&f, OS_LOG_SYSLOG, false); /* nobody is there yet */
	log_text(&f.log.log, LOG_INFO, "smtp", "first");
	int fd = open_daemon(f.path);
	log_text(&f.log.log, LOG_ERROR, "qmgr", "second");
	ssize_t n = recv(fd, f.text, sizeof(f.text) - 1, 0);
	assert_true(n > 0);
	f.text[n] = '\0';
	assert_memory_equal(f.text, "<22>", 4); /* mail.info */
	assert_non_null(strstr(f.text, "outlast/smtp["));
	assert_non_null(strstr(f.text, "]: first"));
	assert_null(strchr(f.text, '\n'));
	n = recv(fd, f.text, sizeof(f.text) - 1, 0);
	assert_true(n > 0);
	f.text[n] = '\0';
	assert_memory_equal(f.text, "<19>", 4); /* mail.err */
	close(fd);
	fd = open_daemon(f.path);
	log_text(&f.log.log, LOG_INFO, "smtp", "third");
	log_text(&f.log.log, LOG_INFO, "smtp", "fourth");
	n = recv(fd, f.text, sizeof(f.text) - 1, 0);
	assert_true(n > 0);
	f.text[n] = '\0';
	assert_non_null(strstr(f.text, "third"));
	close(fd);
	log_fixture_fini(&f);
}

static void test_log_waiting_lines_leave_by_the_timer(void **state)
{
	struct log_fixture f;
	ssize_t n = -1;

	(void)state;
	log_fixture_init(&f, "late");
	open_log(&f, OS_LOG_SYSLOG, true);
	log_text(&f.log.log, LOG_INFO, "smtp", "early line");
	int fd = open_daemon(f.path);
	struct mono start = env_now(f.base.env);
	while (n < 0) {
		os_env_run_once(&f.base.os);
		n = recv(fd, f.text, sizeof(f.text) - 1, 0);
		assert_true(env_now(f.base.env).ms - start.ms < 10 * SECOND_MS);
	}
	close(fd);
	log_fixture_fini(&f);
}

static void *log_from_thread(void *context)
{
	struct log *log = context;

	for (int i = 0; i < 100; i++)
		log_text(log, LOG_INFO, "outlastd", "from a thread");
	return NULL;
}

static void test_log_takes_lines_from_any_thread(void **state)
{
	struct log_fixture f;
	struct stat st;
	pthread_t thread;

	(void)state;
	log_fixture_init(&f, "thread");
	open_log(&f, OS_LOG_FILE, false);
	log_text(&f.log.log, LOG_INFO, "outlastd", "from a thread");
	read_all(&f);
	size_t line_len = strlen(f.text);
	assert_int_equal(pthread_create(&thread, NULL, log_from_thread, &f.log.log), 0);
	log_from_thread(&f.log.log);
	pthread_join(thread, NULL);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_size, 201 * line_len);
	log_fixture_fini(&f);
}

/* What one turn of the loop logs, and how many lines are in the file before it ends. */
struct turn {
	struct deferred call;
	struct log_fixture *f;
	void (*log)(struct log_fixture *f);
	size_t early_count;
};

static size_t count_lines(struct log_fixture *f)
{
	size_t count = 0;

	read_all(f);
	for (const char *at = f->text; (at = strchr(at, '\n')) != NULL; at++)
		count++;
	return count;
}

static void on_turn(struct deferred *d)
{
	struct turn *t = CONTAINER_OF(d, struct turn, call);

	t->log(t->f);
	t->early_count = count_lines(t->f);
}

static void log_two(struct log_fixture *f)
{
	log_text(&f->log.log, LOG_INFO, "smtp", "#1");
	log_text(&f->log.log, LOG_NOTICE, "qmgr", "#2");
}

static void log_warning_last(struct log_fixture *f)
{
	log_two(f);
	log_text(&f->log.log, LOG_WARNING, "smtp", "#3");
}

static void *log_third(void *context)
{
	log_text(context, LOG_INFO, "outlastd", "#3");
	return NULL;
}

static void log_thread_last(struct log_fixture *f)
{
	pthread_t thread;

	log_two(f);
	assert_int_equal(pthread_create(&thread, NULL, log_third, &f->log.log), 0);
	pthread_join(thread, NULL);
}

static void log_and_rotate(struct log_fixture *f)
{
	log_two(f);
	assert_int_equal(os_log_reopen(&f->log), OK);
}

static void log_two_and_detach(struct log_fixture *f)
{
	log_two(f);
	os_log_detach(&f->log);
}

static void test_log_lines_of_a_turn_gather_until_its_end(void **state)
{
	static struct fault fault = { .armed = FAULT_accept_replied, .countdown = 1 };
	static const struct {
		void (*log)(struct log_fixture *f);
		struct fault *fault;
		size_t early_count, count;
	} rows[] = {
		{ log_two, NULL, 0, 2 },
		{ log_two, &fault, 2, 2 }, /* any line may be the last one */
		{ log_warning_last, NULL, 3, 3 },
		{ log_thread_last, NULL, 3, 3 },
		{ log_and_rotate, NULL, 2, 2 },
		{ log_two_and_detach, NULL, 2, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct log_fixture f;

		log_fixture_init(&f, "turn");
		f.base.env->fault = rows[i].fault;
		open_log(&f, OS_LOG_FILE, false);
		struct turn turn = { .call.on_run = on_turn, .f = &f, .log = rows[i].log };
		env_defer(f.base.env, &turn.call);
		os_env_run_once(&f.base.os);
		assert_int_equal(turn.early_count, rows[i].early_count);
		assert_int_equal(count_lines(&f), rows[i].count);
		const char *at = f.text;
		for (size_t n = 1; n <= rows[i].count; n++) {
			at = strchr(at, '#');
			assert_int_equal(*++at, '0' + (int)n);
		}
		log_two(&f); /* between turns nothing waits */
		assert_int_equal(count_lines(&f), rows[i].count + 2);
		log_fixture_fini(&f);
	}
}

static void log_much(struct log_fixture *f)
{
	for (int i = 0; i < 2000; i++)
		log_text(&f->log.log, LOG_INFO, "smtp", "a line of some length %d", i);
}

static void test_log_gathers_a_bounded_amount(void **state)
{
	struct log_fixture f;
	struct stat early, late;

	(void)state;
	log_fixture_init(&f, "much");
	open_log(&f, OS_LOG_FILE, false);
	struct turn turn = { .call.on_run = on_turn, .f = &f, .log = log_much };
	env_defer(f.base.env, &turn.call);
	os_env_run_once(&f.base.os);
	assert_true(turn.early_count > 0);
	assert_int_equal(stat(f.path, &early), 0);
	log_much(&f); /* each at once */
	assert_int_equal(stat(f.path, &late), 0);
	assert_int_equal(late.st_size, 2 * early.st_size);
	log_fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_text_line_has_the_shape_of_syslog),
		cmocka_unit_test(test_log_json_line_is_one_object),
		cmocka_unit_test(test_log_reopens_after_rotation),
		cmocka_unit_test(test_log_file_that_cannot_be_opened_is_told),
		cmocka_unit_test(test_log_blocked_pipe_drops_lines_and_recovers),
		cmocka_unit_test(test_log_syslog_sends_datagrams_and_survives_a_restart),
		cmocka_unit_test(test_log_waiting_lines_leave_by_the_timer),
		cmocka_unit_test(test_log_takes_lines_from_any_thread),
		cmocka_unit_test(test_log_lines_of_a_turn_gather_until_its_end),
		cmocka_unit_test(test_log_gathers_a_bounded_amount),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
