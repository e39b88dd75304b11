/*
 * bench-fill - fills a queue as a relay would have left it; see usage below.
 *
 * Through the operations of port/store.h and nothing else, on the store without threads: all ACCEPTs of
 * a turn share one transaction. Ids and arrivals are spread evenly over the last hours, behind whatever
 * the queue has. With a site, its record and those of its next hops are written first, as they would be
 * there before most of the mail. Any error ends it: the queue keeps the batches that were committed.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "base/timer.h"
#include "bench.h"
#include "mail/queue_id.h"
#include "store/store_sqlite.h"

#define BATCH_MESSAGES 1000
#define BATCH_BYTES (INT64_C(64) << 20)
#define RECORD_DOMAINS 500
#define WAL_PAGES 64000
#define URGENT_PRIORITY 4
#define DOWN_MS (2 * HOUR_MS)
#define ADDRESS_BYTES 320

/* An environment that has just what the store without threads asks for. */
struct world {
	struct env env;
	struct log log;
	struct metrics metrics;
	struct timers timers;
	struct wall now;
};

struct slot {
	struct store_accept op;
	struct envelope env;
	struct recipient recipient;
	char *content;
	char address[ADDRESS_BYTES], domain[ADDRESS_BYTES], hop[ADDRESS_BYTES];
	char message_id[ADDRESS_BYTES];
};

struct domain_record {
	char hop[ADDRESS_BYTES], site[ADDRESS_BYTES];
};

static struct fill {
	struct world world;
	struct store *store;
	const char *queue, *site_base;
	struct pattern domain, hop, site;
	int64_t count, size, domains, first, urgent, spread_s;
	bool is_down, has_sites;

	struct content content;
	struct queue_id_source ids;
	uint64_t first_id;
	int64_t batch_max;
	struct slot *slots;
} fill;

/* ---- the environment ---- */

static struct world *world_of(struct env *env)
{
	return CONTAINER_OF(env, struct world, env);
}

static struct mono on_now(struct env *env)
{
	(void)env;
	return (struct mono){ now_ns() / NS_PER_MS };
}

static struct wall on_wall(struct env *env)
{
	return world_of(env)->now;
}

static void on_defer(struct env *env, struct deferred *d)
{
	timers_defer(&world_of(env)->timers, d);
}

static void on_undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&world_of(env)->timers, d);
}

static void on_log(struct log *log, const struct log_event *event)
{
	(void)log;
	fprintf(stderr, "bench-fill: %.*s\n", STR_FMT(event->detail));
}

static void on_fatal(void *user, struct str message)
{
	(void)user;
	die("bench-fill: %.*s", STR_FMT(message));
}

static void world_init(struct world *w)
{
	static const struct env_ops ops = {
		.now = on_now, .wall = on_wall, .defer = on_defer, .undefer = on_undefer
	};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	w->now.ms = (int64_t)now.tv_sec * SECOND_MS + now.tv_nsec / NS_PER_MS;
	w->log = (struct log){ .level = LOG_WARNING, .emit = on_log };
	w->env = (struct env){ .ops = &ops, .rate = 1, .log = &w->log, .metrics = &w->metrics };
	timers_init(&w->timers);
}

/* Runs everything submitted. */
static void turn(void)
{
	timers_run(&fill.world.timers, on_now(&fill.world.env));
}

/* ---- what is written ---- */

static void on_done(struct store_op *op)
{
	if (op->err != OK)
		die("bench-fill: the store refused: %s", err_name(op->err));
}

static void submit(struct store_op *op, enum store_kind kind)
{
	op->on_done = on_done;
	store_submit(fill.store, op, kind);
}

/* A text for a domain, in lower case as the store wants its names. */
static struct str put_name(char *to, const struct pattern *pattern, int64_t domain)
{
	size_t len = pattern_put(to, ADDRESS_BYTES, pattern, domain);

