/*
 * cli_import - import --known-good: mail logs of another relay tell which domains and mailboxes took mail, and when last.
 *
 * So a new installation knows from its first minute what an old one had learned: what is dead now and worked before has
 * an outage, not a wrong address. Logs are read once, line by line; what was learned is sent in requests of
 * bounded size, early when there are very many mailboxes. Nothing is sent with --dry-run.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli.h"
#include "mail/sent_log.h"
#include "os/os_env.h"

enum { NAMES_HELD_MAX = 200000, REQUEST_NAMES_MAX = 5000, REQUEST_BYTES_MAX = 512 << 10 };

struct seen {
	struct map_entry entry;
	int64_t at; /* seconds since 1970 */
};

struct import {
	struct cli *cli;
	struct map domains, mailboxes;
	struct arena arena;
	struct tm now;
	uint64_t lines, sent, near;
	uint64_t domain_count, mailbox_count, left_out;
	bool is_file_bad;
	int status;
};

static void read_file(struct import *m, const char *name);
static void read_line(struct import *m, struct str line);
static int64_t seconds_of(const struct import *m, const struct sent_date *date);
static void note(struct import *m, struct map *map, struct str name, int64_t at);
static void flush(struct import *m);
static void send_map(struct import *m, const struct map *map, const char *key);
static void send_batch(struct import *m, const char *key, json_t *list);
static void put_result(const struct import *m);

int cli_import(struct cli *cli)
{
	struct import m = { .cli = cli, .status = VERB_DONE };
	time_t now = (time_t)(os_real_ms() / 1000);

	if (!cli->is_known_good || !cli->operand_count) {
		cli_say("import --known-good FILE...: which mail logs? - is standard input");
		return VERB_USAGE;
	}
	if (!localtime_r(&now, &m.now))
		m.now.tm_year = 70;
	/* Names in logs come from outside: the address of the state is a seed they cannot know. */
	map_init(&m.domains, (uint64_t)(uintptr_t)&m * 0x9e3779b97f4a7c15u);
	map_init(&m.mailboxes, (uint64_t)(uintptr_t)&m * 0x9e3779b97f4a7c15u);
	for (int i = 0; i < cli->operand_count && m.status == VERB_DONE; i++)
		read_file(&m, cli->operands[i]);
	flush(&m);
	map_fini(&m.domains);
	map_fini(&m.mailboxes);
	arena_fini(&m.arena);
	if (m.status != VERB_DONE)
		return m.status;
	put_result(&m);
	if (!m.domain_count)
		return m.is_file_bad ? VERB_DATA : VERB_NO_MATCH;
	return m.is_file_bad ? VERB_PART_FAILED : VERB_DONE;
}

