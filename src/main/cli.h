/*
 * cli - what the files of the command line share. Happy path: options become one request
 * (relay/verbs.h), cli_ask gets it answered by the daemon, or by the queue file when no daemon has
 * it, and each verb's file shows the rows.
 */
#ifndef MAIN_CLI_H
#define MAIN_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "relay/verbs.h"

enum cli_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_IDS, FORMAT_COUNT, FORMAT_MAILQ };

struct cli {
	const char *config_file;
	bool is_config_given;
	const char *socket; /* --socket, or NULL */
	struct conf *conf;
	const char *verb;
	char **operands; /* after the verb */
	int operand_count;
	json_t *filter; /* conditions given, without ids */
	const char *sort, *limit, *reason, *state;
	enum cli_format format;
	bool is_yes, is_dry_run, is_known_good, is_untold;
	json_t *play; /* options of simulate by name; "set" is an array */
	const char *since, *until, *note, *match; /* of outages */
	const char *file;                         /* of passwd, and: */
	bool is_delete, is_list, is_check;
	bool is_tty, has_color; /* of standard output */
	int columns;            /* its width */
	bool is_offline_said;
	bool is_conf_bad; /* said already */
};

/* cli_options_read - 0 to go on, else the exit status plus 1. */
int cli_options_read(struct cli *cli, int argc, char **argv);
/* cli_suggest - the name nearest to word, NULL when none is near. names end with NULL. */
const char *cli_suggest(const char *word, const char *const *names);
extern const char *const cli_verb_names[];

/* cli_say - one line to standard error, escaped: "outlast: ...". */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_load_conf(struct cli *cli); /* 0 or an exit status; says once what is wrong */

/* ---- asking ---- */
typedef void cli_row(void *user, json_t *row);
/* cli_request - {"verb":...}, with sort, limit and reason where given. Owns: the caller. */
json_t *cli_request(const struct cli *cli, const char *verb);
/* cli_ask - sends request (its reference is taken), calls on_row for each row, and gives what came
 * with "done" in *done (the caller's; NULL on errors; done may be NULL). Says what went wrong.
 * Returns an exit status. */
int cli_ask(struct cli *cli, json_t *request, cli_row *on_row, void *user, json_t **done);
bool cli_daemon_answers(struct cli *cli);
/* cli_offline - the same answered from the queue file. on_line gets answer lines. Returns an exit
 * status if there is no answer at all, else 0. */
int cli_offline(struct cli *cli, struct str request, bool is_change,
	void (*on_line)(void *user, struct str line), void *user);
/* cli_each_batch - the ids of the operands (and of standard input for "-") in batches, each as
 * "ids" of a filter that is a copy of cli->filter; one call without ids when there are no
 * operands. Returns the worst status. */
int cli_each_batch(
	struct cli *cli, int (*run)(struct cli *cli, json_t *filter, void *user), void *user);
bool cli_has_filter(const struct cli *cli);
/* cli_targets - operands, or the ids that match the filter: one target each to run. */
int cli_each_target(struct cli *cli, int (*run)(struct cli *cli, const char *target));
/* cli_worst - the more serious of two statuses. */
int cli_worst(int a, int b);

/* ---- showing ---- */
struct str cli_text(const json_t *object, const char *key);
int64_t cli_number(
	const json_t *object, const char *key); /* integers; reals are cut; 0 when absent */
double cli_seconds(const json_t *object, const char *key); /* instants; 0 when null */
void cli_put_json(const json_t *value);
/* cli_put_text - escaped for a terminal. */
void cli_put_text(struct str s);
void cli_append_span(struct buf *out, int64_t seconds);
void cli_append_size(struct buf *out, uint64_t bytes);
void cli_append_count(struct buf *out, uint64_t n); /* 4,210 */
void cli_append_time(
	struct buf *out, double seconds); /* local, "2023-01-24 09:15:00"; "never" for 0 */
enum cli_color { COLOR_NONE, COLOR_GOOD, COLOR_WARN, COLOR_BAD, COLOR_DIM, COLOR_BOLD };
void cli_color(const struct cli *cli, enum cli_color color);
/* cli_cell - one cell of a table: padded (width < 0: right-aligned) on a terminal, else followed
 * by a tab. The last of a line has width 0: on a terminal cut at its edge, after used columns; where those before
 * leave no room for it, in a line of its own. */
struct cli_line {
	const struct cli *cli;
	int used;
	bool has_cells;
};
void cli_cell(struct cli_line *line, struct str s, int width, enum cli_color color);
void cli_line_end(struct cli_line *line);
enum cli_color cli_state_color(struct str state);
/* cli_put_line - a label and a sentence; text is cleared. */
void cli_put_line(const struct cli *cli, const char *label, struct buf *text);
/* cli_outage_id - the number after "outage report" and its like; says so if there is none. */
bool cli_outage_id(const struct cli *cli, uint64_t *out);
/* cli_append_outage_name - what it is an outage of: "site mx.example", "libero.it", "all destinations". */
void cli_append_outage_name(struct buf *out, const json_t *outage);

/* ---- verbs ---- */
int cli_status(struct cli *cli);
int cli_list(struct cli *cli);
int cli_show(struct cli *cli);
int cli_log(struct cli *cli);
int cli_cat(struct cli *cli);
int cli_explain(struct cli *cli);
int cli_change(struct cli *cli);
int cli_sites(struct cli *cli);
int cli_probe(struct cli *cli);
int cli_policy(struct cli *cli);
int cli_tls(struct cli *cli);
int cli_import(struct cli *cli);
int cli_outages(struct cli *cli);
int cli_outage(struct cli *cli); /* declare, extend, end, report */
int cli_report(struct cli *cli);
int cli_text_verb(struct cli *cli); /* metrics, ping */
int cli_config(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_check_config(struct cli *cli);
int cli_salvage(struct cli *cli);
int cli_simulate(struct cli *cli);
int cli_passwd(struct cli *cli);
int cli_version(struct cli *cli);
void cli_help(FILE *out);

#endif
