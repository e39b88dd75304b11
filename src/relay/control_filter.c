/*
 * control_filter - "filter", "sort" and "limit" of a request: what an operator typed becomes a
 * struct store_filter.
 *
 * Values come as the words of the command line ("2h", "+1M", "5+"), so that every client speaks
 * alike. The first word that makes no sense ends the call with a sentence that names it.
 */
#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "mail/queue_id.h"
#include "relay/control_call.h"

#define GLOB_MAX_BYTES 1000

static bool read_member(struct verb_call *call, const char *key, const json_t *value);
static bool read_ids(struct verb_call *call, const json_t *value);
static bool read_states(struct verb_call *call, const json_t *value);
static bool read_state(struct verb_call *call, struct str word);
static bool read_size(struct verb_call *call, struct str word);
static bool read_bytes(struct str word, uint64_t *out);
static bool read_tries(struct verb_call *call, struct str word);
static bool read_priority(struct verb_call *call, struct str word);
static bool read_age(struct verb_call *call, const char *key, struct str word, struct wall *out);
static bool read_sort(struct verb_call *call);
static bool read_limit(struct verb_call *call);
static bool refuse(struct verb_call *call, const char *what, struct str word, const char *hint);

static const char *const state_names[RECIPIENT_STATE_COUNT] = {
	[RECIPIENT_READY] = "ready",
	[RECIPIENT_WAITING] = "waiting",
	[RECIPIENT_HELD] = "held",
	[RECIPIENT_QUARANTINED] = "quarantined",
	[RECIPIENT_FAILED] = "failed",
	[RECIPIENT_DELIVERED] = "delivered",
	[RECIPIENT_DELETED] = "deleted",
};

const char *recipient_state_name(enum recipient_state state)
{
	return state_names[state];
}

bool verb_read_filter(struct verb_call *call)
{
	json_t *filter = json_object_get(call->request, "filter");
	const char *key;
	json_t *value;

	if (filter && !json_is_object(filter)) {
		verb_fail(call, VERB_USAGE, "filter is not an object");
		return false;
	}
	json_object_foreach(filter, key, value) if (!read_member(call, key, value)) return false;
	return read_sort(call) && read_limit(call);
}

bool verb_read_id(struct verb_call *call, uint64_t *out)
{
	struct str word = verb_text(call, "id");

	return str_trim(word).len && queue_id_parse(str_trim(word), out) == OK
		       ? true
		       : refuse(call, "id", word, "an id has 13 letters and digits");
}

static bool read_member(struct verb_call *call, const char *key, const json_t *value)
{
	struct store_filter *f = &call->filter;
	const struct {
		const char *key;
		struct str *text;
	} texts[] = { { "from", &f->from }, { "to", &f->to }, { "domain", &f->domain },
		{ "site", &f->site }, { "hop", &f->hop }, { "code", &f->status },
		{ "user", &f->user } };

	if (strcmp(key, "ids") == 0)
		return read_ids(call, value);
	if (strcmp(key, "state") == 0)
		return read_states(call, value);
	if (strcmp(key, "all") == 0) {
		f->is_all = json_is_true(value);
		return true;
	}
	if (!json_is_string(value))
		return refuse(call, "filter", str_from_c(key), "its value must be a string");
	struct str word = arena_dup(
		&call->arena, str_of(json_string_value(value), json_string_length(value)));
	if (!word.len || word.len > GLOB_MAX_BYTES || str_find(word, '\0') < word.len)
		return refuse(call, key, STR(""), "the value is empty or too long");
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		if (strcmp(key, texts[i].key) == 0) {
			*texts[i].text = word;
			return true;
		}
	if (strcmp(key, "older") == 0)
		return read_age(call, key, word, &f->accepted_before);
	if (strcmp(key, "newer") == 0)
		return read_age(call, key, word, &f->accepted_after);
	if (strcmp(key, "size") == 0)
		return read_size(call, word);
	if (strcmp(key, "tries") == 0)
		return read_tries(call, word);
	if (strcmp(key, "priority") == 0)
		return read_priority(call, word);
	return refuse(call, "filter", str_from_c(key), "there is no such condition");
}

static bool read_ids(struct verb_call *call, const json_t *value)
{
	size_t count = json_array_size(value);

	if (!json_is_array(value) || count == 0 || count > VERB_IDS_MAX)
		return refuse(call, "ids", STR(""), "1 to 10000 ids are taken at once");
	uint64_t *ids = arena_array(&call->arena, count, sizeof(*ids));
	for (size_t i = 0; i < count; i++) {
		const json_t *id = json_array_get(value, i);
		struct str word = json_is_string(id)
					  ? str_of(json_string_value(id), json_string_length(id))
					  : STR("");
		if (queue_id_parse(word, &ids[i]) != OK)
			return refuse(call, "id", word, "an id has 13 letters and digits");
	}
	call->filter.ids = ids;
	call->filter.id_count = (uint32_t)count;
	return true;
}

