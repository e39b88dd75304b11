/*
 * command - one SMTP command line, RFC 5321 section 4.1, parsed into a struct or refused.
 *
 * The result says which reply is due; the server decides on order, policy and text.
 * MAIL and RCPT parameters are validated in form here (RFC 1870, 6152, 3461, 4954, 6531, 6710, 2852, 4865).
 */
#ifndef MAIL_COMMAND_H
#define MAIL_COMMAND_H

#include <stdint.h>

#include "base/arena.h"
#include "mail/address.h"
#include "mail/envelope.h"

enum command_verb {
	COMMAND_UNKNOWN,
	COMMAND_EHLO,
	COMMAND_HELO,
	COMMAND_MAIL,
	COMMAND_RCPT,
	COMMAND_DATA,
	COMMAND_RSET,
	COMMAND_NOOP,
	COMMAND_VRFY,
	COMMAND_EXPN,
	COMMAND_HELP,
	COMMAND_QUIT,
	COMMAND_STARTTLS,
	COMMAND_AUTH,
	COMMAND_BDAT,     /* RFC 3030 */
	COMMAND_ETRN,     /* RFC 1985 */
	COMMAND_XCLIENT,  /* of trusted hosts: Postfix, XCLIENT_README, XFORWARD_README */
	COMMAND_XFORWARD,
	COMMAND_HTTP /* GET, POST, HOST: and the like: another protocol is talking (ALPACA); close */
};

enum command_fault {
	COMMAND_OK,
	COMMAND_BAD_VERB,         /* 500 5.5.2 */
	COMMAND_BAD_SYNTAX,       /* 501 5.5.4 */
	COMMAND_BAD_ADDRESS,      /* 501 5.1.7 (MAIL) or 5.1.3 (RCPT) */
	COMMAND_LONG_ADDRESS,     /* 501, same codes: a part is over its limit */
	COMMAND_UTF8_ADDRESS,     /* 553 5.6.7: non-ASCII without SMTPUTF8 */
	COMMAND_BAD_PARAMETER,    /* 501 5.5.4: known parameter, bad value or given twice */
	COMMAND_UNKNOWN_PARAMETER /* 555 5.5.4 */
};

struct command {
	enum command_verb verb;
	struct str argument;    /* EHLO/HELO name, VRFY/HELP text, AUTH mechanism; trimmed */
	struct str initial;     /* AUTH initial response, may be "=" */
	struct address address; /* MAIL, RCPT */
	/* MAIL */
	uint64_t size_bytes; /* SIZE=, 0 when absent */
	bool has_size;
	enum body_kind body; /* BODY= */
	bool is_smtputf8;
	enum dsn_ret ret;       /* RET= */
	struct str envid;       /* ENVID=, xtext as given */
	struct str auth_sender; /* AUTH=, decoded; ignored by policy */
	bool is_requiretls;     /* REQUIRETLS, RFC 8689 */
	bool has_priority;      /* MT-PRIORITY=, RFC 6710 */
	int priority;
	bool has_by; /* BY=, RFC 2852: seconds from now, may be negative with mode N */
	int64_t by_s;
	bool by_notify, by_trace;
	bool has_hold; /* HOLDFOR= or HOLDUNTIL=, RFC 4865: one of them */
	int64_t hold_for_s;
	struct wall hold_until; /* WALL_NONE: HOLDFOR was given */
	/* RCPT */
	unsigned notify;  /* NOTIFY=, bits of enum notify; 0 when absent */
	struct str orcpt; /* ORCPT=, "type;xtext" as given: mail/orcpt.h */
	/* BDAT */
	uint64_t chunk_bytes;
	bool is_last;
};

/*
 * command_parse - line is one command without its CRLF, any octets. allow_utf8: addresses in MAIL may be UTF-8 when
 * SMTPUTF8 is among the parameters of the same line; in RCPT when utf8_transaction. Strings live in arena.
 */
enum command_fault command_parse(
	struct command *out, struct str line, bool utf8_transaction, struct arena *arena);
const char *command_name(enum command_verb verb); /* "MAIL" */

#endif
