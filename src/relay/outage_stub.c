#include "relay/outage.h"
const struct outage_record *outage_begin(struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name, struct wall began, const struct health_record *evidence)
{ (void)r;(void)kind;(void)scope;(void)name;(void)began;(void)evidence; return NULL; }
void outage_end(struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name, struct wall at)
{ (void)r;(void)kind;(void)scope;(void)name;(void)at; }
