/* tlsrpt - see mail/tlsrpt.h. */
#include "mail/tlsrpt.h"

#include "base/arena.h"
#include "mail/address.h"
#include "mail/domain.h"
#include "mail/queue_id.h"

#define BASE64_LINE_OCTETS 57 /* 76 characters */

static bool read_record(struct str record, struct tlsrpt_rua *out, uint32_t *out_count);
static bool read_uri(struct str uri, struct tlsrpt_rua *out);

enum err tlsrpt_record_find(
	const struct str *records, uint32_t count, struct tlsrpt_rua *out, uint32_t *out_count)
{
	static const struct str head = { "v=TLSRPTv1", 10 };
	uint32_t found = 0, at = 0;

	*out_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct str rest = str_trim(str_slice(records[i], head.len, records[i].len));

		if (!str_equal(str_slice(records[i], 0, head.len), head) || rest.len == 0 ||
			rest.data[0] != ';')
			continue;
		found++;
		at = i;
	}
	if (found != 1)
		return ERR_NOT_FOUND;
	return read_record(str_slice(records[at], head.len, records[at].len), out, out_count)
		       ? OK
		       : ERR_SYNTAX;
}

static bool read_record(struct str record, struct tlsrpt_rua *out, uint32_t *out_count)
{
	while (record.len > 0) {
		struct str value = str_cut(&record, ';');
		struct str name = str_trim(str_cut(&value, '='));

		if (!str_equal(name, STR("rua")))
			continue;
		while (value.len > 0 && *out_count < TLSRPT_RUA_MAX) {
			if (read_uri(str_trim(str_cut(&value, ',')), &out[*out_count]))
				++*out_count;
		}
		break;
	}
	return *out_count > 0;
}

/* An address in full, or nothing: what would have to be decoded is passed over. */
static bool read_mailto(struct str address, struct tlsrpt_rua *out)
{
	struct arena arena = { 0 };
	struct address parsed;
	bool is_good = str_find(address, '%') == address.len &&
		       str_find(address, '?') == address.len && str_is_ascii(address) &&
		       address_parse(address, true, &arena, &parsed) == OK && parsed.domain.len > 0;

	arena_fini(&arena);
	*out = (struct tlsrpt_rua){ .scheme = TLSRPT_MAILTO, .target = address };
	return is_good;
}

static bool read_https(struct str url, struct str rest, struct tlsrpt_rua *out)
{
	struct str host = str_slice(rest, 0, str_find(rest, '/'));

	for (size_t i = 0; i < url.len; i++) {
		if (url.data[i] <= ' ' || url.data[i] >= 0x7f || url.data[i] == '"')
			return false;
	}
	*out = (struct tlsrpt_rua){ .scheme = TLSRPT_HTTPS, .target = url, .host = host };
	return domain_is_hostname(host); /* no port, no user: what a report needs */
}

static bool read_uri(struct str uri, struct tlsrpt_rua *out)
{
	if (str_starts_fold(uri, STR("mailto:")))
		return read_mailto(str_slice(uri, 7, uri.len), out);
	if (str_starts_fold(uri, STR("https://")))
		return read_https(uri, str_slice(uri, 8, uri.len), out);
	return false;
}

/* ---- the mail ---- */

static void put_base64(struct buf *out, struct str octets)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < octets.len; i += 3) {
		unsigned char in[3] = { 0 };
		size_t n = octets.len - i < 3 ? octets.len - i : 3;

		for (size_t k = 0; k < n; k++)
			in[k] = (unsigned char)octets.data[i + k];
		buf_append_char(out, digits[in[0] >> 2]);
		buf_append_char(out, digits[(in[0] & 3) << 4 | in[1] >> 4]);
		buf_append_char(out, n > 1 ? digits[(in[1] & 15) << 2 | in[2] >> 6] : '=');
		buf_append_char(out, n > 2 ? digits[in[2] & 63] : '=');
		if ((i + 3) % BASE64_LINE_OCTETS == 0 || i + 3 >= octets.len)
			buf_append_str(out, STR("\r\n"));
	}
}

static void put_head(struct buf *out, const struct tlsrpt_mail *m, const char *boundary)
{
	buf_printf(out, "From: TLS reports <%.*s>\r\nTo: <%.*s>\r\n", STR_FMT(m->from),
		STR_FMT(m->to));
	buf_printf(out,
		"Subject: Report Domain: %.*s\r\n Submitter: %.*s\r\n Report-ID: <%.*s>\r\n",
		STR_FMT(m->domain), STR_FMT(m->submitter), STR_FMT(m->report_id));
	buf_append_str(out, STR("Date: "));
	instant_format_rfc5322(out, m->now);
	buf_printf(out, "\r\nMessage-ID: <%s.tlsrpt@%.*s>\r\n", queue_id_format(m->id).text,
		STR_FMT(m->submitter));
	buf_printf(out, "TLS-Report-Domain: %.*s\r\nTLS-Report-Submitter: %.*s\r\n",
		STR_FMT(m->domain), STR_FMT(m->submitter));
	buf_printf(out,
		"TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n "
		"boundary=\"%s\"\r\n\r\n",
		boundary);
}

void tlsrpt_mail_build(struct buf *out, const struct tlsrpt_mail *m)
{
	struct queue_id_text id = queue_id_format(m->id);
	struct buf text;

	buf_init(&text, 64);
	buf_printf(&text, "=_%s.tlsrpt", id.text);
	put_head(out, m, buf_cstr(&text));
	buf_printf(
		out, "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", buf_cstr(&text));
	buf_printf(out,
		"This is a report on TLS in mail to %.*s, for one day (RFC 8460).\r\n\r\n--%s\r\n",
		STR_FMT(m->domain), buf_cstr(&text));
	buf_printf(out,
		"Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
		"Content-Disposition: attachment;\r\n "
		"filename=\"%.*s!%.*s!%lld!%lld.json.gz\"\r\n\r\n",
		STR_FMT(m->submitter), STR_FMT(m->domain), (long long)m->begin_s,
		(long long)m->end_s);
	put_base64(out, m->gzip);
	buf_printf(out, "\r\n--%s--\r\n", buf_cstr(&text));
	buf_fini(&text);
}
