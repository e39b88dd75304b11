/* err - the phrases of enum err. */
#include "base/err.h"

const char *err_name(enum err err)
{
	switch (err) {
	case OK:
		return "ok";
	case ERR_SYNTAX:
		return "syntax error";
	case ERR_LIMIT:
		return "limit reached";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_EXISTS:
		return "already exists";
	case ERR_EOF:
		return "closed by the peer";
	case ERR_RESET:
		return "connection reset";
	case ERR_REFUSED:
		return "connection refused";
	case ERR_UNREACHABLE:
		return "network unreachable";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_CANCELED:
		return "canceled";
	case ERR_TLS:
		return "tls error";
	case ERR_NO_SPACE:
		return "no space left";
	case ERR_IO:
		return "disk error";
	case ERR_CORRUPT:
		return "stored data is damaged";
	case ERR_NEWER:
		return "written by a newer version";
	case ERR_LOCKED:
		return "locked by another process";
	case ERR_PERMISSION:
		return "permission denied";
	case ERR_NO_FDS:
		return "out of file descriptors";
	case ERR_UNSUPPORTED:
		return "not supported";
	case ERR_BUSY:
		return "busy";
	case ERR_COUNT:
		break;
	}
	return "unknown error";
}
