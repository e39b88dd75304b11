/*
 * outlast-sink - a scriptable SMTP destination that keeps the ledger of what arrived.
 *
 *   outlast-sink --listen 127.0.0.1:2600[=NAME] [--listen ...] --journal FILE [--control SOCKET] [--script FILE]
 *                [--maildir DIR] [--cert FILE --key FILE] [--auth USER:PASSWORD] [--idle S] [--quiet]
 *
 * Each listener is a host with a name and a behaviour (behaviour.h) of its own. Commands, on the
 * control socket or as "SECONDS COMMAND" lines of the script: "NAME|* COMMAND ...", "stats",
 * "quit". Port 0 takes a free one; once all is ready it prints "listening NAME ADDRESS" for each
 * host and then "ready".
 *
 * One round of the loop reads and judges whatever came in, then makes the journal durable, then
 * lets the replies go: so no 250 to a final dot leaves before its message is in the journal, and
 * one sync serves many connections.
 */
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>

#include <openssl/err.h>

#include "dialogue.h"

/* Sessions: sockets, output, end. */

/* Octets read or written; 0: nothing now; -1: over. */
static ssize_t transfer(struct session *session, void *at, size_t len, bool is_write)
{
	ssize_t done;

	if (session->ssl == NULL) {
		done = is_write ? send(session->watch.fd, at, len, MSG_NOSIGNAL)
				: recv(session->watch.fd, at, len, 0);
		if (done < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		return done <= 0 ? -1 : done;
	}
	ERR_clear_error();
	done = is_write ? SSL_write(session->ssl, at, (int)len)
			: SSL_read(session->ssl, at, (int)len);
	if (done > 0)
		return done;
	switch (SSL_get_error(session->ssl, (int)done)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	default:
		return -1;
	}
}

static void start_tls(struct session *session)
{
	session->starts_tls = false;
	session->ssl = SSL_new(sink.tls);
	if (session->ssl == NULL || SSL_set_fd(session->ssl, session->watch.fd) != 1)
		die("TLS: no session");
	SSL_set_accept_state(session->ssl);
	session->host->tls++;
}

static void session_flush(struct session *session)
{
	while (session->ending == NULL && session->out_sent < session->out.len) {
		ssize_t done = transfer(session, session->out.at + session->out_sent,
			session->out.len - session->out_sent, true);

		if (done < 0)
			session_end(session, "lost", false);
		if (done <= 0)
			break;
		session->out_sent += (size_t)done;
	}
	if (session->ending != NULL)
		return;
	if (session->out_sent < session->out.len) {
		watch_change(sink.loop, &session->watch, EPOLLIN | EPOLLOUT);
		return;
	}
	session->out.len = session->out_sent = 0;
	if (session->starts_tls)
		start_tls(session);
	if (session->closes)
		session_end(session, "quit", false);
	watch_change(sink.loop, &session->watch, EPOLLIN);
}

static void on_session(struct watch *watch, uint32_t events)
{
	struct session *session = owner_of(watch, struct session, watch);
	char chunk[65536];
	ssize_t got;

	(void)events;
	if (session->ending != NULL)
		return;
	session->active_ms = mono_ms();
	got = transfer(session, chunk, sizeof(chunk), false);
	if (got < 0) {
		session_end(session, session->closes ? "quit" : "lost", false);
		return;
	}
	if (session->is_hung)
		return;
	bytes_add(&session->in, chunk, (size_t)got);
	session_take_input(session);
}

static void greet(struct session *session)
{
	struct host *host = session->host;
	const char *words = NULL;
	struct bytes usual = { 0 };

	session->is_hung = host->behaviour.is_hanging;
	if (session->is_hung)
		return;
	if (host->behaviour.connections_max > 0 &&
		(int64_t)host->open > host->behaviour.connections_max) {
		host->rejects++;
		note(session, "reject", "banner", "too many connections");
		reply(session, "421 4.7.0 too many connections");
		session->closes = true;
		return;
	}
	if (obeys_rule(session, STAGE_BANNER, session->peer, NULL, &words))
		return;
	bytes_format(&usual, "220 %s ESMTP outlast-sink", host->name);
	answer(session, words, bytes_text(&usual));
	bytes_free(&usual);
}

static void on_connect(struct watch *watch, uint32_t events)
{
	struct host *host = owner_of(watch, struct host, watch);
	union address peer = { .any = { 0 } };
	int on = 1;

	(void)events;
	for (;;) {
		socklen_t len = sizeof(peer);
		int fd = accept4(watch->fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct session *session;

		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		session = allocate(1, sizeof(*session));
		session->host = host;
		session->active_ms = mono_ms();
		session->next = sink.sessions;
		sink.sessions = session;
		address_format(&peer, session->peer, sizeof(session->peer));
		watch_start(sink.loop, &session->watch, fd, EPOLLIN, on_session);
		host->connections++;
		host->open++;
		if (host->open > host->open_peak)
			host->open_peak = host->open;
		note(session, "connect", NULL, NULL);
		greet(session);
	}
}

static void session_free(struct session *session)
{
	note(session, "disconnect", "how", session->ending);
	session->host->open--;
	/* The replies before a drop leave, so that what it hits is exactly its stage. */
	if (session->ssl == NULL && session->out_sent < session->out.len)
		send(session->watch.fd, session->out.at + session->out_sent,
			session->out.len - session->out_sent, MSG_NOSIGNAL);
	if (session->ssl != NULL) {
		/* close_notify, best effort: a peer that insists on it sees an orderly end. */
		SSL_shutdown(session->ssl);
		SSL_free(session->ssl);
	}
	watch_close(&session->watch);
	maildir_close(session, false);
	if (session->is_data)
		content_free(&session->content);
	forget_mail(session);
	bytes_free(&session->in);
	bytes_free(&session->out);
	free(session->helo);
	free(session->user);
	free(session->file);
	free(session);
}

/* Hosts and their commands. */

static void host_follow(struct host *host)
{
	if (host->behaviour.is_refusing) {
		watch_close(&host->watch);
		for (struct session *s = sink.sessions; s != NULL; s = s->next)
			if (s->host == host)
				session_end(s, "refused", true);
	} else if (host->watch.fd < 0) {
		int fd = socket_bound(&host->at, SOCK_STREAM);

		if (fd < 0)
			die("%s: %s", host->name, strerror(errno));
		watch_start(sink.loop, &host->watch, fd, EPOLLIN, on_connect);
	}
	for (struct session *s = sink.sessions; s != NULL; s = s->next) {
		if (s->host != host)
			continue;
		if (host->behaviour.is_cutting)
			session_end(s, "cut", true);
		/* A frozen server that comes back has forgotten whom it kept waiting. */
		if (s->is_hung && !host->behaviour.is_hanging)
			session_end(s, "restarted", true);
		s->is_hung = host->behaviour.is_hanging;
	}
	host->behaviour.is_cutting = false;
}

static void host_stats(const struct host *host, struct bytes *out)
{
	bytes_json_text(out, host->name);
	bytes_format(out,
		":{\"connections\":%llu,\"open\":%llu,\"open_peak\":%llu,\"messages\":%llu,"
		"\"recipients\":%llu,\"octets\":%llu,\"rejects\":%llu,\"violations\":%llu,\"dsns\":"
		"%llu,"
		"\"unanswered\":%llu,\"rate_refused\":%llu,\"tls\":%llu",
		(unsigned long long)host->connections, (unsigned long long)host->open,
		(unsigned long long)host->open_peak, (unsigned long long)host->messages,
		(unsigned long long)host->recipients, (unsigned long long)host->octets,
		(unsigned long long)host->rejects, (unsigned long long)host->violations,
		(unsigned long long)host->dsns, (unsigned long long)host->unanswered,
		(unsigned long long)host->rate_refused, (unsigned long long)host->tls);
	for (size_t i = 0; i < STAGE_COUNT; i++)
		bytes_format(
			out, ",\"%s\":%llu", stage_names[i], (unsigned long long)host->commands[i]);
	bytes_put(out, "}");
}

static void answer_stats(struct bytes *out)
{
	bytes_put(out, "{");
	for (size_t i = 0; i < sink.host_count; i++) {
		if (i > 0)
			bytes_put(out, ",");
		host_stats(&sink.hosts[i], out);
	}
	bytes_put(out, "}");
}

static const char *command_hosts(const char *name, const char *rest)
{
	const char *wrong = NULL;
	bool is_known = false;

	for (size_t i = 0; i < sink.host_count && wrong == NULL; i++) {
		struct host *host = &sink.hosts[i];
		char *copy;

		if (!glob_matches(name, host->name))
			continue;
		is_known = true;
		copy = copy_text(rest, strlen(rest));
		wrong = behaviour_command(&host->behaviour, copy);
		free(copy);
		if (wrong == NULL)
			host_follow(host);
	}
	return is_known ? wrong : "no such host";
}

static void on_command(char *line, struct bytes *out)
{
	struct bytes event;
	const char *wrong;
	char *name;

	journal_begin(&event, "command");
	journal_member(&event, "line", line);
	name = next_word(&line);
	if (name != NULL && strcmp(name, "stats") == 0) {
		bytes_free(&event);
		answer_stats(out);
		return;
	}
	if (name != NULL && strcmp(name, "quit") == 0) {
		sink.is_over = true;
		wrong = NULL;
	} else {
		wrong = name == NULL ? "no command" : command_hosts(name, line);
	}
	if (wrong == NULL)
		journal_end(&sink.journal, &event);
	else
		bytes_free(&event);
	bytes_format(out, "%s%s", wrong == NULL ? "ok" : "error: ", wrong == NULL ? "" : wrong);
}

/* The round. */

static void run_script(void)
{
	struct bytes out = { 0 };

	while (sink.script_next < sink.script_count) {
		struct script_line *line = &sink.script[sink.script_next];

		if (mono_ms() - sink.started_ms < line->at_ms)
			break;
		sink.script_next++;
		out.len = 0;
		on_command(line->command, &out);
		if (strncmp(bytes_text(&out), "error", 5) == 0)
			die("script: %s", bytes_text(&out));
	}
	bytes_free(&out);
}

static int next_wait_ms(void)
{
	int64_t now = mono_ms();
	int64_t wait = 1000;

	if (sink.script_next < sink.script_count) {
		int64_t due = sink.started_ms + sink.script[sink.script_next].at_ms - now;

		wait = due < wait ? due : wait;
	}
	for (struct session *s = sink.sessions; s != NULL; s = s->next)
		if (s->held_until_ms != 0 && s->held_until_ms - now < wait)
			wait = s->held_until_ms - now;
	return wait > 0 ? (int)wait : 0;
}

/*
 * Before the sync: what waited long enough answers (its message was synced long ago) and goes on.
 */
static void release_sessions(void)
{
	int64_t now = mono_ms();

	for (struct session *s = sink.sessions; s != NULL; s = s->next) {
		if (s->held_until_ms == 0 || s->held_until_ms > now || s->ending != NULL)
			continue;
		s->held_until_ms = 0;
		session_flush(s);
		session_take_input(s);
	}
}

/* After the sync: replies go out, the dead are freed. */
static void settle_sessions(void)
{
	struct session **link = &sink.sessions;
	int64_t now = mono_ms();

	while (*link != NULL) {
		struct session *session = *link;

		if (session->held_until_ms == 0)
			session_flush(session);
		if (now - session->active_ms > sink.idle_ms)
			session_end(session, "idle", false);
		if (session->ending == NULL) {
			link = &session->next;
			continue;
		}
		*link = session->next;
		session_free(session);
	}
}

static void run(void)
{
	while (!sink.is_over) {
		loop_round(sink.loop, next_wait_ms());
		run_script();
		release_sessions();
		journal_sync(&sink.journal);
		settle_sessions();
		if (sink.control.watch.fd >= 0)
			control_sweep(&sink.control);
	}
	for (struct session *s = sink.sessions; s != NULL; s = s->next)
		session_end(s, "end", false);
	settle_sessions();
	journal_sync(&sink.journal);
}

/* Start. */

static void add_host(const char *text)
{
	struct host *host = &sink.hosts[sink.host_count];
	const char *equals = strchr(text, '=');
	size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
	int fd;

	if (sink.host_count == HOSTS_MAX)
		die_usage("at most %d listeners", HOSTS_MAX);
	if (!address_parse(&host->at, text, len))
		die_usage("--listen %s: ADDRESS:PORT[=NAME] expected", text);
	host->name = copy_text(
		equals != NULL ? equals + 1 : text, strlen(equals != NULL ? equals + 1 : text));
	fd = socket_bound(&host->at, SOCK_STREAM);
	if (fd < 0)
		die("%s: %s", text, strerror(errno));
	watch_start(sink.loop, &host->watch, fd, EPOLLIN, on_connect);
	sink.host_count++;
}

static void read_script(const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while (getline(&line, &room, file) > 0) {
		char *command = NULL;
		double at;

		line[strcspn(line, "\n")] = '\0';
		if (line[strspn(line, " \t")] == '\0' || line[0] == '#')
			continue;
		at = strtod(line, &command);
		if (command == line)
			die_usage("%s: \"%s\": SECONDS COMMAND expected", path, line);
		sink.script = must(
			reallocarray(sink.script, sink.script_count + 1, sizeof(*sink.script)));
		sink.script[sink.script_count].at_ms = (int64_t)(at * 1000);
		sink.script[sink.script_count++].command = copy_text(command, strlen(command));
	}
	free(line);
	fclose(file);
}

static void set_auth(char *text)
{
	struct bytes plain = { 0 };
	char *colon = strchr(text, ':');

	if (colon == NULL)
		die_usage("--auth USER:PASSWORD");
	bytes_add(&plain, "", 1);
	bytes_add(&plain, text, (size_t)(colon - text));
	bytes_add(&plain, "", 1);
	bytes_put(&plain, colon + 1);
	sink.auth = allocate(plain.len * 2 + 4, 1);
	EVP_EncodeBlock(
		(unsigned char *)sink.auth, (const unsigned char *)plain.at, (int)plain.len);
	bytes_free(&plain);
}

static void set_tls(const char *certificate, const char *key)
{
	sink.tls = SSL_CTX_new(TLS_server_method());
	if (sink.tls == NULL || SSL_CTX_use_certificate_chain_file(sink.tls, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(sink.tls, key, SSL_FILETYPE_PEM) != 1)
		die("%s, %s: no usable certificate and key", certificate, key);
	SSL_CTX_set_mode(
		sink.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void set_maildir(const char *path)
{
	static const char *const parts[] = { "", "/tmp", "/new", "/cur" };
	struct bytes name = { 0 };

	for (size_t i = 0; i < 4; i++) {
		name.len = 0;
		bytes_format(&name, "%s%s", path, parts[i]);
		if (mkdir(bytes_text(&name), 0755) != 0 && errno != EEXIST)
			die("%s: %s", name.at, strerror(errno));
	}
	bytes_free(&name);
	sink.maildir = path;
}

static void on_signal(int number)
{
	(void)number;
	sink.is_over = true;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = { { "listen", 1, NULL, 'l' },
		{ "journal", 1, NULL, 'j' }, { "control", 1, NULL, 'c' },
		{ "script", 1, NULL, 's' }, { "maildir", 1, NULL, 'm' }, { "cert", 1, NULL, 'C' },
		{ "key", 1, NULL, 'K' }, { "auth", 1, NULL, 'a' }, { "idle", 1, NULL, 'i' },
		{ "quiet", 0, NULL, 'q' }, { NULL, 0, NULL, 0 } };
	const char *certificate = NULL, *key = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			add_host(optarg);
			break;
		case 'j':
			journal_open(&sink.journal, optarg);
			break;
		case 'c':
			control_start(&sink.control, sink.loop, optarg, on_command);
			break;
		case 's':
			read_script(optarg);
			break;
		case 'm':
			set_maildir(optarg);
			break;
		case 'C':
			certificate = optarg;
			break;
		case 'K':
			key = optarg;
			break;
		case 'a':
			set_auth(optarg);
			break;
		case 'i':
			sink.idle_ms = parse_number("--idle", optarg) * 1000;
			break;
		case 'q':
			sink.is_quiet = true;
			break;
		default:
			die_usage("see the head of outlast-sink.c for the options");
		}
	}
	if (sink.host_count == 0 || sink.journal.fd < 0 || optind != argc)
		die_usage("--listen and --journal are needed");
	if (certificate != NULL && key != NULL)
		set_tls(certificate, key);
}

int main(int argc, char **argv)
{
	char at[80];

	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	sink.loop = epoll_create1(EPOLL_CLOEXEC);
	sink.journal.fd = -1;
	sink.control.watch.fd = -1;
	sink.idle_ms = 600 * INT64_C(1000);
	sink.started_ms = mono_ms();
	read_options(argc, argv);
	for (size_t i = 0; i < sink.host_count; i++)
		printf("listening %s %s\n", sink.hosts[i].name,
			address_format(&sink.hosts[i].at, at, sizeof(at)));
	printf("ready\n");
	fflush(stdout);
	run();
	return 0;
}
