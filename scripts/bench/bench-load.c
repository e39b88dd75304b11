/*
 * bench-load - a sending client that is never the bottleneck; see usage below.
 *
 * Each session sends one message after another on one connection: the envelope in one write where the
 * server takes pipelining, the content in one writev of blocks that were made before the start. Message
 * K goes to userK@ the domain K modulo --domains. A 4xx sends the same message again at once, a lost
 * connection as soon as there is a new one, so that the accepted numbers have no gaps. What ends a run
 * early: a 5xx, a message refused 1000 times in a row, no server for 30 s, no reply for 120 s.
 */
#include "load_session.h"

#define NO_REPLY_NS (120 * NS_PER_SECOND)
#define TICK_NS NS_PER_MS

static bool is_over(int64_t now)
{
	bool has_none_left = load.is_stopping || load.next - load.first >= load.count;

	if (load.in_work > 0 && now - load.progress_at > NO_REPLY_NS) {
		fprintf(stderr, "bench-load: no message was accepted for 120 s\n");
		load.failed += load.in_work;
		return true;
	}
	if (load.is_stopping && load.in_work > 0 && now - load.stopped_at > NO_SERVER_NS) {
		fprintf(stderr, "bench-load: messages in work were not answered\n");
		load.failed += load.in_work;
		return true;
	}
	return has_none_left && load.in_work == 0;
}

/* Connects what is down, and starts what the pace kept idle. True: there is more to come back for. */
static bool tick(int64_t now)
{
	bool is_any_waiting = load.pace > 0 || load.per_connection > 0;

	for (int64_t i = 0; i < load.session_count; i++) {
		struct session *s = &load.sessions[i];

		if (s->state == STATE_DOWN && now >= s->retry_at)
			session_connect(s, now);
		else if (s->state == STATE_IDLE)
			next_message(s, now);
		is_any_waiting |= s->state == STATE_DOWN;
	}
	if (now >= load.stop_at)
		stop(now);
	return is_any_waiting;
}

static void on_signal(void)
{
	int number;

	while ((number = next_signal(load.signals)) != 0) {
		if (number == SIGUSR1) {
			printf("{\"accepted\":%lld,\"at\":%.6f}\n", (long long)load.accepted,
				seconds_of(now_ns()));
			fflush(stdout);
		} else {
			stop(now_ns());
		}
	}
}

static void run(void)
{
	struct epoll_event events[256];
	int64_t now = now_ns(), ticked_at = 0;
	bool is_any_waiting = false;

	load.started_at = now;
	load.stop_at = load.seconds > 0 ? now + load.seconds * NS_PER_SECOND : INT64_MAX;
	while (!is_over(now)) {
		int count;

		if (now - ticked_at >= (is_any_waiting ? TICK_NS : 20 * TICK_NS)) {
			is_any_waiting = tick(now);
			ticked_at = now;
		}
		count = epoll_wait(load.loop, events, 256, is_any_waiting ? 1 : 20);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				on_signal();
			else
				on_session(events[i].data.ptr, events[i].events);
		}
		now = now_ns();
	}
	for (int64_t i = 0; i < load.session_count; i++)
		if (load.sessions[i].state == STATE_IDLE)
			(void)stream_write(
				load.sessions[i].ssl, load.sessions[i].fd, "QUIT\r\n", 6);
}

static void report(void)
{
	int64_t spent = load.last_accepted_at - load.first_mail_at;
	double seconds = spent > 0 ? seconds_of(spent) : 1e-9;

	printf("{\"accepted\":%lld,\"refused\":%lld,\"lost\":%lld,\"failed\":%lld,"
	       "\"seconds\":%.6f,\"per_second\":%.1f,\"first_number\":%lld,\"last_number\":%lld,"
	       "\"first_at\":%.6f,\"first_accepted_at\":%.6f,\"last_at\":%.6f,"
	       "\"handshakes\":%lld,\"resumed\":%lld,",
		(long long)load.accepted, (long long)load.refused, (long long)load.lost,
		(long long)load.failed, load.accepted > 0 ? seconds : 0,
		(double)load.accepted / seconds, (long long)load.first, (long long)load.last_number,
		seconds_of(load.first_mail_at), seconds_of(load.first_accepted_at),
		seconds_of(load.last_accepted_at), (long long)load.handshakes,
		(long long)load.resumed);
	printf("\"ack_us\":{\"min\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,"
	       "\"max\":%.1f}}\n",
		(double)load.acks.min_ns / 1000, times_us(&load.acks, 0.5),
		times_us(&load.acks, 0.9), times_us(&load.acks, 0.99), times_us(&load.acks, 0.999),
		(double)load.acks.max_ns / 1000);
	fflush(stdout);
}

