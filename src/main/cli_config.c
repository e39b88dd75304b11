/*
 * cli_config - config show, config diff, reload: the configuration in effect, another one, and what the step from one to
 * the other does to the mail that waits.
 *
 * The settings are compared here, as texts; the mail is counted by whoever has the queue. A file that cannot be
 * read here may still be read by the daemon: reload then goes on without saying what changes.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "conf/diff.h"

enum { CONFIG_MAX_BYTES = 4 << 20, HOPS_SHOWN = 10 };

struct hop_fate {
	char name[256];
	int64_t over, kept;
};

struct change {
	struct cli *cli;
	json_t *settings;                 /* [{"name", "old", "new"}] */
	struct hop_fate hops[HOPS_SHOWN]; /* most first */
	size_t hop_count;
	uint64_t hops_in_all;
	int64_t over, kept;
	bool is_partial, is_counted;
};

static int show(struct cli *cli);
static int show_file(struct cli *cli);
static int diff(struct cli *cli);
static int compare(struct change *c, struct str old_text, const struct conf *next);
static void note_setting(void *user, struct str name, struct str old_value, struct str new_value);
static json_t *fate_request(struct cli *cli, const struct conf *next);
static json_t *policy_json(const struct conf_policy *policy);
static void on_fate(void *user, json_t *row);
static void put_change(const struct change *c);
static void put_change_json(const struct change *c);
static void put_fate(const struct change *c);
static int preview_reload(struct cli *cli, struct change *c);
static bool may_reload(struct cli *cli, const struct change *c);

int cli_config(struct cli *cli)
{
	const char *word = cli->operand_count ? cli->operands[0] : "show";
	static const char *const words[] = { "show", "diff", NULL };

	if (strcmp(word, "show") == 0 && cli->operand_count <= 1)
		return show(cli);
	if (strcmp(word, "diff") == 0 && cli->operand_count <= 2)
		return diff(cli);
	const char *near = cli_suggest(word, words);
	if (strcmp(word, "show") == 0 || strcmp(word, "diff") == 0)
		cli_say("config show takes no file, config diff takes one");
	else if (near)
		cli_say("config: there is no '%s'; did you mean '%s'?", word, near);
	else
		cli_say("config: the words are 'show' and 'diff'");
	return VERB_USAGE;
}

static int show(struct cli *cli)
{
	json_t *done;

	if (!cli_daemon_answers(cli))
		return show_file(cli);
	int status = cli_ask(cli, cli_request(cli, "config"), NULL, NULL, &done);
	if (status == VERB_DONE && cli->format == FORMAT_JSON)
		cli_put_json(done);
	else if (status == VERB_DONE)
		(void)fputs(json_string_value(json_object_get(done, "text")), stdout);
	json_decref(done);
	return status;
}

/* Without a daemon: what it would run with. */
static int show_file(struct cli *cli)
{
	struct buf text;
	int status = cli_load_conf(cli);

	if (status)
		return status;
	cli_say("no daemon answers; this is what %s says", cli->config_file);
	buf_init(&text, CONFIG_MAX_BYTES);
	conf_print(&text, cli->conf);
	(void)fputs(buf_cstr(&text), stdout);
	buf_fini(&text);
	return VERB_DONE;
}

/* ---- diff ---- */

static enum err load_file(const char *file, struct conf **out, bool is_said)
{
	struct buf message;

	buf_init(&message, 1 << 20);
	enum err err = conf_load(file, out, &message);
	if (err != OK && is_said)
		cli_say("%s", buf_cstr(&message));
	buf_fini(&message);
	return err;
}

/* The daemon's own file, where it can be told; else the one of this command. */
static const char *file_of(const struct cli *cli, const json_t *config)
{
	const char *file = json_string_value(json_object_get(config, "file"));

	return file && file[0] == '/' && !cli->is_config_given ? file : cli->config_file;
}

static int diff(struct cli *cli)
{
	const char *file = cli->operand_count == 2 ? cli->operands[1] : NULL;
	struct change c = { .cli = cli, .settings = json_array() };
	json_t *config = NULL;
	struct conf *next = NULL;
	struct buf text;
	int status = VERB_DONE;

	buf_init(&text, CONFIG_MAX_BYTES);
	if (cli_daemon_answers(cli)) {
		status = cli_ask(cli, cli_request(cli, "config"), NULL, NULL, &config);
		buf_append_str(&text, cli_text(config, "text"));
		file = file ? file : file_of(cli, config);
	} else if (!file && cli_load_conf(cli) != 0) {
		status = VERB_DATA;
	} else if (!file) {
		cli_say("no daemon answers: nothing is in effect that %s could be compared with; "
			"name "
			"another file",
			cli->config_file);
		status = VERB_UNREACHABLE;
	} else {
		status = cli_load_conf(cli);
		if (status == 0)
			conf_print(&text, cli->conf);
	}
	if (status == VERB_DONE && load_file(file, &next, true) != OK)
		status = VERB_DATA;
	if (status == VERB_DONE)
		status = compare(&c, buf_str(&text), next);
	if (status == VERB_DONE) {
		if (cli->format == FORMAT_JSON)
			put_change_json(&c);
		else
			put_change(&c);
		status = json_array_size(c.settings) ? VERB_DONE : VERB_NO_MATCH;
	}
	conf_unref(next);
	buf_fini(&text);
	json_decref(config);
	json_decref(c.settings);
	return status;
}

