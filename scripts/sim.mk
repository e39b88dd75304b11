# The simulator: the real relay and queue on a virtual clock, in a world that scenarios write (test/scenarios).

SIM_OBJ   := $(patsubst test/sim/%.c,$(BUILD)/sim/%.o,$(wildcard test/sim/*.c))
SIM_RANKS := relay deliver smtp queue store conf mail base
SCENARIO  ?= all
SEED      ?= 1
SEEDS     ?= 1..3
DAYS      ?=

.PHONY: sim check-sim
## sim            play a scenario: SCENARIO=name (all), SEED=1, DAYS= to cut it short
sim: $(BUILD)/sim/outlast-sim
	$< --scenario $(SCENARIO) --seed $(SEED) $(if $(DAYS),--days $(DAYS)) $(SIM_FLAGS)
## check-sim      play all scenarios with the seeds SEEDS=1..3
check-sim: $(BUILD)/sim/outlast-sim
	$< --scenario all --seeds $(SEEDS)

$(BUILD)/sim/outlast-sim: $(SIM_OBJ) $(patsubst %,$(BUILD)/lib%.a,$(SIM_RANKS))
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
$(BUILD)/sim/%.o: test/sim/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_TEST) -c -o $@ $<
-include $(SIM_OBJ:.o=.d)
