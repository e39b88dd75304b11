/*
 * server_submission - between the decoder and the transaction: the header of submitted mail is mended while it streams by
 * (mail/submission.h, RFC 6409 section 8). What counts against the limits is what the client sent; what is scanned,
 * sized and stored is what came of it. The slack that the content has beside its limits holds what is added.
 * Addresses of the envelope must be whole (section 4.2): what is meant by "sales" is known where it was written alone.
 */
#include "base/mem.h"
#include "session.h"

bool server_is_qualified(struct smtp_server *s, const struct command *c)
{
	struct str domain = c->address.domain;

	/* Literals have brackets; <> and <Postmaster> no domain. */
	if (!s->info.is_submission || domain.len == 0 || domain.data[0] == '[' ||
		str_find(domain, '.') < domain.len)
		return true;
	server_refuse(s, 554, c->verb == COMMAND_MAIL ? STATUS(5, 1, 8) : STATUS(5, 1, 2),
		"domain in %s is not fully qualified", command_name(c->verb));
	return false;
}

void server_begin_mending(struct smtp_server *s)
{
	struct smtp_transaction *t = s->t;
	const struct submission_info info = {
		.hostname = t->header.own_host,
		.id = t->env.id,
		.at = t->env.accepted,
	};

	t->submission = mem_zalloc(sizeof(*t->submission));
	submission_init(t->submission, &info);
}

struct str server_mend(struct smtp_server *s, size_t before)
{
	struct smtp_transaction *t = s->t;
	struct buf came;

	buf_init(&came, t->content.len);
	buf_append_str(&came, str_slice(buf_str(&t->content), before, t->content.len));
	t->content.len = before;
	submission_feed(t->submission, buf_str(&came), &t->content);
	buf_fini(&came);
	return str_slice(buf_str(&t->content), before, t->content.len);
}

/* A message without a body: what is missing could not be told before its end. */
void server_end_mending(struct smtp_server *s)
{
	struct smtp_transaction *t = s->t;
	size_t before = t->content.len;

	submission_finish(t->submission, &t->content);
	struct str added = str_slice(buf_str(&t->content), before, t->content.len);
	t->content_bytes += added.len;
	header_scan_feed(&t->header, added);
}