	for (size_t i = 0; i < len; i++)
		if (to[i] >= 'A' && to[i] <= 'Z')
			to[i] = (char)(to[i] - 'A' + 'a');
	return str_from_c(to);
}

/* "[ADDRESS]:PORT" of the static route of a domain: addresses follow each other. */
static struct str put_site(char *to, int64_t domain)
{
	char text[INET_ADDRSTRLEN];
	struct sockaddr_in address;
	struct in_addr host;
	int len;

	if (fill.site_base == NULL)
		return put_name(to, &fill.site, domain);
	address = parse_address("site-base", fill.site_base);
	host.s_addr = htonl(ntohl(address.sin_addr.s_addr) + (uint32_t)domain);
	inet_ntop(AF_INET, &host, text, sizeof(text));
	len = snprintf(to, ADDRESS_BYTES, "[%s]:%u", text, ntohs(address.sin_port));
	return str_slice(str_from_c(to), 0, (size_t)len);
}

/* Down since hours, after times in which it was known to work; the next probe is an hour away. */
static struct health_record site_health(const char *site)
{
	struct wall now = fill.world.now, since = wall_add(now, -DOWN_MS);
	struct health_record h = { .state = HEALTH_UP,
		.since = since,
		.last_success = wall_add(now, -MINUTE_MS),
		.next_probe = WALL_NEVER };

	if (!fill.is_down)
		return h;
	h.state = HEALTH_DOWN;
	h.first_failure = wall_add(since, -2 * MINUTE_MS);
	h.last_failure = wall_add(now, -MINUTE_MS);
	h.last_success = wall_add(since, -3 * MINUTE_MS);
	h.next_probe = wall_add(now, HOUR_MS);
	h.probe_step_ms = 15 * MINUTE_MS;
	h.failures = 12;
	h.probes = 9;
	snprintf(h.stage, sizeof(h.stage), "connect");
	snprintf(h.host, sizeof(h.host), "%.*s", (int)sizeof(h.host) - 1, site);
	snprintf(h.text, sizeof(h.text), "connection refused");
	return h;
}

static void write_sites(void)
{
	struct domain_record *names = allocate(RECORD_DOMAINS, sizeof(names[0]));
	struct site_record *sites = allocate(RECORD_DOMAINS, sizeof(sites[0]));
	struct hop_record *hops = allocate(RECORD_DOMAINS, sizeof(hops[0]));
	struct store_record op = { .at = fill.world.now, .sites = sites, .hops = hops };

	for (int64_t domain = 0; domain < fill.domains; domain++) {
		uint32_t i = op.hop_count++;
		struct str site = put_site(names[i].site, domain);

		op.site_count = op.hop_count;
		sites[i] = (struct site_record){
			.name = site, .health = site_health(site.data), .window = 1
		};
		hops[i] = (struct hop_record){ .name = put_name(names[i].hop, &fill.hop, domain),
			.site = site,
			.health = { .state = HEALTH_UP,
				.since = sites[i].health.since,
				.next_probe = WALL_NEVER } };
		if (op.hop_count < RECORD_DOMAINS && domain + 1 < fill.domains)
			continue;
		submit(&op.op, STORE_RECORD);
		turn();
		op.hop_count = 0;
	}
	free(names);
	free(sites);
	free(hops);
}

/* The urgent ones arrive last: so a drain that sends them first has put them in front. */
static int64_t number_at(int64_t place)
{
	int64_t ordinary = fill.count - fill.urgent;

	return fill.first + (place < ordinary ? fill.urgent + place : place - ordinary);
}

static struct wall arrival_at(int64_t place)
{
	int64_t spread_ms = fill.spread_s * SECOND_MS;
	double part = (double)place / (double)fill.count;

	return wall_add(fill.world.now, (int64_t)((double)spread_ms * part) - spread_ms);
}

