/*
 * outlast-dns - a scripted DNS server, as far as a relay asks one.
 *
 *   outlast-dns --listen 127.0.0.1:5300 [--listen ...] --zone FILE [--journal FILE] [--control SOCKET] [--quiet]
 *
 * UDP and TCP on each address (port 0: a free one, the same for both). Every name that the zone
 * file (zone.h) does not have is NXDOMAIN; names without data are NODATA; both with a SOA. It
 * answers as the relay's own resolver would: RA set, CNAMEs followed. Commands on the control
 * socket: zone_command's, "stats" (queries by name and type, as JSON), "reset" (the counts),
 * "quit". The journal has a line for each query and command; --quiet leaves the queries out.
 */
#include <getopt.h>
#include <signal.h>
#include <stddef.h>

#include "tool.h"

#include "zone.h"

#define LISTENERS_MAX 8
#define CNAMES_MAX 12
#define MESSAGE_MAX 65535
#define HEADER_OCTETS 12

enum rcode {
	RCODE_OK = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5
};

struct listener {
	struct watch udp, tcp;
	union address at;
};

struct stream {
	struct watch watch;
	struct stream *next;
	struct bytes in;
};

struct query {
	const unsigned char *packet;
	size_t len, question_len; /* of the question, behind the header */
	char name[NAME_MAX_OCTETS];
	uint16_t type;
	bool has_opt, is_tcp;
	size_t room; /* what the asker takes by UDP */
};

struct counter {
	struct counter *next;
	char *name;
	uint16_t type;
	uint64_t count;
};

struct delayed {
	struct delayed *next;
	int64_t due_ms;
	int fd; /* of the listener: UDP only */
	union address to;
	struct bytes reply;
};

static struct server {
	int loop;
	struct listener listeners[LISTENERS_MAX];
	size_t listener_count;
	struct stream *streams;
	struct delayed *delayed;
	struct zone zone;
	struct control control;
	struct journal journal;
	struct counter *counters;
	uint64_t queries, by_udp, by_tcp;
	bool is_quiet, is_over;
} server;

/* The wire. */

static void put16(struct bytes *out, unsigned value)
{
	unsigned char raw[2] = { (unsigned char)(value >> 8), (unsigned char)value };

	bytes_add(out, raw, 2);
}

static void put32(struct bytes *out, uint32_t value)
{
	put16(out, value >> 16);
	put16(out, value & 0xffff);
}

static void put_name(struct bytes *out, const char *name)
{
	while (*name != '\0') {
		size_t len = strcspn(name, ".");
		unsigned char octet = (unsigned char)(len > 63 ? 63 : len);

		bytes_add(out, &octet, 1);
		bytes_add(out, name, octet);
		name += len + (name[len] == '.');
	}
	bytes_add(out, "", 1);
}

static unsigned get16(const unsigned char *at)
{
	return (unsigned)(at[0] << 8 | at[1]);
}

/* Reads the question; false: not a query that can be answered at all. */
static bool read_query(struct query *query, const unsigned char *packet, size_t len)
{
	size_t at = HEADER_OCTETS, name_len = 0;

	query->packet = packet;
	query->len = len;
	if (len < HEADER_OCTETS || (packet[2] & 0x80) != 0 || get16(packet + 4) != 1)
		return false;
	while (at < len && packet[at] != 0) {
		size_t label = packet[at++];

		if (label > 63 || at + label > len || name_len + label + 2 > sizeof(query->name))
			return false;
		if (name_len > 0)
			query->name[name_len++] = '.';
		for (size_t i = 0; i < label; i++)
			query->name[name_len++] = (char)tolower(packet[at + i]);
		at += label;
	}
	if (at + 5 > len)
		return false;
	query->name[name_len] = '\0';
	query->type = (uint16_t)get16(packet + at + 1);
	query->question_len = at + 5 - HEADER_OCTETS;
	at += 5;
	query->room = 512;
	/*
	 * An OPT record as the only additional one: root name, type 41, the size it takes as class.
	 */
	if (get16(packet + 10) == 1 && at + 11 <= len && packet[at] == 0 &&
		get16(packet + at + 1) == TYPE_OPT) {
		query->has_opt = true;
		query->room = get16(packet + at + 3);
	}
	if (query->is_tcp || query->room < 512)
		query->room = query->is_tcp ? MESSAGE_MAX : 512;
	return true;
}

