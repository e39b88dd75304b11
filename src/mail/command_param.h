/* command_param - the ESMTP parameters of MAIL and RCPT, RFC 5321 section 4.1.2. */
#ifndef MAIL_COMMAND_PARAM_H
#define MAIL_COMMAND_PARAM_H

#include "mail/command.h"

/* command_parse_params - text is what follows the path; fills the fields of out->verb. */
enum command_fault command_parse_params(struct command *out, struct str text, struct arena *arena);

#endif
