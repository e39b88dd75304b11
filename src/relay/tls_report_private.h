/* tls_report_private - what tls_report.c (counts and shelf) and tls_report_send.c (the report) share. */
#ifndef RELAY_TLS_REPORT_PRIVATE_H
#define RELAY_TLS_REPORT_PRIVATE_H

#include "mail/tlsrpt.h"
#include "relay/own_mail.h"
#include "relay/tls_report.h"
#include "relay/web.h"

#define REPORT_BYTES_MAX ((size_t)256 * 1024)
#define REPORT_KEPT_MS (3 * DAY_MS)

struct tally_entry {
	struct map_entry entry;
	struct tls_report *report;
	struct str key; /* owned: "DAY DOMAIN" */
	struct tls_tally tally;
	bool is_dirty, is_putting;
	struct store_shelf_put put;
	struct buf value;
};

/* One report under way. */
struct report_sending {
	struct tls_report *report;
	struct tls_tally tally;
	struct arena arena;
	struct str domain;
	struct wall begin; /* of its day */
	struct str report_id;
	struct lookup txt;
	struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
	uint32_t rua_count, next;
	struct buf gzip;
	struct own_mail mail;
	struct store_accept accept;
	struct web web;
	struct web_request request;
	bool is_storing; /* the store has accept */
	bool is_sent;
};

struct tls_report {
	struct relay *relay;
	struct map entries; /* of today; of before while they are being saved */
	int64_t day;
	bool is_loaded, is_stopping, is_freed;
	struct timer save_timer;
	uint32_t op_count;
	struct store_shelf_list page;
	struct str after; /* owned */
	/* sending */
	struct timer walk_timer;
	uint32_t next; /* of page.items */
	struct report_sending *sending;
	struct store_shelf_put drop;
};

/* tls_report.c */
struct wall tls_report_begin_of(int64_t day);
void tls_report_op_begin(struct tls_report *t);
void tls_report_op_end(struct tls_report *t);
/* tls_report_parse_key - false: no key of ours. */
bool tls_report_parse_key(struct str key, int64_t *day, struct str *domain);

/* tls_report_send.c */
void tls_report_walk_later(struct tls_report *t);
void tls_report_walk_stop(struct tls_report *t);

#endif
