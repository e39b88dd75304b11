/*
 * outlastd - the daemon: reads the configuration, builds the real ports, hands them to the relay, waits for signals.
 *
 * HUP reloads (on error the old configuration stays), TERM and INT stop after what is open, a second one at once, USR1 writes
 * the state to the log. Order of start: configuration, privileges, clock, queue, listeners; any failure says what to
 * do and exits before a byte of mail is taken.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/daemon.h"
#include "os/os_dns.h"
#include "os/os_env.h"
#include "os/os_fetch.h"
#include "os/os_log.h"
#include "os/os_net.h"
#include "relay/relay.h"
#include "store/store_sqlite.h"

#define CLOCK_KEY "clock-origin"
#define FLUSH_MS 2000
#define FLUSH_STEP_MS 10

struct daemon {
	struct daemon_options options;
	struct conf *conf;
	struct os_log log;
	struct metrics metrics;
	struct os_env env;
	struct os_net net;
	struct os_dns dns;
	struct os_fetch fetch;
	struct store *store;
	struct relay *relay;
	struct timer watchdog, flush;
	unsigned flush_count;
	int64_t origin_real_ms, origin_wall_ms;
	bool is_origin_new, is_stopping;
	int status;
};

static void say(const char *what, struct buf *message)
{
	fprintf(stderr, "outlastd: %s%s", what, buf_cstr(message));
	if (message->len == 0 || message->data[message->len - 1] != '\n')
		fputc('\n', stderr);
}

static int exit_code_of(enum err err)
{
	if (err == ERR_LOCKED || err == ERR_NO_SPACE || err == ERR_BUSY)
		return EXIT_TEMPORARY;
	if (err == ERR_PERMISSION)
		return EXIT_NOT_PERMITTED;
	if (err == ERR_IO)
		return EXIT_OS;
	if (err == ERR_EXISTS || err == ERR_NO_FDS)
		return EXIT_UNAVAILABLE;
	return EXIT_DATA;
}

/* ---- configuration ---- */

static int load_conf(struct daemon *d)
{
	struct buf message;
	enum err err;

	buf_init(&message, 64 << 10);
	err = conf_load(d->options.config_file, &d->conf, &message);
	if (err != OK)
		say("", &message);
	buf_fini(&message);
	return err == OK ? 0 : EXIT_DATA;
}

/* Demonstration switches must not reach anybody's real mail. */
static bool is_loopback_only(const struct conf *conf)
{
	for (uint32_t i = 0; i < conf->listener_count; i++)
		if (!endpoint_is_loopback(&conf->listeners[i].at))
			return false;
	return true;
}

static int check_switches(const struct daemon *d)
{
	if (d->options.clock_rate == 1 && d->options.fault.armed == FAULT_NONE)
		return 0;
	if (is_loopback_only(d->conf))
		return 0;
	fputs("outlastd: --clock-rate and --fault are refused with a listener that is not on "
	      "loopback\n",
		stderr);
	return EXIT_USAGE;
}

static const char *path_or_null(struct str path)
{
	return path.len > 0 ? path.data : NULL;
}

static struct os_net_tls tls_files(const struct conf *conf)
{
	return (struct os_net_tls){
		.certificate_path = path_or_null(conf->tls.certificate),
		.key_path = path_or_null(conf->tls.key),
		.authorities_path = path_or_null(conf->tls.authorities),
		.client_authorities_path = path_or_null(conf->tls.client_authorities),
	};
}

/* The port of policy hosts is 443; tests have them elsewhere. */
static struct os_fetch_params fetch_params(const struct conf *conf)
{
	const char *port = getenv("OUTLAST_TEST_HTTPS_PORT");

	return (struct os_fetch_params){
		.helper = conf->fetch_helper.data,
		.authorities_path = path_or_null(conf->tls.authorities),
		.port = port ? (uint16_t)strtoul(port, NULL, 10) : 0,
	};
}

static void raise_descriptors(struct daemon *d, const struct conf *conf)
{
	struct buf message;

	buf_init(&message, 1024);
	daemon_raise_descriptors(conf, &message);
	if (message.len > 0)
		log_text(&d->log.log, LOG_WARNING, "outlastd", "%s", buf_cstr(&message));
	buf_fini(&message);
}

static void log_warnings(struct daemon *d, const struct conf *conf)
{
	struct buf warnings;
	struct str rest;

	buf_init(&warnings, 64 << 10);
	daemon_warn(conf, &warnings);
	rest = buf_str(&warnings);
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		log_text(&d->log.log, LOG_WARNING, "outlastd", "%.*s", STR_FMT(line));
	}
	buf_fini(&warnings);
}

