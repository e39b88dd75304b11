/*
 * tls_tally - see queue/tls_tally.h.
 *
 * On the shelf: a line "1", then for each policy "p TYPE GOOD BAD DOMAIN" with a line "t TEXT" for each of its own, and for
 * each failure "f POLICY RESULT COUNT MX IP" ("-" for none).
 */
#include "queue/tls_tally.h"

#define POLICY_TEXT_BYTES_MAX 2048
#define NAME_BYTES_MAX 255

static const char *const type_names[TALLY_POLICY_COUNT] = { "no-policy-found", "sts", "tlsa" };
static const char *const result_names[TALLY_RESULT_COUNT] = { "good", "starttls-not-supported",
	"certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
	"validation-failure", "tlsa-invalid", "sts-policy-fetch-error", "sts-policy-invalid",
	"sts-webpki-invalid" };

/* ---- counting ---- */

static struct tally_line *find_line(struct tls_tally *t, const struct tally_event *e)
{
	for (uint32_t i = 0; i < t->policy_count; i++) {
		struct tally_line *line = &t->policies[i];

		if (line->type == e->type && str_equal(line->domain, e->domain) &&
			str_equal(line->text, e->text))
			return line;
	}
	if (t->policy_count == TALLY_POLICIES_MAX || e->text.len > POLICY_TEXT_BYTES_MAX ||
		e->domain.len > NAME_BYTES_MAX)
		return NULL;
	struct tally_line *line = &t->policies[t->policy_count++];
	*line = (struct tally_line){ .type = e->type,
		.domain = arena_dup(&t->arena, e->domain),
		.text = arena_dup(&t->arena, e->text) };
	return line;
}

static void add_failure(struct tls_tally *t, uint32_t policy, const struct tally_event *e)
{
	for (uint32_t i = 0; i < t->failure_count; i++) {
		struct tally_failure *f = &t->failures[i];

		if (f->policy == policy && f->result == e->result && str_equal(f->mx, e->mx) &&
			str_equal(f->ip, e->ip)) {
			f->count++;
			return;
		}
	}
	if (t->failure_count == TALLY_FAILURES_MAX || e->mx.len > NAME_BYTES_MAX)
		return;
	t->failures[t->failure_count++] = (struct tally_failure){ .policy = policy,
		.result = e->result,
		.mx = arena_dup(&t->arena, e->mx),
		.ip = arena_dup(&t->arena, e->ip),
		.count = 1 };
}

bool tls_tally_add(struct tls_tally *t, const struct tally_event *event)
{
	struct tally_line *line = find_line(t, event);

	if (!line)
		return false;
	if (event->result == TALLY_GOOD) {
		line->good++;
	} else {
		line->bad++;
		add_failure(t, (uint32_t)(line - t->policies), event);
	}
	return true;
}

void tls_tally_fini(struct tls_tally *t)
{
	arena_fini(&t->arena);
	*t = (struct tls_tally){ .policy_count = 0 };
}

/* ---- the shelf ---- */

static void put_word(struct buf *out, struct str word)
{
	buf_append_char(out, ' ');
	buf_append_str(out, word.len > 0 ? word : STR("-"));
}

void tls_tally_print(struct buf *out, const struct tls_tally *t)
{
	buf_append_str(out, STR("1\n"));
	for (uint32_t i = 0; i < t->policy_count; i++) {
		const struct tally_line *line = &t->policies[i];
		struct str text = line->text;

		buf_printf(out, "p %d %llu %llu", line->type, (unsigned long long)line->good,
			(unsigned long long)line->bad);
		put_word(out, line->domain);
		buf_append_char(out, '\n');
		while (text.len > 0) {
			struct str one = str_cut(&text, '\n');
			buf_printf(out, "t %.*s\n", STR_FMT(one));
		}
	}
	for (uint32_t i = 0; i < t->failure_count; i++) {
		const struct tally_failure *f = &t->failures[i];

		buf_printf(out, "f %u %d %llu", (unsigned)f->policy, f->result,
			(unsigned long long)f->count);
		put_word(out, f->mx);
		put_word(out, f->ip);
		buf_append_char(out, '\n');
	}
}

static bool take_number(struct str *line, uint64_t bound, uint64_t *out)
{
	return str_to_u64(str_cut(line, ' '), out) == OK && *out < bound;
}

static struct str take_word(struct tls_tally *t, struct str *line)
{
	struct str word = str_cut(line, ' ');

	return str_equal(word, STR("-")) ? STR("") : arena_dup(&t->arena, word);
}

static bool take_policy(struct tls_tally *t, struct str line)
{
	uint64_t type = 0, good = 0, bad = 0;

	if (t->policy_count == TALLY_POLICIES_MAX ||
		!take_number(&line, TALLY_POLICY_COUNT, &type) ||
		!take_number(&line, INT64_MAX, &good) || !take_number(&line, INT64_MAX, &bad))
		return false;
	t->policies[t->policy_count++] = (struct tally_line){ .type = (enum tally_policy)type,
		.domain = take_word(t, &line),
		.text = STR(""),
		.good = good,
		.bad = bad };
	return true;
}

static bool take_text(struct tls_tally *t, struct str text)
{
	if (t->policy_count == 0)
		return false;
	struct tally_line *line = &t->policies[t->policy_count - 1];
	line->text = arena_printf(&t->arena, "%.*s%.*s\n", STR_FMT(line->text), STR_FMT(text));
	return line->text.len <= POLICY_TEXT_BYTES_MAX;
}

