# Measuring tools: each one file; linked with nothing of the relay, but for bench-fill, which writes its queue.

BENCH_TOOLS := $(patsubst scripts/bench/%.c,$(BUILD)/bench/%,$(wildcard scripts/bench/bench-*.c))
BENCH_CC     = $(CC) $(STD) -D_GNU_SOURCE $(OPT) $(WARN) $(WERROR) $(SAN) -MMD -MP

# Those that speak SMTP speak TLS.
$(BUILD)/bench/bench-load $(BUILD)/bench/bench-sink: BENCH_LIBS = -lssl -lcrypto

.PHONY: bench-tools
## bench-tools    build the measuring tools
bench-tools: $(BENCH_TOOLS)

$(BUILD)/bench/%: scripts/bench/%.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(BENCH_CC) -o $@ $< $(BENCH_LIBS)

$(BUILD)/bench/bench-fill: scripts/bench/bench-fill.c $(call lib_files,store)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(BENCH_CC) -Iinclude -Isrc -o $@ $< $(call lib_files,store) -lsqlite3 -lidn2
-include $(BENCH_TOOLS:=.d)
