/* cli_simulate - what the parts of `outlast simulate` share. */
#ifndef MAIN_CLI_SIMULATE_H
#define MAIN_CLI_SIMULATE_H

#include "cli.h"
#include "sim/simulate.h"

/* cli_queue_shape - what waits for a site or domain in the queue of today, how much comes in for it and for others, and how
 * long it is away already, over a shape with its outage set. An exit status; VERB_NO_MATCH: the queue knows no such one. */
int cli_queue_shape(struct cli *cli, const char *name, struct sim_shape *shape);
/* cli_queue_remarks - what the figures mean for the disk and the promise here. */
void cli_queue_remarks(struct cli *cli, const struct sim_report *r);
/* cli_put_figures - JSON lines as a table. */
void cli_put_figures(const char *lines);

#endif
