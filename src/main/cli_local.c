/* cli_local - verbs with little to show, and those that need no daemon: check-config, salvage,
 * version, help. */
#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "store/store_sqlite.h"

static void on_text_done(struct cli *cli, const json_t *done);

static const char help[] =
	"usage: outlast [-c FILE] [--socket PATH] [VERB] [OPTION...] [ID...|-]\n"
	"\n"
	"Look:    status (the default)    the relay on one screen\n"
	"         list                    messages that match; --json --ids --count --mailq\n"
	"         show, cat, log ID       a message, its content, every attempt\n"
	"         explain ID|DOMAIN       why it waits, and what happens next\n"
	"         sites [GLOB]            destinations: state, evidence, backlog, next probe\n"
	"         outages [--all]         what is out, since when, what waits; outage report ID\n"
	"         policy [DOMAIN]         when mail is tried again, given up, reported; what falls short\n"
	"         tls [DOMAIN]            how its mail is secured: DANE, MTA-STS policy, until when\n"
	"         config show, config diff [FILE]   settings in effect; what others would change\n"
	"         metrics, ping, version\n"
	"Act:     retry, hold, release, delete   --dry-run --yes --reason TEXT\n"
	"         revive                  failed mail waits again; --untold: whose sender knows nothing yet\n"
	"         probe SITE|DOMAIN       try a destination now\n"
	"         outage declare DOMAIN|--site NAME|--match GLOB   --since --until --note TEXT\n"
	"         outage extend ID --until WHEN, outage end ID\n"
	"         import --known-good LOG...   what another relay's mail logs say of destinations\n"
	"         reload                  read the configuration again\n"
	"         check-config            say what is wrong with the file\n"
	"         salvage DIR OUT         files out of a damaged queue\n"
	"         passwd USER             who may log in; --file FILE --delete --list --check\n"
	"Ask:     simulate                what an outage would do to this queue, or to any: --json --svg FILE\n"
	"         --outage SITE|DOMAIN=3d, --scenario FILE, --size 1/100, --set KEY=VALUE\n"
	"\n"
	"Which:   ID... or - (ids on standard input), and all of:\n"
	"         --from GLOB --to GLOB --domain D --site GLOB --hop H --user U --priority N\n"
	"         --state "
	"ready,waiting,held,quarantined,failed,delivered,deleted,queued,finished,any\n"
	"         --older 2h --newer 5m --size +1M --tries 5+ --code '4.7.*' --all\n"
	"         --sort age|size|next --limit N\n"
	"\n"
	"Exit:    0 done, 1 nothing matched, 2 part failed, 64 usage, 65 bad data or "
	"configuration,\n"
	"         69 daemon not reachable, 70 defect, 75 try again later, 77 not permitted\n";

void cli_help(FILE *out)
{
	(void)fputs(help, out);
}

int cli_version(struct cli *cli)
{
	if (cli->format == FORMAT_JSON)
		(void)puts("{\"version\":\"" OUTLAST_VERSION "\"}");
	else
		(void)puts("outlast " OUTLAST_VERSION);
	return VERB_DONE;
}

int cli_text_verb(struct cli *cli)
{
	json_t *done;

	if (cli->operand_count > 0) {
		cli_say("%s takes no operands", cli->verb);
		return VERB_USAGE;
	}
	int status = cli_ask(cli, cli_request(cli, cli->verb), NULL, NULL, &done);
	if (status == VERB_DONE)
		on_text_done(cli, done);
	json_decref(done);
	return status;
}

static void on_text_done(struct cli *cli, const json_t *done)
{
	const char *text = json_string_value(json_object_get(done, "text"));

	if (cli->format == FORMAT_JSON)
		cli_put_json(done);
	else if (text && *text)
		(void)fputs(text, stdout);
	else
		printf("outlast %s runs\n", json_string_value(json_object_get(done, "version")));
}

int cli_check_config(struct cli *cli)
{
	if (cli->operand_count > 1) {
		cli_say("check-config takes one file");
		return VERB_USAGE;
	}
	if (cli->operand_count)
		cli->config_file = cli->operands[0];
	cli->is_config_given = true;
	int status = cli_load_conf(cli);
	if (status == 0)
		printf("%s: no mistakes found\n", cli->config_file);
	return status;
}

int cli_salvage(struct cli *cli)
{
	uint64_t messages = 0, damaged = 0;
	struct buf text;

	if (cli->operand_count != 2) {
		cli_say("salvage DIR OUT: the queue's directory, and one for the files");
		return VERB_USAGE;
	}
	buf_init(&text, 64 * 1024);
	enum err err = store_salvage(str_from_c(cli->operands[0]), str_from_c(cli->operands[1]),
		&messages, &damaged, &text);
	if (text.len)
		cli_say("%s", buf_cstr(&text));
	else if (err != OK)
		cli_say("salvage: %s", err_name(err));
	buf_fini(&text);
	if (err == ERR_NOT_FOUND || err == ERR_CORRUPT)
		return VERB_DATA;
	if (err == ERR_LOCKED)
		return VERB_UNREACHABLE;
	if (err == ERR_PERMISSION)
		return VERB_NOT_PERMITTED;
	if (err != OK)
		return VERB_TEMPORARY;
	printf("%" PRIu64 " messages written, %" PRIu64 " of which some part could not be read\n",
		messages, damaged);
	return damaged ? VERB_PART_FAILED : messages ? VERB_DONE : VERB_NO_MATCH;
}
