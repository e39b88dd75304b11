/*
 * sts_policy - see mail/sts_policy.h.
 *
 * A policy that is ill-formed anywhere it matters is none at all: to guess at half of it could refuse good hosts, or
 * take bad ones.
 */
#include "mail/sts_policy.h"

#include <string.h>

#include "base/check.h"
#include "mail/domain.h"

/* What was seen of a policy file. */
struct reading {
	struct arena *arena;
	struct sts_policy *out;
	const char *reason;
	bool has_version, has_mode, has_max_age;
};

static enum err read_line(struct reading *r, struct str line);
static enum err read_field(struct reading *r, struct str name, struct str value);
static enum err read_mode(struct reading *r, struct str value);
static enum err read_max_age(struct reading *r, struct str value);
static enum err read_mx(struct reading *r, struct str value);
static enum err check_whole(struct reading *r);
static bool read_record(struct str record, struct str *id);

static const char *const mode_names[STS_MODE_COUNT] = { "none", "testing", "enforce" };

const char *sts_mode_name(enum sts_mode mode)
{
	CHECK(mode < STS_MODE_COUNT);
	return mode_names[mode];
}

/* ---- the TXT record ---- */

enum err sts_record_find(const struct str *records, uint32_t count, struct str *id)
{
	static const struct str head = { "v=STSv1;", 8 };
	uint32_t found = 0, at = 0;

	*id = STR("");
	for (uint32_t i = 0; i < count; i++) {
		if (!str_equal(str_slice(records[i], 0, head.len), head))
			continue;
		found++;
		at = i;
	}
	if (found != 1)
		return ERR_NOT_FOUND;
	return read_record(str_slice(records[at], head.len, records[at].len), id) ? OK : ERR_SYNTAX;
}

static bool is_id(struct str s)
{
	if (s.len == 0 || s.len > STS_ID_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!char_is_alnum(s.data[i]))
			return false;
	}
	return true;
}

/* Fields of "name=value;"; what is not id is not ours to judge. The first id counts. */
static bool read_record(struct str record, struct str *id)
{
	while (record.len > 0) {
		struct str value = str_cut(&record, ';');
		struct str name = str_trim(str_cut(&value, '='));

		if (!str_equal(name, STR("id")) || id->len > 0)
			continue;
		*id = str_trim(value);
		if (!is_id(*id)) {
			*id = STR("");
			return false;
		}
	}
	return id->len > 0;
}

/* ---- the policy file ---- */

enum err sts_policy_parse(
	struct str text, struct arena *arena, struct sts_policy *out, const char **reason)
{
	struct reading r = { .arena = arena, .out = out, .reason = "" };
	enum err err = OK;

	*out = (struct sts_policy){ .mode = STS_NONE };
	out->mx = arena_array(arena, STS_MX_MAX, sizeof(*out->mx));
	if (text.len > STS_TEXT_BYTES_MAX) {
		r.reason = "policy too large";
		err = ERR_LIMIT;
	}
	while (err == OK && text.len > 0)
		err = read_line(&r, str_cut(&text, '\n'));
	if (err == OK)
		err = check_whole(&r);
	*reason = r.reason;
	return err;
}

static enum err bad(struct reading *r, const char *reason)
{
	r->reason = reason;
	return ERR_SYNTAX;
}

static enum err read_line(struct reading *r, struct str line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	line = str_trim(line);
	if (line.len == 0)
		return OK;
	size_t colon = str_find(line, ':');
	if (colon == 0 || colon == line.len)
		return bad(r, "policy line without a field name");
	return read_field(
		r, str_slice(line, 0, colon), str_trim(str_slice(line, colon + 1, line.len)));
}

static enum err read_field(struct reading *r, struct str name, struct str value)
{
	if (str_equal(name, STR("version"))) {
		if (r->has_version)
			return OK;
		r->has_version = true;
		return str_equal(value, STR("STSv1")) ? OK : bad(r, "policy of an unknown version");
	}
	if (str_equal(name, STR("mode")))
		return read_mode(r, value);
	if (str_equal(name, STR("max_age")))
		return read_max_age(r, value);
	return str_equal(name, STR("mx")) ? read_mx(r, value) : OK;
}

static enum err read_mode(struct reading *r, struct str value)
{
	if (r->has_mode)
		return OK;
	r->has_mode = true;
	for (size_t i = 0; i < STS_MODE_COUNT; i++) {
		if (str_equal(value, str_from_c(mode_names[i]))) {
			r->out->mode = (enum sts_mode)i;
			return OK;
		}
	}
	return bad(r, "policy of an unknown mode");
}

static enum err read_max_age(struct reading *r, struct str value)
{
	uint64_t seconds = 0;

	if (r->has_max_age)
		return OK;
	r->has_max_age = true;
	if (value.len > 10 || str_to_u64(value, &seconds) != OK)
		return bad(r, "policy with an ill-formed max_age");
	r->out->max_age_s = seconds < STS_MAX_AGE_S ? (int64_t)seconds : STS_MAX_AGE_S;
	return OK;
}

static enum err read_mx(struct reading *r, struct str value)
{
	struct str host = value;

	if (value.len > 2 && value.data[0] == '*' && value.data[1] == '.')
		host = str_slice(value, 2, value.len);
	if (!domain_is_hostname(host))
		return bad(r, "policy with an ill-formed mx");
	if (r->out->mx_count == STS_MX_MAX) {
		r->reason = "policy with too many mx";
		return ERR_LIMIT;
	}
	r->out->mx[r->out->mx_count++] = arena_lower(r->arena, value);
	return OK;
}

static enum err check_whole(struct reading *r)
{
	if (!r->has_version)
		return bad(r, "policy without version");
	if (!r->has_mode)
		return bad(r, "policy without mode");
	if (!r->has_max_age)
		return bad(r, "policy without max_age");
	if (r->out->mode != STS_NONE && r->out->mx_count == 0)
		return bad(r, "policy without mx");
	return OK;
}

void sts_policy_print(struct buf *out, const struct sts_policy *policy)
{
	buf_printf(out, "version: STSv1\nmode: %s\nmax_age: %lld\n", sts_mode_name(policy->mode),
		(long long)policy->max_age_s);
	for (uint32_t i = 0; i < policy->mx_count; i++)
		buf_printf(out, "mx: %.*s\n", STR_FMT(policy->mx[i]));
}

bool sts_policy_has_mx(const struct sts_policy *policy, struct str host)
{
	size_t dot = str_find(host, '.');

	for (uint32_t i = 0; i < policy->mx_count; i++) {
		struct str pattern = policy->mx[i];

		if (str_equal_fold(pattern, host))
			return true;
		/* "*" is one whole label: ".example" against what follows the host's first one */
		if (pattern.data[0] == '*' && dot > 0 && dot < host.len &&
			str_equal_fold(
				str_slice(pattern, 1, pattern.len), str_slice(host, dot, host.len)))
			return true;
	}
	return false;
}
