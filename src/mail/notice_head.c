/* notice_head - the first fields of a mail of ours, notice or digest; see dsn_part.h. */
#include "dsn_part.h"
#include "mail/queue_id.h"

void notice_head_write(struct buf *out, const struct notice_head *h)
{
	buf_append_str(out, STR("From: Mail Delivery System <"));
	fill_clean(out, h->from, h->allow_utf8);
	buf_append_str(out, STR(">\r\nTo: <"));
	fill_clean(out, h->to, h->allow_utf8);
	buf_printf(out, ">\r\nSubject: %s\r\nDate: ", h->subject);
	instant_format_rfc5322(out, h->now);
	buf_printf(out, "\r\nMessage-ID: <%s.%s@", queue_id_format(h->id).text, h->kind);
	fill_clean(out, h->host, h->allow_utf8);
	buf_printf(out, ">\r\nAuto-Submitted: %s\r\nMIME-Version: 1.0\r\n", h->automatic);
}
