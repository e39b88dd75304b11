# The instructions that a message costs (test/check/25-instructions): a guard without a clock.

.PHONY: check-instructions instructions-baseline
## check-instructions    the instructions of a message against test/instructions/baseline.json (15 s)
check-instructions: $(BUILD)/sim/outlast-sim
	@BUILD=$(abspath $(BUILD)) test/check/25-instructions
## instructions-baseline  measure them and write test/instructions/baseline.json
instructions-baseline: $(BUILD)/sim/outlast-sim
	@BUILD=$(abspath $(BUILD)) test/check/25-instructions --update
