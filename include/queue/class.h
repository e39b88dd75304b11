/*
 * class - class rules: what mail of a kind gets that its sender did not ask for himself. Pure.
 *
 * SMTP has extensions for each of these (MT-PRIORITY, DELIVERBY, FUTURERELEASE, DSN); few programs that send mail use them.
 * The first class whose conditions all hold counts, and no other.
 */
#ifndef QUEUE_CLASS_H
#define QUEUE_CLASS_H

#include "conf/conf.h"
#include "mail/envelope.h"

/* class_of - header_hits: bit i: the header condition of class i holds. NULL: none matches. */
const struct conf_class *class_of(
	const struct conf *conf, const struct envelope *env, uint64_t header_hits);
/* class_apply - to what the envelope leaves open; recipients included. */
void class_apply(const struct conf_class *class, struct envelope *env);

#endif
