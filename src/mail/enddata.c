/*
 * enddata - the decoder is a machine of six states; only "in a line" looks at the classes of
 * octets.
 *
 * A state that does not like the octet it meets hands it, unread, to that state: so every rule
 * about bare CR, bare LF and NUL exists once, and a cut of the input anywhere cannot change the
 * result. Octets that are passed on as they are gather in a run of the input and are appended
 * together. Both directions look at whole blocks first: in one that is clean only the line ends, or
 * nothing at all, are left to look for. What can fail: the content (noted in fault) and the room in out; the end is found in
 * either case.
 */
#include "mail/enddata.h"

#include <string.h>

enum state {
	LINE_START, /* behind CRLF, or at the very start */
	IN_LINE,
	LINE_CR, /* CR seen and held back: only LF may follow */
	DOT,     /* a dot at the line start, dropped */
	DOT_CR,
	DONE
};

enum { BLOCK_BYTES = 64 };

/* The input of one call: octets from run to at are content that is not yet appended; those before
 * clean_end are known to be clean. */
struct cursor {
	const char *run;
	const char *at;
	const char *end;
	const char *clean_end;
};

/*
 * A block is clean when it has no NUL and each CR and LF is half of a pair. The octet behind it is
 * looked at, too. A loop of a fixed count without branches becomes vector instructions: 10 KiB cost
 * half a microsecond, searching each line for three octets cost five times that.
 */
static bool is_clean_block(const char *p, bool may_have_dots)
{
	unsigned char bad = 0, dots = 0;

	for (size_t i = 0; i < BLOCK_BYTES; i++) {
		bad |= (p[i] == '\r') ^ (p[i + 1] == '\n');
		bad |= p[i] == '\0';
		dots |= (p[i] == '\n') & (p[i + 1] == '.');
	}
	return bad == 0 && (may_have_dots || dots == 0);
}

/* How many octets of p are clean for sure, by whole blocks. The octet before p is no CR. */
static size_t clean_length(const char *p, size_t n, bool may_have_dots)
{
	size_t len = 0;

	if (n == 0 || p[0] == '\n')
		return 0;
	while (n - len > BLOCK_BYTES && is_clean_block(p + len, may_have_dots))
		len += BLOCK_BYTES;
	return len;
}

static void flush(struct enddata_decoder *d, struct cursor *c, struct buf *out)
{
	if (d->fault == ENDDATA_CLEAN && !out->is_full && c->at > c->run)
		buf_append(out, c->run, (size_t)(c->at - c->run));
	c->run = c->at;
}

static void note(struct enddata_decoder *d, enum enddata_fault fault)
{
	if (d->fault == ENDDATA_CLEAN)
		d->fault = fault;
}

static void grow_line(struct enddata_decoder *d, size_t n)
{
	d->line_bytes += n;
	if (d->line_bytes > d->line_max_bytes)
		d->line_max_bytes = d->line_bytes;
}

/*
 * The octets at the start of p that need no thought. Three memchr beat one loop on lines of usual
 * length. Each search ends where the one before it did, so the work stays linear in the input.
 */
static size_t plain_length(const char *p, size_t n)
{
	const char *hit = memchr(p, '\n', n);

	if (hit)
		n = (size_t)(hit - p);
	hit = memchr(p, '\r', n);
	if (hit)
		n = (size_t)(hit - p);
	hit = memchr(p, '\0', n);
	return hit ? (size_t)(hit - p) : n;
}

/* Once the content is refused only a CR can lead to the end; this also keeps floods of bare LF
 * cheap. */
static size_t skip_length(const char *p, size_t n)
{
	const char *hit = memchr(p, '\r', n);

	return hit ? (size_t)(hit - p) : n;
}

/* A whole line of clean octets: its LF is all there is to find. Returns false when it goes on behind them. */
static bool step_clean_line(struct enddata_decoder *d, struct cursor *c)
{
	if (c->at >= c->clean_end)
		c->clean_end = c->at + clean_length(c->at, (size_t)(c->end - c->at), true);

	size_t left = (size_t)(c->clean_end - c->at);
	const char *lf = left > 0 ? memchr(c->at, '\n', left) : NULL;
	if (!lf)
		return false;
	grow_line(d, (size_t)(lf + 1 - c->at));
	d->line_bytes = 0;
	d->state = LINE_START;
	c->at = lf + 1;
	return true;
}

static void step_in_line(struct enddata_decoder *d, struct cursor *c, struct buf *out)
{
	size_t left = (size_t)(c->end - c->at);
	bool is_clean = d->fault == ENDDATA_CLEAN;

	if (is_clean && step_clean_line(d, c))
		return;
	size_t n = is_clean ? plain_length(c->at, left) : skip_length(c->at, left);

	c->at += n;
	grow_line(d, n);
	if (n == left)
		return;
	if (*c->at == '\r') {
		if (left - n > 1 && c->at[1] == '\n') {
			c->at += 2;
			grow_line(d, 2);
			d->line_bytes = 0;
			d->state = LINE_START;
			return;
		}
		flush(d, c, out);
		c->run = ++c->at;
		d->state = LINE_CR;
	} else {
		flush(d, c, out);
		note(d, *c->at == '\n' ? ENDDATA_BARE_LF : ENDDATA_NUL);
		c->at++;
	}
	grow_line(d, 1);
}

