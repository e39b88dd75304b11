/*
 * err - why an operation of the house failed.
 *
 * For control flow inside the program. What happened to a piece of mail is a struct outcome
 * (deliver/verdict.h), never an enum err. Text is added once, where the error is logged or answered.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

enum err {
	OK = 0,
	ERR_SYNTAX,      /* input does not follow its grammar */
	ERR_LIMIT,       /* a configured or built-in limit was reached */
	ERR_NOT_FOUND,   /* no such thing */
	ERR_EXISTS,      /* already there */
	ERR_EOF,         /* the peer closed in an orderly way */
	ERR_RESET,       /* the connection broke */
	ERR_REFUSED,     /* connection refused */
	ERR_UNREACHABLE, /* no route to host or network */
	ERR_TIMEOUT,     /* a deadline passed */
	ERR_CANCELED,    /* its owner gave it up */
	ERR_TLS,         /* handshake, certificate or record error */
	ERR_NO_SPACE,    /* disk or database full; rolled back, may be tried again */
	ERR_IO,          /* the disk failed: for a commit, its outcome is unknown */
	ERR_CORRUPT,     /* stored data is damaged */
	ERR_NEWER,       /* stored data was written by a newer version */
	ERR_LOCKED,      /* another process holds it */
	ERR_PERMISSION,  /* not permitted */
	ERR_NO_FDS,      /* file descriptors are used up */
	ERR_UNSUPPORTED, /* not offered by this build or peer */
	ERR_BUSY,        /* try again later */
	ERR_COUNT
};

/* err_name - a short lower-case phrase for a log line ("connection refused"). Static. Thread: any. */
const char *err_name(enum err err);

#endif
