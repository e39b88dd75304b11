# Fuzz targets: test/fuzz/fuzz_<target>.c, each a libFuzzer program built by clang under the address and
# undefined-behaviour sanitizers, with the sources of the ranks it needs (base and mail unless named below).
# New inputs go to $(BUILD)/fuzz/corpus; test/fuzz/corpus/<target> holds the seeds, and every input that
# ever failed.

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_SAN     := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_CFLAGS   = $(STD) -O1 -g -fno-omit-frame-pointer $(WARN) $(FUZZ_SAN) -Iinclude -Isrc -Itest/fuzz \
	-DOUTLAST_VERSION='"$(VERSION)"' -DOUTLAST_LIBEXEC='"$(PREFIX)/libexec/outlast"' -MMD -MP

# A target of a higher rank: its ranks, highest first, and the libraries they want beside -lidn2.
FUZZ_RANKS_conf := conf mail base
FUZZ_LIBS_conf  := -lyaml -lcrypt
FUZZ_RANKS_server := smtp conf mail base
FUZZ_LIBS_server  := -lyaml -lcrypt
FUZZ_RANKS_client := smtp conf mail base
FUZZ_LIBS_client  := -lyaml -lcrypt
FUZZ_RANKS_control := relay deliver smtp queue conf mail base
FUZZ_LIBS_control  := -ljansson -lyaml -lcrypt -lcrypto
FUZZ_RANKS_entry := store mail base
FUZZ_LIBS_entry  := -lsqlite3
FUZZ_RANKS_journal := store mail base
FUZZ_LIBS_journal  := -lsqlite3
fuzz_ranks       = $(or $(FUZZ_RANKS_$(1)),mail base)
fuzz_libs        = $(patsubst %,$(BUILD)/fuzz/lib%.a,$(call fuzz_ranks,$(1)))

.PHONY: fuzz fuzz-seeds $(addprefix fuzz-,$(FUZZ_TARGETS))
## fuzz           run every fuzz target for FUZZ_SECONDS (60)
fuzz: $(addprefix fuzz-,$(FUZZ_TARGETS))
## fuzz-TARGET    run one of them: command reply enddata address dsn conf control entry journal ...
$(addprefix fuzz-,$(FUZZ_TARGETS)): fuzz-%: $(BUILD)/fuzz/fuzz_%
	@mkdir -p $(BUILD)/fuzz/corpus/$* $(BUILD)/fuzz/failed test/fuzz/corpus/$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix=$(BUILD)/fuzz/failed/$*- $(BUILD)/fuzz/corpus/$* test/fuzz/corpus/$*
## fuzz-seeds     run the fuzz targets over the stored seeds only
fuzz-seeds: $(patsubst %,$(BUILD)/fuzz/fuzz_%,$(FUZZ_TARGETS))
	@for t in $(FUZZ_TARGETS); do \
		echo "fuzz-seeds $$t"; \
		mkdir -p test/fuzz/corpus/$$t; \
		$(BUILD)/fuzz/fuzz_$$t -runs=0 test/fuzz/corpus/$$t >$(BUILD)/fuzz/seeds.log 2>&1 || \
			{ cat $(BUILD)/fuzz/seeds.log; exit 1; }; \
	done

define FUZZ_RANK_RULES
$$(BUILD)/fuzz/lib$(1).a: $$(patsubst src/%.c,$$(BUILD)/fuzz/obj/%.o,$$(wildcard src/$(1)/*.c))
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach r,$(RANKS),$(eval $(call FUZZ_RANK_RULES,$(r))))

define FUZZ_TARGET_RULES
$$(BUILD)/fuzz/fuzz_$(1): $$(BUILD)/fuzz/fuzz_$(1).o $$(call fuzz_libs,$(1))
	$$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $$@ $$^ $$(FUZZ_LIBS_$(1)) -lidn2
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call FUZZ_TARGET_RULES,$(t))))

$(foreach d,$(GNU_DIRS),$(BUILD)/fuzz/obj/$(d)/%.o): FUZZ_CFLAGS += -D_GNU_SOURCE
$(BUILD)/fuzz/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<
$(BUILD)/fuzz/%.o: test/fuzz/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<
.PRECIOUS: $(BUILD)/fuzz/%.o $(BUILD)/fuzz/obj/%.o
-include $(wildcard $(BUILD)/fuzz/*.d $(BUILD)/fuzz/obj/*/*.d)