/* What --check-config finds beyond the file itself: exit status. */
static int check_machine(const struct conf *conf)
{
	const struct os_net_tls files = tls_files(conf);
	struct os_tls *tls = NULL;
	struct buf message;
	enum err err;

	buf_init(&message, 64 << 10);
	daemon_warn(conf, &message);
	for (struct str rest = buf_str(&message); rest.len > 0;) {
		struct str line = str_cut(&rest, '\n');

		fprintf(stderr, "outlastd: warning: %.*s\n", STR_FMT(line));
	}
	buf_clear(&message);
	daemon_look_as_user(conf);
	err = os_tls_read(&files, &tls, &message);
	os_tls_free(tls);
	if (err != OK) {
		buf_append_char(&message, '\n');
		say("", &message);
	}
	buf_fini(&message);
	return err == OK ? 0 : EXIT_DATA;
}

/* Certificates and the rest change together, or neither does. */
static enum err take_over(struct daemon *d, struct conf *conf, struct buf *message)
{
	const struct os_net_tls files = tls_files(conf);
	struct os_tls *tls;
	enum err err = os_tls_read(&files, &tls, message);

	if (err != OK) {
		buf_append_char(message, '\n');
		return err;
	}
	err = relay_reload(d->relay, conf, message);
	if (err != OK) {
		os_tls_free(tls);
		return err;
	}
	os_net_use_tls(&d->net, tls);
	raise_descriptors(d, conf);
	log_warnings(d, conf);
	if (d->fetch.uv) {
		const struct os_fetch_params fetch = fetch_params(conf);
		os_fetch_set(&d->fetch, &fetch);
	}
	relay_set_tls(d->relay, os_net_has_certificate(&d->net));
	return OK;
}

static struct str without_newline(struct str text)
{
	bool has_one = text.len > 0 && text.data[text.len - 1] == '\n';

	return str_slice(text, 0, text.len - has_one);
}

static enum err reload(struct daemon *d, struct buf *message)
{
	struct conf *conf;
	enum err err = conf_load(d->options.config_file, &conf, message);

	if (err == OK && d->options.clock_rate != 1 && !is_loopback_only(conf)) {
		buf_append_str(
			message, STR("a fast clock runs: listeners must stay on loopback\n"));
		err = ERR_UNSUPPORTED;
		conf_unref(conf);
	} else if (err == OK) {
		err = take_over(d, conf, message);
		if (err == OK) {
			conf_unref(d->conf);
			d->conf = conf_ref(conf);
		}
		conf_unref(conf);
	}
	if (err == OK)
		log_text(&d->log.log, LOG_NOTICE, "outlastd", "configuration reloaded");
	else
		log_text(&d->log.log, LOG_ERROR, "outlastd",
			"reload failed, the old configuration stays: %.*s",
			STR_FMT(without_newline(buf_str(message))));
	return err;
}

static enum err on_reload(void *user, struct buf *message)
{
	return reload(user, message);
}

/* ---- the clock ---- */

/* The read is complete when store_submit returns; nothing is left to do here. */
static void on_origin_read(struct store_op *op)
{
	(void)op;
}

/* A fast clock goes on where it was: its origin is kept in the queue, and read before the loop exists. */
static void read_origin(struct daemon *d)
{
	struct store *store;
	struct buf message;
	struct store_get get = { .op.on_done = on_origin_read, .key = STR(CLOCK_KEY) };
	long long real, wall;

	d->origin_real_ms = d->origin_wall_ms = os_real_ms();
	d->is_origin_new = true;
	if (d->options.clock_rate == 1)
		return;
	buf_init(&message, 4096);
	if (store_open_readonly(d->conf->queue.directory, &(struct store_options){ 0 }, &store,
		    &message) == OK) {
		store_submit(store, &get.op, STORE_GET);
		if (get.op.err == OK && get.value.len < 64) {
			char text[65] = { 0 };

			memcpy(text, get.value.data, get.value.len);
			if (sscanf(text, "%lld %lld", &real, &wall) == 2) {
				d->origin_real_ms = real;
				d->origin_wall_ms = wall;
				d->is_origin_new = false;
			}
		}
		store_op_fini(&get.op);
		store_close(store);
	}
	buf_fini(&message);
}

static void on_origin_stored(struct store_op *op)
{
	struct store_put *put = CONTAINER_OF(op, struct store_put, op);

	store_op_fini(op);
	free(put);
}

static void store_origin(struct daemon *d)
{
	struct store_put *put;

	if (d->options.clock_rate == 1 || !d->is_origin_new)
		return;
	put = calloc(1, sizeof(*put));
	if (!put)
		abort();
	put->op.on_done = on_origin_stored;
	put->key = STR(CLOCK_KEY);
	put->value = arena_printf(&put->op.arena, "%lld %lld", (long long)d->origin_real_ms,
		(long long)d->origin_wall_ms);
	store_submit(d->store, &put->op, STORE_PUT);
}

