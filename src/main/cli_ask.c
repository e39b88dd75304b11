/*
 * cli_ask - one request, its answer lines: from the daemon's socket, else from the queue file.
 *
 * No socket or nobody behind it means that no daemon runs: then the queue file is asked. With mistakes in the file of the
 * daemon itself it is asked at the usual place: that it runs with is what it read before. A daemon
 * that breaks off in the middle is an error (69); what it had answered was shown. Error lines are
 * said and become the exit status.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli.h"

enum { ANSWER_LINE_MAX = 64 << 20, ANSWER_WAIT_S = 300, BATCH_IDS = 5000 };

struct answer {
	cli_row *on_row;
	void *user;
	json_t **done;
	bool is_over;
	int status;
};

static int load_socket_path(struct cli *cli, struct sockaddr_un *to);
static int connect_daemon(struct cli *cli, bool *is_absent, int *fd);
static int talk(int fd, struct str request, struct answer *answer);
static int read_answers(int fd, struct answer *answer);
static void take_line(void *user, struct str line);
static bool is_change(const char *verb);

json_t *cli_request(const struct cli *cli, const char *verb)
{
	json_t *request = json_pack("{ss}", "verb", verb);

	if (cli->sort)
		json_object_set_new(request, "sort", json_string(cli->sort));
	if (cli->limit)
		json_object_set_new(request, "limit", json_string(cli->limit));
	if (cli->reason)
		json_object_set_new(request, "reason", json_string(cli->reason));
	return request;
}

int cli_ask(struct cli *cli, json_t *request, cli_row *on_row, void *user, json_t **done)
{
	struct answer answer = { .on_row = on_row, .user = user, .done = done };
	bool may_change = is_change(json_string_value(json_object_get(request, "verb"))),
	     is_absent = false;
	char *text = json_dumps(request, JSON_COMPACT);
	struct buf line;
	int fd = -1;

	json_decref(request);
	if (done)
		*done = NULL;
	buf_init(&line, 64u << 20);
	buf_append_str(&line, str_from_c(text));
	free(text);
	int status = connect_daemon(cli, &is_absent, &fd);
	if (status == 0 && is_absent) {
		status = cli_offline(cli, buf_str(&line), may_change, take_line, &answer);
	} else if (status == 0) {
		buf_append_char(&line, '\n');
		status = talk(fd, buf_str(&line), &answer);
		close(fd);
	}
	buf_fini(&line);
	return status ? status : answer.status;
}

static bool is_change(const char *verb)
{
	static const char *const names[] = { "retry", "hold", "release", "delete", "revive", "import",
		"outage-declare", "outage-extend", "outage-end" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (verb && strcmp(verb, names[i]) == 0)
			return true;
	return false;
}

bool cli_daemon_answers(struct cli *cli)
{
	bool is_absent = false;
	int fd = -1;

	if (connect_daemon(cli, &is_absent, &fd) != 0 || is_absent)
		return false;
	close(fd);
	return true;
}

int cli_load_conf(struct cli *cli)
{
	struct buf message;

	if (cli->conf)
		return 0;
	if (cli->is_conf_bad)
		return VERB_DATA;
	buf_init(&message, 1 << 20);
	enum err err = conf_load(cli->config_file, &cli->conf, &message);
	/* Without the default file the defaults hold, as in the daemon; who may not read it may
	 * still use the socket. */
	if (!cli->is_config_given && (err == ERR_NOT_FOUND || err == ERR_PERMISSION)) {
		cli->conf = conf_default();
		err = OK;
	} else if (err != OK) {
		cli_say("%s", buf_cstr(&message));
		cli->is_conf_bad = true;
	}
	buf_fini(&message);
	return err == OK ? 0 : VERB_DATA;
}

static int load_socket_path(struct cli *cli, struct sockaddr_un *to)
{
	struct conf *usual = NULL;
	struct str path;
	int status = 0;

	to->sun_family = AF_UNIX;
	if (cli->socket) {
		path = str_from_c(cli->socket);
	} else {
		status = cli_load_conf(cli);
		/* Another file may be of another relay: nothing is guessed. */
		if (status && cli->is_config_given)
			return status;
		if (status)
			usual = conf_default();
		path = status ? usual->control.socket : cli->conf->control.socket;
	}
	status = path.len && path.len < sizeof(to->sun_path) ? 0 : VERB_USAGE;
	if (status)
		cli_say("the path of the control socket is empty or too long");
	else
		memcpy(to->sun_path, path.data, path.len);
	conf_unref(usual);
	return status;
}

static int connect_daemon(struct cli *cli, bool *is_absent, int *fd)
{
	struct sockaddr_un to = { 0 };
	struct timeval wait = { .tv_sec = ANSWER_WAIT_S };
	int status = load_socket_path(cli, &to);

	if (status)
		return status;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd >= 0 && connect(*fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
		setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		return 0;
	}
	int error = errno;
	if (*fd >= 0)
		close(*fd);
	*is_absent = error == ENOENT || error == ECONNREFUSED || error == ENOTDIR;
	if (*is_absent)
		return cli->is_conf_bad && !cli->socket ? VERB_DATA : 0;
	cli_say("%s: %s", to.sun_path, strerror(error));
	return error == EACCES || error == EPERM ? VERB_NOT_PERMITTED : VERB_UNREACHABLE;
}

