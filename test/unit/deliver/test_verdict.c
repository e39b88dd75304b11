/*
 * test_verdict - replies as real servers send them, and lost connections, each with what must
 * follow and why.
 *
 * The replies are those of Postfix, Exim, OpenSMTPD and Sendmail, and those that Google, Microsoft
 * and Yahoo publish, with addresses replaced; lines of one reply are joined.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "deliver/verdict.h"

/*
 * flags: S suspect, O overload, L rate limit, A answers, D doubted fail, ? in doubt.
 * context: "" by MX, one recipient; k known good; s smarthost; o others were accepted; w we ourselves; l by LMTP.
 */
struct row {
	enum stage stage;
	const char *context;
	const char *reply;
	enum scope scope;
	enum disposition disposition;
	const char *flags;
	const char *why;
};

#define HOST SCOPE_HOST
#define HOP SCOPE_HOP
#define MSG SCOPE_MESSAGE
#define RCPT SCOPE_RECIPIENT
#define OURS SCOPE_OURS
#define NONE SCOPE_NONE
#define RETRY DISPOSE_RETRY
#define AGAIN DISPOSE_AGAIN
#define PARK DISPOSE_PARK
#define FAIL DISPOSE_FAIL

/* clang-format off */
static const struct row rows[] = {
	/* Postfix */
	{ STAGE_DOT, "", "250 2.0.0 Ok: queued as 4NcS1k3b2Vz9sZ7", NONE, DISPOSE_DELIVERED, "A", "accepted" },
	{ STAGE_GREETING, "", "421 4.3.2 All server ports are busy", HOST, PARK, "OL", "postscreen is full; another host may do" },
	{ STAGE_GREETING, "", "421 4.7.0 mx.example.net Error: too many connections from 192.0.2.1", HOST, PARK, "OL",
		"fewer connections, no outage" },
	{ STAGE_GREETING, "", "521 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.org", HOST, PARK, "D",
		"said before any message: must not fail the backlog" },
	{ STAGE_EHLO, "", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", HOST, PARK, "D",
		"5xx before MAIL is the host's word about us" },
	{ STAGE_MAIL, "", "450 4.1.8 <a@example.org>: Sender address rejected: Domain not found", MSG, RETRY, "",
		"the sender's DNS, not the site" },
	{ STAGE_MAIL, "", "452 4.3.1 Insufficient system storage", MSG, RETRY, "O", "the queue's disk is full there" },
	{ STAGE_MAIL, "", "552 5.3.4 Message size exceeds fixed limit", MSG, FAIL, "", "too large for ever; believed" },
	{ STAGE_MAIL, "", "553 5.7.1 <a@example.org>: Sender address rejected: not owned by user b", MSG, FAIL, "D",
		"5xx to MAIL fails this message" },
	{ STAGE_RCPT, "", "550 5.1.1 <x@example.net>: Recipient address rejected: User unknown in local recipient table", RCPT, FAIL,
		"AD", "unknown user; the guard may doubt" },
	{ STAGE_RCPT, "", "450 4.2.0 <x@example.net>: Recipient address rejected: Greylisted", RCPT, RETRY, "A",
		"greylisting never touches the site" },
	{ STAGE_RCPT, "", "450 4.7.1 <x@example.net>: Recipient address rejected: Greylisted, see http://postgrey.example/", RCPT, RETRY,
		"A", "4.7.1 at RCPT is greylisting, not a limit" },
	{ STAGE_RCPT, "", "451 4.3.0 <x@example.net>: Temporary lookup failure", RCPT, RETRY, "A", "their table is away" },
	{ STAGE_RCPT, "", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", RCPT, RETRY, "A",
		"our reverse DNS; a 4xx to RCPT stays with the recipient" },
	{ STAGE_RCPT, "", "454 4.7.1 <x@example.net>: Relay access denied", RCPT, RETRY, "A", "4xx: try again" },
	{ STAGE_RCPT, "", "554 5.7.1 <x@example.net>: Relay access denied", RCPT, FAIL, "A", "by MX the domain's own fault" },
	{ STAGE_RCPT, "s", "554 5.7.1 <x@example.net>: Relay access denied", OURS, PARK, "", "our smarthost does not know us" },
	{ STAGE_RCPT, "", "452 4.5.3 Error: too many recipients", RCPT, RETRY, "A", "alone it would turn for ever" },
	{ STAGE_RCPT, "o", "452 4.5.3 Error: too many recipients", RCPT, AGAIN, "A", "the rest goes in the next transaction" },
	{ STAGE_RCPT, "", "550 5.1.10 <x@example.net>: Recipient address rejected: Domain example.net does not accept mail (nullMX)",
		RCPT, FAIL, "AD", "5.1.x" },
	{ STAGE_RCPT, "", "421 4.7.0 mx.example.net Error: too many errors", MSG, RETRY, "OL", "421 may come at any point" },
	{ STAGE_DOT, "", "554 5.4.6 mail loop through this host", MSG, FAIL, "AD", "broken routing there; the guard may doubt" },
	{ STAGE_DOT, "w", "554 5.4.6 mail loop through this host", MSG, FAIL, "A", "our own word" },
	{ STAGE_DOT, "w", "550 5.1.1 unknown", MSG, FAIL, "AD", "another host with our name, say" },
	{ STAGE_DATA, "", "554 5.5.1 Error: no valid recipients", MSG, FAIL, "A", "the reply code decides" },
	{ STAGE_DATA, "", "451 4.3.0 Error: queue file write error", MSG, RETRY, "SO", "their disk" },
	{ STAGE_DOT, "", "451 4.3.0 Error: queue file write error", MSG, RETRY, "SO", "their disk" },
	{ STAGE_DOT, "", "451 4.7.1 Service unavailable - try again later", MSG, RETRY, "OL", "milter away: limited" },
	{ STAGE_DOT, "", "550 5.7.1 Blocked by SpamAssassin", MSG, FAIL, "A", "content; believed" },
	{ STAGE_DOT, "", "554 5.7.1 Service unavailable; message contains a virus", MSG, FAIL, "A", "content; believed" },
	{ STAGE_DOT, "", "552 5.3.4 Error: message file too big", MSG, FAIL, "A", "size; 552 is only special at RCPT" },
	{ STAGE_DOT, "", "554 5.4.6 Error: too many hops", MSG, FAIL, "AD", "5.4.x" },
	{ STAGE_DOT, "", "421 4.4.2 mx.example.net Error: timeout exceeded", MSG, RETRY, "OL", "a reply, so not in doubt" },
	{ STAGE_STARTTLS, "", "454 4.7.0 TLS not available due to local problem", HOP, PARK, "", "only asked for where we demand TLS" },
	{ STAGE_MAIL, "", "530 5.7.0 Must issue a STARTTLS command first", MSG, FAIL, "D", "5xx to MAIL" },
	{ STAGE_MAIL, "k", "530 5.7.0 Must issue a STARTTLS command first", MSG, RETRY, "", "TLS failed today; it worked before" },
	{ STAGE_AUTH, "s", "432 4.7.12 A password transition is needed", OURS, PARK, "", "our credentials" },
	{ STAGE_MAIL, "s", "530 5.7.0 Must issue a STARTTLS command first", OURS, PARK, "", "our configuration of the smarthost" },
	{ STAGE_AUTH, "s", "535 5.7.8 Error: authentication failed: authentication failure", OURS, PARK, "", "our credentials" },
	{ STAGE_AUTH, "s", "454 4.7.0 Temporary authentication failure: Connection lost to authentication server", HOST, PARK, "",
		"theirs, for now" },

	/* Exim */
	{ STAGE_DOT, "", "250 OK id=1pKfPf-0003Xy-7G", NONE, DISPOSE_DELIVERED, "A", "no enhanced code" },
	{ STAGE_GREETING, "", "421 Too many concurrent SMTP connections; please try again later.", HOST, PARK, "OL", "limit" },
	{ STAGE_GREETING, "", "554 SMTP synchronization error", HOST, PARK, "D", "before MAIL" },
	{ STAGE_GREETING, "", "550 Administrative prohibition", HOST, PARK, "D", "a refused greeting fails no mail" },
	{ STAGE_MAIL, "", "421 Unexpected failure, please try later", MSG, RETRY, "OL", "closing" },
	{ STAGE_RCPT, "", "550 Unrouteable address", RCPT, FAIL, "AD", "no enhanced code: doubted" },
	{ STAGE_RCPT, "s", "550 relay not permitted", OURS, PARK, "", "the smarthost does not know us" },
	{ STAGE_RCPT, "", "550 relay not permitted", RCPT, FAIL, "AD", "by MX: final, doubted" },
	{ STAGE_RCPT, "", "451 Temporary local problem - please try later", RCPT, RETRY, "A", "one recipient" },
	{ STAGE_RCPT, "", "451 Could not complete sender verify callout", RCPT, RETRY, "A", "one recipient" },
	{ STAGE_RCPT, "o", "452 too many recipients", RCPT, AGAIN, "A", "RFC 5321 4.5.3.1.10" },
	{ STAGE_RCPT, "o", "552 too many recipients", RCPT, AGAIN, "A", "RFC 5321 4.5.3.1.10: 552 as 452" },
	{ STAGE_RCPT, "", "552 too many recipients", RCPT, RETRY, "A", "temporary even so" },
	{ STAGE_MAIL, "", "552 Message size exceeds maximum permitted", MSG, FAIL, "", "size" },
	{ STAGE_DOT, "", "550 This message scored 12.1 spam points.", MSG, FAIL, "AD", "no enhanced code: doubted" },
	{ STAGE_DOT, "", "451 Please try again later", MSG, RETRY, "S", "4xx to the final dot: look at the site" },

	/* OpenSMTPD, Sendmail, qmail */
	{ STAGE_RCPT, "", "524 5.2.4 Mailing list expansion problem: <x@example.net>", RCPT, FAIL, "A", "not among the doubted" },
	{ STAGE_RCPT, "", "550 Invalid recipient: <x@example.net>", RCPT, FAIL, "AD", "no enhanced code" },
	{ STAGE_RCPT, "", "421 Temporary Error", MSG, RETRY, "OL", "closing" },
	{ STAGE_DOT, "", "421 4.3.0 Temporary Error", MSG, RETRY, "OL", "closing, but with a reply: not in doubt" },
	{ STAGE_RCPT, "", "550 5.7.1 <x@example.net>... Relaying denied", RCPT, FAIL, "A", "by MX" },
	{ STAGE_RCPT, "s", "550 5.7.1 <x@example.net>... Relaying denied", OURS, PARK, "", "smarthost" },
	{ STAGE_RCPT, "", "553 5.1.3 <x@>... Hostname required", RCPT, FAIL, "AD", "5.1.x" },
	{ STAGE_GREETING, "", "554 5.0.0 rejecting connections on daemon MTA: load average: 80", HOST, PARK, "D", "load, spoken as 554" },
	{ STAGE_RCPT, "", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", RCPT, FAIL, "AD",
		"a code in brackets at the end is no enhanced code" },
	{ STAGE_DOT, "", "451 qq temporary problem (#4.3.0)", MSG, RETRY, "S", "their queue" },
	{ STAGE_DOT, "", "554 mail server permanently rejected message (#5.3.0)", MSG, FAIL, "AD", "doubted" },

	/* Google */
	{ STAGE_GREETING, "", "421-4.7.0 Try again later, closing connection. gsmtp", HOST, PARK, "OL", "limit at the door" },
	{ STAGE_MAIL, "", "421-4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address. gsmtp",
		MSG, RETRY, "OL", "rate limit" },
	{ STAGE_DOT, "", "421-4.7.28 Gmail has detected an unusual rate of mail originating from your SPF domain. gsmtp", MSG, RETRY, "OL",
		"rate limit" },
	{ STAGE_RCPT, "", "450-4.7.28 Gmail has detected an unusual rate of mail. To protect our users, mail has been rate limited. gsmtp",
		RCPT, RETRY, "OLA", "throttling by name, even at RCPT" },
	{ STAGE_DATA, "", "421 4.4.5 Server busy, try again later. gsmtp", MSG, RETRY, "OL", "busy" },
	{ STAGE_RCPT, "", "450-4.2.1 The user you are trying to contact is receiving email too quickly. gsmtp", RCPT, RETRY, "A",
		"one mailbox; its own retry time" },
	{ STAGE_RCPT, "", "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
		RCPT, RETRY, "A", "one mailbox" },
	{ STAGE_RCPT, "", "452-4.2.2 The email account that you tried to reach is over quota. gsmtp", RCPT, RETRY, "A", "mailbox full" },
	{ STAGE_RCPT, "o", "452-4.2.2 The email account that you tried to reach is over quota. gsmtp", RCPT, RETRY, "A",
		"4.2.2 refines 452: a second transaction would not help" },
	{ STAGE_RCPT, "o", "452-4.5.3 Domain policy size per transaction exceeded, please try this recipient in a separate transaction.",
		RCPT, AGAIN, "A", "asked for in so many words" },
	{ STAGE_RCPT, "o", "451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.", RCPT, AGAIN, "A",
		"a smarthost in front of Google: split" },
	{ STAGE_RCPT, "", "451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.", RCPT, RETRY, "A",
		"alone: do not turn for ever" },
	{ STAGE_DOT, "", "451 4.3.0 Mail server temporarily rejected message. gsmtp", MSG, RETRY, "SO", "their fault" },
	{ STAGE_DOT, "", "451 4.4.2 Timeout - closing connection. gsmtp", MSG, RETRY, "SO", "slow" },
	{ STAGE_RCPT, "", "550-5.1.1 The email account that you tried to reach does not exist. gsmtp", RCPT, FAIL, "AD",
		"Dec 2020: exactly this was false for hours; the guard doubts it" },
	{ STAGE_RCPT, "", "550 5.2.1 The email account that you tried to reach is disabled. gsmtp", RCPT, FAIL, "AD", "5.2.1: doubted" },
	{ STAGE_RCPT, "", "552-5.2.2 The email account that you tried to reach is over quota and inactive. gsmtp", RCPT, RETRY, "A",
		"552 at RCPT is 452; the mailbox may be emptied" },
	{ STAGE_RCPT, "o", "552-5.2.2 The email account that you tried to reach is over quota and inactive. gsmtp", RCPT, RETRY, "A",
		"not too many recipients" },
	{ STAGE_DOT, "", "552-5.2.3 Your message exceeded Google's message size limits. gsmtp", MSG, FAIL, "A", "size; believed" },
	{ STAGE_DOT, "", "550-5.7.26 This mail has been blocked because the sender is unauthenticated. gsmtp", MSG, FAIL, "A",
		"5.7.x: believed" },
	{ STAGE_DOT, "", "550-5.7.1 [192.0.2.1] Our system has detected that this message is likely unsolicited mail. gsmtp", MSG, FAIL,
		"A", "believed" },
	{ STAGE_DOT, "", "552-5.7.0 This message was blocked because its content presents a potential security issue. gsmtp", MSG, FAIL, "A",
		"content" },
	{ STAGE_MAIL, "s", "530-5.7.0 Authentication Required. gsmtp", OURS, PARK, "", "credentials of the smarthost" },
	{ STAGE_AUTH, "s", "535-5.7.8 Username and Password not accepted. gsmtp", OURS, PARK, "", "credentials" },
	{ STAGE_RCPT, "s", "550-5.7.1 Invalid credentials for relay [192.0.2.1]. gsmtp", OURS, PARK, "", "not registered with the relay" },
	{ STAGE_RCPT, "", "450-4.2.1 Peak SMTP relay limit exceeded for customer. gsmtp", RCPT, RETRY, "A", "their relay's limit" },

	/* Microsoft: Outlook and Exchange Online */
	{ STAGE_GREETING, "", "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
		HOST, PARK, "OL", "fewer connections" },
	{ STAGE_MAIL, "", "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client", MSG, RETRY, "OL",
		"421 closes; never a bounce" },
	{ STAGE_MAIL, "", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712344)", MSG, RETRY, "OL",
		"throttled by address" },
	{ STAGE_RCPT, "", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712344)", RCPT, RETRY, "OLA",
		"the same, at RCPT" },
	{ STAGE_RCPT, "", "451 4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of connections. (S3116)", RCPT, RETRY,
		"OLA", "connections" },
	{ STAGE_RCPT, "", "451 4.7.700 something else", RCPT, RETRY, "A", "beyond the throttling codes" },
	{ STAGE_RCPT, "", "451 4.4.62 Mail sent to the wrong Office 365 region. ATTR35", RCPT, RETRY, "A", "stale MX perhaps" },
	{ STAGE_DOT, "", "451 4.7.0 Temporary server error. Please try again later. PRX4 NextHop:", MSG, RETRY, "OL", "4.7 at the dot" },
	{ STAGE_DOT, "", "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", MSG, RETRY, "SO", "4.3 at the dot" },
	{ STAGE_DOT, "", "452 4.3.1 Insufficient system resources (UsedDiskSpace[C:])", MSG, RETRY, "SO", "back pressure" },
	{ STAGE_RCPT, "", "452 4.3.1 Insufficient system resources", RCPT, RETRY, "A", "4.3.1 is not too many recipients" },
	{ STAGE_RCPT, "o", "452 4.3.1 Insufficient system resources", RCPT, RETRY, "A", "nor when others were accepted" },
	{ STAGE_RCPT, "", "550 5.4.1 Recipient address rejected: Access denied. [DB5EUR01FT012.eop-EUR01.prod.protection.outlook.com]", RCPT,
		FAIL, "AD", "edge blocking by a directory that may be stale" },
	{ STAGE_RCPT, "", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. (AS16012609)", RCPT, FAIL, "A", "5.7.x: believed" },
	{ STAGE_RCPT, "", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", RCPT, FAIL, "AD", "5.1" },
	{ STAGE_RCPT, "", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)", RCPT, FAIL, "A", "5.5.0" },
	{ STAGE_MAIL, "s", "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", OURS, PARK, "",
		"submission without credentials" },
	{ STAGE_DOT, "s", "554 5.2.252 SendAsDenied; a@example.org not allowed to send as b@example.org", MSG, FAIL, "A",
		"this sender only: others go through" },
	{ STAGE_RCPT, "s", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", OURS, PARK, "", "relaying" },
	{ STAGE_RCPT, "s", "550 5.7.64 TenantAttribution; Relay Access Denied", OURS, PARK, "", "connector" },
	{ STAGE_DOT, "", "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", MSG, FAIL, "A", "5xx at the dot" },

	{ STAGE_STARTTLS, "", "554 5.7.3 Unable to initialize security subsystem", HOP, PARK, "D", "we demand TLS, they cannot" },
	{ STAGE_MAIL, "s", "550 5.7.57 Client not authenticated to send mail.", OURS, PARK, "", "the same under another code" },
	{ STAGE_MAIL, "s", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", MSG, FAIL, "D",
		"this sender only" },
	{ STAGE_DOT, "", "550 5.1.1 RESOLVER.ADR.ExRecipNotFound; not found", MSG, FAIL, "AD", "doubted wherever it is said" },
	{ STAGE_DOT, "", "550 5.2.1 mailbox disabled", MSG, FAIL, "AD", "doubted" },
	{ STAGE_DOT, "", "550 5.0.0 undefined status", MSG, FAIL, "AD", "doubted" },
	{ STAGE_DOT, "", "554 5.3.0 Mailbox transport error", MSG, FAIL, "AD", "doubted" },
	{ STAGE_RCPT, "", "550 5.0.0 undefined status", RCPT, FAIL, "AD", "doubted" },
	{ STAGE_RCPT, "", "550 5.3.0 Mail system error", RCPT, FAIL, "AD", "doubted" },

	/* Sizes, quotas and credentials elsewhere */
	{ STAGE_MAIL, "", "554 5.3.4 Message too big for system", MSG, FAIL, "", "size, whatever the code" },
	{ STAGE_MAIL, "", "550 5.2.3 Message exceeds local size limit", MSG, FAIL, "", "size, whatever the code" },
	{ STAGE_RCPT, "o", "552 5.3.4 Message too big for system", RCPT, FAIL, "A", "552, but 5.3.4 says that no splitting helps" },
	{ STAGE_RCPT, "o", "552 5.2.3 Message exceeds local size limit", RCPT, FAIL, "A", "552, but 5.2.3 says so" },
	{ STAGE_RCPT, "o", "450 4.5.3 Too many recipients", RCPT, AGAIN, "A", "4.5.3 with another code" },
	{ STAGE_RCPT, "o", "452 4.7.1 Recipient rate exceeded", RCPT, RETRY, "A", "a second transaction would be refused too" },
	{ STAGE_DOT, "", "452 4.2.2 Mailbox full", MSG, RETRY, "A", "one mailbox, not the site" },
	{ STAGE_MAIL, "", "451 4.4.0 Primary target IP address responded with an error", MSG, RETRY, "O", "congested" },
	{ STAGE_MAIL, "s", "535 Authentication credentials invalid", OURS, PARK, "", "no enhanced code" },
	{ STAGE_MAIL, "s", "550 5.7.8 Sender not logged in", OURS, PARK, "", "5.7.8 with another code" },
	{ STAGE_RCPT, "s", "550 5.1.0 Authentication required", OURS, PARK, "", "said in words only" },
	{ STAGE_RCPT, "", "550 5.1.0 Authentication required", RCPT, FAIL, "AD", "by MX it is about the recipient" },

	/* Yahoo, and others */
	{ STAGE_GREETING, "", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
		HOST, PARK, "OL", "limit" },
	{ STAGE_MAIL, "", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", MSG,
		RETRY, "OL", "the usual place" },
	{ STAGE_MAIL, "", "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", MSG, RETRY, "OL", "421 is temporary" },
	{ STAGE_GREETING, "", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", HOST,
		PARK, "D", "listed: parked, seen by the operator, no bounce of the backlog" },
	{ STAGE_MAIL, "", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", MSG, FAIL, "D", "5xx to MAIL" },
	{ STAGE_DOT, "", "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]", MSG, FAIL, "AD",
		"no enhanced code: doubted" },
	{ STAGE_DOT, "", "554 5.7.9 Message not accepted for policy reasons.", MSG, FAIL, "A", "DMARC; believed" },
	{ STAGE_DOT, "", "451 4.3.2 Internal error reading data", MSG, RETRY, "SO", "their fault" },
	{ STAGE_DOT, "", "451 Resources temporarily not available - Please try again later [#4.16.5].", MSG, RETRY, "S", "their fault" },
	{ STAGE_RCPT, "", "450 4.2.0 <x@libero.it>: mailbox temporarily unavailable", RCPT, RETRY, "A", "Jan 2023: not restored yet" },
	{ STAGE_GREETING, "", "451 4.4.5 smtp-24.iol.local libero Error: service busy, try later", HOST, PARK, "O", "busy" },
	{ STAGE_GREETING, "", "450 4.7.1 Try again later", HOST, PARK, "OL", "rate" },

	/* Odd and hostile */
	{ STAGE_DATA, "", "250 2.0.0 ok", MSG, RETRY, "S", "250 to DATA without 354 is no delivery" },
	{ STAGE_RCPT, "", "250 2.1.5 Ok", NONE, RETRY, "A", "accepted, not delivered" },
	{ STAGE_RCPT, "", "599 what", RCPT, FAIL, "AD", "unknown codes by first digit" },
	{ STAGE_RCPT, "", "499 what", RCPT, RETRY, "A", "unknown codes by first digit" },
	{ STAGE_RCPT, "", "550 4.2.2 mailbox full", RCPT, FAIL, "AD", "the reply code beats a conflicting enhanced code" },
	{ STAGE_RCPT, "", "450 5.1.1 no such user", RCPT, RETRY, "A", "the reply code beats a conflicting enhanced code" },
	{ STAGE_RCPT, "o", "452 5.5.3 too many", RCPT, AGAIN, "A", "conflicting enhanced code counts as none" },
	{ STAGE_MAIL, "", "354 go on", MSG, RETRY, "S", "out of turn" },
	{ STAGE_EHLO, "", "354 go on", HOST, PARK, "", "out of turn" },

	/* LMTP, as Dovecot and Cyrus say it: a reply for each recipient after the dot */
	{ STAGE_DOT, "ls", "250 2.0.0 <a@example.net> Saved", NONE, DISPOSE_DELIVERED, "A", "delivered" },
	{ STAGE_DOT, "ls", "452 4.2.2 <a@example.net> Quota exceeded (mailbox for user is full)", RCPT, RETRY, "A",
		"one mailbox" },
	{ STAGE_DOT, "lso", "452 4.2.2 <a@example.net> Quota exceeded", RCPT, RETRY, "A", "after the dot nothing is one too many" },
	{ STAGE_DOT, "ls", "552 5.2.2 <a@example.net> Quota exceeded (mailbox for user is full)", RCPT, RETRY, "A",
		"as to RCPT: mailboxes are emptied" },
	{ STAGE_DOT, "ls", "550 5.1.1 <a@example.net> User doesn't exist: a", RCPT, FAIL, "AD", "one recipient" },
	{ STAGE_DOT, "ls", "451 4.3.0 <a@example.net> Temporary internal error", MSG, RETRY, "SO", "storage is the site's matter" },
	{ STAGE_DOT, "ls", "554 5.6.0 <a@example.net> Message is too ugly", MSG, FAIL, "A", "content" },
};
/* clang-format on */

static struct outcome parse(const struct row *row)
{
	struct str text = str_from_c(row->reply), rest;
	struct outcome o = { .stage = row->stage };
	uint64_t code = 0;

	assert_int_equal(str_to_u64(str_slice(text, 0, 3), &code), OK);
	o.code = (unsigned)code;
	o.text = str_slice(text, 4, text.len);
	if (status_parse(o.text, &o.status, &rest) == OK)
		o.text = rest;
	else
		o.status = (struct status){ 0 };
	return o;
}

static struct verdict_context parse_context(const char *context)
{
	return (struct verdict_context){
		.is_known_good = strchr(context, 'k') != NULL,
		.is_smarthost = strchr(context, 's') != NULL,
		.has_accepted_other = strchr(context, 'o') != NULL,
		.is_ourselves = strchr(context, 'w') != NULL,
		.is_lmtp = strchr(context, 'l') != NULL,
	};
}

static void flags_of(const struct verdict *v, char out[8])
{
	size_t n = 0;

	if (v->is_in_doubt)
		out[n++] = '?';
	if (v->is_suspect)
		out[n++] = 'S';
	if (v->is_overload)
		out[n++] = 'O';
	if (v->is_rate_limit)
		out[n++] = 'L';
	if (v->answers)
		out[n++] = 'A';
	if (v->is_doubted_fail)
		out[n++] = 'D';
	out[n] = '\0';
}

static void check(const struct verdict *v, enum scope scope, enum disposition disposition,
	const char *flags, const char *what)
{
	char got[8];

	flags_of(v, got);
	if (v->scope == scope && v->disposition == disposition && strcmp(got, flags) == 0)
		return;
	fail_msg("%s: %s %s [%s], expected %s %s [%s]", what, scope_name(v->scope),
		disposition_name(v->disposition), got, scope_name(scope),
		disposition_name(disposition), flags);
}

static void test_verdict_judges_replies_of_real_servers(void **state)
{
	(void)state;
	assert_true(ARRAY_COUNT(rows) >= 60);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct outcome o = parse(&rows[i]);
		struct verdict_context context = parse_context(rows[i].context);
		struct verdict v = verdict_in(&o, &context);

		check(&v, rows[i].scope, rows[i].disposition, rows[i].flags, rows[i].reply);
		assert_int_equal(v.status.klass, rows[i].disposition == FAIL                ? 5
						 : rows[i].disposition == DISPOSE_DELIVERED ? 2
											    : 4);
	}
}

/* clang-format off */
static const struct {
	enum stage stage;
	enum err err;
	const char *context;
	enum scope scope;
	enum disposition disposition;
	struct status status;
	const char *flags;
} losses[] = {
	{ STAGE_CONNECT, ERR_REFUSED, "", HOST, PARK, { 4, 4, 1 }, "" },
	{ STAGE_CONNECT, ERR_UNREACHABLE, "", HOST, PARK, { 4, 4, 1 }, "" },
	{ STAGE_CONNECT, ERR_RESET, "", HOST, PARK, { 4, 4, 1 }, "" },
	{ STAGE_CONNECT, ERR_TIMEOUT, "", HOST, PARK, { 4, 4, 1 }, "O" },
	{ STAGE_CONNECT, ERR_NO_FDS, "", OURS, PARK, { 4, 3, 0 }, "" },     /* our descriptors */
	{ STAGE_CONNECT, ERR_PERMISSION, "", OURS, PARK, { 4, 3, 0 }, "" }, /* our packet filter */
	{ STAGE_GREETING, ERR_EOF, "", HOST, PARK, { 4, 4, 2 }, "" },
	{ STAGE_GREETING, ERR_TIMEOUT, "", HOST, PARK, { 4, 4, 2 }, "O" },
	{ STAGE_GREETING, ERR_SYNTAX, "", HOST, PARK, { 4, 5, 0 }, "" },
	{ STAGE_EHLO, ERR_RESET, "", HOST, PARK, { 4, 4, 2 }, "" },
	{ STAGE_TLS, ERR_TLS, "", HOP, PARK, { 4, 7, 5 }, "" },             /* a certificate that we demand */
	{ STAGE_TLS, ERR_RESET, "", HOST, PARK, { 4, 4, 2 }, "" },
	{ STAGE_STARTTLS, ERR_UNSUPPORTED, "", HOP, PARK, { 4, 7, 4 }, "" },
	{ STAGE_STARTTLS, ERR_EOF, "", HOST, PARK, { 4, 4, 2 }, "" },
	{ STAGE_AUTH, ERR_UNSUPPORTED, "s", OURS, PARK, { 4, 7, 4 }, "" },
	{ STAGE_AUTH, ERR_EOF, "s", HOST, PARK, { 4, 4, 2 }, "" },
	{ STAGE_MAIL, ERR_RESET, "", MSG, RETRY, { 4, 4, 2 }, "S" },
	{ STAGE_MAIL, ERR_EOF, "", MSG, RETRY, { 4, 4, 2 }, "S" },
	{ STAGE_RCPT, ERR_TIMEOUT, "", MSG, RETRY, { 4, 4, 2 }, "SO" },
	{ STAGE_DATA, ERR_EOF, "", MSG, RETRY, { 4, 4, 2 }, "S" },
	{ STAGE_DATA, ERR_LIMIT, "", MSG, RETRY, { 4, 5, 0 }, "S" },
	{ STAGE_CONTENT, ERR_RESET, "", MSG, RETRY, { 4, 4, 2 }, "S" },
	{ STAGE_CONTENT, ERR_TIMEOUT, "", MSG, RETRY, { 4, 4, 2 }, "SO" },
	{ STAGE_CONTENT, ERR_CORRUPT, "", OURS, RETRY, { 4, 3, 0 }, "" },   /* our own store */
	{ STAGE_DOT, ERR_EOF, "", MSG, RETRY, { 4, 4, 2 }, "?S" },
	{ STAGE_DOT, ERR_RESET, "", MSG, RETRY, { 4, 4, 2 }, "?S" },
	{ STAGE_DOT, ERR_TIMEOUT, "", MSG, RETRY, { 4, 4, 2 }, "?SO" },
	{ STAGE_DOT, ERR_SYNTAX, "", MSG, RETRY, { 4, 4, 2 }, "?S" },       /* gibberish may have meant 250 */
};

static const struct {
	enum stage stage;
	struct status given;
	const char *context;
	enum scope scope;
	enum disposition disposition;
	struct status status;
} routings[] = {
	{ STAGE_DNS, { 4, 4, 3 }, "", HOP, PARK, { 4, 4, 3 } },    /* SERVFAIL */
	{ STAGE_DNS, { 4, 4, 3 }, "k", HOP, PARK, { 4, 4, 3 } },
	{ STAGE_DNS, { 5, 1, 2 }, "", HOP, FAIL, { 5, 1, 2 } },    /* NXDOMAIN */
	{ STAGE_DNS, { 5, 1, 2 }, "k", HOP, PARK, { 4, 1, 2 } },
	{ STAGE_DNS, { 5, 1, 10 }, "", HOP, FAIL, { 5, 1, 10 } },  /* null MX */
	{ STAGE_DNS, { 5, 1, 10 }, "k", HOP, PARK, { 4, 1, 10 } },
	{ STAGE_DNS, { 5, 4, 4 }, "", HOP, FAIL, { 5, 4, 4 } },    /* no usable MX */
	{ STAGE_DNS, { 5, 4, 4 }, "k", HOP, PARK, { 4, 4, 4 } },
	{ STAGE_DNS, { 4, 4, 4 }, "", HOP, PARK, { 4, 4, 4 } },    /* class 4 is never final */
	{ STAGE_DNS, { 0, 0, 0 }, "", HOP, PARK, { 4, 4, 3 } },
	{ STAGE_POLICY, { 5, 4, 6 }, "", HOP, FAIL, { 5, 4, 6 } }, /* loop */
	{ STAGE_POLICY, { 5, 4, 6 }, "k", HOP, PARK, { 4, 4, 6 } },
	{ STAGE_POLICY, { 5, 4, 4 }, "", HOP, FAIL, { 5, 4, 4 } }, /* refused addresses */
	{ STAGE_POLICY, { 4, 3, 5 }, "", OURS, PARK, { 4, 3, 5 } },
	{ STAGE_POLICY, { 4, 3, 5 }, "k", OURS, PARK, { 4, 3, 5 } },
	{ STAGE_POLICY, { 4, 4, 4 }, "", HOP, PARK, { 4, 4, 4 } },
	{ STAGE_POLICY, { 4, 7, 1 }, "", HOP, PARK, { 4, 7, 1 } },
	{ STAGE_POLICY, { 4, 6, 7 }, "", MSG, RETRY, { 4, 6, 7 } },
	{ STAGE_POLICY, { 0, 0, 0 }, "", MSG, RETRY, { 4, 5, 0 } },
	{ STAGE_POLICY, { 5, 3, 4 }, "", MSG, FAIL, { 5, 3, 4 } }, /* larger than SIZE */
	{ STAGE_POLICY, { 5, 3, 4 }, "k", MSG, FAIL, { 5, 3, 4 } },
	{ STAGE_POLICY, { 5, 1, 7 }, "k", MSG, FAIL, { 5, 1, 7 } }, /* reverse-path that cannot be sent */
	{ STAGE_POLICY, { 5, 1, 3 }, "k", RCPT, FAIL, { 5, 1, 3 } }, /* forward-path that cannot be sent */
	{ STAGE_POLICY, { 5, 6, 7 }, "", MSG, FAIL, { 5, 6, 7 } }, /* no SMTPUTF8 */
	{ STAGE_POLICY, { 5, 6, 7 }, "k", MSG, RETRY, { 4, 6, 7 } },
	{ STAGE_POLICY, { 4, 5, 3 }, "o", RCPT, AGAIN, { 4, 5, 3 } }, /* beyond RCPTMAX */
	{ STAGE_POLICY, { 4, 5, 3 }, "", MSG, RETRY, { 4, 5, 3 } },   /* nobody was taken: not for ever at once */
	{ STAGE_POLICY, { 5, 4, 7 }, "", MSG, FAIL, { 5, 4, 7 } },    /* by-time */
	{ STAGE_POLICY, { 5, 4, 7 }, "k", MSG, FAIL, { 5, 4, 7 } },
	{ STAGE_POLICY, { 5, 3, 3 }, "", MSG, FAIL, { 5, 3, 3 } }, /* no DELIVERBY */
	{ STAGE_POLICY, { 5, 3, 3 }, "k", MSG, RETRY, { 4, 3, 3 } },
	{ STAGE_POLICY, { 5, 7, 30 }, "", MSG, FAIL, { 5, 7, 30 } }, /* no REQUIRETLS */
	{ STAGE_POLICY, { 5, 7, 30 }, "k", MSG, RETRY, { 4, 7, 30 } },
	{ STAGE_POLICY, { 5, 7, 10 }, "", MSG, RETRY, { 4, 7, 10 } }, /* a certificate may be put right */
};
/* clang-format on */

static void test_verdict_judges_lost_connections(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(losses); i++) {
		struct outcome o = { .stage = losses[i].stage, .err = losses[i].err };
		struct verdict_context context = parse_context(losses[i].context);
		struct verdict v = verdict_in(&o, &context);

		check(&v, losses[i].scope, losses[i].disposition, losses[i].flags,
			stage_name(o.stage));
		assert_true(status_is(v.status, losses[i].status.klass, losses[i].status.subject,
			losses[i].status.detail));
	}
}

static void test_verdict_judges_routing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(routings); i++) {
		struct outcome o = { .stage = routings[i].stage,
			.err = ERR_NOT_FOUND,
			.status = routings[i].given };
		struct verdict_context context = parse_context(routings[i].context);
		struct verdict v = verdict_in(&o, &context);

		assert_int_equal(v.scope, routings[i].scope);
		assert_int_equal(v.disposition, routings[i].disposition);
		assert_int_equal(v.status.klass, routings[i].status.klass);
		assert_int_equal(v.status.subject, routings[i].status.subject);
		assert_int_equal(v.status.detail, routings[i].status.detail);
		/* what a message needs and a host lacks: the host has answered, or nobody would know */
		assert_int_equal(v.answers, v.scope == MSG || (v.scope == RCPT && v.disposition == FAIL));
	}
}

