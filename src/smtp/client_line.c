/*
 * client_line - MAIL and RCPT as lines, with the parameters that the peer knows.
 *
 * Values that senders chose were checked when they came and go on octet by octet (mail/orcpt.h); nothing of theirs can end the
 * line. ORCPT is passed on, never added: the next hop sees the address as we got it. NOTIFY is that of the sender but for
 * DELAY, which a wish for word by a time adds.
 */
#include "client_private.h"
#include "mail/orcpt.h"

#define LINE_BYTES_MAX ((size_t)8 * 1024)
#define BY_MAX_S INT64_C(999999999) /* RFC 2852 4 */

bool client_line_is_safe(struct str address)
{
	bool is_quoted = false, is_escaped = false;

	for (size_t i = 0; i < address.len; i++) {
		unsigned char octet = (unsigned char)address.data[i];
		if (octet < 0x20 || octet == 0x7f)
			return false;
		if (is_escaped)
			is_escaped = false;
		else if (octet == '\\' && is_quoted)
			is_escaped = true;
		else if (octet == '"')
			is_quoted = !is_quoted;
		else if ((octet == '<' || octet == '>' || octet == ' ') && !is_quoted)
			return false;
	}
	return !is_quoted && !is_escaped;
}

/* A by-time of our own rules is nobody else's affair. */
static void append_by(const struct smtp_client *c, struct buf *line)
{
	const struct envelope *env = c->job->env;
	int64_t left_s = client_by_s(c);

	if (left_s < -BY_MAX_S)
		left_s = -BY_MAX_S;
	buf_printf(line, " BY=%lld;%c%s", (long long)(left_s < BY_MAX_S ? left_s : BY_MAX_S),
		env->deliver_by_notify ? 'N' : 'R', env->deliver_by_trace ? "T" : "");
}

/* What was wished at MAIL goes with the message where it is understood (server_wish.c). */
static void append_wishes(const struct smtp_client *c, struct buf *line)
{
	const struct envelope *env = c->job->env;

	if (env->is_requiretls && !c->job->is_tls_waived) /* or client_need.c had refused it */
		buf_append_str(line, STR(" REQUIRETLS"));
	if (c->info.has_priority) /* RFC 6710 4.2: 0 too, or the next hop chooses */
		buf_printf(line, " MT-PRIORITY=%d", env->priority);
	if (c->info.has_deliverby && env->deliver_by.ms != WALL_NONE.ms && !env->deliver_by_is_ours)
		append_by(c, line);
}

void client_write_mail(struct smtp_client *c)
{
	const struct envelope *env = c->job->env;
	struct buf line;

	buf_init(&line, LINE_BYTES_MAX);
	buf_append_str(&line, STR("MAIL FROM:<"));
	buf_append_str(&line, env->reverse_path);
	buf_append_char(&line, '>');
	if (c->info.has_size) {
		buf_append_str(&line, STR(" SIZE="));
		buf_append_number(&line, env->size_bytes, 1);
	}
	if (env->body == BODY_8BITMIME && c->info.has_8bitmime)
		buf_append_str(&line, STR(" BODY=8BITMIME"));
	if (env->is_smtputf8 && c->info.has_smtputf8)
		buf_append_str(&line, STR(" SMTPUTF8"));
	if (c->info.has_dsn && env->ret != RET_UNSET)
		buf_append_str(&line, env->ret == RET_FULL ? STR(" RET=FULL") : STR(" RET=HDRS"));
	if (c->info.has_dsn && env->envid.len > 0) {
		buf_append_str(&line, STR(" ENVID="));
		envid_param(&line, env->envid);
	}
	if (c->params.user.len > 0) /* RFC 4954 5: who submitted it is nobody we vouch for */
		buf_append_str(&line, STR(" AUTH=<>"));
	append_wishes(c, &line);
	buf_append_str(&line, STR("\r\n"));
	client_write(c, buf_str(&line));
	buf_fini(&line);
}

static void append_notify(struct buf *line, unsigned notify)
{
	static const struct {
		enum notify bit;
		const char *name;
	} names[] = {
		{ NOTIFY_NEVER, "NEVER" },
		{ NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" },
		{ NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(notify & (unsigned)names[i].bit))
			continue;
		buf_printf(line, "%s%s", before, names[i].name);
		before = ",";
	}
}

/* RFC 2852 4.1.4.2: who wants word by a time (mode N) shall have it of a host that knows DSN but not DELIVERBY, too. */
static unsigned notify_of(const struct smtp_client *c, const struct recipient *rcpt)
{
	const struct envelope *env = c->job->env;
	bool wants_word = env->deliver_by.ms != WALL_NONE.ms && env->deliver_by_notify &&
			  !env->deliver_by_is_ours;

	if (!wants_word || c->info.has_deliverby || (rcpt->notify & NOTIFY_NEVER))
		return rcpt->notify;
	return rcpt->notify == 0 ? NOTIFY_FAILURE | NOTIFY_DELAY : rcpt->notify | NOTIFY_DELAY;
}

static void append_orcpt(struct buf *line, struct str orcpt, bool allow_utf8)
{
	struct buf value;

	buf_init(&value, LINE_BYTES_MAX);
	orcpt_param(&value, orcpt, allow_utf8);
	if (value.len > 0) {
		buf_append_str(line, STR(" ORCPT="));
		buf_append_str(line, buf_str(&value));
	}
	buf_fini(&value);
}

void client_write_rcpt(struct smtp_client *c, const struct recipient *rcpt)
{
	struct buf line;

	buf_init(&line, LINE_BYTES_MAX);
	buf_append_str(&line, STR("RCPT TO:<"));
	buf_append_str(&line, rcpt->address);
	buf_append_char(&line, '>');
	if (c->info.has_dsn) {
		append_notify(&line, notify_of(c, rcpt));
		if (rcpt->orcpt.len > 0)
			append_orcpt(&line, rcpt->orcpt,
				c->job->env->is_smtputf8 && c->info.has_smtputf8);
	}
	buf_append_str(&line, STR("\r\n"));
	client_write(c, buf_str(&line));
	buf_fini(&line);
}
