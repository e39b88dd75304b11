#!/usr/bin/python3
"""make bench: Outlast and Postfix side by side, and both beside what the machine can do.

    bench.py [--quick] [--only CELL,...] [--pairs N] [--seconds S] [--reprint]

Every measurement is one JSON line in BUILD/bench/results.jsonl; at the end comes the table of goals. A full run (all
cells, not quick) also writes the generated part of doc/performance.md and its plots; --reprint does that from the
results of the last run, without measuring. Exit status: 0, or 1 when a ratio is below its floor (floors.json) or a
cell failed.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

import cells_backlog  # noqa: E402
import cells_drain  # noqa: E402
import cells_flow  # noqa: E402
import floors  # noqa: E402
import goals  # noqa: E402
import page  # noqa: E402
import peer_postfix  # noqa: E402
import world  # noqa: E402
from figures import Figures  # noqa: E402
from outlast import Outlast  # noqa: E402

RESULTS = os.path.join(world.DIRECTORY, "results.jsonl")
CELLS = {
    "flow": cells_flow.cell_flow,
    "tls": cells_flow.cell_tls,
    "accept": cells_flow.cell_accept,
    "single": cells_flow.cell_single,
    "large": cells_flow.cell_large,
    "drain": cells_drain.cell_drain,
    "file": cells_drain.cell_file,
    "backlog": cells_backlog.cell_backlog,
    "peer-restart": cells_backlog.cell_peer_restart,
}


class Bench:
    """One run: how long and how often, who takes part, and what was found."""

    def __init__(self, options):
        self.is_quick = options.quick
        self.pairs = options.pairs or (2 if options.quick else 5)
        self.seconds = options.seconds or (2 if options.quick else 3)
        self.records = []
        self.failures = []
        self.sides = [Outlast]
        self.has_peer = False
        self.begun = time.monotonic()
        self.port = world.lib.common_port([world.FIRST_ADDRESS, world.address_of(199), world.LIVE_ADDRESS])
        try:
            peer_postfix.check()
            self.sides += peer_postfix.VARIANTS[-1:] if self.is_quick else peer_postfix.VARIANTS
            self.has_peer = True
        except world.Skip as why:
            self.say(f"no Postfix: {why}")

    def world(self, name):
        return world.World(name.replace(", ", "-").replace(" ", "-"), self.port)

    def rounds(self, _cell):
        return self.pairs

    def say(self, text):
        print(f"# {time.monotonic() - self.begun:6.1f} s  {text}", flush=True)

    def alternate(self, cell, sides, measure):
        """A B A B: each side in turn, as many rounds as there are pairs."""
        for _ in range(self.pairs):
            for side in sides:
                self.once(cell, side, measure)

    def once(self, cell, side, measure):
        """One measurement, kept at once. One that fails is told and counted; the others go on."""
        begun = time.monotonic()
        number = sum(1 for record in self.records if record["cell"] == cell and record["side"] == side.name)
        try:
            found = measure(side)
        except Exception as why:  # a defect of the relay, of a tool, or of the cell: none may hide the other figures
            self.failures.append(f"{cell}, {side.name}: {why}")
            self.say(f"FAILED {self.failures[-1]}")
            if not isinstance(why, world.Failure):
                traceback.print_exc()
            return
        record = {"cell": cell, "side": side.name, "round": number, **found, "took_s": time.monotonic() - begun}
        self.records.append(record)
        with open(RESULTS, "a", encoding="ascii") as file:
            file.write(json.dumps(record) + "\n")
        rate = f"{found['per_second']:,.0f}/s" if "per_second" in found else ""
        self.say(f"{cell:14} {side.name:20} {rate}")


def read_options():
    parser = argparse.ArgumentParser(description="Outlast, Postfix and the disk, side by side.")
    parser.add_argument("--quick", action="store_true", help="the main cells, smaller, about three minutes")
    parser.add_argument("--only", help="these cells: " + ",".join(CELLS))
    parser.add_argument("--pairs", type=int, help="rounds of each comparison")
    parser.add_argument("--seconds", type=int, help="length of a measurement")
    parser.add_argument("--reprint", action="store_true", help="table and page again, from the results of the last run")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else list(CELLS)
    unknown = [name for name in options.only if name not in CELLS]
    if unknown:
        parser.error("no such cell: " + ", ".join(unknown))
    return options


def measure(options):
    """Runs the cells; (records, failures)."""
    os.makedirs(world.DIRECTORY, exist_ok=True)
    if os.path.exists(RESULTS):
        os.replace(RESULTS, RESULTS + ".last")
    bench = Bench(options)
    world.empty_trash()  # of a run that was cut off
    try:
        for name in options.only:
            bench.say(f"{name}: {CELLS[name].__doc__}")
            try:
                CELLS[name](bench)
            except world.Failure as why:
                bench.failures.append(f"{name}: {why}")
                bench.say(f"FAILED {bench.failures[-1]}")
    finally:
        bench.say("tidying up")
        world.empty_trash()
    bench.say("done")
    return bench.records, bench.failures


def read_results():
    with open(RESULTS, encoding="ascii") as file:
        return [json.loads(line) for line in file]


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is ended
    if options.reprint:
        records, failures = read_results(), []
    else:
        records, failures = measure(options)
    figures = Figures(records)
    rows = goals.evaluate(figures)
    print(goals.table(rows))
    problems = [*failures, *floors.below(rows), *floors.lowered()]
    for problem in problems:
        print(f"# {problem}")
    is_whole = (set(options.only) == set(CELLS) and not options.quick and not failures
                and len(figures.sides("flow-20x1")) == 3)
    if options.reprint or is_whole:
        page.write(figures, rows, shutil.disk_usage(world.DIRECTORY))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
