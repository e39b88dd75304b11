#!/usr/bin/python3
"""What parked mail costs while its destination is down: the same, however much there is of it.

Two runs that differ in the number of queued messages only; everything is measured from outside, over the same stretch of
simulated time after the site is down: /proc/PID/io, strace, the log, the journals of the DNS server and the destination.
make check: 1,000 and 5,000 messages, two days. --full: 10,000 and 1,000,000, five days; writes doc/outage-cost.md. There
bench-fill writes the queue, through the store's own operations: a million over SMTP would take minutes.
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import lib
from lib import Failure, expect, expect_equal, wait_for

RATE = 20000  # simulated seconds in a second: a day in 4.3 s
DAY = 86400
IS_FULL = "--full" in sys.argv
SIZES = (10000, 1000000) if IS_FULL else (1000, 5000)
DAYS = 5 if IS_FULL else 2
DRAIN_MAX = 20000  # more are not all waited for: delivered and still queued must be all then
PROBE_S = 1800  # the longest pause between probes; with its jitter, 99 ms of real time at most
RSS_MAX_KB = 64 * 1024
PAGE = os.path.join(lib.ROOT, "doc", "outage-cost.md")

# Differences that are no cost of a message: one probe more or less falls into the window.
SLACK = {"bytes written": 64 << 10, "bytes to disk": 64 << 10, "system calls": 200, "log lines": 3, "DNS queries": 3,
         "connections": 3, "probes": 3}


class Outage:
    def __init__(self, world, count):
        self.world = world
        self.count = count
        self.sink = world.sink("mx.libero.test=127.0.1.2:0")
        self.dns = world.dns(["libero.test MX 10 mx.libero.test", "mx.libero.test A 127.0.1.2"])
        self.relay = world.relay({
            "delivery.port": int(self.sink.at["mx.libero.test"].rsplit(":", 1)[1]),
            "dns.servers": [self.dns.at["dns"]], "dns.allow-addresses": ["127.0.1.0/24"],
            "queue.lifetime": "3000d", "queue.lifetime-max": "3000d", "queue.min-free": "16M",
            "outage.probe-last": f"{PROBE_S}s"})

    def run(self):
        """Returns what was measured."""
        self.relay.start(clock_rate=RATE)
        self.load("before", 1)
        wait_for(lambda: len(self.sink.messages()) == 1, 20, "the site is known good")
        self.sink.control("* refuse")  # cuts the connection that waits for more mail
        self.sink.control("* up")
        self.sink.control("* greet 421 4.3.2 the mail system is down")
        if IS_FULL:
            self.fill()
        else:
            self.load("client", self.count)
        wait_for(self.is_down, 60, "the site is down", every=0.1)
        self.pass_days(1)
        self.peak_kb = self.resident("VmHWM")
        # The write-ahead log of the load is written back here and not at some instant of the window: that is a cost of
        # having accepted the mail, not of keeping it.
        expect_equal(self.relay.stop(), 0, "exit status")
        self.relay.start(clock_rate=RATE)
        wait_for(self.is_down, 30, "the site is still down", every=0.1)
        figures = self.measure()
        self.come_back(figures)
        return figures

    def load(self, journal, count):
        self.world.load(self.relay.at, journal=journal, count=count, size="1K", rcpt="u%d@libero.test", prefix=journal,
                        pipelining=True, sessions=20, deadline=300)

    def fill(self):
        """The queue as a relay would have left it that took so many: and it takes one message more, and finds the site down."""
        expect_equal(self.relay.stop(), 0, "exit status")
        done = subprocess.run([os.path.join(lib.BUILD, "bench", "bench-fill"), "--queue", self.relay.settings["queue.directory"],
                               "--count", str(self.count - 1), "--size", "1024", "--domain-format", "libero.test"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"bench-fill: {done.stderr}")
        self.relay.start(clock_rate=RATE, wait=False)
        self.relay.wait_until_ready(60)
        self.load("client", 1)

    def is_down(self):
        return self.relay.json("status")["sites"]["down"] == 1

    @staticmethod
    def pass_days(days):
        time.sleep(days * DAY / RATE)

    def measure(self):
        strace = self.start_strace()
        before = self.look()
        self.pass_days(DAYS)
        after = self.look()
        figures = {name: after[name] - before[name] for name in before}
        if strace:
            figures["system calls"] = self.end_strace(strace)
        figures["resident KiB"] = max(self.peak_kb, self.resident("VmHWM"))
        expect(self.is_down(), "the site is not down any more")
        expect_equal(self.relay.json("status")["recipients"]["ready"], self.count, "parked recipients")
        return figures

    def resident(self, field):
        with open(f"/proc/{self.relay.process.pid}/status", encoding="ascii") as file:
            return int(re.search(field + r":\s+(\d+)", file.read())[1])

    def look(self):
        with open(f"/proc/{self.relay.process.pid}/io", encoding="ascii") as file:
            io = dict(re.findall(r"(\w+): (\d+)", file.read()))
        stats = self.sink.control.stats()["mx.libero.test"]
        with open(self.relay.process.log_path, "rb") as file:
            lines = file.read().count(b"\n")
        return {"bytes written": int(io["wchar"]), "bytes to disk": int(io["write_bytes"]),
                "DNS queries": len(self.dns.events("query")), "connections": stats["connections"], "log lines": lines}

    def start_strace(self):
        if not shutil.which("strace"):
            return None
        strace = self.world.start(["strace", "-c", "-f", "-o", self.world.path("strace"), "-p", self.relay.process.pid],
                                  "strace.log")
        time.sleep(0.2)
        if not strace.is_running():
            print(f"# no system calls counted: {strace.log().strip()}")
            return None
        strace.wait_for_log("attached")
        return strace

    def end_strace(self, strace):
        strace.signal(signal.SIGINT)
        strace.popen.wait(10)
        with open(self.world.path("strace"), encoding="ascii") as file:
            return int(re.search(r"^\s*100\.00\s+\S+\s+(?:\S+\s+)?(\d+)(?:\s+\d+)?\s+total$", file.read(), re.M)[1])

    def come_back(self, figures):
        before = len(self.sink.messages())
        returned_ms = time.time() * 1000
        self.sink.control("* up")
        wait_for(lambda: len(self.sink.messages()) > before, 30, "the first delivery", every=0.005)
        waited_s = max(0, self.sink.messages()[before]["t"] - returned_ms) / 1000
        figures["first delivery after (simulated minutes)"] = round(waited_s * RATE / 60, 1)
        limit_s = PROBE_S * 1.1 / RATE + 0.25  # one probe interval; and what connecting and a sync take in real time
        expect(waited_s <= limit_s, f"the first delivery took {waited_s:.3f} s, more than {limit_s:.3f} s")
        wait_for(lambda: self.delivered() >= min(self.count + 1, DRAIN_MAX), 300, "all are delivered", every=0.2)
        if not IS_FULL:
            sums = self.world.ledger(clients=["before", "client"])
            expect_equal((sums["delivered"], sums["duplicates"], sums["bounced"]), (self.count + 1, 0, 0), "sums")
        expect_equal(self.relay.stop(), 0, "exit status")
        expect_equal(self.delivered() + self.left(), self.count + 1, "delivered and still queued")

    def delivered(self):
        return self.sink.control.stats()["mx.libero.test"]["messages"]

    def left(self):
        path = os.path.join(self.relay.settings["queue.directory"], "queue.db")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
            return db.execute("SELECT count(*) FROM recipient WHERE state IN (0, 1, 2, 3)").fetchone()[0]


def difference(name, small, large):
    if abs(small - large) <= SLACK.get(name, 0):
        return 0.0
    return abs(small - large) / max(small, large, 1)


def compare(figures):
    """Prints the table and returns its rows; fails when a cost grows with the queue."""
    small, large = figures
    rows, bad = [], []
    for name in small:
        far = difference(name, small[name], large[name])
        is_cost = name in SLACK
        rows.append(f"| {name} | {small[name]:,} | {large[name]:,} |")
        if is_cost and far > 0.1:
            bad.append(f"{name}: {small[name]} and {large[name]} are {far:.0%} apart")
    print("\n".join(f"# {row}" for row in rows), flush=True)
    if bad:
        raise Failure("; ".join(bad))
    for size, found in zip(SIZES, figures):
        expect(found["resident KiB"] < RSS_MAX_KB or lib.is_sanitized(), f"{found['resident KiB']} KiB resident with {size} messages")
    expect(small["connections"] >= DAYS * DAY / PROBE_S * 0.5, f"only {small['connections']} probes in the window")
    return rows


def write_page(rows):
    system = os.uname()
    with open(PAGE, "w", encoding="ascii") as file:
        file.write(
            "# What an outage costs\n\n"
            f"A destination answers 421 to every connection for {DAYS} simulated days while {SIZES[0]:,} and {SIZES[1]:,}\n"
            "messages wait for it. Measured from outside, after the site is down, on the real daemon with its clock at\n"
            f"{RATE:,} times: /proc/PID/io, `strace -c -f`, the log, the journals of the DNS server and the destination.\n"
            f"Probes come every {PROBE_S // 60} minutes (outage.probe-last), so the site is asked {DAYS * DAY // PROBE_S} "
            "times or so.\n"
            "Repeat with `make check-outage-cost`, which fails where a cost differs by more than 10 %; `make check` compares\n"
            "1,000 with 5,000 messages over two days.\n\n"
            f"| in the outage | {SIZES[0]:,} queued | {SIZES[1]:,} queued |\n|---|---:|---:|\n" + "\n".join(rows) +
            f"\n\nAfter the return {DRAIN_MAX:,} or all were waited for: delivered and still queued made up the whole, nothing was\n"
            f"bounced ({system.sysname} {system.machine}, {os.cpu_count()} cores).\n")


def test_parked_mail_costs_nothing(world):
    figures = []
    for size in SIZES:
        with lib.World(f"outage-{size}") as own:
            figures.append(Outage(own, size).run())
    rows = compare(figures)
    if IS_FULL:
        write_page(rows)


if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--full"]
    lib.run(globals())
