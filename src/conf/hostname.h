/* hostname - what this host is called, when the configuration does not say. */
#ifndef SRC_CONF_HOSTNAME_H
#define SRC_CONF_HOSTNAME_H

#include "base/arena.h"
#include "base/str.h"

/*
 * hostname_of_system - a name that domain_is_hostname accepts, lower case; "localhost" when there
 * is nothing better.
 */
struct str hostname_of_system(struct arena *arena);
/*
 * hostname_qualify - the first dotted name of a line of hosts (the text of /etc/hosts) that also
 * has name; else name.
 */
struct str hostname_qualify(struct str name, struct str hosts);

#endif
