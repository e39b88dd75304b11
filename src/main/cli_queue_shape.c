/*
 * cli_queue_shape - the queue of today as a shape for `outlast simulate`: asked of the daemon, or of the queue file.
 *
 * What comes in is counted over the last ten minutes, two hours or day, whichever has enough; in a queue without a history (or
 * where nothing came) it is what --set messages= says. All of this is read only.
 */
#include <inttypes.h>
#include <string.h>

#include "cli_simulate.h"

#define ENOUGH 5000 /* messages tell how many come in a day */

struct found {
	json_t *row;
	unsigned count;
};

static void on_site(void *user, json_t *row)
{
	struct found *f = user;

	if (f->count++ == 0)
		f->row = json_incref(row);
}

/* The site of a domain, or a site by name. */
static int find_site(struct cli *cli, const char *key, const char *name, struct found *f)
{
	json_t *request = cli_request(cli, "sites");

	json_object_set_new(request, key, json_string(name));
	return cli_ask(cli, request, on_site, f, NULL);
}

static int count_mail(struct cli *cli, const char *site, const char *newer, uint64_t *messages)
{
	json_t *request = cli_request(cli, "list"), *filter = json_object(), *done;
	int status;

	if (site)
		json_object_set_new(filter, "site", json_string(site));
	json_object_set_new(filter, "newer", json_string(newer));
	json_object_set_new(filter, "state", json_string("any"));
	json_object_set_new(request, "filter", filter);
	json_object_set_new(request, "count", json_true());
	status = cli_ask(cli, request, NULL, NULL, &done);
	*messages = status == VERB_DONE ? (uint64_t)cli_number(done, "messages") : 0;
	json_decref(done);
	return status;
}

/* Messages a day, from as much of the past as has enough of them: counting must not take longer in a busy queue. */
static int count_per_day(struct cli *cli, const char *site, uint64_t *out)
{
	static const struct {
		const char *newer;
		uint64_t a_day;
	} pasts[] = { { "10m", 144 }, { "2h", 12 }, { "24h", 1 } };
	int status = VERB_DONE;

	*out = 0;
	for (size_t i = 0;
		i < sizeof(pasts) / sizeof(pasts[0]) && status == VERB_DONE && *out < ENOUGH; i++) {
		status = count_mail(cli, site, pasts[i].newer, out);
		if (*out >= ENOUGH) {
			*out *= pasts[i].a_day;
			break;
		}
	}
	return status;
}

static void read_site(const json_t *row, const char *name, struct sim_shape *s)
{
	struct str state = cli_text(row, "state");
	uint64_t bytes = (uint64_t)cli_number(row, "bytes");

	(void)snprintf(s->about, sizeof(s->about), "The queue of today, and %.100s", name);
	(void)snprintf(s->name, sizeof(s->name), "%.60s", name);
	s->is_live = true;
	s->backlog = (uint64_t)(cli_number(row, "ready") + cli_number(row, "waiting"));
	s->backlog_age_ms = cli_number(row, "oldest_age") * SECOND_MS;
	s->size_bytes = s->backlog ? (uint32_t)(bytes / s->backlog) : 10240;
	s->is_unknown = cli_seconds(row, "last_success") <= 0 &&
			!json_is_true(json_object_get(row, "declared"));
	if (str_equal(state, STR("down")))
		s->away_ms = s->backlog_age_ms > 0 ? s->backlog_age_ms : 1;
}

/* How long it has been away: from its first failure, by the clock that the queue was asked at. */
static void read_status(const json_t *status, const json_t *row, struct sim_shape *s)
{
	double now = cli_seconds(status, "now"), failed = cli_seconds(row, "first_failure");

	if (s->away_ms > 0 && failed > 0 && now > failed)
		s->away_ms = (int64_t)((now - failed) * 1000);
	s->queue_bytes =
		(uint64_t)(cli_number(status, "file_bytes") + cli_number(status, "wal_bytes"));
}

