/* functions - what SQL lacks: wild(text, pattern), the glob of base/str.h, and status_text(n),
 * "4.7.0" from its number. */
#include "base/buf.h"
#include "mail/status.h"
#include "sql.h"

enum { STATUS_TEXT_BYTES = 32 };

static void on_wild(sqlite3_context *context, int count, sqlite3_value **values);
static void on_status_text(sqlite3_context *context, int count, sqlite3_value **values);
static struct str text_of(sqlite3_value *value);

enum err sql_functions(struct sql *s)
{
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
	int rc = sqlite3_create_function_v2(
		s->db, "wild", 2, flags, NULL, on_wild, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function_v2(
			s->db, "status_text", 1, flags, NULL, on_status_text, NULL, NULL, NULL);
	return sql_error(s->db, rc);
}

static void on_wild(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_result_int(context, str_match_glob(text_of(values[0]), text_of(values[1])));
}

static void on_status_text(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_int64 n = sqlite3_value_int64(values[0]);
	struct buf text;
	buf_init(&text, STATUS_TEXT_BYTES);
	if (n > 0 && n < 6000000)
		status_format(&text, STATUS((uint8_t)(n / 1000000), (uint16_t)(n / 1000 % 1000),
					     (uint16_t)(n % 1000)));
	sqlite3_result_text(context, buf_cstr(&text), (int)text.len, SQLITE_TRANSIENT);
	buf_fini(&text);
}

static struct str text_of(sqlite3_value *value)
{
	const char *data = (const char *)sqlite3_value_text(value);
	int len = sqlite3_value_bytes(value);
	return data && len > 0 ? str_of(data, (size_t)len) : STR("");
}
