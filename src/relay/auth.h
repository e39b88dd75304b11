/*
 * auth - user names and passwords against the users of the configuration, whose hashes are crypt(5).
 *
 * A hash takes tenths of a second on purpose, so it is computed on other threads, at most AUTH_RUNNING_MAX at a time,
 * and a success is remembered for some minutes by a keyed code of name, password and hash: a client that logs in for
 * each message pays once, and a changed password counts from the reload on. Wrong ones are logged in the shape that
 * fail2ban knows of Postfix, and counted (queue/strikes.h).
 */
#ifndef RELAY_AUTH_H
#define RELAY_AUTH_H

#include "conf/conf.h"
#include "port/env.h"
#include "smtp/server.h"

#define AUTH_RUNNING_MAX 2
#define AUTH_WAITING_MAX 64

struct auth;

struct auth_request {
	const struct conf *conf;
	const struct smtp_server_info *client;
	struct str name, password;
	void (*on_done)(void *user, enum smtp_auth_result result);
	void *user;
};

struct auth *auth_new(struct env *env);
void auth_free(struct auth *a);
/* auth_check - q is borrowed during the call. on_done later, once; never if auth_free comes first. */
void auth_check(struct auth *a, const struct auth_request *q);

#endif
