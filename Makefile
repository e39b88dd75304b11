# Outlast - durable outbound SMTP queue and retry relay.
# `make help` lists the targets. Everything that is built goes to $(BUILD).

BUILD   ?= build
# make V=1 shows the commands.
V       ?=
Q       := $(if $(V),,@)
ifeq ($(origin CC),default)
CC      := gcc
endif
PREFIX  ?= /usr/local
DESTDIR ?=
WERROR  ?=

RANKS    := base mail conf smtp queue deliver os store relay sim
VERSION  := 0.1.0

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wundef -Wvla -Wcast-qual -Wwrite-strings -Wswitch-enum -Wnull-dereference \
	-Wimplicit-fallthrough
HARDEN ?= -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection
OPT    ?= -O2 -g
# Sanitizers (check-asan, check-tsan) and coverage set these; FORTIFY is not combined with them.
SAN    ?=
STD    := -std=c11 -D_POSIX_C_SOURCE=200809L
# _GNU_SOURCE only where the operating system or a library is met.
GNU_DIRS := os store sim main

CFLAGS_ALL  = $(STD) $(OPT) $(WARN) $(WERROR) $(if $(SAN),$(SAN),$(HARDEN)) -fPIE -Iinclude -Isrc \
	-DOUTLAST_VERSION='"$(VERSION)"' -DOUTLAST_LIBEXEC='"$(PREFIX)/libexec/outlast"' -MMD -MP $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now $(SAN) $(LDFLAGS)
LIBS        = -luv -lcares -lssl -lcrypto -lsqlite3 -ljansson -lyaml -lidn2 -lcrypt -lresolv -lz -lpthread

# One static library per folder. Link order is rank order, highest first: a wrong dependency does not link.
LIBS_base    := base
LIBS_mail    := mail base
LIBS_conf    := conf mail base
LIBS_smtp    := smtp conf mail base
LIBS_queue   := queue conf mail base
LIBS_deliver := deliver smtp queue conf mail base
LIBS_os      := os conf mail base
LIBS_store   := store conf mail base
LIBS_relay   := relay deliver smtp queue conf mail base
LIBS_sim     := sim relay deliver smtp queue store conf mail base
LIBS_main    := sim relay deliver smtp queue store os conf mail base
lib_files     = $(patsubst %,$(BUILD)/lib%.a,$(LIBS_$(1)))

PROGRAMS := $(BUILD)/outlastd $(BUILD)/outlast $(BUILD)/outlast-fetch
TOOLS    := $(patsubst test/tools/%.c,$(BUILD)/tools/%,$(wildcard test/tools/*.c))

.PHONY: all tools clean help
all: $(PROGRAMS)
tools: $(TOOLS)

define RANK_RULES
SRC_$(1) := $$(wildcard src/$(1)/*.c)
OBJ_$(1) := $$(patsubst src/%.c,$$(BUILD)/obj/%.o,$$(SRC_$(1)))
$$(BUILD)/lib$(1).a: $$(OBJ_$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
$$(OBJ_$(1)): $$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $$(@D)
	$$(if $$(V),,@echo "  CC $$<")
	$$(Q)$$(CC) $$(CFLAGS_ALL) $$(if $$(filter $(1),$$(GNU_DIRS)),-D_GNU_SOURCE) -c -o $$@ $$<
-include $$(OBJ_$(1):.o=.d)
endef
$(foreach r,$(RANKS) main,$(eval $(call RANK_RULES,$(r))))

# The default of fetch-helper is where PREFIX puts it: 'make install PREFIX=...' after 'make' compiles that file once more.
$(BUILD)/obj/conf/keys.o: $(BUILD)/prefix
$(BUILD)/prefix: force
	@mkdir -p $(@D)
	@echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' >$@
.PHONY: force
force:

# main/ holds three programs: outlastd.c (+ daemon_*.c) and outlast.c (+ cli_*.c), shared_*.c serve both; and fetch.c, which
# is linked with nothing of the relay.
OBJ_outlastd := $(filter $(BUILD)/obj/main/outlastd.o $(BUILD)/obj/main/daemon_%.o $(BUILD)/obj/main/shared_%.o,$(OBJ_main))
OBJ_outlast  := $(filter $(BUILD)/obj/main/outlast.o $(BUILD)/obj/main/cli_%.o $(BUILD)/obj/main/shared_%.o,$(OBJ_main))

$(BUILD)/outlastd: $(OBJ_outlastd) $(call lib_files,main)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
$(BUILD)/outlast: $(OBJ_outlast) $(call lib_files,main)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(BUILD)/outlast-fetch: $(BUILD)/obj/main/fetch.o
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcurl

# Tools of the tests: each one file, linked with nothing of the relay (they judge it).
$(BUILD)/tools/%: test/tools/%.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(STD) -D_GNU_SOURCE $(OPT) $(WARN) $(WERROR) $(SAN) -MMD -MP -o $@ $< -lssl -lcrypto -lpthread
-include $(TOOLS:=.d)

include scripts/test.mk
include scripts/fuzz.mk
-include scripts/tools.mk
-include scripts/sim.mk
include scripts/instructions.mk
include scripts/bench.mk
include scripts/bench-run.mk
-include scripts/crash.mk
include scripts/lint.mk

MANDIR  ?= $(PREFIX)/share/man
.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 \
		$(DESTDIR)$(MANDIR)/man8 $(DESTDIR)/etc/outlast
	install -m 755 $(BUILD)/outlastd $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/outlast $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/libexec/outlast
	install -m 755 $(BUILD)/outlast-fetch $(DESTDIR)$(PREFIX)/libexec/outlast/
	install -m 644 man/outlast.1 $(DESTDIR)$(MANDIR)/man1/
	sed 's|/usr/local/libexec|$(PREFIX)/libexec|' man/outlast.yaml.5 >$(DESTDIR)$(MANDIR)/man5/outlast.yaml.5
	install -m 644 man/outlastd.8 $(DESTDIR)$(MANDIR)/man8/
	sed 's|/usr/local/libexec|$(PREFIX)/libexec|' etc/outlast.yaml >$(DESTDIR)/etc/outlast/outlast.yaml.example
	install -d $(DESTDIR)$(PREFIX)/share/doc/outlast $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d \
		$(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 README.md CHANGES.md $(DESTDIR)$(PREFIX)/share/doc/outlast/
	install -m 644 etc/completion/outlast.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/outlast
	install -m 644 etc/completion/_outlast $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 etc/completion/outlast.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/
	sed 's|/usr/local/sbin|$(PREFIX)/sbin|' etc/outlastd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/outlastd.service

clean:
	rm -rf $(BUILD)

help:
	@echo "Targets:"
	@sed -n 's/^## //p' Makefile scripts/*.mk
## all            build outlastd, outlast and outlast-fetch
## install        install programs, manuals and the example configuration (PREFIX, DESTDIR)
## tools          build the test tools (outlast-sink and others)
## clean          remove the build folder
