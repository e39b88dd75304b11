# What the demo and the end-to-end tests need around the relay.

PEERS  := postfix pflogsumm swaks msmtp knot libnet-ssleay-perl

# What is asked for with one command uses all cores, unless make was told how many.
ALL_CORES = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: deps demo corpus peers check-tools
## deps           see to the Debian packages that the build and the demo need
deps:
	@scripts/install-deps build

## demo           the main job in under a minute: a destination is away for six days, nothing is lost
demo: deps
	@$(MAKE) --no-print-directory $(ALL_CORES) all tools
	@scripts/fetch-corpus $(BUILD)/corpus || echo "demo: no corpus of real mails; made-up ones are sent"
	@BUILD=$(abspath $(BUILD)) test/e2e/demo

## corpus         real mails for the tests, from Debian packages
corpus:
	@scripts/fetch-corpus $(BUILD)/corpus
## peers          other mail programs for the tests, unpacked from Debian packages
peers:
	@scripts/fetch-peers $(BUILD)/peers $(PEERS)

## e2e-NAME       one end-to-end test: test/e2e/test_NAME.py
e2e-%: all tools
	@BUILD=$(abspath $(BUILD)) test/e2e/test_$*.py

## check-tools    the judging tools against each other
check-tools: tools
	@BUILD=$(abspath $(BUILD)) test/e2e/test_tools.py
