/* The contract of port/store.h on the adapter without threads. */
#include "store/contract.h"

int main(void)
{
	return contract_run("sync", store_sync_open);
}