static void fill_slot(struct slot *s, int64_t place)
{
	int64_t number = number_at(place), domain = number % fill.domains;
	uint64_t id = queue_id_next(&fill.ids, arrival_at(place));

	if (fill.first_id == 0)
		fill.first_id = id;
	content_head(&fill.content, s->content, number);
	s->recipient.number = 1;
	s->recipient.domain = put_name(s->domain, &fill.domain, domain);
	s->recipient.hop = put_name(s->hop, &fill.hop, domain);
	snprintf(s->address, sizeof(s->address), "user%lld@%.*s", (long long)number,
		ADDRESS_BYTES - 32, s->domain);
	s->recipient.address = str_from_c(s->address);
	snprintf(s->message_id, sizeof(s->message_id), "<bench.%012lld@client.bench.test>",
		(long long)number);
	s->env = (struct envelope){ .id = id,
		.accepted = queue_id_time(id),
		.reverse_path = STR("sender@client.bench.test"),
		.priority = number < fill.first + fill.urgent ? URGENT_PRIORITY : 0,
		.client = STR("client.bench.test[127.0.0.1]"),
		.helo = STR("client.bench.test"),
		.message_id = str_from_c(s->message_id),
		.size_bytes = (uint64_t)fill.size,
		.recipients = &s->recipient,
		.recipient_count = 1 };
	s->op = (struct store_accept){ .env = &s->env,
		.content = { s->content, (size_t)fill.size } };
	submit(&s->op.op, STORE_ACCEPT);
}

static void write_messages(void)
{
	int64_t place = 0;

	while (place < fill.count) {
		for (int64_t i = 0; i < fill.batch_max && place < fill.count; i++)
			fill_slot(&fill.slots[i], place++);
		turn();
	}
}

/* ---- the run ---- */

static void read_stats(struct store_stats *stats)
{
	*stats = (struct store_stats){ 0 };
	submit(&stats->op, STORE_STATS);
	turn();
	store_op_fini(&stats->op);
}

static int64_t directory_bytes(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	struct stat about;
	int64_t bytes = 0;

	if (directory == NULL)
		return 0;
	while ((entry = readdir(directory)) != NULL)
		if (fstatat(dirfd(directory), entry->d_name, &about, 0) == 0 &&
			S_ISREG(about.st_mode))
			bytes += about.st_blocks * 512;
	closedir(directory);
	return bytes;
}

static void open_store(void)
{
	struct store_options options = { .wal_limit_pages = WAL_PAGES, .on_fatal = on_fatal };
	struct buf message;

	buf_init(&message, 4096);
	if (store_sync_open(
		    &fill.world.env, str_from_c(fill.queue), &options, &fill.store, &message) != OK)
		die("bench-fill: %.*s", STR_FMT(buf_str(&message)));
	buf_fini(&message);
}

static void make_slots(void)
{
	fill.batch_max = BATCH_BYTES / fill.size;
	if (fill.batch_max > BATCH_MESSAGES)
		fill.batch_max = BATCH_MESSAGES;
	if (fill.batch_max < 1)
		fill.batch_max = 1;
	fill.slots = allocate((size_t)fill.batch_max, sizeof(fill.slots[0]));
	for (int64_t i = 0; i < fill.batch_max; i++) {
		char *content = allocate((size_t)fill.size, 1);

		memcpy(content + fill.content.head_len, fill.content.body, fill.content.body_len);
		fill.slots[i].content = content;
	}
}

static void run(void)
{
	struct store_stats before, after;
	int64_t start = now_ns();
	double seconds;

	open_store();
	read_stats(&before);
	fill.ids.last = before.last_id;
	if (fill.has_sites)
		write_sites();
	write_messages();
	read_stats(&after);
	store_close(fill.store);
	seconds = seconds_of(now_ns() - start);
	printf("{\"messages\":%lld,\"queued\":%llu,\"ready\":%llu,\"first_number\":%lld,"
	       "\"last_number\":%lld,\"first_id\":\"%s\",\"last_id\":\"%s\",\"seconds\":%.3f,"
	       "\"per_second\":%.1f,\"directory_bytes\":%lld}\n",
		(long long)fill.count, (unsigned long long)after.messages,
		(unsigned long long)after.recipients[RECIPIENT_READY], (long long)fill.first,
		(long long)(fill.first + fill.count - 1), queue_id_format(fill.first_id).text,
		queue_id_format(fill.ids.last).text, seconds, (double)fill.count / seconds,
		(long long)directory_bytes(fill.queue));
	if (after.messages != before.messages + (uint64_t)fill.count)
		die("bench-fill: the store does not count what it took");
}