static void step_line_cr(struct enddata_decoder *d, struct cursor *c, struct buf *out)
{
	if (*c->at != '\n') {
		note(d, ENDDATA_BARE_CR);
		d->state = IN_LINE;
		return;
	}
	if (d->fault == ENDDATA_CLEAN && !out->is_full)
		buf_append(out, "\r\n", 2);
	c->run = ++c->at;
	grow_line(d, 1);
	d->line_bytes = 0;
	d->state = LINE_START;
}

static void step(struct enddata_decoder *d, struct cursor *c, struct buf *out)
{
	switch ((enum state)d->state) {
	case LINE_START:
		d->state = IN_LINE;
		if (*c->at == '.' && !d->is_counted) {
			flush(d, c, out);
			c->run = ++c->at;
			d->state = DOT;
		}
		break;
	case IN_LINE:
		step_in_line(d, c, out);
		break;
	case LINE_CR:
		step_line_cr(d, c, out);
		break;
	case DOT:
		d->state = IN_LINE;
		if (*c->at == '\r') {
			c->run = ++c->at;
			d->state = DOT_CR;
		}
		break;
	case DOT_CR:
		if (*c->at == '\n') {
			c->run = ++c->at;
			d->state = DONE;
		} else {
			note(d, ENDDATA_BARE_CR);
			grow_line(d, 1);
			d->state = IN_LINE;
		}
		break;
	case DONE:
		break;
	}
}

void enddata_decoder_init(struct enddata_decoder *d)
{
	memset(d, 0, sizeof(*d));
	d->state = LINE_START;
}

bool enddata_decode(struct enddata_decoder *d, struct str *in, struct buf *out)
{
	struct cursor c = { in->data, in->data, in->data + in->len, in->data };

	while (c.at < c.end && d->state != DONE)
		step(d, &c, out);
	flush(d, &c, out);

	size_t consumed = (size_t)(c.at - in->data);
	d->raw_bytes += consumed;
	*in = str_slice(*in, consumed, in->len);
	return d->state == DONE;
}

void enddata_close(struct enddata_decoder *d)
{
	if (d->state == LINE_CR)
		note(d, ENDDATA_BARE_CR);
}

void enddata_encoder_init(struct enddata_encoder *e)
{
	memset(e, 0, sizeof(*e));
}

/* The text between two line ends, or up to the end of in. Returns what is left. */
static enum err encode_line(struct enddata_encoder *e, struct str *in, struct buf *out)
{
	if (e->was_cr) {
		if (in->data[0] != '\n')
			return ERR_SYNTAX;
		buf_append(out, "\r\n", 2);
		*in = str_slice(*in, 1, in->len);
		e->was_cr = e->in_line = false;
		return OK;
	}
	if (!e->in_line && in->data[0] == '.')
		buf_append_char(out, '.');
	size_t n = plain_length(in->data, in->len);
	if (n < in->len && in->data[n] != '\r')
		return ERR_SYNTAX;
	if (n + 1 < in->len && in->data[n + 1] == '\n') {
		e->in_line = false;
		buf_append(out, in->data, n + 2);
		*in = str_slice(*in, n + 2, in->len);
		return OK;
	}
	/* A CR is held back until its LF is seen: it may be in a chunk that is never read. */
	buf_append(out, in->data, n);
	e->in_line = e->in_line || n > 0 || n < in->len;
	e->was_cr = n < in->len;
	*in = str_slice(*in, n + 1, in->len);
	return OK;
}

/* Clean octets without a dot to double go out as they are. Returns false when there are none. */
static bool encode_run(struct enddata_encoder *e, struct str *in, struct buf *out)
{
	if (e->was_cr || (!e->in_line && in->data[0] == '.'))
		return false;

	size_t n = clean_length(in->data, in->len, false);
	if (n == 0)
		return false;
	if (in->data[n - 1] == '\r')
		n++; /* its LF: the block was not clean without */
	buf_append(out, in->data, n);
	e->in_line = in->data[n - 1] != '\n';
	*in = str_slice(*in, n, in->len);
	return true;
}

enum err enddata_encode(struct enddata_encoder *e, struct str in, struct buf *out)
{
	struct enddata_encoder next = *e;
	size_t before = out->len;
	enum err err = out->is_full ? ERR_LIMIT : OK;

	while (in.len > 0 && err == OK) {
		if (!encode_run(&next, &in, out))
			err = encode_line(&next, &in, out);
		if (out->is_full)
			err = ERR_LIMIT;
	}
	if (err == OK)
		*e = next;
	else
		out->len = before;
	return err;
}

enum err enddata_finish(struct enddata_encoder *e, struct buf *out)
{
	struct str end = e->in_line ? STR("\r\n.\r\n") : STR(".\r\n");

	if (e->was_cr)
		return ERR_SYNTAX;
	buf_append_str(out, end);
	if (out->is_full)
		return ERR_LIMIT;
	e->in_line = false;
	return OK;
}
