"""Cells of the return of a destination: all that waited goes out, and the file gives back what it took.

Outlast's backlog is filled in by bench-fill, with the destination known to be down; the urgent messages are the
youngest, so that they come first by their urgency alone. Postfix has to take its own, so it gets fewer, which is in
its favour.
"""

import os
import sqlite3
import time

import meter
from outlast import Outlast
from world import LIVE_FORMAT, destinations

SIZE = 10240
LIVE_FIRST = 1 << 28  # numbers of what is taken in beside the drain
WATCH_MAX_S = 600
PATIENCE_S = 75  # a file that has not shrunk for so long will not
SLACK = 64 << 20
FIXED = ("-wal", "-shm", ".journal", "reserve")


def counts(bench):
    """(messages for Outlast, for Postfix)"""
    return (10000, 1500) if bench.is_quick else (100000, 4000)


def filled(world, count):
    """An Outlast with so many 10-KiB messages for a dead destination, one in a hundred urgent: (relay, urgent)."""
    relay = Outlast(world, destinations(1, with_live=True))
    urgent = count // 100
    world.fill(relay.queue, count, SIZE, urgent=urgent)
    os.sync()
    return relay, urgent


def drained(relay, sink, count, seconds=300):
    """The destination is back: waits for everything, and tells how fast it came."""
    begun = time.monotonic()
    relay.probe()
    arrived = sink.wait_for(count, seconds)
    return {"messages": count, "per_second": count / max(arrived["last_at"] - arrived["first_at"], 1e-6),
            "first_after_s": arrived["first_at"] - begun, "duplicates": arrived["messages"] - arrived["distinct"],
            "connections_peak": arrived["connections_peak"]}, arrived


def measure_drain(bench, side):
    if side is not Outlast:
        return measure_peer_drain(bench, side)
    with bench.world("drain") as world:
        relay, urgent = filled(world, counts(bench)[0])
        relay.start()
        meter.settle(relay)
        sink = world.sink(priority_order=urgent)
        cpu = meter.cpu_seconds(relay.pids())
        found, arrived = drained(relay, sink, counts(bench)[0])
        meter.settle(relay)
        found["cpu_ms_per_message"] = (meter.cpu_seconds(relay.pids()) - cpu) * 1000 / found["messages"]
        found.update(urgent=urgent, order_violations=arrived["order_violations"])
        relay.stop()
        return found


def measure_peer_drain(bench, side):
    count = counts(bench)[1]
    with bench.world("drain") as world:
        relay = side(world, destinations(1))
        relay.start()
        world.load(relay, 20, count=count, size=SIZE, seconds=240)
        relay.wait_until_all_parked()
        sink = world.sink()
        found, _ = drained(relay, sink, relay.count("deferred"))
        relay.stop()
        return found


def measure_drain_with_intake(bench):
    """Mail for a destination that is up goes on coming while the other one's backlog goes out; before, the same
    without."""
    with bench.world("intake") as world:
        count = counts(bench)[0]
        relay, _ = filled(world, count)
        relay.start()
        live, seconds = world.live_sink(), 1 if bench.is_quick else bench.seconds
        options = {"seconds": seconds, "domain_format": LIVE_FORMAT}
        warmed = world.load(relay, 20, count=400, first=LIVE_FIRST, domain_format=LIVE_FORMAT)["accepted"]
        alone = world.load(relay, 20, first=LIVE_FIRST + 1000, **options)
        live.wait_for(warmed + alone["accepted"], 60)
        meter.settle(relay)
        sink = world.sink()
        relay.probe()
        sink.wait_for(count // 50, 60, "the drain is under way")
        beside = world.load(relay, 20, first=LIVE_FIRST + 10000000, **options)
        then = sink.ask()["distinct"]
        arrived = sink.wait_for(count, 300)
        live.wait_for(warmed + alone["accepted"] + beside["accepted"], 120)
        relay.stop()
        return {"messages": count, "per_second": count / max(arrived["last_at"] - arrived["first_at"], 1e-6),
                "accepted_alone_per_second": alone["per_second"], "accepted_beside_per_second": beside["per_second"],
                "intake_ratio": beside["per_second"] / alone["per_second"], "drained_when_intake_ended": then / count,
                "ack_p99_alone_us": alone["ack_us"]["p99"], "ack_p99_beside_us": beside["ack_us"]["p99"]}


def cell_drain(bench):
    """100,000 messages of 10 KiB after an outage, alone and beside new mail."""
    bench.alternate("drain", bench.sides, lambda side: measure_drain(bench, side))
    for _ in range(bench.rounds("drain-intake")):
        bench.once("drain-intake", Outlast, lambda side: measure_drain_with_intake(bench))


def pages(path):
    """(size of a page, all pages, free pages); a reader beside the daemon."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0]
                     for name in ("page_size", "page_count", "freelist_count"))
    finally:
        connection.close()


def measure_file(bench):
    """The queue's file after a drain, and whether intake notices that it shrinks."""
    with bench.world("file") as world:
        relay, _ = filled(world, counts(bench)[0])
        relay.start()
        meter.settle(relay)
        full = queue_bytes(relay)
        found, _ = drained(relay, world.sink(), counts(bench)[0])
        ended = time.monotonic()
        live = world.live_sink()
        load = world.start_load(relay, 1, seconds=WATCH_MAX_S + 60, size=1024, pace=100, first=LIVE_FIRST,
                                domain_format=LIVE_FORMAT)
        seconds, size = watch_file(relay, ended, 120 if bench.is_quick else PATIENCE_S)
        load.popen.terminate()
        figures = load.finish(60)
        live.wait_for(figures["accepted"], 60)
        relay.stop()
        page, count, free = pages(relay.database)
        return {"messages": found["messages"], "bytes_before": full, "bytes_after": size, "seconds": seconds,
                "files": sizes(relay), "live_bytes": (count - free) * page,
                "limit_bytes": limit_of(page, count, free), "is_small": size <= limit_of(page, count, free),
                **acknowledgement_ms(figures)}


def acknowledgement_ms(load):
    return {f"ack_{key}_ms": load["ack_us"][key] / 1000 for key in ("p50", "p99", "max")}


def sizes(relay):
    """Octets on disk of each file in the queue's directory; one may go while they are counted."""
    found = {}
    for name in os.listdir(relay.queue):
        try:
            found[name] = os.stat(os.path.join(relay.queue, name)).st_blocks * 512
        except FileNotFoundError:
            continue
    return found


def queue_bytes(relay):
    """What the queue takes, but for what has one size whatever is in it: the reserve and the write-ahead log."""
    return sum(size for name, size in sizes(relay).items() if not name.endswith(FIXED))


def limit_of(page, count, free):
    return int((count - free) * page * 1.1) + SLACK


def watch_file(relay, begun, patience):
    """Until the file is small enough, with ten seconds more to see stalls, or no longer shrinks, or ten minutes are
    over: (seconds since the drain, bytes)."""
    smallest, changed = queue_bytes(relay), time.monotonic()
    enough_at = None
    while time.monotonic() - begun < WATCH_MAX_S and time.monotonic() - changed < patience:
        time.sleep(0.5)
        size = queue_bytes(relay)
        if size < smallest:
            smallest, changed = size, time.monotonic()
        if enough_at is None and size <= limit_of(*pages(relay.database)):
            enough_at = time.monotonic()
        if enough_at and time.monotonic() - enough_at > 10:
            break
    return (enough_at or time.monotonic()) - begun, smallest


def cell_file(bench):
    """The size of the queue's file after the drain of 100,000."""
    bench.once("file", Outlast, lambda side: measure_file(bench))