/* ---- signals and the end ---- */

/* The last replies are still on their way: they get up to FLUSH_MS. */
static void on_flush(struct timer *t)
{
	struct daemon *d = CONTAINER_OF(t, struct daemon, flush);

	if (os_net_conn_count(&d->net) == 0 || ++d->flush_count > FLUSH_MS / FLUSH_STEP_MS)
		os_env_stop(&d->env);
	else
		env_timer_after(&d->env.env, t, FLUSH_STEP_MS);
}

static void on_stopped(void *user)
{
	struct daemon *d = user;

	d->flush.on_fire = on_flush;
	env_timer_after(&d->env.env, &d->flush, 0);
}

static void on_fatal(void *user, struct str message)
{
	struct daemon *d = user;

	log_text(&d->log.log, LOG_ERROR, "outlastd",
		"%.*s: whether the last messages were stored is unknown; closing all sessions "
		"without a reply and "
		"stopping. Check the disk, then start outlastd again: it recovers by itself",
		STR_FMT(message));
	if (d->relay)
		relay_drop_sessions(d->relay);
	d->status = EXIT_OS;
	d->is_stopping = true;
	os_env_stop(&d->env);
}

static void on_signal(void *user, int number)
{
	struct daemon *d = user;
	struct buf message;

	switch (number) {
	case SIGHUP:
		buf_init(&message, 64 << 10);
		daemon_notify("RELOADING=1");
		(void)!reload(d, &message);
		daemon_notify("READY=1");
		if (os_log_reopen(&d->log) != OK)
			log_text(&d->log.log, LOG_ERROR, "outlastd",
				"cannot open the log anew; the old one stays");
		buf_fini(&message);
		break;
	case SIGUSR1:
		relay_log_state(d->relay);
		break;
	default:
		if (d->is_stopping) {
			os_env_stop(&d->env);
			break;
		}
		d->is_stopping = true;
		daemon_notify("STOPPING=1");
		log_text(&d->log.log, LOG_NOTICE, "outlastd", "stopping");
		relay_stop(d->relay, on_stopped, d);
		break;
	}
}

static void on_watchdog(struct timer *t)
{
	struct daemon *d = CONTAINER_OF(t, struct daemon, watchdog);

	daemon_notify("WATCHDOG=1");
	env_timer_after(&d->env.env, t, daemon_watchdog_ms());
}

/* ---- start ---- */

static int open_ports(struct daemon *d, struct buf *message)
{
	const struct conf *conf = d->conf;
	const struct os_net_tls tls = tls_files(conf);
	const struct os_dns_params dns = {
		.servers = conf->dns.servers,
		.server_count = conf->dns.server_count,
		.timeout_ms = conf->dns.timeout_ms,
		.tries = conf->dns.tries,
		.trusts_ad = conf->dns.has_trusted_ad,
	};
	int first_fd, fds[64];
	unsigned fd_count = daemon_inherited_fds(&first_fd);
	enum err err;

	for (unsigned i = 0; i < fd_count; i++)
		fds[i] = first_fd + (int)i;
	os_net_init(&d->net, &d->env, fds, fd_count);
	err = os_net_load_tls(&d->net, &tls, message);
	if (err != OK) {
		buf_append_char(message, '\n');
		return EXIT_DATA;
	}
	err = os_dns_init(&d->dns, &d->env, &dns);
	if (err != OK) {
		buf_printf(message,
			"no DNS server: name one under dns.servers, or in /etc/resolv.conf (%s)\n",
			err_name(err));
		return EXIT_DATA;
	}
	if (conf->fetch_helper.len > 0) {
		const struct os_fetch_params fetch = fetch_params(conf);
		os_fetch_init(&d->fetch, &d->env, &fetch);
	}
	return 0;
}

static int open_queue(struct daemon *d, struct buf *message)
{
	const struct store_options options = {
		.wal_limit_pages = d->conf->queue.wal_pages,
		.journal_bytes = d->conf->queue.journal_bytes,
		.reserve_bytes = d->conf->queue.reserve_bytes,
		.vfs = getenv("OUTLAST_TEST_VFS"),
		.on_fatal = on_fatal,
		.on_fatal_user = d,
	};
	enum err err =
		store_open(&d->env.env, d->conf->queue.directory, &options, &d->store, message);

	return err == OK ? 0 : exit_code_of(err);
}