static void put_record_data(struct bytes *out, const struct record *record)
{
	struct bytes data = { 0 };
	unsigned char raw[16];
	unsigned char len;

	switch (record->type) {
	case TYPE_A:
		inet_pton(AF_INET, record->value, raw);
		bytes_add(&data, raw, 4);
		break;
	case TYPE_AAAA:
		inet_pton(AF_INET6, record->value, raw);
		bytes_add(&data, raw, 16);
		break;
	case TYPE_TXT:
		len = (unsigned char)(strlen(record->value) & 0xff);
		bytes_add(&data, &len, 1);
		bytes_add(&data, record->value, len);
		break;
	case TYPE_MX:
		put16(&data, record->preference);
		put_name(&data, record->value);
		break;
	default:
		put_name(&data, record->value);
		break;
	}
	put16(out, (unsigned)data.len);
	bytes_add(out, data.at, data.len);
	bytes_free(&data);
}

static void put_record(struct bytes *out, const char *name, const struct record *record)
{
	put_name(out, name);
	put16(out, record->type);
	put16(out, 1);
	put32(out, record->ttl);
	put_record_data(out, record);
}

/* The zone is taken to be the name's last two labels. */
static void put_soa(struct bytes *out, const char *name)
{
	const char *apex = name + strlen(name);
	struct bytes data = { 0 };

	for (int dots = 0; apex > name; apex--)
		if (apex[-1] == '.' && ++dots == 2)
			break;
	put_name(&data, "ns.outlast.test");
	put_name(&data, "hostmaster.outlast.test");
	put32(&data, 1);
	put32(&data, 3600);
	put32(&data, 600);
	put32(&data, 86400);
	put32(&data, DEFAULT_TTL);
	put_name(out, apex);
	put16(out, TYPE_SOA);
	put16(out, 1);
	put32(out, DEFAULT_TTL);
	put16(out, (unsigned)data.len);
	bytes_add(out, data.at, data.len);
	bytes_free(&data);
}

struct answer {
	enum rcode rcode;
	unsigned count, authority;
	bool is_truncated;
	struct bytes records;
};

static void write_reply(struct bytes *out, const struct query *query, const struct answer *answer)
{
	unsigned char flags[2] = { (unsigned char)(0x80 | (query->packet[2] & 0x79)),
		(unsigned char)(0x80 | (unsigned)answer->rcode) };

	if (answer->is_truncated)
		flags[0] |= 0x02;
	bytes_add(out, query->packet, 2);
	bytes_add(out, flags, 2);
	put16(out, 1);
	put16(out, answer->count);
	put16(out, answer->authority);
	put16(out, query->has_opt ? 1 : 0);
	bytes_add(out, query->packet + HEADER_OCTETS, query->question_len);
	bytes_add(out, answer->records.at, answer->records.len);
	if (query->has_opt) {
		bytes_add(out, "", 1);
		put16(out, TYPE_OPT);
		put16(out, 1232);
		put32(out, 0);
		put16(out, 0);
	}
}

/*
 * Adds the records of that type; a CNAME's when there are none, and then true: *name is what it
 * points to.
 */
static bool add_records(struct answer *answer, const char **name, uint16_t type, bool *is_known)
{
	char wildcard[NAME_MAX_OCTETS + 2];
	const char *owner = zone_owner(&server.zone, *name, wildcard);
	const struct record *alias = NULL;
	unsigned before = answer->count;

	*is_known = owner != NULL || zone_is_above(&server.zone, *name);
	for (const struct record *r = server.zone.records; owner != NULL && r != NULL;
		r = r->next) {
		if (strcmp(r->name, owner) != 0)
			continue;
		if (r->type == TYPE_CNAME)
			alias = r;
		if (r->type != type)
			continue;
		put_record(&answer->records, *name, r);
		answer->count++;
	}
	if (answer->count > before || alias == NULL)
		return false;
	put_record(&answer->records, *name, alias);
	answer->count++;
	*name = alias->value;
	return true;
}

