/*
 * account - what a client that said who it is may do: user-rules. From which addresses it may send, and how many
 * messages and recipients an hour.
 *
 * What was sent is counted in memory: a restart forgets it. A message counts from DATA on, whatever becomes of it; a
 * refusal is temporary, so that the client keeps the mail. Names are bounded, the one unheard of for longest goes.
 */
#ifndef RELAY_ACCOUNT_H
#define RELAY_ACCOUNT_H

#include "port/env.h"
#include "smtp/server.h"

#define ACCOUNTS_MAX 16384

struct accounts;

struct accounts *accounts_new(struct env *env);
void accounts_free(struct accounts *a);
/* account_name - whom the client has proved to be: the user of AUTH, else the name in its certificate; empty: nobody. */
struct str account_name(const struct smtp_server_info *info);
/* account_on_mail, account_on_rcpt, account_on_data - for t->env.user. An answer with a code refuses; its text is in the
 * arena of t. */
void account_on_mail(struct accounts *a, const struct conf *conf, struct smtp_transaction *t,
	struct smtp_answer *answer);
/* For the next recipient. */
void account_on_rcpt(struct accounts *a, const struct conf *conf, struct smtp_transaction *t,
	struct smtp_answer *answer);
/* Counts the message. */
void account_on_data(struct accounts *a, const struct conf *conf, struct smtp_transaction *t,
	struct smtp_answer *answer);

#endif