int cli_queue_shape(struct cli *cli, const char *name, struct sim_shape *s)
{
	struct found f = { .count = 0 };
	uint64_t per_day = 0, all_per_day = 0;
	json_t *queue = NULL;
	int status = find_site(cli, "hop", name, &f);

	if (status == VERB_DONE && f.count == 0)
		status = find_site(cli, "site", name, &f);
	if (status == VERB_DONE && f.count == 0) {
		cli_say("nothing waits for '%s', and this queue has not seen it lately; 'outlast "
			"sites' shows what "
			"it knows",
			name);
		return VERB_NO_MATCH;
	}
	const char *site = f.row ? json_string_value(json_object_get(f.row, "site")) : "";

	if (f.count > 1)
		cli_say("'%s' is more than one site; this is %s", name, site);
	if (status == VERB_DONE)
		status = cli_ask(cli, cli_request(cli, "status"), NULL, NULL, &queue);
	if (status == VERB_DONE)
		status = count_per_day(cli, site, &per_day);
	if (status == VERB_DONE)
		status = count_per_day(cli, NULL, &all_per_day);
	if (status == VERB_DONE) {
		const struct conf_policy *policy =
			conf_policy_for(cli->conf, str_from_c(name), str_from_c(site));

		read_site(f.row, name, s);
		read_status(queue, f.row, s);
		s->connections = policy->connections_max;
		s->messages = (uint64_t)((double)per_day * (double)s->outage_ms / (double)DAY_MS);
		s->others_per_day = all_per_day > per_day ? all_per_day - per_day : 0;
	}
	json_decref(queue);
	json_decref(f.row);
	return status;
}

static uint64_t share_of(const struct cli *cli, const struct sim_shape *s, uint64_t disk_bytes)
{
	const struct conf_policy *policy = conf_policy_for(cli->conf, str_from_c(s->name), STR(""));

	return disk_bytes / 100 * policy->site_share_percent;
}

void cli_queue_remarks(struct cli *cli, const struct sim_report *r)
{
	const struct sim_shape *s = &r->shape;
	json_t *queue = NULL;
	struct buf text;

	buf_init(&text, 4096);
	buf_printf(&text, "\nTaken from the queue: ");
	cli_append_count(&text, s->backlog);
	buf_append_str(&text, STR(" recipients wait for it, the oldest for "));
	instant_format_span(&text, s->backlog_age_ms);
	if (s->away_ms > 0) {
		buf_append_str(&text, STR("; it has been away for "));
		instant_format_span(&text, s->away_ms);
	}
	buf_append_str(&text, STR("; "));
	cli_append_count(
		&text, (uint64_t)((double)s->messages * (double)DAY_MS / (double)s->outage_ms));
	buf_append_str(&text, STR(" messages a day come for it, "));
	cli_append_count(&text, s->others_per_day);
	buf_append_str(&text, STR(" for others.\nAssumed: "));
	buf_printf(&text,
		"%" PRIu32 " connections as configured, %" PRId64 " ms one way, %" PRId64
		" ms before each reply; --set connections=, latency= and think= change that.\n",
		s->connections, s->latency_ms, s->think_ms);
	if (s->is_unknown)
		buf_append_str(&text, STR("It never accepted mail from here as far as is known: "
					  "lifetimes run on. "
					  "'outlast outage declare' changes that.\n"));
	if (cli_ask(cli, cli_request(cli, "status"), NULL, NULL, &queue) == VERB_DONE) {
		uint64_t used = (uint64_t)cli_number(queue, "file_bytes"),
			 free_bytes = (uint64_t)cli_number(queue, "disk_free_bytes");

		if (r->peak_disk_bytes > used && r->peak_disk_bytes - used > free_bytes) {
			buf_append_str(&text, STR("The disk does NOT hold that: "));
			cli_append_size(&text, free_bytes);
			buf_append_str(&text, STR(" are free.\n"));
		} else if (r->peak_disk_bytes > used &&
			   r->peak_disk_bytes - used > share_of(cli, s, used + free_bytes)) {
			buf_append_str(&text, STR("That is more than its share of the disk "
						  "(site-share): beyond it new "
						  "mail for it is refused with 452 4.3.1.\n"));
		}
	}
	json_decref(queue);
	(void)fputs(buf_cstr(&text), stdout);
	buf_fini(&text);
}

void cli_put_figures(const char *lines)
{
	for (const char *line = lines; *line;) {
		size_t len = strcspn(line, "\n");
		json_t *figures = json_loadb(line, len, 0, NULL), *value;
		const char *key;

		json_object_foreach(figures, key, value)
		{
			if (json_is_string(value) && *json_string_value(value))
				printf("variant %s\n", json_string_value(value));
			else if (json_is_integer(value))
				printf("  %-32s %" JSON_INTEGER_FORMAT "\n", key,
					json_integer_value(value));
		}
		json_decref(figures);
		line += len + (line[len] == '\n');
	}
}