static void look_up(struct answer *answer, const struct query *query)
{
	const char *name = query->name;
	bool is_known = true;
	unsigned before = 0;

	for (int hops = 0; hops < CNAMES_MAX; hops++) {
		before = answer->count;
		if (!add_records(answer, &name, query->type, &is_known))
			break;
	}
	if (!is_known)
		answer->rcode = RCODE_NXDOMAIN;
	if (!is_known || answer->count == before) {
		put_soa(&answer->records, name);
		answer->authority = 1;
	}
}

/* One question. True: out holds what to send. */

static const char *misbehave(struct answer *answer, enum manner manner, const struct query *query)
{
	if (manner == MANNER_SERVFAIL) {
		answer->rcode = RCODE_SERVFAIL;
	} else if (manner == MANNER_REFUSED) {
		answer->rcode = RCODE_REFUSED;
	} else if (manner == MANNER_NXDOMAIN) {
		answer->rcode = RCODE_NXDOMAIN;
		put_soa(&answer->records, query->name);
		answer->authority = 1;
	} else if (manner == MANNER_TRUNCATE && !query->is_tcp) {
		answer->is_truncated = true;
	} else {
		look_up(answer, query);
		return "answered";
	}
	return manner_names[manner];
}

static void spoil(struct bytes *out, enum manner manner)
{
	if (manner == MANNER_GARBAGE) {
		for (size_t i = 2; i < out->len; i++)
			out->at[i] = (char)(i * 197 + 61);
	} else if (manner == MANNER_EMPTY) {
		out->len = 0;
	} else if (manner == MANNER_WRONG_ID) {
		out->at[0] = (char)(out->at[0] ^ 0x55);
	} else if (manner == MANNER_WRONG_QUESTION && out->at[HEADER_OCTETS] != 0) {
		out->at[HEADER_OCTETS + 1] = out->at[HEADER_OCTETS + 1] == 'x' ? 'y' : 'x';
	}
}

static void count(const struct query *query, const char *result)
{
	struct counter *counter = server.counters;
	struct bytes line;
	char type[16];

	server.queries++;
	while (counter != NULL &&
		(counter->type != query->type || strcmp(counter->name, query->name) != 0))
		counter = counter->next;
	if (counter == NULL) {
		counter = allocate(1, sizeof(*counter));
		counter->name = copy_text(query->name, strlen(query->name));
		counter->type = query->type;
		counter->next = server.counters;
		server.counters = counter;
	}
	counter->count++;
	if (server.is_quiet)
		return;
	journal_begin(&line, "query");
	journal_member(&line, "name", query->name);
	journal_member(&line, "type", name_of_type(query->type, type, sizeof(type)));
	journal_member(&line, "proto", query->is_tcp ? "tcp" : "udp");
	journal_member(&line, "result", result);
	journal_end(&server.journal, &line);
}

static bool answer_query(
	struct bytes *out, const unsigned char *packet, size_t len, bool is_tcp, int64_t *delay_ms)
{
	struct query query = { .is_tcp = is_tcp };
	struct answer answer = { 0 };
	const struct exception *exception;
	enum manner manner = MANNER_NORMAL;
	const char *result;

	*delay_ms = 0;
	if (!read_query(&query, packet, len))
		return false;
	server.by_tcp += is_tcp;
	server.by_udp += !is_tcp;
	exception = zone_exception(&server.zone, query.name);
	if (exception != NULL) {
		manner = exception->manner;
		*delay_ms = exception->delay_ms;
	}
	if (manner == MANNER_TIMEOUT) {
		count(&query, "timeout");
		return false;
	}
	result = misbehave(&answer, manner, &query);
	write_reply(out, &query, &answer);
	if (out->len > query.room) {
		answer.records.len = 0;
		answer.count = answer.authority = 0;
		answer.is_truncated = true;
		result = "truncated";
		out->len = 0;
		write_reply(out, &query, &answer);
	}
	spoil(out, manner);
	if (manner >= MANNER_GARBAGE)
		result = manner_names[manner];
	else if (strcmp(result, "answered") == 0 && answer.authority > 0)
		result = answer.rcode == RCODE_NXDOMAIN ? "nxdomain" : "nodata";
	count(&query, result);
	bytes_free(&answer.records);
	return true;
}

