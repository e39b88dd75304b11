/*
 * tls_report - TLS reports (RFC 8460): counts, for each recipient domain and day (UTC), how sessions were secured, and sends a
 * report of each day to domains that ask for one. Off unless tls-report.enabled.
 *
 * Counts are in memory, TLS_REPORT_DOMAINS_MAX domains a day; what changed goes to the shelf once a minute, and at a stop.
 * A crash loses a minute of them. Once the day is over, and up to four hours later, the TXT record of _smtp._tls.DOMAIN is
 * looked up; a domain without one is forgotten, else the report leaves by mail, durably queued, or by HTTPS, tried again each
 * hour for a day. Mail that the relay writes itself is not counted: reports would breed reports. Thread: loop.
 */
#ifndef RELAY_TLS_REPORT_H
#define RELAY_TLS_REPORT_H

#include "queue/tls_tally.h"
#include "relay/relay_private.h"

#define TLS_REPORT_DOMAINS_MAX 2000

struct tls_report;

struct tls_report *tls_report_new(struct relay *r);
void tls_report_start(struct tls_report *t);
bool tls_report_is_on(const struct tls_report *t);
/* tls_report_note - one session, or one policy that could not be had, of a recipient domain. */
void tls_report_note(struct tls_report *t, struct str domain, const struct tally_event *event);
void tls_report_stop(struct tls_report *t); /* saves; relay_check_stopped when done */
bool tls_report_is_busy(const struct tls_report *t);
void tls_report_free(struct tls_report *t);

#endif
