/*
 * route_text - a route written down: "PREFERENCE HOST ADDRESS...;PREFERENCE HOST ADDRESS...", hosts by preference and
 * name, a host that TLSA records bind has the word
 * "dane" before its addresses; addresses in order, so that the same route gives the same text whatever chance did to it. A host without a usable
 * address is there all the same: the site's name is made of all hosts. Pure.
 */
#ifndef DELIVER_ROUTE_TEXT_H
#define DELIVER_ROUTE_TEXT_H

#include "base/arena.h"
#include "base/endpoint.h"

#define ROUTE_TEXT_ADDRESSES_MAX 8

struct route_text_host {
	struct str name;
	uint16_t preference;
	struct endpoint addresses[ROUTE_TEXT_ADDRESSES_MAX]; /* without port; more are left out */
	uint32_t address_count;
	bool is_bound; /* by TLSA records, or for want of an answer about them */
};

/* route_text_write - sorts hosts. Empty when it would be longer than ROUTE_TEXT_BYTES_MAX, or no host has an address. */
struct str route_text_write(struct route_text_host *hosts, uint32_t count, struct arena *arena);
/* route_text_read - names point into text. What is ill-formed is left out: the text comes from disk. */
uint32_t route_text_read(struct str text, struct route_text_host *hosts, uint32_t max);

#endif