static const char usage[] =
	"bench-load --to ADDRESS:PORT [options]\n"
	"  --sessions N          connections, each with one message at a time (1)\n"
	"  --count M             ends once M messages are accepted (no limit)\n"
	"  --seconds S           starts no message after S seconds (no limit)\n"
	"  --size OCTETS         of each message (10K)\n"
	"  --domains D           the recipient of message K is at the domain K modulo D (1)\n"
	"  --domain-format TEXT  with %d, from 0 (d%d.bench.test)\n"
	"  --first NUMBER        of the first message (0)\n"
	"  --pace N              at most N messages a second\n"
	"  --per-connection N    messages on one connection (no limit)\n"
	"  --tls                 after STARTTLS; the certificate is not looked at\n"
	"  --resume              with --tls: sessions are resumed\n"
	"  --no-pipelining       wait for each reply, whatever the server offers\n"
	"  --mail-parameters T   added to MAIL, as ' MT-PRIORITY=4'\n"
	"SIGUSR1 prints the count so far, SIGTERM ends as --seconds does. The result is one line "
	"of JSON:\n"
	"times in seconds of the monotonic clock, ack_us from the end of the final dot to its "
	"250.\n"
	"Exit status 0: no message failed.\n";

static void configure(int argc, char **argv)
{
	const char *to = NULL, *domain_format = "d%d.bench.test";
	bool is_plain = false, has_tls = false, resumes = false;
	const struct option_row rows[] = {
		OPTION_TEXT("to", &to),
		OPTION_NUMBER("sessions", &load.session_count, 1, 100000),
		OPTION_NUMBER("count", &load.count, 1, NUMBER_MAX),
		OPTION_NUMBER("seconds", &load.seconds, 1, 1000000),
		OPTION_NUMBER("size", &load.size, SIZE_MIN, INT64_C(1) << 30),
		OPTION_NUMBER("domains", &load.domains, 1, NUMBER_MAX),
		OPTION_TEXT("domain-format", &domain_format),
		OPTION_NUMBER("first", &load.first, 0, NUMBER_MAX),
		OPTION_NUMBER("pace", &load.pace, 1, 10000000),
		OPTION_NUMBER("per-connection", &load.per_connection, 1, NUMBER_MAX),
		OPTION_FLAG("tls", &has_tls),
		OPTION_FLAG("resume", &resumes),
		OPTION_FLAG("no-pipelining", &is_plain),
		OPTION_TEXT("mail-parameters", &load.mail_parameters),
		{ .name = NULL },
	};

	load = (struct load){ .session_count = 1,
		.count = NUMBER_MAX,
		.size = 10 * 1024,
		.domains = 1,
		.mail_parameters = "" };
	read_options(argc, argv, rows, usage);
	if (to == NULL)
		die("%s", usage);
	load.to = parse_address("to", to);
	load.domain = pattern_of(domain_format);
	load.pipelines = !is_plain;
	load.tls = has_tls ? tls_client(resumes) : NULL;
	load.next = load.first;
	load.last_number = load.first - 1;
}

int main(int argc, char **argv)
{
	struct epoll_event of_signals = { .events = EPOLLIN };

	configure(argc, argv);
	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	content_make(&load.content, (size_t)load.size);
	load.sessions = allocate((size_t)load.session_count, sizeof(load.sessions[0]));
	for (int64_t i = 0; i < load.session_count; i++)
		load.sessions[i] = (struct session){ .fd = -1, .number = NONE };
	load.loop = epoll_create1(EPOLL_CLOEXEC);
	load.signals = signals_as_events(load.loop, of_signals);
	run();
	report();
	return load.failed == 0 ? 0 : 1;
}