static int compare(struct change *c, struct str old_text, const struct conf *next)
{
	json_t *done = NULL;
	struct buf text;

	buf_init(&text, CONFIG_MAX_BYTES);
	conf_print(&text, next);
	/* The first that matches counts: their order is a setting too. */
	if (conf_diff(old_text, buf_str(&text), note_setting, c) == 0 &&
		!str_equal(old_text, buf_str(&text)))
		note_setting(c, STR("the order of entries"), STR("as it was"), STR("another"));
	buf_fini(&text);
	if (!json_array_size(c->settings))
		return VERB_DONE;
	int status = cli_ask(c->cli, fate_request(c->cli, next), on_fate, c, &done);
	c->is_counted = status == VERB_DONE;
	c->over = cli_number(done, "over");
	c->kept = cli_number(done, "kept");
	c->is_partial = json_is_true(json_object_get(done, "partial"));
	json_decref(done);
	return status;
}

static void note_setting(void *user, struct str name, struct str old_value, struct str new_value)
{
	struct change *c = user;
	json_t *o = json_object();

	json_object_set_new(o, "name", json_stringn(name.data, name.len));
	json_object_set_new(o, "old",
		old_value.len ? json_stringn(old_value.data, old_value.len) : json_null());
	json_object_set_new(o, "new",
		new_value.len ? json_stringn(new_value.data, new_value.len) : json_null());
	json_array_append_new(c->settings, o);
}

static json_t *fate_request(struct cli *cli, const struct conf *next)
{
	json_t *request = cli_request(cli, "fate"), *list = json_array();

	json_object_del(request, "limit");
	json_object_set_new(request, "policy", policy_json(&next->policy));
	for (uint32_t i = 0; i < next->destination_count; i++) {
		const struct conf_destination *d = &next->destinations[i];
		json_t *o = policy_json(&d->policy);

		json_object_set_new(o, "match", json_stringn(d->pattern.data, d->pattern.len));
		json_object_set_new(o, "mx", json_boolean(d->is_mx));
		json_array_append_new(list, o);
	}
	json_object_set_new(request, "destinations", list);
	return request;
}

static json_t *policy_json(const struct conf_policy *policy)
{
	return json_pack("{sI sI sI}", "lifetime_ms", (json_int_t)policy->lifetime_ms,
		"lifetime_max_ms", (json_int_t)policy->lifetime_max_ms, "bounce_lifetime_ms",
		(json_int_t)policy->bounce_lifetime_ms);
}

/* The HOPS_SHOWN with the most stay, in order. */
static void on_fate(void *user, json_t *row)
{
	struct change *c = user;
	struct hop_fate fate = { .over = cli_number(row, "over"), .kept = cli_number(row, "kept") };
	struct str name = str_slice(cli_text(row, "hop"), 0, sizeof(fate.name) - 1);
	size_t at = c->hop_count;

	memcpy(fate.name, name.data, name.len);
	c->hops_in_all++;
	while (at > 0 && c->hops[at - 1].over + c->hops[at - 1].kept < fate.over + fate.kept)
		at--;
	if (at == HOPS_SHOWN)
		return;
	size_t last = c->hop_count < HOPS_SHOWN ? c->hop_count++ : HOPS_SHOWN - 1;
	memmove(&c->hops[at + 1], &c->hops[at], (last - at) * sizeof(fate));
	c->hops[at] = fate;
}

static void put_change(const struct change *c)
{
	size_t i;
	json_t *setting;

	if (!json_array_size(c->settings)) {
		(void)puts("No setting differs.");
		return;
	}
	json_array_foreach(c->settings, i, setting)
	{
		struct str old_value = cli_text(setting, "old"),
			   new_value = cli_text(setting, "new");

		cli_put_text(cli_text(setting, "name"));
		(void)fputs(": ", stdout);
		cli_put_text(old_value.len ? old_value : STR("(none)"));
		(void)fputs(" -> ", stdout);
		cli_put_text(new_value.len ? new_value : STR("(none)"));
		(void)putchar('\n');
	}
	put_fate(c);
}