static int talk(int fd, struct str request, struct answer *answer)
{
	while (request.len) {
		ssize_t n = send(fd, request.data, request.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* it may have answered before it closed */
		request = str_slice(request, (size_t)n, request.len);
	}
	return read_answers(fd, answer);
}

static int read_answers(int fd, struct answer *answer)
{
	struct buf in;
	size_t seen = 0; /* octets known to hold no LF */
	int status = 0;

	buf_init(&in, ANSWER_LINE_MAX);
	while (!answer->is_over && !status) {
		char *room = buf_reserve(&in, 64 * 1024);
		ssize_t n = room ? recv(fd, room, 64 * 1024, 0) : -1;

		if (n < 0 && room && errno == EINTR)
			continue;
		if (n <= 0) {
			cli_say("the daemon broke off its answer");
			status = VERB_UNREACHABLE;
			break;
		}
		in.len += (size_t)n;
		size_t start = 0;
		for (size_t i = seen; i < in.len && !answer->is_over; i++)
			if (in.data[i] == '\n') {
				take_line(answer, str_of(in.data + start, i - start));
				start = i + 1;
			}
		buf_consume(&in, start);
		seen = in.len;
	}
	buf_fini(&in);
	return status;
}

static void take_line(void *user, struct str line)
{
	struct answer *answer = user;
	json_t *value = json_loadb(line.data, line.len, JSON_ALLOW_NUL, NULL);
	json_t *row = json_object_get(value, "row"), *done = json_object_get(value, "done");
	json_t *error = json_object_get(value, "error");

	if (row) {
		if (answer->on_row)
			answer->on_row(answer->user, row);
	} else {
		answer->is_over = true;
		answer->status = done ? VERB_DONE : VERB_BUG;
		if (done && answer->done) {
			*answer->done = json_incref(done);
		} else if (error) {
			answer->status = (int)cli_number(error, "code");
			cli_say("%s", json_string_value(json_object_get(error, "text")));
		} else if (!done) {
			cli_say("the daemon's answer makes no sense");
		}
	}
	json_decref(value);
}

bool cli_has_filter(const struct cli *cli)
{
	return json_object_size(cli->filter) > 0 || cli->state;
}

int cli_worst(int a, int b)
{
	static const int order[] = { VERB_DONE, VERB_NO_MATCH, VERB_PART_FAILED };
	int rank_a = 3, rank_b = 3;

	for (int i = 0; i < 3; i++) {
		rank_a = a == order[i] ? i : rank_a;
		rank_b = b == order[i] ? i : rank_b;
	}
	if (rank_a == 3 && rank_b == 3)
		return a ? a : b;
	return rank_a >= rank_b ? a : b;
}

/* ---- ids of operands and standard input ---- */

struct batch {
	struct cli *cli;
	json_t *ids;
	int status;
	int (*run)(struct cli *cli, json_t *filter, void *user);
	void *user;
};

static json_t *new_filter(struct cli *cli)
{
	json_t *filter = json_copy(cli->filter);

	if (cli->state)
		json_object_set_new(filter, "state", json_string(cli->state));
	return filter;
}

static void flush_batch(struct batch *b)
{
	if (!json_array_size(b->ids))
		return;
	json_t *filter = new_filter(b->cli);

	json_object_set(filter, "ids", b->ids);
	b->status = cli_worst(b->status, b->run(b->cli, filter, b->user));
	json_decref(filter);
	json_array_clear(b->ids);
}

static void add_id(struct batch *b, const char *id)
{
	json_t *word = json_string(id);

	if (!word) {
		cli_say("an id has 13 letters and digits, not '%s'", id);
		b->status = cli_worst(b->status, VERB_USAGE);
		return;
	}
	json_array_append_new(b->ids, word);
	if (json_array_size(b->ids) == BATCH_IDS)
		flush_batch(b);
}

/* The first word of each line counts, so that the output of list and of mailq can be fed back. */
static void add_stdin(struct batch *b)
{
	char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, stdin) > 0) {
		char *word = line + strspn(line, " \t");

		word[strcspn(word, " \t\r\n*!")] = '\0';
		if (*word)
			add_id(b, word);
	}
	free(line);
}

int cli_each_batch(
	struct cli *cli, int (*run)(struct cli *cli, json_t *filter, void *user), void *user)
{
	struct batch b = {
		.cli = cli, .ids = json_array(), .run = run, .user = user, .status = VERB_DONE
	};

	if (!cli->operand_count) {
		json_t *filter = new_filter(cli);

		b.status = run(cli, filter, user);
		json_decref(filter);
	}
	for (int i = 0; i < cli->operand_count; i++)
		if (strcmp(cli->operands[i], "-") == 0)
			add_stdin(&b);
		else
			add_id(&b, cli->operands[i]);
	flush_batch(&b);
	json_decref(b.ids);
	return b.status;
}

/* ---- one target at a time ---- */

static void collect_id(void *user, json_t *row)
{
	json_array_append(user, json_object_get(row, "queue_id"));
}

static int collect(struct cli *cli, json_t *filter, void *user)
{
	json_t *request = cli_request(cli, "list");

	json_object_set(request, "filter", filter);
	return cli_ask(cli, request, collect_id, user, NULL);
}

static int collect_word(struct cli *cli, json_t *filter, void *user)
{
	(void)cli;
	json_array_extend(user, json_object_get(filter, "ids"));
	return VERB_DONE;
}

int cli_each_target(struct cli *cli, int (*run)(struct cli *cli, const char *target))
{
	json_t *targets = json_array();
	bool is_query = !cli->operand_count;

	if (is_query && !cli_has_filter(cli)) {
		json_decref(targets);
		cli_say("%s: which message? Give an id or a condition; 'outlast list' shows them",
			cli->verb);
		return VERB_USAGE;
	}
	int status = cli_each_batch(cli, is_query ? collect : collect_word, targets);
	if (status == VERB_DONE && !json_array_size(targets))
		status = VERB_NO_MATCH;
	for (size_t i = 0; i < json_array_size(targets) && status != VERB_UNREACHABLE; i++)
		status = cli_worst(status, run(cli, json_string_value(json_array_get(targets, i))));
	json_decref(targets);
	return status;
}
