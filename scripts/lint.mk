# What reads the code rather than runs it.

C_FILES := $(wildcard src/*/*.[ch] include/*/*.h test/unit/*/*.[ch] test/tools/*.[ch] test/sim/*.[ch] test/store/*.[ch] test/crash/*.c test/fuzz/*.[ch])
SCRIPTS := $(shell grep -lE '^.!/(bin/sh|usr/bin/env bash|bin/bash)' scripts/* test/check/* test/e2e/* .ci/run 2>/dev/null)

.PHONY: lint format format-check
## lint           clang-tidy, cppcheck, shellcheck, mandoc, ranks, planted defects apply (installs nothing without root)
lint:
	@scripts/install-deps lint
	@scripts/check-ranks
	@scripts/mutants --apply
	shellcheck $(SCRIPTS)
	for page in man/*.[0-9]; do mandoc -Tlint -Wwarning $$page || exit 1; done
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -j2 -Iinclude -Isrc \
		-D_POSIX_C_SOURCE=200809L src
	clang-tidy --quiet --warnings-as-errors='*' $(wildcard src/*/*.c) -- $(STD) -D_GNU_SOURCE -Iinclude -Isrc \
		-DOUTLAST_VERSION='"$(VERSION)"' -DOUTLAST_LIBEXEC='"$(PREFIX)/libexec/outlast"' 2>/dev/null
## format         formats the C files in place
format:
	@clang-format -i $(C_FILES)
format-check:
	@clang-format --dry-run -Werror $(C_FILES)
