/*
 * queue_id - makes, prints and reads message ids.
 *
 * The happy path: the clock moved on since the last id, so the id is (time, node, 0). When it did
 * not, the sequence counts on, and when that is used up the id borrows the next millisecond.
 */
#include "mail/queue_id.h"

#include "base/check.h"

#define SEQUENCE_BITS 13
#define NODE_BITS 8
#define TIME_SHIFT (SEQUENCE_BITS + NODE_BITS)
#define TIME_MAX ((INT64_C(1) << 42) - 1)
#define ID_MAX ((UINT64_C(1) << 63) - 1)

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint64_t compose(uint64_t ms, uint8_t node)
{
	return ms << TIME_SHIFT | (uint64_t)node << SEQUENCE_BITS;
}

/* The least id of this node that is greater than last. */
static uint64_t successor(uint64_t last, uint8_t node)
{
	uint64_t next = last + 1;

	/* The carry of a full sequence runs into the node bits: then this is no id of ours. */
	if (next >> SEQUENCE_BITS == last >> SEQUENCE_BITS &&
		(uint8_t)(last >> SEQUENCE_BITS) == node)
		return next;
	next = compose(last >> TIME_SHIFT, node);
	return next > last ? next : compose((last >> TIME_SHIFT) + 1, node);
}

uint64_t queue_id_next(struct queue_id_source *s, struct wall now)
{
	/* A clock outside the range counts as one that stands still. */
	bool is_usable = now.ms >= 0 && now.ms <= TIME_MAX;
	uint64_t id = is_usable ? compose((uint64_t)now.ms, s->node) : 0;

	if (id <= s->last)
		id = successor(s->last, s->node);
	CHECK(id > s->last && id <= ID_MAX);
	s->last = id;
	return id;
}

struct queue_id_text queue_id_format(uint64_t id)
{
	struct queue_id_text t;

	for (size_t i = QUEUE_ID_LEN; i-- > 0; id >>= 5)
		t.text[i] = digits[id & 31];
	t.text[QUEUE_ID_LEN] = '\0';
	return t;
}

static int digit_value(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	for (int i = 0; i < 32; i++)
		if (digits[i] == c)
			return i;
	return -1;
}

enum err queue_id_parse(struct str text, uint64_t *out)
{
	uint64_t id = 0;

	if (text.len != QUEUE_ID_LEN)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++) {
		int value = digit_value(text.data[i]);
		/* 13 digits hold 65 bits, an id 63: the first digit is at most 7. */
		if (value < 0 || (i == 0 && value > 7))
			return ERR_SYNTAX;
		id = id << 5 | (uint64_t)value;
	}
	if (id == 0)
		return ERR_SYNTAX;
	*out = id;
	return OK;
}

struct wall queue_id_time(uint64_t id)
{
	return (struct wall){ (int64_t)(id >> TIME_SHIFT & (uint64_t)TIME_MAX) };
}

uint64_t queue_id_floor(struct wall t)
{
	if (t.ms <= 0)
		return 0;
	return t.ms > TIME_MAX ? ID_MAX : compose((uint64_t)t.ms, 0);
}
