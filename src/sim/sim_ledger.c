/* sim_ledger - see sim_ledger.h. */
#include "sim/sim_ledger.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define VIOLATIONS_SHOWN 10
/* Results that found no space are written so soon after there is some. */
#define SPACE_LAG_MS (5 * SECOND_MS)
#define CRASH_BEFORE_MS (10 * SECOND_MS)
#define CRASH_AFTER_MS (5 * SECOND_MS)
#define CONTENT_MAX (8u << 20)

void sim_violation(struct sim_ledger *l, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sim_trace(l->clock, "VIOLATION %s", text);
	if (l->violation_count++ < VIOLATIONS_SHOWN)
		fprintf(stderr, "  violation at %.3f h: %s\n",
			(double)l->clock->now_ms / (double)HOUR_MS, text);
}

void sim_ledger_init(struct sim_ledger *l, struct sim_clock *clock)
{
	*l = (struct sim_ledger){ .clock = clock, .full_ms = -1, .space_ms = INT64_MIN / 2 };
}

void sim_ledger_fini(struct sim_ledger *l)
{
	for (uint32_t i = 0; i < l->mail_count; i++) {
		struct sim_mail *m = &l->mails[i];

		for (uint32_t k = 0; k < m->recipient_count; k++)
			free(m->recipients[k].address);
		free(m->recipients);
		free(m->from);
	}
	free(l->mails);
	free(l->crashes);
}

uint32_t sim_ledger_new(struct sim_ledger *l, const char *from, const char *const *recipients,
	uint32_t count, uint32_t body_bytes)
{
	struct sim_mail *m;

	if (l->mail_count == l->mail_room) {
		l->mail_room = l->mail_room ? 2 * l->mail_room : 256;
		l->mails = mem_realloc(l->mails, l->mail_room * sizeof(*l->mails));
	}
	m = &l->mails[l->mail_count];
	*m = (struct sim_mail){
		.from = mem_strdup(from), .recipient_count = count, .body_bytes = body_bytes
	};
	m->recipients = mem_array(count, sizeof(*m->recipients));
	for (uint32_t i = 0; i < count; i++)
		m->recipients[i].address = mem_strdup(recipients[i]);
	return l->mail_count++;
}

/* ---- contents ---- */

#define LINE_MAX_OCTETS 96 /* two dots, 89 letters, CRLF */

/* Lines of all kinds that SMTP may spoil: dots first, empty ones, long ones. */
static void put_body(const struct sim_ledger *l, uint32_t token, struct buf *out)
{
	size_t end = out->len + l->mails[token].body_bytes;
	uint64_t state = token * UINT64_C(0x9e3779b97f4a7c15) + 1;

	while (out->len < end) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		uint64_t pick = state >> 33;
		size_t len = pick % 8 == 0 ? 0 : pick % 90;

		char line[LINE_MAX_OCTETS];
		size_t used = 0;

		for (uint64_t dots = pick % 7; dots > 4; dots--)
			line[used++] = '.';
		/* the letters of pick + i * i, by differences */
		for (size_t i = 0, letter = pick % 26; i < len; letter = (letter + 2 * i + 1) % 26, i++)
			line[used++] = (char)('a' + letter);
		line[used++] = '\r';
		line[used++] = '\n';
		buf_append(out, line, used);
	}
}

void sim_ledger_content(const struct sim_ledger *l, uint32_t token, struct buf *out)
{
	const struct sim_mail *m = &l->mails[token];

	buf_printf(out, "X-Sim-Token: %u\r\nFrom: <%s>\r\nTo: <%s>\r\n", token, m->from,
		m->recipients[0].address);
	if (m->style == STYLE_LIST)
		buf_append_str(out, STR("List-Id: <list.sender.test>\r\n"));
	buf_printf(
		out, "Subject: message %u\r\nMessage-ID: <%u@sender.test>\r\n\r\n", token, token);
	put_body(l, token, out);
}

