/*
 * outlast-ledger - balances what clients had accepted against what arrived.
 *
 *   outlast-ledger --client FILE [--client ...] --sink FILE [--sink ...] [--queued N] [--allow-duplicates N] [--json]
 *                  [--unknown GLOB ...] [--list-lost]
 *
 * The unit is the pair of token and recipient. Accepted: a client's journal says that its 250 came.
 * Delivered: a sink's journal has it, n times. Bounced: not delivered, and named as failed in a
 * delivery status notification that arrived. Queued: as many as --queued says are still in the
 * relay. Lost: accepted and none of these. Duplicates: deliveries beyond the first (and a notice
 * that arrived twice); in doubt, and so excused, are those where the sink cut the connection
 * instead of answering or the client sent the token again. Altered: other octets than were sent. False bounces: both
 * delivered and bounced; with --unknown, which names the mailboxes that do not exist, also any other that was bounced.
 *
 * Exit status 1: lost, altered, duplicates in no doubt beyond --allow-duplicates, both delivered
 * and bounced, two different failure notices for one pair, or delivery of what was refused. The
 * sums of a relay that keeps its promise are all 0.
 */
#include <fnmatch.h>
#include <getopt.h>

#include "json.h"

struct pair {
	struct pair *next;
	char *recipient;
	uint32_t deliveries, unanswered, notices, other_notices;
	uint64_t notice_digest; /* of the first notice */
	bool is_accepted, is_refused;
};

struct entry {
	char *token;
	struct pair *pairs;
	char digest[DIGEST_HEX]; /* as sent; "": no client told yet */
	uint32_t tries;          /* the most that a client told */
	uint32_t altered;
	bool is_unknown; /* a client lost a connection behind the dot */
};

struct totals {
	uint64_t accepted, delivered, bounced, queued, lost, altered;
	uint64_t duplicates, in_doubt, false_bounces, double_notices, refused_delivered;
	uint64_t unacknowledged, strangers, bad_lines;
};

static struct ledger {
	struct entry **slots; /* open addressing; a power of two */
	size_t slot_count, used;
	struct json_line line;
	struct totals totals;
	int64_t queued, allowed_duplicates;
	struct texts unknown; /* globs on recipients */
	bool is_json, lists_lost;
} ledger;

/* The table. */

static uint64_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325u;

	while (*text != '\0')
		value = (value ^ (unsigned char)*text++) * 0x100000001b3u;
	return value ^ (value >> 29);
}

static struct entry **find_slot(struct entry **slots, size_t count, const char *token)
{
	size_t i = hash(token) & (count - 1);

	while (slots[i] != NULL && strcmp(slots[i]->token, token) != 0)
		i = (i + 1) & (count - 1);
	return &slots[i];
}

static void grow(void)
{
	size_t count = ledger.slot_count == 0 ? 4096 : ledger.slot_count * 2;
	struct entry **slots = allocate(count, sizeof(struct entry *));

	for (size_t i = 0; i < ledger.slot_count; i++)
		if (ledger.slots[i] != NULL)
			*find_slot(slots, count, ledger.slots[i]->token) = ledger.slots[i];
	free(ledger.slots);
	ledger.slots = slots;
	ledger.slot_count = count;
}

static struct entry *entry_of(const char *token)
{
	struct entry **slot;

	if (ledger.used * 3 >= ledger.slot_count * 2)
		grow();
	slot = find_slot(ledger.slots, ledger.slot_count, token);
	if (*slot == NULL) {
		*slot = allocate(1, sizeof(**slot));
		(*slot)->token = copy_text(token, strlen(token));
		ledger.used++;
	}
	return *slot;
}

/* Domains are compared without case, local parts with it. */
static bool same_recipient(const char *a, const char *b)
{
	const char *at_a = strrchr(a, '@'), *at_b = strrchr(b, '@');

	if (at_a == NULL || at_b == NULL)
		return strcmp(a, b) == 0;
	return at_a - a == at_b - b && memcmp(a, b, (size_t)(at_a - a)) == 0 &&
	       strcasecmp(at_a, at_b) == 0;
}

static struct pair *pair_of(struct entry *entry, const char *recipient)
{
	struct pair *pair = entry->pairs;

	while (pair != NULL && !same_recipient(pair->recipient, recipient))
		pair = pair->next;
	if (pair == NULL) {
		pair = allocate(1, sizeof(*pair));
		pair->recipient = copy_text(recipient, strlen(recipient));
		pair->next = entry->pairs;
		entry->pairs = pair;
	}
	return pair;
}

/*
 * Reading. Client journals are read first, so that the digests are known when the sinks' lines
 * come.
 */

