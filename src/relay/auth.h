/*
 * auth - checks a name and password against the configured crypt(5) hashes, off the loop.
 *
 * A success is remembered for a while under a keyed hash, for yescrypt takes 20 ms of CPU by design. Unknown names cost the
 * same as wrong passwords.
 */
#ifndef RELAY_AUTH_H
#define RELAY_AUTH_H

#include <stdbool.h>

#include "conf/conf.h"
#include "port/env.h"

struct auth;

struct auth *auth_new(struct env *env);
void auth_free(struct auth *a); /* no check may be under way */
/* auth_check - on_done later, once. Strings are copied. */
void auth_check(struct auth *a, const struct conf *conf, struct str name, struct str password,
	void (*on_done)(void *user, bool is_good), void *user);

#endif
