/*
 * submission - see mail/submission.h.
 *
 * The begin of each line is held until its colon tells the field's name. The header ends at the empty line, and what is
 * missing goes in front of that. A line that is no field (none of a mail program's) is where strict readers see the body
 * begin: what is missing goes in front of it, and Bcc fields behind it still go, for lenient readers see fields there.
 */
#include "mail/submission.h"

#include "mail/queue_id.h"

enum state {
	LINE_START,      /* held is empty, or a CR that may be the empty line */
	FIELD_NAME,      /* held: the line so far, without a colon */
	IN_LINE,         /* what is left of a line passes */
	IN_DROPPED_LINE, /* of Bcc */
	AFTER_DROPPED,   /* at a line start behind Bcc: white space goes on with it */
	IN_BODY
};

void submission_init(struct submission *s, const struct submission_info *info)
{
	*s = (struct submission){ .info = *info, .state = LINE_START };
	buf_init(&s->held, SUBMISSION_HELD_MAX);
}

void submission_fini(struct submission *s)
{
	buf_fini(&s->held);
}

bool submission_is_passing(const struct submission *s)
{
	return s->state == IN_BODY;
}

static void add_missing(struct submission *s, struct buf *out)
{
	struct queue_id_text id = queue_id_format(s->info.id);

	if (s->has_added)
		return;
	s->has_added = true;
	if (!s->has_date) {
		buf_append_str(out, STR("Date: "));
		instant_format_rfc5322(out, s->info.at);
		buf_append_str(out, STR("\r\n"));
	}
	if (!s->has_message_id)
		buf_printf(out, "Message-ID: <%s@%.*s>\r\n", id.text, STR_FMT(s->info.hostname));
}

static void release(struct submission *s, struct buf *out)
{
	buf_append_str(out, buf_str(&s->held));
	buf_clear(&s->held);
}

/* A line that is no field has begun. "From " as the very first is how a mailbox file marks a message: a header follows. */
static void pass_odd_line(struct submission *s, struct buf *out)
{
	if (s->has_line || !str_starts_fold(buf_str(&s->held), STR("From ")))
		add_missing(s, out);
	release(s, out);
	s->state = IN_LINE;
}

/* held is a name, perhaps with white space behind it (RFC 5322 section 4.5, obs-optional), and the colon is next. */
static void judge_field(struct submission *s, struct buf *out)
{
	struct str name = str_trim(buf_str(&s->held));

	if (name.len == 0 || name.data != s->held.data) {
		pass_odd_line(s, out);
		return;
	}
	if (str_equal_fold(name, STR("Bcc")) || str_equal_fold(name, STR("Resent-Bcc"))) {
		s->bcc_removed++;
		buf_clear(&s->held);
		s->state = IN_DROPPED_LINE;
		return;
	}
	s->has_date = s->has_date || str_equal_fold(name, STR("Date"));
	s->has_message_id = s->has_message_id || str_equal_fold(name, STR("Message-ID"));
	release(s, out);
	s->state = IN_LINE;
}

/* White space is only the end of a name: an octet of a name behind it tells that this is no field. */
static bool may_follow(const struct buf *held, char c)
{
	char last = held->len > 0 ? held->data[held->len - 1] : 'x';
	bool is_space = c == ' ' || c == '\t';

	if (is_space)
		return true;
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && last != ' ' && last != '\t';
}

/* At the start of a line; consumes nothing or the CR of what may be the empty line. */
static void begin_line(struct submission *s, struct str *in, struct buf *out)
{
	char c = in->data[0];

	if (s->held.len > 0) { /* CR */
		if (c == '\n') {
			add_missing(s, out);
			release(s, out);
			s->state = IN_BODY;
		} else {
			pass_odd_line(s, out);
		}
	} else if (c == '\r') {
		buf_append_char(&s->held, c);
		*in = str_slice(*in, 1, in->len);
	} else {
		s->state = FIELD_NAME;
	}
}

static void read_name(struct submission *s, struct str *in, struct buf *out)
{
	char c = in->data[0];

	if (c == ':') {
		judge_field(s, out);
	} else if (!may_follow(&s->held, c) || s->held.len == SUBMISSION_HELD_MAX) {
		pass_odd_line(s, out);
	} else {
		buf_append_char(&s->held, c);
		*in = str_slice(*in, 1, in->len);
	}
}

/* The rest of a line, its end included; out is NULL when it goes. Returns true when the line has ended. */
static bool pass_line(struct submission *s, struct str *in, struct buf *out)
{
	size_t end = str_find(*in, '\n');
	bool has_end = end < in->len;
	struct str part = str_slice(*in, 0, has_end ? end + 1 : end);

	if (out)
		buf_append_str(out, part);
	*in = str_slice(*in, part.len, in->len);
	s->has_line = s->has_line || has_end;
	return has_end;
}

static bool is_continued(struct str in)
{
	return in.data[0] == ' ' || in.data[0] == '\t';
}

static void step(struct submission *s, struct str *in, struct buf *out)
{
	switch ((enum state)s->state) {
	case LINE_START:
		begin_line(s, in, out);
		break;
	case FIELD_NAME:
		/* A continuation line passes as it is; none can follow nothing, but it harms as little. */
		if (s->held.len == 0 && is_continued(*in))
			s->state = IN_LINE;
		else
			read_name(s, in, out);
		break;
	case IN_LINE:
		if (pass_line(s, in, out))
			s->state = LINE_START;
		break;
	case IN_DROPPED_LINE:
		if (pass_line(s, in, NULL))
			s->state = AFTER_DROPPED;
		break;
	case AFTER_DROPPED:
		s->state = is_continued(*in) ? IN_DROPPED_LINE : LINE_START;
		break;
	case IN_BODY:
		buf_append_str(out, *in);
		*in = str_slice(*in, in->len, in->len);
		break;
	}
}

void submission_feed(struct submission *s, struct str content, struct buf *out)
{
	while (content.len > 0)
		step(s, &content, out);
}

void submission_finish(struct submission *s, struct buf *out)
{
	if (s->state == IN_BODY)
		return;
	if (s->state == FIELD_NAME)
		pass_odd_line(s, out);
	/* BDAT may leave the last line open (RFC 3030); it was to be ended when it is sent on, and is now. */
	if (s->state == IN_LINE && !s->has_added && !(s->has_date && s->has_message_id))
		buf_append_str(out, STR("\r\n"));
	add_missing(s, out);
	release(s, out);
	s->state = IN_BODY;
}
