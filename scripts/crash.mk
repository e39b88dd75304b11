# The crash tests' own daemons: the product's objects and a SQLite file system that loses or fails what was not synced.
# Never installed. The planted ones have a defect that the tests must detect.

CRASH_OBJ := $(BUILD)/crash/obj/daemon_vfs.o $(BUILD)/crash/obj/crash_vfs.o
CRASH_BIN := $(BUILD)/crash/outlastd $(BUILD)/crash/planted-off/outlastd $(BUILD)/crash/planted-normal/outlastd

$(BUILD)/crash/obj/%.o: test/crash/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_TEST) -c -o $@ $<
$(BUILD)/crash/obj/%.o: test/store/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_TEST) -c -o $@ $<
-include $(wildcard $(BUILD)/crash/obj/*.d)

$(BUILD)/crash/outlastd: $(OBJ_outlastd) $(CRASH_OBJ) $(call lib_files,main)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# PRAGMA synchronous OFF (0) or NORMAL (1) instead of FULL (2), and the read-back that would refuse it believes it.
CRASH_SYNC_off    := OFF 0
CRASH_SYNC_normal := NORMAL 1
$(BUILD)/crash/planted-%/engine_sqlite.c: src/store/engine_sqlite.c scripts/crash.mk
	@mkdir -p $(@D)
	sed -e 's/synchronous=FULL;/synchronous=$(word 1,$(CRASH_SYNC_$*));/' \
		-e 's/"PRAGMA synchronous", "2"/"PRAGMA synchronous", "$(word 2,$(CRASH_SYNC_$*))"/' $< >$@
	@[ "$$(diff $< $@ | grep -c '^>')" -eq 2 ] || { echo "$@: the defect could not be planted"; rm $@; exit 1; }
$(BUILD)/crash/planted-%/engine_sqlite.o: $(BUILD)/crash/planted-%/engine_sqlite.c
	$(CC) $(CFLAGS_TEST) -iquote src/store -c -o $@ $<
# The objects come before the library, so its own engine_sqlite.o is not taken.
$(BUILD)/crash/planted-%/outlastd: $(BUILD)/crash/planted-%/engine_sqlite.o $(OBJ_outlastd) $(CRASH_OBJ) $(call lib_files,main)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
.PRECIOUS: $(BUILD)/crash/planted-%/engine_sqlite.c $(BUILD)/crash/planted-%/engine_sqlite.o

.PHONY: crash-daemons check-crash
tests: crash-daemons
crash-daemons: $(CRASH_BIN)
## check-crash    crashes at length: 10,000 messages under 20 kills, each fault point 20 times (3 minutes); writes doc/crash.md
check-crash: all tools crash-daemons
	BUILD=$(abspath $(BUILD)) test/e2e/crash.py --full
## check-outage-cost  what 10,000 and 100,000 parked messages cost in an outage of 10 days; writes doc/outage-cost.md
.PHONY: check-outage-cost
check-outage-cost: all tools
	BUILD=$(abspath $(BUILD)) test/e2e/outage_cost.py --full