static int start_relay(struct daemon *d, struct buf *message)
{
	const struct relay_params params = {
		.env = &d->env.env,
		.net = &d->net.net,
		.dns = &d->dns.dns,
		.store = d->store,
		.fetch = d->fetch.uv ? &d->fetch.fetch : NULL,
		.conf = d->conf,
		.has_tls = os_net_has_certificate(&d->net),
		.config_file = d->options.config_file,
		.on_reload = on_reload,
		.user = d,
	};
	enum err err;

	store_origin(d);
	d->relay = relay_new(&params);
	err = relay_start(d->relay, message);
	return err == OK ? 0 : exit_code_of(err);
}

static int serve(struct daemon *d)
{
	struct buf message;
	int status;

	raise_descriptors(d, d->conf);
	log_warnings(d, d->conf);
	buf_init(&message, 64 << 10);
	status = open_ports(d, &message);
	if (status == 0)
		status = open_queue(d, &message);
	if (status == 0)
		status = start_relay(d, &message);
	if (status != 0)
		say("", &message);
	buf_fini(&message);
	if (status == 0) {
		os_env_on_signal(&d->env, on_signal, d);
		log_text(&d->log.log, LOG_NOTICE, "outlastd",
			"started, version " OUTLAST_VERSION "%s",
			d->options.clock_rate > 1 ? ", with a FAST CLOCK (demonstration)" : "");
		daemon_notify("READY=1");
		d->watchdog.on_fire = on_watchdog;
		if (daemon_watchdog_ms() > 0)
			env_timer_after(&d->env.env, &d->watchdog, daemon_watchdog_ms());
		os_env_run(&d->env);
		status = d->status;
		log_text(&d->log.log, LOG_NOTICE, "outlastd", "stopped");
	}
	/* An unknown commit: nothing more is written, the restart recovers. */
	if (d->status == EXIT_OS) {
		os_log_fini(&d->log);
		_exit(EXIT_OS);
	}
	if (d->store)
		store_close(d->store);
	if (d->relay)
		relay_free(d->relay);
	os_fetch_fini(&d->fetch);
	if (d->dns.ares)
		os_dns_fini(&d->dns);
	os_net_fini(&d->net);
	return status;
}

static int open_log(struct daemon *d)
{
	const struct conf *conf = d->conf;
	struct os_log_params params = {
		.target = OS_LOG_FILE,
		.path = conf->log.target.data,
		.tag = conf->log.tag.data,
		.is_json = conf->log.is_json,
		.level = conf->log.level,
	};
	enum err err;

	if (str_equal(conf->log.target, STR("stderr")))
		params.target = OS_LOG_STDERR;
	else if (str_equal(conf->log.target, STR("stdout")))
		params.target = OS_LOG_STDOUT;
	else if (str_equal(conf->log.target, STR("syslog")))
		params = (struct os_log_params){ OS_LOG_SYSLOG, NULL, params.tag, params.is_json,
			params.level };
	err = os_log_init(&d->log, &params);
	if (err == OK)
		return 0;
	fprintf(stderr, "outlastd: cannot open the log %s: %s\n", conf->log.target.data,
		err_name(err));
	return exit_code_of(err);
}

static int run(struct daemon *d)
{
	struct os_env_params params = {
		.rate = d->options.clock_rate,
		.log = &d->log.log,
		.metrics = &d->metrics,
		.fault = d->options.fault.armed == FAULT_NONE ? NULL : &d->options.fault,
	};
	int status = open_log(d);

	if (status != 0)
		return status;
	read_origin(d);
	params.origin_real_ms = d->origin_real_ms;
	params.origin_wall_ms = d->origin_wall_ms;
	if (os_env_init(&d->env, &params) != OK) {
		fputs("outlastd: no file descriptors left to start with\n", stderr);
		os_log_fini(&d->log);
		return EXIT_OS;
	}
	os_log_attach(&d->log, &d->env);
	status = serve(d);
	os_log_detach(&d->log);
	(void)os_env_fini(&d->env);
	os_log_fini(&d->log);
	return status;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	struct buf message;
	int status = daemon_options_read(&d.options, argc, argv);

	if (status != 0)
		return status - 1;
	status = load_conf(&d);
	if (status == 0)
		status = check_switches(&d);
	if (status == 0 && d.options.only_check)
		status = check_machine(d.conf);
	if (status != 0 || d.options.only_check) {
		if (status == 0)
			printf("%s: ok\n", d.options.config_file);
		return status;
	}
	buf_init(&message, 4096);
	if (daemon_become_user(d.conf, &message) != OK) {
		say("", &message);
		return EXIT_NOT_PERMITTED;
	}
	buf_fini(&message);
	status = run(&d);
	conf_unref(d.conf);
	return status;
}
