# The simulator: the real relay and queue on a virtual clock, in a world that scenarios write (test/scenarios).

# It is part of the product (src/sim, for `outlast simulate`); test/sim has the program that judges the scenarios.

SIM_OBJ   := $(patsubst test/sim/%.c,$(BUILD)/sim/%.o,$(wildcard test/sim/*.c))
SCENARIO  ?= all
SEED      ?= 1
SEEDS     ?= 2..4
DAYS      ?=

.PHONY: sim check-sim
## sim            play a scenario: SCENARIO=name (all), SEED=1, DAYS= to cut it short
sim: $(BUILD)/sim/outlast-sim
	$< --scenario $(SCENARIO) --seed $(SEED) $(if $(DAYS),--days $(DAYS)) $(SIM_FLAGS)
## check-sim      play all scenarios, once more with crashes; those of OUTAGE.md with crashes by the seeds SEEDS=2..4
check-sim: $(BUILD)/sim/outlast-sim
	@scripts/run-sim $< $(SEEDS)
## check-long     all scenarios at length: the seeds LONG_SEEDS=1..20, each once as it is and once with crashes (half an hour)
LONG_SEEDS ?= 1..20
.PHONY: check-long outage-table
check-long: $(BUILD)/sim/outlast-sim
	@scripts/run-sim $< - $(LONG_SEEDS)
## outage-table   measure what becomes of mail in an outage of 140 hours; writes its row in doc/outage.md
outage-table: $(BUILD)/sim/outlast-sim
	@scripts/outage-table $<

.PHONY: check-scale
## check-scale    January 2023 at 1/100, message by message and by cohorts (2 minutes): within 5 %, and doc/scale.md
check-scale: $(BUILD)/outlast
	@scripts/check-scale $<

$(BUILD)/sim/outlast-sim: $(SIM_OBJ) $(call lib_files,sim)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
$(BUILD)/sim/%.o: test/sim/%.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(CFLAGS_TEST) -c -o $@ $<
-include $(SIM_OBJ:.o=.d)
tests: $(BUILD)/sim/outlast-sim
