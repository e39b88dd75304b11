"""The goals of speed and scale, and what a run reached of each.

A goal that compares two things has a ratio, larger being better, that floors.json may hold down; absolute figures
depend on the machine and have none. A goal whose cell did not run is left out of the table; one without a peer says
so.
"""

from figures import OURS, compare, median

MIB = 1 << 20


class Row:
    """name (of the floor), what, goal, reached: texts; is_ok; ratio: where there is one."""

    def __init__(self, name, what, goal, reached, is_ok, ratio=None):
        self.name, self.what, self.goal, self.reached, self.is_ok, self.ratio = name, what, goal, reached, is_ok, ratio

    @property
    def verdict(self):
        return "-" if self.is_ok is None else "ok" if self.is_ok else "SHORT"


def times(ratio):
    return f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.1f} x"


def against_peer(f, name, what, cell, key, goal, scale=1, unit="/s", is_more_better=True):
    """A goal of so many times the better Postfix."""
    if not f.of(cell, OURS, key):
        return []
    ours = f.median(cell, OURS, key) * scale
    text = f"≥ {goal} x Postfix" if is_more_better else f"≤ 1/{goal} of Postfix"
    found = f.against_peer(cell, key, is_more_better)
    if found is None:
        return [Row(name, what, text, f"{ours:,.4g}{unit} (no Postfix)", None)]
    theirs = f.median(cell, found["peer"], key) * scale
    shown = f"{ours:,.4g} : {theirs:,.4g}{unit}" if ours < 100 else f"{ours:,.0f} : {theirs:,.0f}{unit}"
    reached = f"{times(found['ratio'])} (pairs {times(found['paired'])}; {shown})"
    return [Row(name, what, text, reached, found["ratio"] >= goal, found["ratio"])]


def at_most(f, name, what, cell, key, limit, scale, unit, goal, pick=median):
    values = f.of(cell, OURS, key)
    if not values:
        return []
    reached = pick(values) * scale
    return [Row(name, what, goal, f"{reached:,.3g} {unit}", reached <= limit)]


def flow(f):
    rows = []
    for sessions, domains in ((20, 1), (100, 1), (20, 200), (100, 200)):
        cell = f"flow-{sessions}x{domains}"
        what = f"accept and deliver, {sessions} sessions, {domains} destination{'s' * (domains > 1)}"
        rows += against_peer(f, cell, what, cell, "per_second", 10)
    return rows


def tls(f):
    rows = []
    for cell, what in (("tls-resumed", "resumed"), ("tls-handshake", "in full")):
        rows += against_peer(f, cell, f"a TLS connection for each message, in and out, {what}", cell, "per_second", 5)
        rows += against_peer(f, "cpu-" + cell, f"CPU of a message with it, {what}", cell, "cpu_ms_per_message", 5, unit=" ms",
                             is_more_better=False)
    return rows


def accept(f):
    rows = against_peer(f, "accept", "accept only, destination down", "accept", "per_second", 10)
    cells = [cell for cell in f.cells() if cell.startswith("flat-") and f.of(cell, OURS, "per_second")]
    for cell in sorted(cells)[-1:]:
        ours, empty = f.of(cell, OURS, "per_second"), f.of(cell, "outlast, empty queue", "per_second")
        if not empty:
            continue
        ratio = compare(ours, empty)["ratio"]
        rows.append(Row("flat", f"the same with {min(f.of(cell, OURS, 'queued')):,} queued", "≥ 0.9 x without",
                        f"{ratio:.2f} x ({median(ours):,.0f} : {median(empty):,.0f}/s)", ratio >= 0.9, ratio))
    return rows


def cpu(f):
    rows = []
    for cell in f.cells():
        if cell.startswith("flow-"):
            what = f"CPU of a message, {cell[5:].replace('x', ' sessions, ')} dest."
            rows += against_peer(f, "cpu-" + cell, what, cell, "cpu_ms_per_message", 10, unit=" ms",
                                 is_more_better=False)
    return rows


def latency(f):
    rows = against_peer(f, "single", "one session, one at a time", "single", "per_second", 4)
    values = f.of("single", OURS, "ack_per_fdatasync")
    if values:
        reached = median(values)
        rows.append(Row("single-ack", "acknowledgement, one session, median", "≤ 3 x one fdatasync",
                        f"{reached:.2f} x ({f.median('single', OURS, 'ack_p50_us'):,.0f} : "
                        f"{f.median('single', OURS, 'fdatasync_p50_us'):,.0f} µs)", reached <= 3, 1 / reached))
    return rows + against_peer(f, "ack-p99", "acknowledgement, 20 sessions, p99", "flow-20x1", "ack_p99_us", 10,
                               scale=1e-3, unit=" ms", is_more_better=False)