static void take_client_line(const struct json_line *line)
{
	const char *event = json_text(line, "event");
	const struct json_member *to = json_find(line, "to");
	bool is_accepted = strcmp(event, "accepted") == 0;
	bool is_unknown = strcmp(event, "unknown") == 0;
	struct entry *entry;
	uint32_t tries;

	if (to == NULL || (!is_accepted && !is_unknown && strcmp(event, "refused") != 0))
		return;
	entry = entry_of(json_text(line, "token"));
	snprintf(entry->digest, sizeof(entry->digest), "%s", json_text(line, "sha256"));
	tries = (uint32_t)strtoul(json_text(line, "try"), NULL, 10);
	entry->tries = tries > entry->tries ? tries : entry->tries;
	entry->is_unknown |= is_unknown;
	for (size_t i = 0; i < to->count; i++) {
		struct pair *pair = pair_of(entry, line->items[to->first + i]);

		pair->is_accepted |= is_accepted;
		pair->is_refused |= !is_accepted && !is_unknown;
	}
}

static void take_notice(const struct json_line *line)
{
	const struct json_member *tokens = json_find(line, "original_tokens");
	const struct json_member *failed = json_find(line, "failed");
	uint64_t digest = hash(json_text(line, "sha256"));

	for (size_t t = 0; tokens != NULL && failed != NULL && t < tokens->count; t++) {
		struct entry *entry = entry_of(line->items[tokens->first + t]);

		for (size_t i = 0; i < failed->count; i++) {
			struct pair *pair = pair_of(entry, line->items[failed->first + i]);

			if (pair->notices++ == 0)
				pair->notice_digest = digest;
			else if (pair->notice_digest != digest)
				pair->other_notices++;
		}
	}
}

static void take_sink_line(const struct json_line *line)
{
	const struct json_member *to = json_find(line, "to");
	bool is_unanswered = strcmp(json_text(line, "unanswered"), "true") == 0;
	const char *token = json_text(line, "token");
	struct entry *entry;

	if (to == NULL || strcmp(json_text(line, "event"), "message") != 0)
		return;
	if (strcmp(json_text(line, "dsn"), "true") == 0)
		take_notice(line);
	if (*token == '\0')
		return;
	entry = entry_of(token);
	if (entry->digest[0] != '\0' && strcmp(entry->digest, json_text(line, "sha256")) != 0)
		entry->altered++;
	for (size_t i = 0; i < to->count; i++) {
		struct pair *pair = pair_of(entry, line->items[to->first + i]);

		pair->deliveries++;
		pair->unanswered += is_unanswered;
	}
}

static void read_journal(const char *path, void (*take)(const struct json_line *))
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while (getline(&text, &room, file) > 0) {
		if (json_read(text, &ledger.line))
			take(&ledger.line);
		else
			ledger.totals.bad_lines++;
	}
	free(text);
	fclose(file);
}

/* The balance. */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returned, though its mailbox exists. */
static bool is_false_bounce(const struct pair *pair)
{
	if (pair->notices == 0)
		return false;
	if (pair->deliveries > 0)
		return true;
	for (size_t i = 0; i < ledger.unknown.count; i++)
		if (fnmatch(ledger.unknown.at[i], pair->recipient, 0) == 0)
			return false;
	return ledger.unknown.count > 0;
}

static void judge_pair(const struct entry *entry, const struct pair *pair)
{
	struct totals *totals = &ledger.totals;
	uint64_t excess = pair->deliveries > 0 ? pair->deliveries - 1 : 0;
	uint64_t excess_notices = pair->notices > 0 ? pair->notices - 1 : 0;
	uint64_t resent = entry->tries > 1 ? entry->tries - 1 : 0;
	/* A token that was sent twice may be two messages to the relay, with a notice each. */
	uint64_t excused_notices = least(pair->other_notices, resent);

	totals->double_notices += pair->other_notices - excused_notices;
	totals->duplicates += excess + excess_notices - (pair->other_notices - excused_notices);
	totals->in_doubt += least(excess, pair->unanswered + resent) + excused_notices;
	if (is_false_bounce(pair)) {
		totals->false_bounces++;
		if (ledger.lists_lost)
			printf("falsely bounced %s %s\n", entry->token, pair->recipient);
	}
	if (!pair->is_accepted) {
		if (entry->digest[0] == '\0')
			totals->strangers += pair->deliveries;
		else if (pair->is_refused && !entry->is_unknown)
			totals->refused_delivered += pair->deliveries;
		else
			totals->unacknowledged += pair->deliveries > 0;
		return;
	}
	totals->accepted++;
	if (pair->deliveries > 0)
		totals->delivered++;
	else if (pair->notices > 0)
		totals->bounced++;
	else if (ledger.lists_lost)
		printf("lost %s %s\n", entry->token, pair->recipient);
}

