/* control_json - records of port/store.h as JSON. The key names are the contract with scripts. */
#ifndef RELAY_CONTROL_JSON_H
#define RELAY_CONTROL_JSON_H

#include "port/store.h"

struct json_t;

/* json_text - a JSON string; octets that are not UTF-8 become U+FFFD, NUL becomes U+FFFD too.
 * Never NULL. */
struct json_t *json_text(struct str s);
void json_put(struct json_t *object, const char *key, struct json_t *value); /* takes value */
void json_put_text(struct json_t *object, const char *key, struct str s);
void json_put_u64(struct json_t *object, const char *key, uint64_t n);
/* json_put_wall - seconds since 1970 with milliseconds; null for WALL_NONE and WALL_NEVER. */
void json_put_wall(struct json_t *object, const char *key, struct wall t);
void json_put_status(struct json_t *object, const char *key, struct status s); /* "" for none */

struct json_t *json_message(const struct queued_message *m, struct wall now);
struct json_t *json_attempt(const struct attempt_record *a);
struct json_t *json_health(const struct health_record *h);
/* json_base64 - content in rows of cat. */
struct json_t *json_base64(struct str octets);
/* json_check_depth - false when brackets nest deeper than max outside of strings: asked before a
 * recursive parser. */
bool json_check_depth(struct str text, unsigned max);

#endif