def written(f):
    rows = at_most(f, "bytes", "written to disk per 10 KiB message", "flow-20x1", "disk_bytes_per_message",
                   16, 1 / 1024, "KiB", "≤ 16 KiB")
    rows += at_most(f, "bytes-process", "of these by the relay itself", "flow-20x1", "process_bytes_per_message",
                    16, 1 / 1024, "KiB", "≤ 16 KiB")
    rows += against_peer(f, "large", "1 MiB messages", "large", "mb_per_second", 3, unit=" MB/s")
    values = f.of("large", OURS, "of_disk")
    if values:
        reached = median(values)
        rows.append(Row("large-disk", "1 MiB messages and the disk's synced rate", "≥ 60 %",
                        f"{reached:.0%} ({f.median('large', OURS, 'mb_per_second'):,.0f} : "
                        f"{f.median('large', OURS, 'disk_mb_per_second'):,.0f} MB/s)", reached >= 0.6, reached))
    return rows


def drain(f):
    rows = against_peer(f, "drain", "drain after an outage", "drain", "per_second", 5)
    values = f.of("drain", OURS, "order_violations")
    if values:
        # Those that were under way side by side may overtake each other at the border.
        limit = max(f.of("drain", OURS, "connections_peak"))
        rows.append(Row("urgent", "urgent first", "none late but for those under way",
                        f"{max(values)} came before the last urgent one of {f.median('drain', OURS, 'urgent'):,.0f}",
                        max(values) <= limit))
    values = f.of("drain-intake", OURS, "intake_ratio")
    if values:
        rows.append(Row("drain-intake", "accept rate during the drain", "≥ 50 % of that without",
                        f"{median(values):.0%} ({f.median('drain-intake', OURS, 'accepted_beside_per_second'):,.0f} : "
                        f"{f.median('drain-intake', OURS, 'accepted_alone_per_second'):,.0f}/s; drains "
                        f"{f.median('drain-intake', OURS, 'per_second'):,.0f}/s meanwhile)",
                        median(values) >= 0.5, median(values)))
    return rows


def restart(f):
    values = f.of("restart-1", OURS, "ready_s")
    if not values:
        return []
    queued = f"{min(f.of('restart-1', OURS, 'queued')):,} queued"
    peer = f.median("restart-1", "postfix, tuned", "ready_s")
    beside = f" (Postfix with {f.median('restart-1', 'postfix, tuned', 'queued'):,}: {peer:.2f} s)" if peer else ""
    delivered = f.of("restart-1", OURS, "delivered_s")
    return [Row("restart", f"restart, {queued}: ready, slowest", "≤ 0.5 s", f"{max(values):.3f} s{beside}",
                max(values) <= 0.5),
            Row("restart-delivery", f"restart, {queued}: new mail delivered", "≤ 0.5 s", f"{max(delivered):.3f} s",
                max(delivered) <= 0.5)]


def memory(f):
    rows = at_most(f, "memory", "memory (PSS), destination down", "memory", "pss_kib", 64, 1 / 1024, "MiB",
                   "≤ 64 MiB", max)
    for row in rows:
        row.what += f", {min(f.of('memory', OURS, 'queued')):,} queued"
        row.reached += (f"; with {f.median('memory', OURS, 'sessions'):,} sessions "
                        f"{f.median('memory', OURS, 'sessions_pss_kib') / 1024:.1f} MiB, "
                        f"{f.median('memory', OURS, 'kib_per_session'):.1f} KiB each")
    return rows


def waiting(f):
    small, large = f.of("day-0", OURS, "bytes_per_day"), f.of("day-1", OURS, "bytes_per_day")
    rows = at_most(f, "day-cpu", "CPU of a day of waiting, larger backlog", "day-1", "cpu_s_per_day", 1, 1, "s",
                   "≤ 1 s", max)
    if small and large:
        far = median(large) / max(median(small), 1)
        # One probe more or less is no growth: 64 KiB are.
        is_ok = median(large) <= median(small) * 1.1 + 65536
        queued = f"{f.median('day-1', OURS, 'queued'):,} : {f.median('day-0', OURS, 'queued'):,} queued"
        reached = f"{median(large) / 1024:,.0f} : {median(small) / 1024:,.0f} KiB ({far:.2f} x; {queued})"
        rows.append(Row("day-writes", "written on such a day", "does not grow", reached, is_ok))
    return rows


def file_size(f):
    if not f.of("file", OURS, "bytes_after"):
        return []
    after, limit, seconds = (f.median("file", OURS, key) for key in ("bytes_after", "limit_bytes", "seconds"))
    full = f.median("file", OURS, "bytes_before") / MIB
    rows = [Row("file", "queue file after the drain", "≤ 110 % of live pages + 64 MiB in 10 min",
                f"{after / MIB:,.0f} MiB after {seconds:.0f} s (limit {limit / MIB:,.0f}; full {full:,.0f})",
                after <= limit)]
    return rows + at_most(f, "file-stall", "slowest acknowledgement meanwhile", "file", "ack_max_ms", 20, 1, "ms",
                          "≤ 20 ms", max)


def evaluate(figures):
    return [row for part in (flow, tls, accept, cpu, latency, written, drain, restart, memory, waiting, file_size)
            for row in part(figures)]


def table(rows):
    cells = [("what", "goal", "reached", "")] + [(row.what, row.goal, row.reached, row.verdict) for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells)