static const char usage[] =
	"bench-fill --queue DIR --count N [options]\n"
	"  --queue DIR           made if it is not there; no relay may have it open\n"
	"  --count N             messages, each READY, with one recipient as bench-load gives "
	"them\n"
	"  --size OCTETS         of each (10K)\n"
	"  --from-number K       the first number (0)\n"
	"  --domains D           message K is for the domain K modulo D (1)\n"
	"  --domain-format TEXT  with %d, from 0 (d%d.bench.test)\n"
	"  --hop-format TEXT     the next hop of a domain, with %d (as --domain-format)\n"
	"  --site TEXT           the site of a domain, with %d; recorded with its next hop\n"
	"  --site-base ADDR:PORT the same for static routes to addresses that follow each other:\n"
	"                        domain 0 goes to [ADDR]:PORT, domain 1 to the next address, ...\n"
	"  --down                the sites are DOWN, the next probe is an hour away (else UP)\n"
	"  --urgent N            the first N numbers have priority 4; they arrive last\n"
	"  --spread SECONDS      the arrivals lie in the last SECONDS (7200)\n"
	"How a relay names them: a domain is its own next hop (in lower case), also where a route "
	"without\n"
	"'from' sends it elsewhere; with 'from' it is route:NAME. A route's site is "
	"\"[HOST]:PORT\" of its\n"
	"'via', so via \"[127.1.0.5]:2525\" gives the site [127.1.0.5]:2525; without a route the "
	"names of\n"
	"the MX hosts, sorted, joined by '+'. Prints one line of JSON.\n";

static void configure(int argc, char **argv)
{
	const char *domain = "d%d.bench.test", *hop = NULL, *site = NULL;
	const struct option_row rows[] = {
		OPTION_TEXT("queue", &fill.queue),
		OPTION_NUMBER("count", &fill.count, 1, NUMBER_MAX),
		OPTION_NUMBER("size", &fill.size, SIZE_MIN, INT64_C(1) << 20),
		OPTION_NUMBER("from-number", &fill.first, 0, NUMBER_MAX),
		OPTION_NUMBER("domains", &fill.domains, 1, 10000000),
		OPTION_TEXT("domain-format", &domain),
		OPTION_TEXT("hop-format", &hop),
		OPTION_TEXT("site", &site),
		OPTION_TEXT("site-base", &fill.site_base),
		OPTION_FLAG("down", &fill.is_down),
		OPTION_NUMBER("urgent", &fill.urgent, 0, NUMBER_MAX),
		OPTION_NUMBER("spread", &fill.spread_s, 0, 30 * 86400),
		{ .name = NULL },
	};

	fill.size = 10 * 1024;
	fill.domains = 1;
	fill.spread_s = 7200;
	read_options(argc, argv, rows, usage);
	fill.has_sites = site != NULL || fill.site_base != NULL;
	if (fill.queue == NULL || fill.count == 0)
		die("%s", usage);
	if (fill.urgent > fill.count || (fill.is_down && !fill.has_sites))
		die("--urgent N is at most --count, --down wants --site or --site-base");
	fill.domain = pattern_of(domain);
	fill.hop = pattern_of(hop != NULL ? hop : domain);
	fill.site = pattern_of(site != NULL ? site : "");
}

int main(int argc, char **argv)
{
	configure(argc, argv);
	world_init(&fill.world);
	content_make(&fill.content, (size_t)fill.size);
	make_slots();
	run();
	return 0;
}
