/* contract - the contract of port/store.h as a test suite, for any adapter. */
#ifndef TEST_STORE_CONTRACT_H
#define TEST_STORE_CONTRACT_H

#include "store/world.h"

enum { CONTRACT_JOURNAL_BYTES = 128 << 10 };

/* contract_run - with a journal and without. Returns the number of failed tests. */
int contract_run(const char *name, world_open_fn *open);

#endif