static bool find_text(struct str in, struct str what, size_t from, size_t *at)
{
	for (size_t i = from; i + what.len <= in.len; i++) {
		if (memcmp(in.data + i, what.data, what.len) == 0) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* The rest of the line behind the first occurrence of a field's name at the start of a line. */
static bool find_field(struct str in, struct str name, size_t from, struct str *value, size_t *next)
{
	size_t at = from;

	while (find_text(in, name, at, &at)) {
		if (at == 0 || in.data[at - 1] == '\n') {
			struct str rest = str_slice(in, at + name.len, in.len);

			*next = at + name.len;
			*value = str_trim(str_slice(rest, 0, str_find(rest, '\r')));
			return true;
		}
		at += name.len;
	}
	return false;
}

static void check_body(struct sim_ledger *l, uint32_t token, struct str content)
{
	struct buf want;
	size_t at;

	buf_init(&want, CONTENT_MAX);
	put_body(l, token, &want);
	if (!find_text(content, STR("\r\n\r\n"), 0, &at) ||
		!str_equal(str_slice(content, at + 4, content.len), buf_str(&want)))
		sim_violation(l, "message %u arrived with another content", token);
	buf_fini(&want);
}

/* ---- events ---- */

static struct sim_mail *mail_of(struct sim_ledger *l, struct str number)
{
	uint64_t token;

	if (str_to_u64(number, &token) != OK || token >= l->mail_count)
		return NULL;
	return &l->mails[token];
}

static struct sim_rcpt *rcpt_of(struct sim_mail *m, struct str address)
{
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (str_equal_fold(str_from_c(m->recipients[i].address), address))
			return &m->recipients[i];
	return NULL;
}

void sim_ledger_answer(struct sim_ledger *l, uint32_t token, enum sim_fate fate)
{
	l->mails[token].fate = fate;
	l->mails[token].answered_ms = l->clock->now_ms;
	sim_trace(l->clock, "answer %u %d", token, (int)fate);
}

void sim_ledger_note_space(struct sim_ledger *l, bool is_full)
{
	if (is_full && l->full_ms < 0) {
		l->full_ms = l->clock->now_ms;
	} else if (!is_full && l->full_ms >= 0) {
		l->full_before_ms = l->full_ms;
		l->full_ms = -1;
		l->space_ms = l->clock->now_ms;
	}
}

void sim_ledger_note_crash(struct sim_ledger *l)
{
	if (l->crash_count == l->crash_room) {
		l->crash_room = l->crash_room ? 2 * l->crash_room : 16;
		l->crashes = mem_realloc(l->crashes, l->crash_room * sizeof(*l->crashes));
	}
	bool is_behind = l->full_ms >= 0 || l->clock->now_ms - l->space_ms < SPACE_LAG_MS;
	int64_t from_ms = l->full_ms >= 0 ? l->full_ms : l->full_before_ms;

	l->crashes[l->crash_count++] =
		(struct sim_crash){ is_behind ? from_ms : l->clock->now_ms, l->clock->now_ms };
}

void sim_ledger_refuse(struct sim_ledger *l, struct str envid, struct str recipient)
{
	struct sim_mail *m = envid.len > 1 ? mail_of(l, str_slice(envid, 1, envid.len)) : NULL;

	for (uint32_t i = 0; m && i < m->recipient_count; i++)
		if (recipient.len == 0 ||
			str_equal_fold(str_from_c(m->recipients[i].address), recipient))
			m->recipients[i].was_refused = true;
}

void sim_ledger_put_off(struct sim_ledger *l, struct str envid, struct str recipient)
{
	struct sim_mail *m = envid.len > 1 ? mail_of(l, str_slice(envid, 1, envid.len)) : NULL;
	struct sim_rcpt *r = m ? rcpt_of(m, recipient) : NULL;

	if (r)
		r->was_put_off = true;
}

/* A crash close to the copy before: its 250 was on the way, or not recorded yet, or the content was in flight. */
static bool crash_explains(const struct sim_ledger *l, int64_t copy_ms)
{
	for (uint32_t i = 0; i < l->crash_count; i++)
		if (l->crashes[i].at_ms >= copy_ms - CRASH_BEFORE_MS - 5 * l->think_ms &&
			l->crashes[i].from_ms <= copy_ms + CRASH_AFTER_MS + 2 * l->think_ms)
			return true;
	return false;
}

static void take_mail(struct sim_ledger *l, struct str number, struct str content,
	struct str recipient, int site, bool is_doubt)
{
	struct sim_mail *m = mail_of(l, number);
	struct sim_rcpt *r = m ? rcpt_of(m, recipient) : NULL;
	uint32_t token = m ? (uint32_t)(m - l->mails) : 0;

	if (!r) {
		sim_violation(l, "message %.*s arrived for %.*s, who is no recipient of it",
			STR_FMT(number), STR_FMT(recipient));
		return;
	}
	check_body(l, token, content);
	if (m->fate == FATE_REFUSED)
		sim_violation(l, "message %u was refused, and arrived for %s", token, r->address);
	if (r->returned > 0)
		sim_violation(
			l, "message %u arrived for %s after a failure notice", token, r->address);
	if (r->delivered > 0 && !r->is_last_doubt && !crash_explains(l, r->last_ms))
		sim_violation(l, "message %u arrived again for %s, %lld s after the copy before",
			token, r->address,
			(long long)((l->clock->now_ms - r->last_ms) / SECOND_MS));
	if (r->delivered++ == 0) {
		r->first_ms = l->clock->now_ms;
		r->site = site;
	}
	r->last_ms = l->clock->now_ms;
	r->is_last_doubt = is_doubt;
}

static void take_return(
	struct sim_ledger *l, struct sim_mail *m, struct str address, uint64_t notice)
{
	struct sim_rcpt *r = rcpt_of(m, address);
	unsigned token = (unsigned)(m - l->mails);

	if (!r) {
		sim_violation(l, "a notice for message %u names %.*s", token, STR_FMT(address));
		return;
	}
	if (r->returned > 0 && r->notice != notice)
		sim_violation(l, "message %u: two notices for %s", token, r->address);
	if (r->returned++ == 0) {
		r->returned_ms = l->clock->now_ms;
		r->notice = notice;
		r->had_reason = r->was_refused || l->may_return(l->user, m, r);
		if (!r->had_reason)
			sim_violation(l, "message %u was returned for %s without a cause", token,
				r->address);
	}
	if (r->delivered > 0 && !r->is_last_doubt && !crash_explains(l, r->last_ms))
		sim_violation(l, "message %u was delivered to %s and returned", token, r->address);
}

/* A copy that was taken is confirmed once, by who asked for that; the copy comes first. */
static void take_receipt(
	struct sim_ledger *l, struct sim_mail *m, struct str address, uint64_t notice)
{
	struct sim_rcpt *r = rcpt_of(m, address);
	unsigned token = (unsigned)(m - l->mails);

	if (!r || !m->wants_receipt) {
		sim_violation(l, "message %u: nobody asked for a notice of success for %.*s", token,
			STR_FMT(address));
		return;
	}
	if (r->receipts > 0 && r->receipt == notice)
		return; /* that very notice again: as mail it may */
	r->receipt = notice;
	if (++r->receipts > r->delivered)
		sim_violation(l, "message %u: %u notices of success for %s, which was taken %u times",
			token, (unsigned)r->receipts, r->address, (unsigned)r->delivered);
}

/* What a notice or digest says of recipients, in order; envelope ids stand before those of their message. */
static void take_status(
	struct sim_ledger *l, struct str content, struct str id, struct sim_mail *m, bool is_digest)
{
	struct str address = STR("");
	bool is_delay = false;

	while (content.len > 0) {
		struct str line = str_cut(&content, '\n');

		line = str_slice(line, 0, str_find(line, '\r'));
		if (is_digest && str_starts_fold(line, STR("Content-Type: message/"))) {
			m = NULL;
		} else if (str_starts_fold(line, STR("Original-Envelope-Id: t"))) {
			m = mail_of(l, str_slice(line, 23, line.len));
			if (!m)
				sim_violation(l, "a notice for an unknown envelope arrived: %.*s",
					STR_FMT(line));
		} else if (str_starts_fold(line, STR("Final-Recipient:"))) {
			(void)str_cut(&line, ';');
			address = str_trim(line);
		} else if (str_starts_fold(line, STR("Action: delayed"))) {
			is_delay = true;
			l->digest_parts += is_digest;
		} else if (str_starts_fold(line, STR("Action: relayed")) && m) {
			take_receipt(l, m, address, str_hash(id, 1));
		} else if (str_starts_fold(line, STR("Action:")) && m) {
			take_return(l, m, address, str_hash(id, 1));
		}
	}
	l->delays += is_delay && !is_digest;
}

static void take_notice(struct sim_ledger *l, struct str content, struct str recipient)
{
	struct str id, envid, number;
	size_t next = 0;

	if (!find_field(content, STR("Message-ID:"), 0, &id, &next)) {
		sim_violation(l, "a notice without Message-ID arrived");
		return;
	}
	bool has_envelope = find_field(content, STR("Original-Envelope-Id:"), 0, &envid, &next);
	bool has_token = find_field(content, STR("X-Sim-Token:"), 0, &number, &next);

	if (!has_envelope && has_token) {
		/* of a message that was sent without one: it is known by the header that is returned */
		take_status(l, content, id, mail_of(l, number), false);
		return;
	}
	if (!has_envelope) {
		/* a notice that could not be delivered: it has no envelope id, and nobody but the postmaster hears of it */
		l->double_bounces++;
		if (!str_starts_fold(recipient, STR("postmaster@")))
			sim_violation(l, "a notice without Original-Envelope-Id arrived for %.*s",
				STR_FMT(recipient));
		return;
	}
	take_status(l, content, id, NULL, false);
}

/* Not to programs and lists, and only to senders. */
static void take_digest(struct sim_ledger *l, struct str head, struct str content, struct str recipient)
{
	struct str id = STR("");
	size_t next;

	(void)find_field(head, STR("Message-ID:"), 0, &id, &next);
	if (str_starts_fold(recipient, STR("operators@")))
		l->operator_mails++;
	else if (str_starts_fold(recipient, STR("list@")))
		sim_violation(l, "a digest arrived for a list");
	else if (find_field(head, STR("Content-Type: text/plain"), 0, &content, &next))
		l->closings++;
	else
		l->digests++;
	take_status(l, content, id, NULL, true);
}

void sim_ledger_take(
	struct sim_ledger *l, struct str content, struct str recipient, int site, bool is_doubt)
{
	struct str number, type;
	size_t end, next;
	struct str head = find_text(content, STR("\r\n\r\n"), 0, &end)
				  ? str_slice(content, 0, end + 2)
				  : content;

	l->acceptances++;
	l->doubt_count += is_doubt;
	if (find_field(head, STR("X-Sim-Token:"), 0, &number, &next)) {
		sim_trace(l->clock, "took %.*s for %.*s%s", STR_FMT(number), STR_FMT(recipient),
			is_doubt ? " (doubt)" : "");
		take_mail(l, number, content, recipient, site, is_doubt);
	} else if (find_field(head, STR("Content-Type:"), 0, &type, &next) &&
		   str_starts_fold(type, STR("multipart/report"))) {
		sim_trace(l->clock, "took notice for %.*s", STR_FMT(recipient));
		take_notice(l, content, recipient);
	} else if (find_field(head, STR("Auto-Submitted: auto-generated"), 0, &type, &next)) {
		sim_trace(l->clock, "took digest for %.*s", STR_FMT(recipient));
		take_digest(l, head, content, recipient);
	} else {
		sim_violation(l, "a strange message arrived for %.*s", STR_FMT(recipient));
	}
}

/* ---- the end ---- */

static void close_rcpt(const struct sim_mail *m, const struct sim_rcpt *r, struct sim_counts *out)
{
	bool is_open = r->delivered == 0 && r->returned == 0;

	out->recipients++;
	out->delivered += r->delivered > 0;
	out->returned += r->returned > 0;
	out->deleted += is_open && m->is_deleted;
	out->queued += is_open && !m->is_deleted;
	if (r->returned > 0) {
		int64_t after_ms = r->returned_ms - m->answered_ms;

		if (out->returned == 1 || after_ms < out->return_first_ms)
			out->return_first_ms = after_ms;
		if (after_ms > out->return_last_ms)
			out->return_last_ms = after_ms;
	}
}

void sim_ledger_close(struct sim_ledger *l, struct sim_counts *out)
{
	*out = (struct sim_counts){ .messages = l->mail_count };
	for (uint32_t i = 0; i < l->mail_count; i++) {
		const struct sim_mail *m = &l->mails[i];

		out->answered += m->fate == FATE_ANSWERED;
		out->refused += m->fate == FATE_REFUSED;
		out->unknown += m->fate == FATE_UNKNOWN;
		out->sending += m->fate == FATE_SENDING;
		for (uint32_t k = 0; k < m->recipient_count; k++) {
			out->duplicates +=
				m->recipients[k].delivered > 1 ? m->recipients[k].delivered - 1 : 0;
			out->notices += m->recipients[k].returned;
			out->receipts += m->recipients[k].receipts > 0;
			out->receipts_missing += m->wants_receipt && strcmp(m->from, "<>") != 0 &&
						 m->recipients[k].delivered > 0 &&
						 m->recipients[k].receipts == 0 &&
						 l->confirms(l->user, m->recipients[k].site);
			if (m->fate == FATE_ANSWERED)
				close_rcpt(m, &m->recipients[k], out);
		}
	}
}
