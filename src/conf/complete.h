/* complete - what a configuration needs between its settings being read and its use. */
#ifndef SRC_CONF_COMPLETE_H
#define SRC_CONF_COMPLETE_H

#include "conf/conf.h"

/* conf_new - every default that the table of keys holds, one reference. */
struct conf *conf_new(void);
/* conf_complete - names that follow from others, ports that follow from delivery.port. */
void conf_complete(struct conf *conf);

#endif
