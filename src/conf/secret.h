/*
 * secret - the files with passwords that the configuration names: users who may send, logins to
 * smarthosts.
 */
#ifndef SRC_CONF_SECRET_H
#define SRC_CONF_SECRET_H

#include "conf/conf.h"
#include "value.h"

/* secret_read_users - lines name:hash into conf->users. False with context->why on any fault. */
bool secret_read_users(struct conf *conf, struct str file, struct value_context *context);
/* secret_read_login - one line user:password into route. */
bool secret_read_login(struct conf_route *route, struct str file, struct value_context *context);

#endif
