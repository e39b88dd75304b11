/* contract - the contract of port/store.h as a test suite, for any adapter. */
#ifndef TEST_STORE_CONTRACT_H
#define TEST_STORE_CONTRACT_H

#include "store/world.h"

/* contract_run - the number of failed tests. */
int contract_run(const char *name, world_open_fn *open);

#endif