static void read_file(struct import *m, const char *name)
{
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(name, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	bool is_first = true;

	if (!file) {
		cli_say("%s: %s", name, strerror(errno));
		m->is_file_bad = true;
		return;
	}
	while (m->status == VERB_DONE && (len = getline(&line, &cap, file)) > 0) {
		struct str text = str_of(line, (size_t)len);

		m->lines++;
		if (is_first && str_starts_fold(text, STR("\x1f\x8b"))) {
			cli_say("%s is compressed: zcat %s | outlast import --known-good -", name,
				name);
			m->is_file_bad = true;
			break;
		}
		is_first = false;
		read_line(m,
			text.data[text.len - 1] == '\n' ? str_slice(text, 0, text.len - 1) : text);
	}
	if (ferror(file)) {
		cli_say("%s: %s", name, strerror(errno));
		m->is_file_bad = true;
	}
	free(line);
	if (!is_stdin)
		(void)fclose(file);
}

static void read_line(struct import *m, struct str line)
{
	struct sent_line sent;
	struct arena scratch = { 0 };

	if (!sent_log_read(line, &sent))
		return;
	m->sent++;
	if (sent.is_near) {
		m->near++;
		return;
	}
	int64_t at = seconds_of(m, &sent.date);
	struct str domain = arena_lower(&scratch, sent.domain);
	struct str local = str_slice(sent.address, 0, sent.address.len - sent.domain.len);
	struct str mailbox = arena_printf(&scratch, "%.*s%.*s", STR_FMT(local), STR_FMT(domain));
	note(m, &m->domains, domain, at);
	note(m, &m->mailboxes, mailbox, at);
	arena_fini(&scratch);
	if (m->domains.count + m->mailboxes.count >= NAMES_HELD_MAX)
		flush(m);
}

static int64_t seconds_of(const struct import *m, const struct sent_date *date)
{
	struct tm tm = {
		.tm_year = sent_date_year(
				   date, m->now.tm_year + 1900, m->now.tm_mon + 1, m->now.tm_mday) -
			   1900,
		.tm_mon = date->month - 1,
		.tm_mday = date->day,
		.tm_hour = date->hour,
		.tm_min = date->minute,
		.tm_sec = date->second,
		.tm_isdst = -1,
	};
	int64_t at = date->has_zone ? (int64_t)timegm(&tm) - 60 * date->zone_minutes
				    : (int64_t)mktime(&tm);

	return at > 0 ? at : 1;
}

static void note(struct import *m, struct map *map, struct str name, int64_t at)
{
	struct map_entry *e = map_find(map, name);
	struct seen *seen = e ? CONTAINER_OF(e, struct seen, entry) : NULL;

	if (!seen) {
		seen = arena_alloc(&m->arena, sizeof(*seen));
		map_insert(map, &seen->entry, arena_dup(&m->arena, name));
	}
	if (seen->at < at)
		seen->at = at;
}

static void forget(struct map *map)
{
	for (struct map_entry *e; (e = map_first(map));)
		map_remove(map, e);
}

static void flush(struct import *m)
{
	if (m->cli->is_dry_run) {
		m->domain_count += m->domains.count;
		m->mailbox_count += m->mailboxes.count;
	} else {
		send_map(m, &m->domains, "domains");
		send_map(m, &m->mailboxes, "mailboxes");
	}
	forget(&m->domains);
	forget(&m->mailboxes);
	arena_fini(&m->arena);
}

static void send_map(struct import *m, const struct map *map, const char *key)
{
	json_t *list = json_array();
	size_t bytes = 0;

	for (struct map_entry *e = map_first(map); e && m->status == VERB_DONE;
		e = map_next(map, e)) {
		const struct seen *seen = CONTAINER_OF(e, struct seen, entry);

		json_array_append_new(
			list, json_pack("[s%I]", e->key.data, e->key.len, (json_int_t)seen->at));
		/* a control octet is six octets of JSON */
		bytes += 6 * e->key.len + 32;
		if (bytes < REQUEST_BYTES_MAX && json_array_size(list) < REQUEST_NAMES_MAX)
			continue;
		send_batch(m, key, list);
		list = json_array();
		bytes = 0;
	}
	if (json_array_size(list) && m->status == VERB_DONE)
		send_batch(m, key, list);
	else
		json_decref(list);
}

static void send_batch(struct import *m, const char *key, json_t *list)
{
	json_t *request = cli_request(m->cli, "import"), *done = NULL;

	json_object_set_new(request, key, list);
	m->status = cli_ask(m->cli, request, NULL, NULL, &done);
	m->domain_count += (uint64_t)cli_number(done, "domains");
	m->mailbox_count += (uint64_t)cli_number(done, "mailboxes");
	m->left_out += (uint64_t)cli_number(done, "left_out");
	json_decref(done);
}

static void put_count(struct buf *text, uint64_t n, const char *one, const char *many)
{
	cli_append_count(text, n);
	buf_printf(text, " %s", n == 1 ? one : many);
}

static void put_result(const struct import *m)
{
	struct buf text;

	if (m->cli->format == FORMAT_JSON) {
		json_t *o = json_pack("{sI sI sI sI sI sI sb}", "lines", (json_int_t)m->lines,
			"sent", (json_int_t)m->sent, "own_relay", (json_int_t)m->near, "domains",
			(json_int_t)m->domain_count, "mailboxes", (json_int_t)m->mailbox_count,
			"left_out", (json_int_t)m->left_out, "dry_run", (int)m->cli->is_dry_run);
		cli_put_json(o);
		json_decref(o);
		return;
	}
	buf_init(&text, 1024);
	put_count(&text, m->lines, "line read, ", "lines read, ");
	put_count(&text, m->sent, "says that mail was sent.", "say that mail was sent.");
	buf_append_str(
		&text, m->cli->is_dry_run ? STR("\nWould be known good: ") : STR("\nKnown good: "));
	put_count(&text, m->domain_count, "domain", "domains");
	buf_append_str(&text, STR(", "));
	put_count(&text, m->mailbox_count, "mailbox.", "mailboxes.");
	if (m->near) {
		buf_append_str(&text, STR("\nIgnored: "));
		put_count(&text, m->near, "line", "lines");
		buf_append_str(&text, STR(" of mail that a relay of your own took: it says nothing "
					  "of the destination."));
	}
	if (m->left_out) {
		buf_append_str(&text, STR("\nLeft out: "));
		put_count(&text, m->left_out, "name", "names");
		buf_append_str(&text,
			STR(" that cannot be remembered; mailboxes need the running daemon."));
	}
	(void)puts(buf_cstr(&text));
	buf_fini(&text);
}
