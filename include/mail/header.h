/*
 * header - looks at a message's header section while it streams by; changes nothing.
 *
 * Remembers what the relay needs: hops, loops through ourselves, Message-ID, whether header or body hold 8-bit
 * octets. Bounded: values over 998 octets are cut, the section's own size is counted.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

/* A condition on a field: name exact, value by glob. An empty name matches nothing. */
struct header_watch {
	struct str name, glob;
};
#define HEADER_WATCHES_MAX 64

struct header_scan {
	struct buf field;    /* private: the current field, unfolded */
	struct str own_host; /* borrowed: our name in Received "by" */
	unsigned state;      /* private */
	unsigned received_count;
	unsigned own_received_count; /* Received fields written by us: "by OWN_HOST (Outlast)" */
	struct buf message_id;       /* first Message-ID value, trimmed */
	bool has_date, has_from;
	bool is_tls_optional; /* TLS-Required: No (RFC 8689 section 3) */
	/* Written by a program to many, or to nobody in particular: List-Id, Precedence bulk, list or junk, Auto-Submitted
	 * other than "no" (RFC 3834 section 2): such a sender is not told of delays. */
	bool is_bulk;
	const struct header_watch *watches; /* borrowed; set by the caller after init; HEADER_WATCHES_MAX at most */
	uint32_t watch_count;
	uint64_t watch_hits; /* bit i: some field matched watches[i] */
	bool is_8bit_header; /* an octet above 0x7f in the header section */
	bool is_8bit_body;
	bool is_in_body;       /* the empty line was seen */
	uint64_t header_bytes; /* up to and including the empty line */
};

void header_scan_init(struct header_scan *h, struct str own_host);
void header_scan_fini(struct header_scan *h);
void header_scan_feed(struct header_scan *h, struct str content); /* decoded content, any cut */
void header_scan_finish(struct header_scan *h);                   /* end of content */
/* header_section - the header section at the start of content, without the empty line; all of it if there is none. */
struct str header_section(struct str content);

#endif
