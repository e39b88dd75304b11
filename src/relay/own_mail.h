/*
 * own_mail - a message that the relay writes itself: one recipient, null reverse-path, NOTIFY=NEVER.
 *
 * Happy path: begin, content appended to message->content, end; the store makes it durable (as a notice of RECORD or TELL,
 * or by ACCEPT); then offer. Thread: loop.
 */
#ifndef RELAY_OWN_MAIL_H
#define RELAY_OWN_MAIL_H

#include "mail/dsn.h"
#include "queue/message.h"
#include "relay/destination.h"

struct own_mail {
	struct message *message; /* NULL: none */
	struct recipient recipient;
	struct store_notice notice; /* borrows of message */
};

/* own_mail_begin - false: the address cannot be written to. */
bool own_mail_begin(struct own_mail *m, struct relay *r, struct str to, size_t bytes_max);
void own_mail_end(struct own_mail *m, bool is_8bit);
/* own_mail_dsn - what every status notice says: own is its envelope, about that of the message. To whom: who sent that. The
 * recipients, and what is returned of the message, are the caller's. Borrows of all three. */
struct dsn_params own_mail_dsn(
	const struct relay *r, const struct envelope *own, const struct envelope *about);
/* own_mail_offer - it is durable: logged as what entered the queue, and delivered. text: what it is, for the log. */
void own_mail_offer(struct own_mail *m, struct relay *r, uint64_t about, const char *text);
void own_mail_drop(struct own_mail *m);

#endif
