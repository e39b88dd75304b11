# The crash tests' own daemons: the product's objects and a SQLite file system that loses or fails what was not synced.
# Never installed. The planted ones have a defect that the tests must detect.

CRASH_OBJ := $(BUILD)/crash/obj/daemon_vfs.o $(BUILD)/crash/obj/crash_vfs.o
CRASH_BIN := $(BUILD)/crash/outlastd $(patsubst %,$(BUILD)/crash/planted-%/outlastd,off normal journal)

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
CRASH_FILE_off    := engine_sqlite
CRASH_FILE_normal := engine_sqlite
define CRASH_SYNC
sed -e 's/synchronous=FULL;/synchronous=$(word 1,$(CRASH_SYNC_$(1)));/' \
	-e 's/"PRAGMA synchronous", "2"/"PRAGMA synchronous", "$(word 2,$(CRASH_SYNC_$(1)))"/'
endef
CRASH_SED_off     = $(call CRASH_SYNC,off)
CRASH_SED_normal  = $(call CRASH_SYNC,normal)
# A batch of the journal that is not synced.
CRASH_FILE_journal := journal
CRASH_SED_journal  := sed -e 's/rc = .*xSync(.*SQLITE_SYNC_DATAONLY);/rc = SQLITE_OK;/'

define CRASH_PLANTED
$$(BUILD)/crash/planted-$(1)/$$(CRASH_FILE_$(1)).c: src/store/$$(CRASH_FILE_$(1)).c scripts/crash.mk
	@mkdir -p $$(@D)
	$$(CRASH_SED_$(1)) $$< >$$@
	@[ "$$$$(diff $$< $$@ | grep -c '^>')" -eq $(2) ] || { echo "$$@: the defect could not be planted"; rm $$@; exit 1; }
$$(BUILD)/crash/planted-$(1)/$$(CRASH_FILE_$(1)).o: $$(BUILD)/crash/planted-$(1)/$$(CRASH_FILE_$(1)).c
	$$(CC) $$(CFLAGS_TEST) -iquote src/store -c -o $$@ $$<
-include $$(BUILD)/crash/planted-$(1)/$$(CRASH_FILE_$(1)).d
# The object comes before the library, so its own is not taken.
$$(BUILD)/crash/planted-$(1)/outlastd: $$(BUILD)/crash/planted-$(1)/$$(CRASH_FILE_$(1)).o $$(OBJ_outlastd) $$(CRASH_OBJ) $$(call lib_files,main)
	$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(LIBS)
endef
$(eval $(call CRASH_PLANTED,off,2))
$(eval $(call CRASH_PLANTED,normal,2))
$(eval $(call CRASH_PLANTED,journal,1))

.PHONY: crash-daemons check-crash
tests: crash-daemons
crash-daemons: $(CRASH_BIN)
## check-crash    crashes at length: 10,000 messages under 20 kills, each fault point 20 times (3 minutes); writes doc/crash.md
check-crash: all tools crash-daemons
	BUILD=$(abspath $(BUILD)) test/e2e/crash.py --full
## check-outage-cost  what 10,000 and 1,000,000 parked messages cost in 5 days of outage (4 minutes); writes doc/outage-cost.md
.PHONY: check-outage-cost
check-outage-cost: all tools $(BUILD)/bench/bench-fill
	BUILD=$(abspath $(BUILD)) test/e2e/outage_cost.py --full
