"""The generated part of doc/performance.md, between two marks, and its plots. What stands outside the marks stays."""

import os
import platform

import svg
from figures import OURS
from world import ROOT

PAGE = os.path.join(ROOT, "doc", "performance.md")
PLOTS = os.path.join(ROOT, "doc", "performance")
BEGIN = "<!-- measured: written by make bench -->"
END = "<!-- measured: end -->"
SIDES = (OURS, "postfix, as shipped", "postfix, tuned")
FLOWS = ("flow-20x1", "flow-100x1", "flow-20x200", "flow-100x200")
LABELS = {
    "flow-20x1": "20 sessions, 1 dest.", "flow-100x1": "100 sessions, 1 dest.", "flow-20x200": "20 sessions, 200 dest.",
    "flow-100x200": "100 sessions, 200 dest.", "tls-resumed": "TLS, resumed",
    "tls-handshake": "TLS, in full", "accept": "accept only", "single": "one session",
    "large": "1 MiB messages", "drain": "drain",
}
SHORT_LABELS = {cell: cell[5:].replace("x", " x ") for cell in FLOWS}  # sessions x destinations
COLUMNS = (("per_second", "messages/s", 1), ("mb_per_second", "MB/s", 1), ("cpu_ms_per_message", "CPU ms/message", 1),
           ("ack_p50_us", "ack p50 ms", 1e-3), ("ack_p99_us", "ack p99 ms", 1e-3),
           ("disk_bytes_per_message", "disk KiB/message", 1 / 1024),
           ("process_bytes_per_message", "process KiB/message", 1 / 1024),
           ("flushes_per_message", "flushes/message", 1),
           ("pss_kib", "PSS MiB", 1 / 1024))
SESSIONS = "(sessions x destinations)"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} x {model}, {memory} GiB, Linux {platform.release().split('-')[0]}"


def goal_table(rows):
    return ["| what | goal | reached | |", "|---|---|---|---|",
            *(f"| {row.what} | {row.goal} | {row.reached} | {row.verdict} |" for row in rows)]


def figure_table(figures):
    """Least, median and most of each figure of the cells that have a peer."""
    lines = []
    for cell, label in LABELS.items():
        keys = [column for column in COLUMNS if any(figures.of(cell, side, column[0]) for side in SIDES)]
        if not keys:
            continue
        lines += ["", f"### {label}", "", "| min / median / max | " + " | ".join(title for _, title, _ in keys) + " |",
                  "|---|" + "---:|" * len(keys)]
        for side in SIDES:
            if not figures.of(cell, side, "per_second"):
                continue
            cells = []
            for key, _, scale in keys:
                spread = figures.spread(cell, side, key)
                cells.append(" / ".join(number(value * scale) for value in spread) if spread else "")
            lines.append(f"| {side} | " + " | ".join(cells) + " |")
    return lines


def plots(figures):
    """Draws what there are figures for; returns the lines that show them."""
    os.makedirs(PLOTS, exist_ok=True)
    lines = []
    for name, title, unit, key, cells, scale in (
            ("rates", f"Messages of 10 KiB a second: accepted and delivered {SESSIONS}, accepted, drained", "/s",
             "per_second", FLOWS + ("accept", "drain"), 1),
            ("single", "One session, one message at a time", "/s", "per_second", ("single",), 1),
            ("cpu", f"CPU of a message, accepted and delivered {SESSIONS}", "ms", "cpu_ms_per_message", FLOWS, 1),
            ("written", f"Written to disk for a message of 10 KiB, clean stop included {SESSIONS}", "KiB",
             "disk_bytes_per_message", FLOWS, 1 / 1024)):
        groups = [(SHORT_LABELS.get(cell, LABELS[cell]),
                   [scaled(figures.spread(cell, side, key), scale) for side in SIDES])
                  for cell in cells if figures.of(cell, OURS, key)]
        if groups:
            svg.bars(os.path.join(PLOTS, name + ".svg"), title, unit, SIDES, groups)
            lines += ["", f"![{title}](performance/{name}.svg)"]
    cells = sorted(cell for cell in figures.cells() if cell.startswith("flat-"))
    if cells:
        sides = (OURS, "outlast, empty queue")
        points = [[(f"{min(figures.of(cell, OURS, 'queued')):,} queued", figures.spread(cell, side, "per_second"))
                   for cell in cells] for side in sides]
        title = "Accepted a second while so many messages wait, and at the same time without"
        svg.lines(os.path.join(PLOTS, "backlog.svg"), title, "/s", sides, points)
        lines += ["", f"![{title}](performance/backlog.svg)"]
    return lines


def scaled(spread, scale):
    return tuple(value * scale for value in spread) if spread else None


def generated(figures, rows, disk):
    return "\n".join([
        BEGIN, "", f"Measured on {machine()}, {disk.total >> 30} GiB disk, by `make bench`. Ratios are those of",
        'the medians, to the better of two Postfix; "pairs" is the median of the ratios of neighbours. SHORT: not',
        "reached.", "",
        *goal_table(rows), *plots(figures), "", "## Figures", "",
        "Least, median and most. CPU is that of all processes until nothing goes on any more; what was written is",
        "counted after a clean stop and a sync, so what was only in a log or a cache is in it: for the whole disk",
        "with the file system's own journal, and for the processes alone.", *figure_table(figures), "", END])


def write(figures, rows, disk):
    text = "# Speed and scale\n\n" + BEGIN + END + "\n"
    if os.path.exists(PAGE):
        with open(PAGE, encoding="utf-8") as file:
            text = file.read()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{PAGE} has lost its marks {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + generated(figures, rows, disk) + after)