/* Sockets. */

static void send_later(int fd, const union address *to, struct bytes *reply, int64_t delay_ms)
{
	struct delayed *delayed = allocate(1, sizeof(*delayed));

	delayed->due_ms = mono_ms() + delay_ms;
	delayed->fd = fd;
	delayed->to = *to;
	delayed->reply = *reply;
	delayed->next = server.delayed;
	server.delayed = delayed;
	*reply = (struct bytes){ 0 };
}

static void on_udp(struct watch *watch, uint32_t events)
{
	unsigned char packet[4096];
	union address from;

	(void)events;
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t got = recvfrom(watch->fd, packet, sizeof(packet), 0, &from.any, &from_len);
		struct bytes out = { 0 };
		int64_t delay_ms;

		if (got < 0)
			return;
		if (answer_query(&out, packet, (size_t)got, false, &delay_ms)) {
			if (delay_ms > 0)
				send_later(watch->fd, &from, &out, delay_ms);
			else
				sendto(watch->fd, out.at, out.len, 0, &from.any, from_len);
		}
		bytes_free(&out);
	}
}

/*
 * Answers all whole queries; TCP replies are small enough for the socket's buffer. Delays do not
 * apply.
 */
static void on_stream(struct watch *watch, uint32_t events)
{
	struct stream *stream = owner_of(watch, struct stream, watch);
	unsigned char chunk[4096];
	ssize_t got = recv(watch->fd, chunk, sizeof(chunk), 0);

	(void)events;
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			watch_close(watch);
		return;
	}
	bytes_add(&stream->in, chunk, (size_t)got);
	while (watch->fd >= 0 && stream->in.len >= 2) {
		const unsigned char *packet = (const unsigned char *)stream->in.at;
		size_t len = get16(packet);
		struct bytes reply = { 0 }, framed = { 0 };
		int64_t delay_ms;

		if (stream->in.len < len + 2)
			return;
		if (answer_query(&reply, packet + 2, len, true, &delay_ms)) {
			put16(&framed, (unsigned)reply.len);
			bytes_add(&framed, reply.at, reply.len);
			if (send(watch->fd, framed.at, framed.len, MSG_NOSIGNAL) !=
				(ssize_t)framed.len)
				watch_close(watch);
		}
		bytes_free(&reply);
		bytes_free(&framed);
		bytes_consume(&stream->in, len + 2);
	}
}

static void on_tcp(struct watch *watch, uint32_t events)
{
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
	struct stream *stream;

	(void)events;
	if (fd < 0)
		return;
	stream = allocate(1, sizeof(*stream));
	stream->next = server.streams;
	server.streams = stream;
	watch_start(server.loop, &stream->watch, fd, EPOLLIN, on_stream);
}

/* Control. */

static void answer_stats(struct bytes *out)
{
	char type[16];

	bytes_format(out, "{\"queries\":%llu,\"udp\":%llu,\"tcp\":%llu,\"by_name\":{",
		(unsigned long long)server.queries, (unsigned long long)server.by_udp,
		(unsigned long long)server.by_tcp);
	for (const struct counter *counter = server.counters; counter != NULL;
		counter = counter->next) {
		struct bytes key = { 0 };

		bytes_format(&key, "%s/%s", counter->name,
			name_of_type(counter->type, type, sizeof(type)));
		bytes_json(out, key.at, key.len);
		bytes_format(out, ":%llu%s", (unsigned long long)counter->count,
			counter->next != NULL ? "," : "");
		bytes_free(&key);
	}
	bytes_put(out, "}}");
}

static void reset_stats(void)
{
	server.queries = server.by_udp = server.by_tcp = 0;
	while (server.counters != NULL) {
		struct counter *counter = server.counters;

		server.counters = counter->next;
		free(counter->name);
		free(counter);
	}
}

