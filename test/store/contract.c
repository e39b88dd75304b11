/* contract - running the parts against one adapter, and what they share. */
#include "store/contract.h"

#include "store/contract_parts.h"

/* Which adapter the group at hand is about: cmocka hands no parameter to a setup. */
static world_open_fn *adapter_open_fn;
static uint64_t journal_bytes;

int contract_run(const char *name, world_open_fn *open)
{
	/* A small journal, so that it starts over within a test; and none. */
	static const uint64_t sizes[] = { CONTRACT_JOURNAL_BYTES, 0 };
	int failed = 0;
	adapter_open_fn = open;
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		journal_bytes = sizes[i];
		failed += contract_run_write(name) + contract_run_read(name) +
			  contract_run_operator(name) + contract_run_outage(name) +
			  contract_run_claim(name) + contract_run_history(name) +
			  contract_run_revive(name) + contract_run_tell(name) +
			  contract_run_shelf(name);
	}
	return failed;
}

int contract_setup(void **state)
{
	static struct world world;
	world_init(&world, adapter_open_fn);
	world.options.journal_bytes = journal_bytes;
	world_must_open(&world);
	*state = &world;
	return 0;
}

int contract_teardown(void **state)
{
	world_fini(*state);
	return 0;
}

enum recipient_state contract_state_of(struct world *w, uint64_t id, uint32_t number)
{
	struct store_show show = { .id = id };
	enum recipient_state state = RECIPIENT_STATE_COUNT;
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
	for (uint32_t i = 0; i < show.message.recipient_count; i++) {
		if (show.message.recipients[i].rcpt.number == number)
			state = show.message.recipients[i].state;
	}
	store_op_fini(&show.op);
	return state;
}

void contract_assert_counts(struct world *w)
{
	const char *wrong = world_recount(w);
	if (wrong)
		fail_msg("%s", wrong);
}

enum err contract_lookup(
	struct world *w, struct store_lookup *op, const char *hop, const char *site)
{
	*op = (struct store_lookup){ .hop = str_from_c(hop), .site = str_from_c(site) };
	return world_run(w, &op->op, STORE_LOOKUP);
}
