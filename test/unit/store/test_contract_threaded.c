/* The contract of port/store.h on the adapter with a writer and a reader thread. */
#include "store/contract.h"

int main(void)
{
	return contract_run("threaded", store_open);
}