static void on_command(char *line, struct bytes *out)
{
	const char *wrong = NULL;
	struct bytes event;

	if (strcmp(line, "stats") == 0) {
		answer_stats(out);
		return;
	}
	journal_begin(&event, "command");
	journal_member(&event, "line", line);
	if (strcmp(line, "reset") == 0)
		reset_stats();
	else if (strcmp(line, "quit") == 0)
		server.is_over = true;
	else
		wrong = zone_command(&server.zone, line);
	journal_end(&server.journal, &event);
	bytes_format(out, "%s%s", wrong == NULL ? "ok" : "error: ", wrong == NULL ? "" : wrong);
}

/* The round. */

static void send_due(void)
{
	struct delayed **link = &server.delayed;

	while (*link != NULL) {
		struct delayed *delayed = *link;

		if (delayed->due_ms > mono_ms()) {
			link = &delayed->next;
			continue;
		}
		sendto(delayed->fd, delayed->reply.at, delayed->reply.len, 0, &delayed->to.any,
			address_len(&delayed->to));
		*link = delayed->next;
		bytes_free(&delayed->reply);
		free(delayed);
	}
}

static void sweep_streams(void)
{
	struct stream **link = &server.streams;

	while (*link != NULL) {
		struct stream *stream = *link;

		if (stream->watch.fd >= 0) {
			link = &stream->next;
			continue;
		}
		*link = stream->next;
		bytes_free(&stream->in);
		free(stream);
	}
}

/* Start. */

static void read_zone(const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while (getline(&line, &room, file) > 0) {
		const char *wrong;

		line[strcspn(line, "\n#")] = '\0';
		if (line[strspn(line, " \t\r")] == '\0')
			continue;
		wrong = zone_add(&server.zone, line);
		if (wrong != NULL)
			die_usage("%s: %s: %s", path, line, wrong);
	}
	free(line);
	fclose(file);
}

/* A free port for UDP may be taken for TCP: then another is tried. */
static void add_listener(const char *text)
{
	struct listener *listener = &server.listeners[server.listener_count];
	int udp = -1, tcp = -1;

	if (server.listener_count++ == LISTENERS_MAX)
		die_usage("at most %d listeners", LISTENERS_MAX);
	for (int tries = 0; tries < 50 && tcp < 0; tries++) {
		if (!address_parse(&listener->at, text, strlen(text)))
			die_usage("--listen %s: ADDRESS:PORT expected", text);
		udp = socket_bound(&listener->at, SOCK_DGRAM);
		if (udp < 0)
			break;
		tcp = socket_bound(&listener->at, SOCK_STREAM);
		if (tcp < 0)
			close(udp);
	}
	if (udp < 0 || tcp < 0)
		die("%s: %s", text, strerror(errno));
	watch_start(server.loop, &listener->udp, udp, EPOLLIN, on_udp);
	watch_start(server.loop, &listener->tcp, tcp, EPOLLIN, on_tcp);
}

static void on_signal(int number)
{
	(void)number;
	server.is_over = true;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = { { "listen", 1, NULL, 'l' },
		{ "zone", 1, NULL, 'z' }, { "journal", 1, NULL, 'j' }, { "control", 1, NULL, 'c' },
		{ "quiet", 0, NULL, 'q' }, { NULL, 0, NULL, 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			add_listener(optarg);
			break;
		case 'z':
			read_zone(optarg);
			break;
		case 'j':
			journal_open(&server.journal, optarg);
			break;
		case 'c':
			control_start(&server.control, server.loop, optarg, on_command);
			break;
		case 'q':
			server.is_quiet = true;
			break;
		default:
			die_usage("see the head of outlast-dns.c for the options");
		}
	}
	if (server.listener_count == 0 || optind != argc)
		die_usage("--listen is needed");
}

int main(int argc, char **argv)
{
	char at[80];

	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	server.loop = epoll_create1(EPOLL_CLOEXEC);
	server.journal.fd = -1;
	server.control.watch.fd = -1;
	read_options(argc, argv);
	for (size_t i = 0; i < server.listener_count; i++)
		printf("listening dns %s\n",
			address_format(&server.listeners[i].at, at, sizeof(at)));
	printf("ready\n");
	fflush(stdout);
	while (!server.is_over) {
		loop_round(server.loop, server.delayed != NULL ? 5 : 1000);
		send_due();
		sweep_streams();
		control_sweep(&server.control);
	}
	return 0;
}
