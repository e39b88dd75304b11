"""Cells with a backlog: it must cost nothing but disk.

One queue grows from 100,000 to 5,000,000 messages of 1 KiB for a destination that is down, and at each size the same
questions are asked: how fast is mail accepted, how soon is the relay there after a start, what does it hold in
memory, what does a day of waiting cost. The smaller sizes come first since a queue is quicker filled than emptied.
"""

import os
import resource
import smtplib
import socket
import time

import meter
from cells_flow import acknowledgement
from outlast import Outlast
from peer_postfix import Tuned
from world import LIVE_FORMAT, Failure, destinations, wait_for

BODY = 1024
CLOCK_RATE = 20000  # a simulated day in 4.3 s
DAY_S = 86400
DAYS = 4  # so that one probe more or less does not matter


class Backlog:
    """The queue that grows; .count messages wait in it."""

    def __init__(self, bench):
        self.world = bench.world("backlog")
        self.queue = self.world.path("queue")
        self.count = 0
        self.next_number = 1 << 30  # far from the numbers of what the loads send

    def grow(self, count):
        if count > self.count:
            os.makedirs(self.queue, exist_ok=True)
            self.world.fill(self.queue, count - self.count, BODY, first=self.next_number)
            self.next_number += count - self.count
            self.count = count
            os.sync()

    def close(self):
        self.world.__exit__(None, None, None)


def sizes(bench):
    return (10000, 100000, 200000) if bench.is_quick else (100000, 1000000, 5000000)


def cell_backlog(bench):
    """100,000, 1,000,000 and 5,000,000 messages of 1 KiB wait for a dead destination."""
    backlog = Backlog(bench)
    try:
        for i, count in enumerate(sizes(bench)):
            backlog.grow(count)
            bench.say(f"{count:,} messages wait")
            if i < 2:
                bench.once(f"day-{i}", Outlast, lambda side: measure_day(bench, backlog))
            if i == 1:
                bench.once("memory", Outlast, lambda side: measure_memory(bench, backlog))
            for is_killed in (False, True) * (bench.rounds("restart") if i == 1 else 1):
                bench.once(f"restart-{i}", Outlast, lambda side, k=is_killed: measure_restart(bench, backlog, k))
            for _ in range(bench.rounds("accept") if i == 2 else 1):
                bench.once(f"flat-{i}", Outlast, lambda side: measure_accept_with(bench, backlog, False))
                bench.once(f"flat-{i}", Empty, lambda side: measure_accept_with(bench, backlog, True))
    finally:
        backlog.close()


class Empty(Outlast):
    """Outlast without a backlog, beside one with."""
    name = "outlast, empty queue"


def measure_accept_with(bench, backlog, is_empty):
    """Accepts 10-KiB messages for the dead destination."""
    with bench.world("flat") as world:
        relay = Outlast(world, destinations(1), queue=None if is_empty else backlog.queue)
        relay.start()
        warmed = world.load(relay, 20, count=400)["accepted"]
        meter.settle(relay)
        load = world.load(relay, 20, seconds=bench.seconds, first=warmed)
        relay.stop()
        if not is_empty:
            backlog.count += warmed + load["accepted"]
        return {"queued": 0 if is_empty else backlog.count, "messages": load["accepted"],
                "per_second": load["per_second"], **acknowledgement(load)}


def measure_day(bench, backlog):
    """Simulated days of waiting, after a quarter of one in which the start is forgotten."""
    with bench.world("day") as world:
        relay = Outlast(world, destinations(1), queue=backlog.queue)
        relay.start(clock_rate=CLOCK_RATE)
        time.sleep(DAY_S / CLOCK_RATE / 4)
        cpu, written = meter.cpu_seconds(relay.pids()), meter.written_bytes(relay.pids())
        begun = time.monotonic()
        time.sleep(DAYS * DAY_S / CLOCK_RATE)
        days = (time.monotonic() - begun) * CLOCK_RATE / DAY_S
        found = {"queued": backlog.count, "cpu_s_per_day": (meter.cpu_seconds(relay.pids()) - cpu) / days,
                 "bytes_per_day": (meter.written_bytes(relay.pids()) - written) / days}
        relay.stop()
        return found


def measure_memory(bench, backlog):
    """With the backlog, and with 1,000 sessions open on top."""
    with bench.world("memory") as world:
        relay = Outlast(world, destinations(1), queue=backlog.queue)
        relay.start()
        meter.settle(relay)
        without = relay.memory_kib()
        sessions = open_sessions(relay, 1000)
        meter.settle(relay)
        within = relay.memory_kib()
        for session in sessions:
            session.close()
        relay.stop()
        return {"queued": backlog.count, "pss_kib": without, "sessions": len(sessions), "sessions_pss_kib": within,
                "kib_per_session": (within - without) / len(sessions)}


def open_sessions(relay, count):
    """Sessions that have said EHLO, at most 150 from one address since a client may have 200."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
    sessions = []
    for i in range(count):
        session = socket.create_connection(("127.0.0.1", relay.relay.port), timeout=10,
                                           source_address=(f"127.0.2.{i // 150 + 1}", 0))
        sessions.append(session)
        if not session.recv(512).startswith(b"220"):
            raise Failure(f"session {i + 1} was refused")
        session.sendall(b"EHLO bench.test\r\n")
        if not session.recv(1024).startswith(b"250"):
            raise Failure(f"session {i + 1} was refused")
    return sessions


def measure_restart(bench, backlog, is_killed):
    """From exec to the reply to EHLO, and to the first delivery of new mail; after a clean stop, or kill -9 while it
    accepted."""
    with bench.world("restart") as world:
        relay = Outlast(world, destinations(1, with_live=True), queue=backlog.queue)
        sink = world.live_sink()
        if is_killed:
            relay.start()
            load = world.start_load(relay, 5, seconds=5, size=BODY, first=1 << 20)
            wait_for(lambda: load.ask()["accepted"] >= 1000, 20, "1,000 messages before the kill")
            relay.kill()
            load.kill()
        return {"queued": backlog.count, "is_killed": is_killed, **timed_start(relay, sink)}


def timed_start(relay, sink):
    ready, begun = relay.start_timed()
    host, _, port = relay.at.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as client:
        client.sendmail("bench@bench.test", ["user@" + LIVE_FORMAT % 0],
                        "Subject: first\r\nX-Bench: 000000000001\r\n\r\n.\r\n")
    arrived = sink.wait_for(1, 30, "the first delivery")
    found = {"ready_s": ready, "delivered_s": arrived["last_at"] - begun}
    meter.settle(relay)
    found["pss_kib"] = relay.memory_kib()
    relay.stop()
    return found


def cell_peer_restart(bench):
    """The same of Postfix with 100,000 deferred, for scale (the full run only)."""
    if bench.is_quick or not bench.has_peer:
        return
    bench.once("restart-1", Tuned, lambda side: measure_peer_restart(bench, 100000))


def measure_peer_restart(bench, count):
    with bench.world("pf-restart") as world:
        relay = Tuned(world, destinations(1, with_live=True))
        relay.start()
        world.load(relay, 20, count=count, size=BODY, first=10, seconds=600)
        relay.wait_until_all_parked(600)
        relay.stop()
        return {"queued": relay.count("deferred"), "is_killed": False, **timed_start(relay, world.live_sink())}
