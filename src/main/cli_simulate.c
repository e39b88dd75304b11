/*
 * cli_simulate - simulate: what an outage does, on virtual time, as a table, a plot, JSON and SVG.
 *
 * With --outage NAME=TIME the queue of today is asked what waits for that destination and how much comes in (cli_queue_shape);
 * else a scenario, or the outage of January 2023, is played. Nothing of the real queue is changed, and nothing is sent.
 * Exact runs make a queue of their own in a temporary directory, which is removed.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_simulate.h"

/* What is played exactly unless the other is asked for: some seconds. */
#define EXACT_MESSAGES 200000
#define DIFFERENCE_MAX 0.05
#define TEXT_MAX (16u << 20)

enum mode { MODE_ESTIMATE, MODE_EXACT, MODE_COMPARE };

struct playing {
	struct cli *cli;
	struct sim_shape shape;
	uint64_t seed;
	enum mode mode;
	char directory[64];
};

static const char *option(const struct cli *cli, const char *name)
{
	return json_string_value(json_object_get(cli->play, name));
}

/* ---- what is played ---- */

/* --size 1/100, or 2 */
static bool read_scale(struct playing *p, const char *text)
{
	struct str rest = str_from_c(text), first = str_cut(&rest, '/');
	uint64_t numerator, denominator = 1;

	if (str_to_u64(first, &numerator) != OK || numerator == 0 || numerator > 1000000 ||
		(rest.len > 0 && (str_to_u64(rest, &denominator) != OK || denominator == 0 ||
					 denominator > 1000000000)))
		return false;
	sim_shape_scale(&p->shape, numerator, denominator);
	return true;
}

static bool read_settings(struct playing *p)
{
	json_t *list = json_object_get(p->cli->play, "set"), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct str value = str_from_c(json_string_value(item)), key = str_cut(&value, '=');
		const char *why;

		if (!sim_shape_set(&p->shape, key, value, &why)) {
			cli_say("--set %s: %s", json_string_value(item), why);
			return false;
		}
	}
	return true;
}

/* --outage [NAME=]TIME */
static int read_outage(struct playing *p, const char *text)
{
	const char *equals = strrchr(text, '='), *why;
	char name[256];

	if (!sim_shape_set(
		    &p->shape, STR("outage"), str_from_c(equals ? equals + 1 : text), &why) ||
		p->shape.outage_ms <= 0) {
		cli_say("--outage %s: write SITE=TIME or DOMAIN=TIME, with a time like 90m, 12h or "
			"3d",
			text);
		return VERB_USAGE;
	}
	if (!equals)
		return VERB_DONE;
	if ((size_t)(equals - text) >= sizeof(name) || equals == text) {
		cli_say("--outage: which destination? 'outlast sites' shows them");
		return VERB_USAGE;
	}
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	return cli_queue_shape(p->cli, name, &p->shape);
}

static bool read_mode(struct playing *p)
{
	bool is_exact = option(p->cli, "exact"), is_estimate = option(p->cli, "estimate"),
	     is_compare = option(p->cli, "compare");
	uint64_t messages = sim_shape_messages(&p->shape);

	if (is_exact + is_estimate + is_compare > 1) {
		cli_say("--exact, --estimate and --compare exclude each other");
		return false;
	}
	p->mode = is_compare                                                     ? MODE_COMPARE
		  : is_exact                                                     ? MODE_EXACT
		  : is_estimate || messages > EXACT_MESSAGES || p->shape.is_live ? MODE_ESTIMATE
										 : MODE_EXACT;
	if (p->mode == MODE_ESTIMATE)
		return true;
	if (p->shape.is_live) {
		cli_say("the queue of today can only be estimated");
		return false;
	}
	if (messages > SIM_EXACT_MESSAGES_MAX) {
		cli_say("about %" PRIu64 " messages are too many to be played one by one; "
			"at most %d are: try --size 1/100, or --estimate",
			messages, SIM_EXACT_MESSAGES_MAX);
		return false;
	}
	return true;
}