static bool read_states(struct verb_call *call, const json_t *value)
{
	struct str list = json_is_string(value)
				  ? str_of(json_string_value(value), json_string_length(value))
				  : STR("");
	if (!list.len)
		return refuse(call, "state", list, "name some");
	while (list.len)
		if (!read_state(call, str_trim(str_cut(&list, ','))))
			return false;
	return true;
}

static bool read_state(struct verb_call *call, struct str word)
{
	for (unsigned s = 0; s < RECIPIENT_STATE_COUNT; s++)
		if (str_equal_fold(word, str_from_c(state_names[s]))) {
			call->filter.states |= RECIPIENT_STATE_BIT(s);
			return true;
		}
	unsigned all = (1u << RECIPIENT_STATE_COUNT) - 1;
	if (str_equal_fold(word, STR("queued")))
		call->filter.states |= RECIPIENT_QUEUED_BITS;
	else if (str_equal_fold(word, STR("finished")))
		call->filter.states |= all & ~RECIPIENT_QUEUED_BITS;
	else if (str_equal_fold(word, STR("any")))
		call->filter.states |= all;
	else
		return refuse(call, "state", word,
			"states are ready, waiting, held, quarantined, failed, delivered, deleted; "
			"queued, "
			"finished, any");
	return true;
}

/* "+1M": at least; "-10K": at most; without a sign: at least. */
static bool read_size(struct verb_call *call, struct str word)
{
	bool is_max = word.data[0] == '-';
	struct str number =
		word.data[0] == '-' || word.data[0] == '+' ? str_slice(word, 1, word.len) : word;
	uint64_t bytes;

	if (!read_bytes(number, &bytes))
		return refuse(call, "size", word, "write +1M or -10K");
	if (is_max)
		call->filter.size_max_bytes = bytes;
	else
		call->filter.size_min_bytes = bytes;
	return true;
}

static bool read_bytes(struct str word, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit = word.len ? strchr(units, word.data[word.len - 1] & ~0x20) : NULL;
	unsigned shift = 0;

	if (unit && *unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		word.len--;
	}
	if (str_to_u64(word, out) != OK || *out == 0 || *out > (uint64_t)INT64_MAX >> shift)
		return false;
	*out <<= shift;
	return true;
}

static bool read_tries(struct verb_call *call, struct str word)
{
	struct str number =
		word.data[word.len - 1] == '+' ? str_slice(word, 0, word.len - 1) : word;
	uint64_t tries;

	if (str_to_u64(number, &tries) != OK || tries > UINT32_MAX)
		return refuse(call, "tries", word, "write 5+ for at least five");
	call->filter.attempts_min = (uint32_t)tries;
	return true;
}

static bool read_priority(struct verb_call *call, struct str word)
{
	bool is_negative = word.data[0] == '-';
	uint64_t number;

	if (str_to_u64(is_negative ? str_slice(word, 1, word.len) : word, &number) != OK ||
		number > 9)
		return refuse(call, "priority", word, "priorities go from -9 to 9");
	call->filter.has_priority = true;
	call->filter.priority = is_negative ? -(int)number : (int)number;
	return true;
}

static bool read_age(struct verb_call *call, const char *key, struct str word, struct wall *out)
{
	int64_t span_ms;

	if (instant_parse_span(word, &span_ms) != OK || span_ms < 0 || span_ms >= call->now.ms)
		return refuse(call, key, word, "write 30s, 5m, 2h, 3d or 1d12h");
	*out = wall_add(call->now, -span_ms);
	return true;
}

static bool read_sort(struct verb_call *call)
{
	struct str word = verb_text(call, "sort");

	if (!word.len || str_equal_fold(word, STR("age")))
		call->sort = SORT_AGE;
	else if (str_equal_fold(word, STR("size")))
		call->sort = SORT_SIZE;
	else if (str_equal_fold(word, STR("next")))
		call->sort = SORT_NEXT;
	else
		return refuse(call, "sort", word, "sort by age, size or next");
	return true;
}

static bool read_limit(struct verb_call *call)
{
	struct str word = verb_text(call, "limit");

	if (word.len && (str_to_u64(word, &call->limit) != OK || call->limit == 0))
		return refuse(call, "limit", word, "write a number from 1");
	return true;
}

static bool refuse(struct verb_call *call, const char *what, struct str word, const char *hint)
{
	struct buf safe;

	buf_init(&safe, 1024);
	buf_append_safe(&safe, str_slice(word, 0, 100));
	verb_fail(call, VERB_USAGE, "%s \"%.*s\": %s", what, STR_FMT(buf_str(&safe)), hint);
	buf_fini(&safe);
	return false;
}