static void test_verdict_derives_status_when_the_enhanced_code_is_missing_or_conflicts(void **state)
{
	static const struct {
		enum stage stage;
		unsigned code;
		struct status given, expected;
	} table[] = {
		{ STAGE_RCPT, 550, { 5, 1, 1 }, { 5, 1, 1 } },
		{ STAGE_RCPT, 550, { 0, 0, 0 }, { 5, 0, 0 } },
		{ STAGE_RCPT, 550, { 4, 1, 1 }, { 5, 0, 0 } },
		{ STAGE_RCPT, 450, { 2, 0, 0 }, { 4, 0, 0 } },
		{ STAGE_RCPT, 552, { 5, 2, 2 }, { 4, 2, 2 } },
		{ STAGE_GREETING, 554, { 5, 7, 1 }, { 4, 7, 1 } },
		{ STAGE_GREETING, 554, { 0, 0, 0 }, { 4, 3, 2 } },
		{ STAGE_GREETING, 451, { 0, 0, 0 }, { 4, 3, 0 } },
		{ STAGE_DOT, 250, { 0, 0, 0 }, { 2, 0, 0 } },
		{ STAGE_DOT, 250, { 5, 0, 0 }, { 2, 0, 0 } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		struct outcome o = {
			.stage = table[i].stage, .code = table[i].code, .status = table[i].given
		};
		struct verdict v = verdict_of(&o, false);

		assert_int_equal(v.status.klass, table[i].expected.klass);
		assert_int_equal(v.status.subject, table[i].expected.subject);
		assert_int_equal(v.status.detail, table[i].expected.detail);
	}
}

/* Whatever comes: a failure is final only after a 5xx reply at MAIL or later, or a final answer of
 * DNS or our rules. */
static void test_verdict_never_fails_mail_without_a_final_reply(void **state)
{
	struct rng chance;
	(void)state;

	rng_init(&chance, 11);
	for (unsigned i = 0; i < 200000; i++) {
		struct outcome o = { .stage = (enum stage)rng_below(&chance, STAGE_COUNT) };
		struct verdict_context context = { rng_below(&chance, 2), rng_below(&chance, 2),
			rng_below(&chance, 2), rng_below(&chance, 2), rng_below(&chance, 2) };
		struct verdict v;

		o.status = STATUS((uint8_t)rng_below(&chance, 6), (uint16_t)rng_below(&chance, 9),
			(uint16_t)rng_below(&chance, 9));
		if (rng_below(&chance, 2))
			o.code = (unsigned)rng_below(&chance, 700);
		else
			o.err = (enum err)rng_below(&chance, ERR_COUNT);
		v = verdict_in(&o, &context);
		assert_false(v.scope == SCOPE_OURS && v.disposition == DISPOSE_FAIL);
		assert_false(v.scope == SCOPE_HOST && v.disposition != DISPOSE_PARK);
		assert_int_equal(v.is_in_doubt, o.stage == STAGE_DOT && o.code == 0);
		if (v.disposition == DISPOSE_DELIVERED)
			assert_true(o.stage == STAGE_DOT && o.code >= 200 && o.code <= 299);
		if (v.disposition == DISPOSE_AGAIN)
			assert_true(context.has_accepted_other &&
				    (o.stage == STAGE_RCPT || o.stage == STAGE_POLICY));
		if (v.disposition != DISPOSE_FAIL)
			continue;
		assert_int_equal(v.status.klass, 5);
		if (o.code != 0)
			assert_true(o.stage >= STAGE_MAIL && o.code >= 500 && o.code <= 599);
		else
			assert_true((o.stage == STAGE_DNS || o.stage == STAGE_POLICY) &&
				    o.status.klass != 4);
	}
}

static void test_verdict_names_scopes_and_dispositions(void **state)
{
	(void)state;
	assert_string_equal(scope_name(SCOPE_HOST), "host");
	assert_string_equal(scope_name(SCOPE_OURS), "ours");
	assert_string_equal(disposition_name(DISPOSE_DELIVERED), "delivered");
	assert_string_equal(disposition_name(DISPOSE_FAIL), "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdict_judges_replies_of_real_servers),
		cmocka_unit_test(test_verdict_judges_lost_connections),
		cmocka_unit_test(test_verdict_judges_routing),
		cmocka_unit_test(
			test_verdict_derives_status_when_the_enhanced_code_is_missing_or_conflicts),
		cmocka_unit_test(test_verdict_never_fails_mail_without_a_final_reply),
		cmocka_unit_test(test_verdict_names_scopes_and_dispositions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
