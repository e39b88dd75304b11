# Speed and scale, side by side with a private Postfix: the cells and the goals are in scripts/bench/*.py.

.PHONY: bench bench-quick bench-ready
bench-ready: deps
	@$(MAKE) --no-print-directory $(ALL_CORES) all bench-tools
	@scripts/fetch-peers $(BUILD)/peers postfix || echo "bench: no Postfix to compare with"

## bench          speed beside Postfix and the disk, about 25 minutes; writes doc/performance.md (root, for Postfix)
bench: bench-ready
	@BUILD=$(abspath $(BUILD)) scripts/bench/bench.py $(BENCH)

## bench-quick    the main figures of it in about 3 minutes; BENCH="--only flow --pairs 1" for one cell
bench-quick: bench-ready
	@BUILD=$(abspath $(BUILD)) scripts/bench/bench.py --quick $(BENCH)
