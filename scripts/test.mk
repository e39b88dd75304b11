# Test targets. Unit tests: test/unit/<rank>/test_*.c, one program each, cmocka, linked by rank:
# a test of rank r links lib r and the ranks below it, plus test/unit/<rank>/fixture_*.c if any.

UNIT_SRC := $(wildcard test/unit/*/test_*.c)
UNIT_BIN := $(patsubst test/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
CFLAGS_TEST = $(STD) -D_GNU_SOURCE $(OPT) $(WARN) $(WERROR) $(if $(SAN),$(SAN),$(HARDEN)) -fPIE \
	-Iinclude -Isrc -Itest -MMD -MP $(CFLAGS)

# The relay is tested over a real queue, on the ports of the simulator.
UNIT_LIBS_relay := $(BUILD)/libstore.a

.PHONY: unit
## unit           build and run the unit and contract tests
unit: $(UNIT_BIN)
	@scripts/run-unit $(UNIT_BIN)
unit-%:
	@$(MAKE) --no-print-directory $(patsubst test/unit/%.c,$(BUILD)/unit/%,$(wildcard test/unit/$*/test_*.c))
	@scripts/run-unit $(patsubst test/unit/%.c,$(BUILD)/unit/%,$(wildcard test/unit/$*/test_*.c))

define UNIT_RULES
FIXTURE_$(1) := $$(patsubst test/unit/%.c,$$(BUILD)/unit/%.o,$$(wildcard test/unit/$(1)/fixture_*.c))
$$(BUILD)/unit/$(1)/%.o: test/unit/$(1)/%.c
	@mkdir -p $$(@D)
	$$(if $$(V),,@echo "  CC $$<")
	$$(Q)$$(CC) $$(CFLAGS_TEST) -c -o $$@ $$<
$$(BUILD)/unit/$(1)/test_%: $$(BUILD)/unit/$(1)/test_%.o $$(FIXTURE_$(1)) $$(UNIT_LIBS_$(1)) $$(call lib_files,$(1))
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ -lcmocka $$(LIBS)
-include $$(wildcard $$(BUILD)/unit/$(1)/*.d)
.PRECIOUS: $$(BUILD)/unit/$(1)/%.o
endef
$(foreach r,$(RANKS),$(eval $(call UNIT_RULES,$(r))))

.PHONY: check tests
# Everything that `make check` runs, built first: its time budget counts from here.
tests: all tools $(UNIT_BIN)
## check          the tests of the README: unit, contract, simulation, crash, peers, daemon (about 10 minutes)
check:
	@scripts/install-deps check
	@$(MAKE) --no-print-directory -j2 tests
	@scripts/check $(abspath $(BUILD))

# Sanitizer runs build apart from the rest: half an hour and more on 2 cores.
.PHONY: check-asan check-tsan
## check-asan     everything of `make check` under the address and undefined-behaviour sanitizers
check-asan:
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)/asan OPT="-O1 -g -fno-omit-frame-pointer" \
		SAN="-fsanitize=address,undefined -fno-sanitize-recover=all"
## check-tsan     the unit and contract tests with threads under the thread sanitizer
check-tsan:
	@$(MAKE) --no-print-directory unit-store unit-os BUILD=$(BUILD)/tsan OPT="-O1 -g" SAN="-fsanitize=thread"

.PHONY: mutants
## mutants        plants defects and sees that a named check turns red for each (doc/mutants.md)
mutants:
	@scripts/mutants $(abspath $(BUILD)) $(NAME)

.PHONY: door blackbox-peers
## door           what nmap and testssl.sh say of an outlastd with the shipped configuration (peers are fetched)
door: all tools
	BUILD=$(abspath $(BUILD)) test/e2e/door.py
## blackbox-peers the black-box suite against Postfix, Exim and OpenSMTPD, and the table of doc/smtp.md
blackbox-peers: all tools
	BUILD=$(abspath $(BUILD)) test/e2e/blackbox/score.py