static bool take_failure(struct tls_tally *t, struct str line)
{
	uint64_t policy = 0, result = 0, count = 0;

	if (t->failure_count == TALLY_FAILURES_MAX ||
		!take_number(&line, t->policy_count, &policy) ||
		!take_number(&line, TALLY_RESULT_COUNT, &result) ||
		!take_number(&line, INT64_MAX, &count))
		return false;
	struct tally_failure *f = &t->failures[t->failure_count++];
	*f = (struct tally_failure){
		.policy = (uint32_t)policy, .result = (enum tally_result)result, .count = count
	};
	f->mx = take_word(t, &line);
	f->ip = take_word(t, &line);
	return true;
}

bool tls_tally_parse(struct str value, struct tls_tally *t)
{
	bool is_good = str_equal(str_cut(&value, '\n'), STR("1"));

	while (is_good && value.len > 0) {
		struct str line = str_cut(&value, '\n');
		struct str kind = str_cut(&line, ' ');

		is_good = str_equal(kind, STR("p"))   ? take_policy(t, line)
			  : str_equal(kind, STR("t")) ? take_text(t, line)
			  : str_equal(kind, STR("f")) ? take_failure(t, line)
						      : false;
	}
	if (!is_good)
		tls_tally_fini(t);
	return is_good;
}

/* ---- the report ---- */

/* Whole seconds, as the examples of the RFC have them. */
static void put_instant(struct buf *out, struct wall at)
{
	struct buf text;

	buf_init(&text, 64);
	instant_format_iso(&text, at);
	struct str day = str_slice(buf_str(&text), 0, str_find(buf_str(&text), '.'));
	buf_append_str(out, day);
	buf_append_char(out, 'Z');
	buf_fini(&text);
}

void tls_tally_report_id(struct buf *out, const struct tally_report *r)
{
	put_instant(out, r->begin);
	buf_printf(out, "_%.*s@%.*s", STR_FMT(r->domain), STR_FMT(r->submitter));
}

static void put_member(struct buf *out, const char *name, struct str value, const char *behind)
{
	buf_printf(out, "\"%s\":", name);
	buf_append_json(out, value);
	buf_append_str(out, str_from_c(behind));
}

/* The hosts that the policy names are told apart too: lines "mx: HOST". */
static void put_policy_lines(struct buf *out, const struct tally_line *line, bool only_mx)
{
	struct str text = line->text;
	const char *between = "";

	while (text.len > 0) {
		struct str one = str_cut(&text, '\n');
		bool is_mx = str_starts_fold(one, STR("mx: "));

		if (only_mx && !is_mx)
			continue;
		buf_append_str(out, str_from_c(between));
		buf_append_json(out, only_mx ? str_slice(one, 4, one.len) : one);
		between = ",";
	}
}

static void put_failures(struct buf *out, const struct tls_tally *t, uint32_t policy)
{
	const char *between = "";

	for (uint32_t i = 0; i < t->failure_count; i++) {
		const struct tally_failure *f = &t->failures[i];

		if (f->policy != policy)
			continue;
		buf_printf(out, "%s{", between);
		put_member(out, "result-type", str_from_c(result_names[f->result]), ",");
		if (f->mx.len > 0)
			put_member(out, "receiving-mx-hostname", f->mx, ",");
		if (f->ip.len > 0)
			put_member(out, "receiving-ip", f->ip, ",");
		buf_printf(out, "\"failed-session-count\":%llu}", (unsigned long long)f->count);
		between = ",";
	}
}

static void put_policy(struct buf *out, const struct tls_tally *t, uint32_t i)
{
	const struct tally_line *line = &t->policies[i];

	buf_append_str(out, STR("{\"policy\":{"));
	put_member(out, "policy-type", str_from_c(type_names[line->type]), ",");
	if (line->text.len > 0) {
		buf_append_str(out, STR("\"policy-string\":["));
		put_policy_lines(out, line, false);
		buf_append_str(out, STR("],"));
	}
	if (line->type == TALLY_STS && line->text.len > 0) {
		buf_append_str(out, STR("\"mx-host\":["));
		put_policy_lines(out, line, true);
		buf_append_str(out, STR("],"));
	}
	put_member(out, "policy-domain", line->domain, "}");
	buf_printf(out,
		",\"summary\":{\"total-successful-session-count\":%llu,"
		"\"total-failure-session-count\":%llu},\"failure-details\":[",
		(unsigned long long)line->good, (unsigned long long)line->bad);
	put_failures(out, t, i);
	buf_append_str(out, STR("]}"));
}

void tls_tally_json(struct buf *out, const struct tls_tally *t, const struct tally_report *r)
{
	struct buf id;

	buf_init(&id, 1024);
	tls_tally_report_id(&id, r);
	buf_append_char(out, '{');
	put_member(out, "organization-name", r->organization,
		",\"date-range\":{\"start-datetime\":\"");
	put_instant(out, r->begin);
	buf_append_str(out, STR("\",\"end-datetime\":\""));
	put_instant(out, wall_add(r->begin, DAY_MS - SECOND_MS));
	buf_append_str(out, STR("\"},"));
	put_member(out, "contact-info", r->contact, ",");
	put_member(out, "report-id", buf_str(&id), ",\"policies\":[");
	for (uint32_t i = 0; i < t->policy_count; i++) {
		if (i > 0)
			buf_append_char(out, ',');
		put_policy(out, t, i);
	}
	buf_append_str(out, STR("]}\n"));
	buf_fini(&id);
}