static void judge(void)
{
	struct totals *totals = &ledger.totals;
	uint64_t missing;

	for (size_t i = 0; i < ledger.slot_count; i++) {
		const struct entry *entry = ledger.slots[i];

		if (entry == NULL)
			continue;
		totals->altered += entry->altered;
		for (const struct pair *pair = entry->pairs; pair != NULL; pair = pair->next)
			judge_pair(entry, pair);
	}
	missing = totals->accepted - totals->delivered - totals->bounced;
	totals->queued = least(missing, (uint64_t)ledger.queued);
	totals->lost = missing - totals->queued;
}

static void print_number(const char *name, uint64_t value, bool is_first)
{
	printf("%s\"%s\":%llu", is_first ? "{" : ",", name, (unsigned long long)value);
}

static void print_json(const struct totals *totals, bool is_balanced)
{
	print_number("accepted", totals->accepted, true);
	print_number("delivered", totals->delivered, false);
	print_number("bounced", totals->bounced, false);
	print_number("queued", totals->queued, false);
	print_number("lost", totals->lost, false);
	print_number("duplicates", totals->duplicates, false);
	print_number("in_doubt", totals->in_doubt, false);
	print_number("altered", totals->altered, false);
	print_number("false_bounces", totals->false_bounces, false);
	print_number("double_notices", totals->double_notices, false);
	print_number("refused_delivered", totals->refused_delivered, false);
	print_number("unacknowledged", totals->unacknowledged, false);
	print_number("strangers", totals->strangers, false);
	print_number("bad_lines", totals->bad_lines, false);
	printf(",\"ok\":%s}\n", is_balanced ? "true" : "false");
}

static void print_text(const struct totals *totals)
{
	printf("accepted %llu = delivered %llu + bounced %llu + queued %llu, duplicates %llu (in "
	       "doubt %llu), "
	       "lost %llu, altered %llu\n",
		(unsigned long long)totals->accepted, (unsigned long long)totals->delivered,
		(unsigned long long)totals->bounced, (unsigned long long)totals->queued,
		(unsigned long long)totals->duplicates, (unsigned long long)totals->in_doubt,
		(unsigned long long)totals->lost, (unsigned long long)totals->altered);
	if (totals->false_bounces > 0)
		printf("falsely bounced: %llu\n",
			(unsigned long long)totals->false_bounces);
	if (totals->double_notices > 0)
		printf("second failure notices: %llu\n",
			(unsigned long long)totals->double_notices);
	if (totals->refused_delivered > 0)
		printf("refused, yet delivered: %llu\n",
			(unsigned long long)totals->refused_delivered);
	if (totals->unacknowledged > 0)
		printf("delivered without a 250 that reached the client: %llu\n",
			(unsigned long long)totals->unacknowledged);
	if (totals->strangers > 0)
		printf("delivered, sent by no client known here: %llu\n",
			(unsigned long long)totals->strangers);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "client", 1, NULL, 'c' },
		{ "sink", 1, NULL, 's' }, { "queued", 1, NULL, 'q' },
		{ "allow-duplicates", 1, NULL, 'a' }, { "json", 0, NULL, 'j' },
		{ "list-lost", 0, NULL, 'l' }, { "unknown", 1, NULL, 'u' },
		{ NULL, 0, NULL, 0 } };
	struct texts clients = { 0 }, sinks = { 0 };
	const struct totals *totals = &ledger.totals;
	bool is_balanced;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			texts_add(&clients, optarg, strlen(optarg));
			break;
		case 's':
			texts_add(&sinks, optarg, strlen(optarg));
			break;
		case 'q':
			ledger.queued = parse_number("--queued", optarg);
			break;
		case 'a':
			ledger.allowed_duplicates = parse_number("--allow-duplicates", optarg);
			break;
		case 'j':
			ledger.is_json = true;
			break;
		case 'l':
			ledger.lists_lost = true;
			break;
		case 'u':
			texts_add(&ledger.unknown, optarg, strlen(optarg));
			break;
		default:
			die_usage("see the head of outlast-ledger.c for the options");
		}
	}
	if (clients.count == 0 || sinks.count == 0 || optind != argc)
		die_usage("--client and --sink are needed");
	for (size_t i = 0; i < clients.count; i++)
		read_journal(clients.at[i], take_client_line);
	for (size_t i = 0; i < sinks.count; i++)
		read_journal(sinks.at[i], take_sink_line);
	texts_clear(&clients);
	texts_clear(&sinks);
	judge();
	is_balanced = totals->lost == 0 && totals->altered == 0 && totals->false_bounces == 0 &&
		      totals->double_notices == 0 && totals->refused_delivered == 0 &&
		      totals->duplicates - totals->in_doubt <= (uint64_t)ledger.allowed_duplicates;
	if (ledger.is_json)
		print_json(totals, is_balanced);
	else
		print_text(totals);
	return is_balanced ? 0 : 1;
}