static void put_fate(const struct change *c)
{
	const char *least = c->is_partial ? "at least " : "";

	if (!c->is_counted)
		return;
	if (!c->over && !c->kept) {
		printf("No mail that waits changes its fate%s.\n",
			c->is_partial ? ", among what was looked at" : "");
		return;
	}
	if (c->over)
		printf("OVER AT ONCE: %s%" PRId64
		       " recipients have waited longer than the new lifetime; each "
		       "returns to its sender when its next attempt fails\n",
			least, c->over);
	if (c->kept)
		printf("Kept longer: %s%" PRId64 " recipients whose time is over now\n", least,
			c->kept);
	for (size_t i = 0; i < c->hop_count; i++) {
		struct cli_line line = { .cli = c->cli };
		struct buf text;

		buf_init(&text, 256);
		cli_cell(&line, STR(""), 2, COLOR_NONE);
		buf_printf(&text, "%" PRId64 " over", c->hops[i].over);
		cli_cell(&line, buf_str(&text), -12, c->hops[i].over ? COLOR_WARN : COLOR_NONE);
		buf_clear(&text);
		buf_printf(&text, "%" PRId64 " kept", c->hops[i].kept);
		cli_cell(&line, buf_str(&text), -12, COLOR_NONE);
		cli_cell(&line, str_from_c(c->hops[i].name), 0, COLOR_NONE);
		cli_line_end(&line);
		buf_fini(&text);
	}
	if (c->hops_in_all > c->hop_count)
		printf("  and %" PRIu64 " more next hops\n", c->hops_in_all - c->hop_count);
}

static void put_change_json(const struct change *c)
{
	json_t *o = json_pack("{sO sI sI sb}", "settings", c->settings, "over", (json_int_t)c->over,
		"kept", (json_int_t)c->kept, "partial", (int)c->is_partial);
	json_t *hops = json_array();

	for (size_t i = 0; i < c->hop_count; i++)
		json_array_append_new(hops,
			json_pack("{ss sI sI}", "hop", c->hops[i].name, "over",
				(json_int_t)c->hops[i].over, "kept", (json_int_t)c->hops[i].kept));
	json_object_set_new(o, "hops", hops);
	cli_put_json(o);
	json_decref(o);
}

/* ---- reload ---- */

int cli_reload(struct cli *cli)
{
	struct change c = { .cli = cli, .settings = json_array() };
	json_t *done = NULL;
	int status = VERB_DONE;

	if (cli->operand_count) {
		cli_say("reload takes no operands; 'outlast config diff FILE' compares with "
			"another file");
		status = VERB_USAGE;
	} else {
		status = preview_reload(cli, &c);
	}
	if (status == VERB_DONE && !cli->is_dry_run) {
		status = cli_ask(cli, cli_request(cli, "reload"), NULL, NULL, &done);
		if (status == VERB_DONE && cli->format == FORMAT_JSON)
			cli_put_json(done);
		else if (status == VERB_DONE)
			(void)puts("The new configuration is in effect.");
	}
	json_decref(done);
	json_decref(c.settings);
	return status;
}

/* VERB_USAGE: the operator said no, or has to say so. What else fails here stands in the way of a dry run only: of the file
 * the daemon judges. */
static int preview_reload(struct cli *cli, struct change *c)
{
	json_t *config = NULL;
	struct conf *next = NULL;
	int status = cli_daemon_answers(cli) ? VERB_DONE
		     : cli->is_conf_bad      ? VERB_DATA
					     : VERB_UNREACHABLE;

	if (status == VERB_UNREACHABLE && cli->is_dry_run)
		cli_say("no daemon answers that could reload");
	if (status == VERB_DONE)
		status = cli_ask(cli, cli_request(cli, "config"), NULL, NULL, &config);
	if (status == VERB_DONE) {
		const char *file = file_of(cli, config);
		enum err err = load_file(file, &next, cli->is_dry_run);

		if (!cli->is_dry_run && (err == ERR_PERMISSION || err == ERR_NOT_FOUND))
			cli_say("%s cannot be read here: what changes is not shown", file);
		status = err == OK ? compare(c, cli_text(config, "text"), next) : VERB_DATA;
	}
	bool is_compared = status == VERB_DONE;
	if (is_compared && cli->format != FORMAT_JSON)
		put_change(c);
	else if (is_compared && cli->is_dry_run)
		put_change_json(c);
	conf_unref(next);
	json_decref(config);
	if (is_compared)
		return may_reload(cli, c) ? VERB_DONE : VERB_USAGE;
	return cli->is_dry_run ? status : VERB_DONE;
}

static bool may_reload(struct cli *cli, const struct change *c)
{
	char answer[16];

	if (!c->over || cli->is_yes || cli->is_dry_run)
		return true;
	if (!isatty(STDIN_FILENO) || !cli->is_tty) {
		cli_say("reload needs --yes here: %" PRId64 " recipients would be over at once",
			c->over);
		return false;
	}
	(void)fputs("Reload? [y/N] ", stdout);
	(void)fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	cli_say("nothing was changed");
	return false;
}