static int read_shape(struct playing *p)
{
	const char *file = option(p->cli, "scenario"), *outage = option(p->cli, "outage"),
		   *size = json_string_value(json_object_get(p->cli->filter, "size")),
		   *seed = option(p->cli, "seed");
	struct buf message;
	bool is_shape = true, is_good = true;
	int status = VERB_DONE;

	p->seed = 1;
	if (seed && str_to_u64(str_from_c(seed), &p->seed) != OK) {
		cli_say("--seed takes a number");
		return VERB_USAGE;
	}
	sim_shape_default(&p->shape);
	buf_init(&message, 4096);
	if (file)
		is_good = sim_shape_read(&p->shape, file, &is_shape, &message);
	if (!is_good)
		cli_say("%s", buf_cstr(&message));
	buf_fini(&message);
	if (!is_good)
		return VERB_DATA;
	if (!is_shape)
		return VERB_NO_MATCH; /* a scenario of the other kind */
	if (outage)
		status = read_outage(p, outage);
	if (status != VERB_DONE)
		return status;
	if (!read_settings(p))
		return VERB_USAGE;
	if (size && !read_scale(p, size)) {
		cli_say("--size takes a factor: 1/100, or 2");
		return VERB_USAGE;
	}
	return read_mode(p) ? VERB_DONE : VERB_USAGE;
}

/* ---- a directory for the simulated queue ---- */

static bool make_directory(struct playing *p)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(p->directory, sizeof(p->directory), "%s/outlast-simulate-XXXXXX", base);
	if (mkdtemp(p->directory))
		return true;
	cli_say("no directory can be made in %s", base);
	return false;
}

static void empty_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		char name[512];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		(void)unlink(name);
	}
	if (d)
		(void)closedir(d);
}

/* Queues lie in it, or in directories of it. */
static void remove_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		char name[512];
		struct stat st;

		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.' && lstat(name, &st) == 0 && S_ISDIR(st.st_mode)) {
			empty_directory(name);
			(void)rmdir(name);
		}
	}
	if (d)
		(void)closedir(d);
	empty_directory(path);
	(void)rmdir(path);
}

/* ---- what is shown ---- */

static void put_rows(const struct sim_report *a, const struct sim_report *b)
{
	struct sim_row rows[SIM_ROWS_MAX], others[SIM_ROWS_MAX];
	uint32_t count = sim_report_rows(a, rows);

	if (b)
		(void)sim_report_rows(b, others);
	for (uint32_t i = 0; i < count; i++) {
		struct buf value, other;

		buf_init(&value, 128);
		buf_init(&other, 128);
		sim_row_format(&rows[i], &value);
		printf("%-42s %18s", rows[i].what, buf_cstr(&value));
		if (b) {
			double differ = sim_rows_differ(&rows[i], &others[i]);

			sim_row_format(&others[i], &other);
			printf(" %18s", buf_cstr(&other));
			if (rows[i].is_compared)
				printf(" %6.1f %%%s", 100 * differ,
					differ > DIFFERENCE_MAX ? "  MORE THAN 5 %" : "");
		}
		(void)putchar('\n');
		buf_fini(&value);
		buf_fini(&other);
	}
}

static void put_text(
	const struct playing *p, const struct sim_report *a, const struct sim_report *b)
{
	const struct sim_shape *s = &p->shape;
	struct buf text;

	buf_init(&text, TEXT_MAX);
	buf_append_safe(&text, str_from_c(s->about));
	buf_append_str(&text, STR(": away for "));
	instant_format_span(&text, s->outage_ms);
	printf("%s\n", buf_cstr(&text));
	buf_clear(&text);
	if (b)
		printf("\n%-42s %18s %18s %8s\n", "", "exact", "estimate", "differ");
	else
		printf("%s\n\n", a->is_estimate ? "An ESTIMATE by cohorts; no message was played."
						: "Played exactly, message by message.");
	put_rows(a, b);
	(void)setlocale(LC_CTYPE, "");
	sim_plot_text(
		a, (unsigned)p->cli->columns, strcmp(nl_langinfo(CODESET), "UTF-8") == 0, &text);
	printf("\n%s", buf_cstr(&text));
	buf_fini(&text);
	if (s->is_live)
		cli_queue_remarks(p->cli, a);
}

