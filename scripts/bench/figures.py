"""Measurements as lists of numbers: what is the middle of them, and how two sides compare.

A record is one measurement of one side in one round: {"cell", "side", "round", and figures}. Times on shared machines
drift, so sides alternate and are compared within the run: by the ratio of their medians and by the median of the
ratios of measurements that were neighbours.
"""

import math
import statistics

OURS = "outlast"


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """(min, median, max) or None."""
    return (min(values), median(values), max(values)) if values else None


class Figures:
    def __init__(self, records):
        self.records = records

    def of(self, cell, side, key):
        """The figure of every round that has it."""
        return [record[key] for record in self.records
                if record["cell"] == cell and record["side"] == side and record.get(key) is not None]

    def median(self, cell, side, key):
        return median(self.of(cell, side, key))

    def spread(self, cell, side, key):
        return spread(self.of(cell, side, key))

    def cells(self):
        return list(dict.fromkeys(record["cell"] for record in self.records))

    def sides(self, cell):
        return list(dict.fromkeys(record["side"] for record in self.records if record["cell"] == cell))

    def better_peer(self, cell, key, is_more_better=True):
        """The name of the peer's variant with the better median; None without a peer."""
        found = {side: self.median(cell, side, key) for side in self.sides(cell) if side.startswith("postfix")}
        found = {side: value for side, value in found.items() if value is not None}
        if not found:
            return None
        return (max if is_more_better else min)(found, key=found.get)

    def against_peer(self, cell, key, is_more_better=True):
        """How many times better than the better variant of the peer: {"ratio", "paired", "peer"}, or None."""
        peer = self.better_peer(cell, key, is_more_better)
        ours = self.median(cell, OURS, key)
        if peer is None or ours is None:
            return None
        return {"peer": peer, **compare(self.of(cell, OURS, key), self.of(cell, peer, key), is_more_better)}


def compare(ours, theirs, is_more_better=True):
    """{"ratio": of the medians, "paired": median of the ratios round by round}, larger being better for us."""
    def ratio(a, b):
        if not is_more_better:
            a, b = b, a
        return a / b if b else math.inf
    return {"ratio": ratio(median(ours), median(theirs)),
            "paired": median([ratio(*pair) for pair in zip(ours, theirs)])}
