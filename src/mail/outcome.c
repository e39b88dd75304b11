/* outcome - names of the stages of a delivery, for people. */
#include "mail/outcome.h"

const char *stage_name(enum stage stage)
{
	static const char *const names[STAGE_COUNT] = {
		[STAGE_NONE] = "nothing",
		[STAGE_DNS] = "dns",
		[STAGE_POLICY] = "policy",
		[STAGE_CONNECT] = "connect",
		[STAGE_TLS] = "tls",
		[STAGE_GREETING] = "greeting",
		[STAGE_EHLO] = "ehlo",
		[STAGE_STARTTLS] = "starttls",
		[STAGE_AUTH] = "auth",
		[STAGE_MAIL] = "mail",
		[STAGE_RCPT] = "rcpt",
		[STAGE_DATA] = "data",
		[STAGE_CONTENT] = "content",
		[STAGE_DOT] = "end of data",
	};
	return (unsigned)stage < STAGE_COUNT ? names[stage] : "unknown";
}