static int put_svg(const char *file, const struct sim_report *r)
{
	struct buf text;
	FILE *out = fopen(file, "w");
	bool is_written;

	if (!out) {
		cli_say("%s cannot be written: %s", file, strerror(errno));
		return VERB_TEMPORARY;
	}
	buf_init(&text, TEXT_MAX);
	sim_plot_svg(r, &text);
	is_written = fwrite(text.data, 1, text.len, out) == text.len;
	is_written = fclose(out) == 0 && is_written;
	buf_fini(&text);
	if (!is_written)
		cli_say("%s could not be written whole", file);
	return is_written ? VERB_DONE : VERB_TEMPORARY;
}

static void put_json(const struct sim_report *r)
{
	struct buf text;

	buf_init(&text, TEXT_MAX);
	sim_report_json(r, &text);
	(void)fputs(buf_cstr(&text), stdout);
	buf_fini(&text);
}

static int show(struct playing *p, const struct sim_report *a, const struct sim_report *b)
{
	const char *svg = option(p->cli, "svg");
	struct sim_row rows[SIM_ROWS_MAX], others[SIM_ROWS_MAX];
	uint32_t count = sim_report_rows(a, rows);
	int status = svg ? put_svg(svg, a) : VERB_DONE;

	if (p->cli->format == FORMAT_JSON) {
		put_json(a);
		if (b)
			put_json(b);
	} else {
		put_text(p, a, b);
	}
	if (!b || status != VERB_DONE)
		return status;
	(void)sim_report_rows(b, others);
	for (uint32_t i = 0; i < count; i++)
		if (rows[i].is_compared && sim_rows_differ(&rows[i], &others[i]) > DIFFERENCE_MAX)
			status = VERB_PART_FAILED;
	return status;
}

/* ---- playing ---- */

static int play_shape(struct playing *p)
{
	struct sim_report exact = { .is_estimate = false }, estimate = { .is_estimate = true };
	struct buf message;
	int status = VERB_DONE;

	buf_init(&message, 4096);
	if (p->mode != MODE_EXACT)
		sim_estimate(&p->shape, p->cli->conf, p->seed, &estimate);
	if (p->mode != MODE_ESTIMATE) {
		if (!make_directory(p)) {
			status = VERB_TEMPORARY;
		} else if (!sim_exact(&p->shape, p->cli->conf, p->seed, p->directory, &exact,
				   &message)) {
			cli_say("%s", buf_cstr(&message));
			status = VERB_BUG;
		}
		remove_directory(p->directory);
	}
	if (status == VERB_DONE)
		status = show(p, p->mode == MODE_ESTIMATE ? &estimate : &exact,
			p->mode == MODE_COMPARE ? &estimate : NULL);
	sim_report_fini(&exact);
	sim_report_fini(&estimate);
	buf_fini(&message);
	return status;
}

/* A scenario of the test language: its figures, and whether its expectations hold. */
static int play_scenario(struct playing *p)
{
	struct buf figures;
	unsigned failed;

	if (!make_directory(p))
		return VERB_TEMPORARY;
	buf_init(&figures, TEXT_MAX);
	failed = sim_scenario(option(p->cli, "scenario"), p->seed, p->directory, &figures);
	remove_directory(p->directory);
	if (p->cli->format == FORMAT_JSON)
		(void)fputs(buf_cstr(&figures), stdout);
	else
		cli_put_figures(buf_cstr(&figures));
	if (p->cli->format != FORMAT_JSON)
		printf("%s\n", failed ? "Some of what the scenario expects does not hold."
				      : "Everything that the scenario expects holds.");
	buf_fini(&figures);
	return failed ? VERB_PART_FAILED : VERB_DONE;
}

int cli_simulate(struct cli *cli)
{
	struct playing p = { .cli = cli };
	int status;

	if (cli->operand_count) {
		cli_say("simulate takes options only: --outage, --scenario, --size, --set");
		return VERB_USAGE;
	}
	status = cli_load_conf(cli);
	if (status)
		return status;
	status = read_shape(&p);
	if (status == VERB_NO_MATCH && option(cli, "scenario"))
		return play_scenario(&p);
	return status == VERB_DONE ? play_shape(&p) : status;
}
