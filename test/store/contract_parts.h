/* contract_write, contract_read, contract_operator - the parts of the suite. State of each test:
 * struct world, open. */
#ifndef TEST_STORE_CONTRACT_PARTS_H
#define TEST_STORE_CONTRACT_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/world.h"

int contract_run_write(const char *name);
int contract_run_read(const char *name);
int contract_run_operator(const char *name);
int contract_run_tell(const char *name);
int contract_run_outage(const char *name);
int contract_run_claim(const char *name);
int contract_run_history(const char *name);
int contract_run_revive(const char *name);
int contract_run_shelf(const char *name);

/* For cmocka_unit_test_setup_teardown. */
int contract_setup(void **state);
int contract_teardown(void **state);

#define CONTRACT_TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

/* contract_state_of - the state of a recipient through SHOW. */
enum recipient_state contract_state_of(struct world *w, uint64_t id, uint32_t number);
void contract_assert_counts(struct world *w);
/* contract_hop - the row of a next hop; strings live until the arena goes. */
enum err contract_lookup(
	struct world *w, struct store_lookup *op, const char *hop, const char *site);

#endif
