"""Cells in which mail flows: accepted and delivered, accepted only, one at a time, large.

Each measurement starts a relay of its own with an empty queue, warms it up (Postfix has its processes to start) and
then offers as much as it takes for some seconds; what was accepted is waited for at the sink.
"""

import meter
from outlast import Outlast
from world import destinations

FLOWS = [(sessions, domains) for domains in (1, 200) for sessions in (20, 100)]


def flow_name(sessions, domains):
    return f"flow-{sessions}x{domains}"


def measure_flow(bench, side, sessions, domains=1, size=10240, warm=400, tls=None):
    """Accept and deliver: rate from the first MAIL to the last arrival, and what it cost until a clean stop. tls:
    "resumed" or "handshake", of each message, on either side."""
    with bench.world(side.name) as world:
        relay, to_sink, to_load = with_tls(world, side, domains, tls) if tls else (side(world, destinations(domains)), {}, {})
        sink = world.sink(addresses=domains, **to_sink)
        relay.start()
        warmed = world.load(relay, sessions, count=warm, size=size, domains=domains, **to_load)["accepted"]
        sink.wait_for(warmed, 60, "what warms up")
        meter.settle(relay)
        window = meter.Window(relay, world.directory)
        load = world.load(relay, sessions, seconds=bench.seconds, first=warmed, size=size, domains=domains, **to_load)
        arrived = sink.wait_for(warmed + load["accepted"], 180)
        found = {"messages": load["accepted"], "size": size, "sessions": sessions, "destinations": domains,
                 "per_second": load["accepted"] / (arrived["last_at"] - load["first_at"]),
                 "accepted_per_second": load["per_second"], "refused": load["refused"], "lost": load["lost"],
                 "connections_peak": arrived["connections_peak"],
                 "duplicates": arrived["messages"] - arrived["distinct"],
                 "handshakes": load["handshakes"], "resumed": load["resumed"],
                 "handshakes_out": arrived["handshakes"], "resumed_out": arrived["resumed"],
                 **acknowledgement(load), **window.end_of_work()}
        relay.stop()
        found.update(window.end_of_writes())
        return per_message(found)


def with_tls(world, side, domains, tls):
    """(relay, options of the sink, options of the load): a connection for each message."""
    pem, key = world.certificate()
    resumes = tls == "resumed"
    return (side(world, destinations(domains), has_tls=True), {"cert": pem, "key": key, "no_resumption": not resumes},
            {"tls": True, "resume": resumes, "per_connection": 1})


def cell_tls(bench):
    """10 KiB, 20 sessions, STARTTLS and a new connection for each message, in and out: resumed, and in full."""
    for tls in ("resumed", "handshake"):
        bench.alternate(f"tls-{tls}", bench.sides, lambda side, t=tls: measure_flow(bench, side, 20, tls=t))


def acknowledgement(load):
    return {f"ack_{key}_us": load["ack_us"][key] for key in ("p50", "p99", "max")}


def per_message(found):
    count = found["messages"]
    found["cpu_ms_per_message"] = found["cpu_s"] / count * 1000
    for key in ("disk_bytes", "process_bytes", "flushes"):
        found[f"{key}_per_message"] = None if found.get(key) is None else found[key] / count
    found["mb_per_second"] = found["per_second"] * found["size"] / 1e6
    return found


def cell_flow(bench):
    """10 KiB, 20 and 100 sessions, 1 and 200 destinations."""
    for sessions, domains in FLOWS[:1] + FLOWS[-1:] if bench.is_quick else FLOWS:
        bench.alternate(flow_name(sessions, domains), bench.sides,
                        lambda side, s=sessions, d=domains: measure_flow(bench, side, s, d))


def measure_accept(bench, side, sessions=20):
    """Nothing listens where the mail is to go."""
    with bench.world(side.name) as world:
        relay = side(world, destinations(1))
        relay.start()
        warmed = world.load(relay, sessions, count=400)["accepted"]
        meter.settle(relay)
        load = world.load(relay, sessions, seconds=bench.seconds, first=warmed)
        found = {"messages": load["accepted"], "per_second": load["per_second"], "refused": load["refused"],
                 **acknowledgement(load)}
        relay.stop()
        return found


def cell_accept(bench):
    """10 KiB, 20 sessions, the destination refuses connections."""
    bench.alternate("accept", bench.sides, lambda side: measure_accept(bench, side))


def measure_disk(bench):
    """What the disk can do in this minute."""
    with bench.world("disk") as world:
        return world.disk(seconds=1)


def measure_single(bench, side):
    found = measure_flow(bench, side, 1, warm=100)
    if side is not Outlast:
        return found
    disk = measure_disk(bench)
    found["fdatasync_p50_us"] = disk["fdatasync_us"]["p50"]
    found["ack_per_fdatasync"] = found["ack_p50_us"] / found["fdatasync_p50_us"]
    return found


def cell_single(bench):
    """10 KiB, one session, one message at a time; a fdatasync of the same minute."""
    bench.alternate("single", bench.sides, lambda side: measure_single(bench, side))


def measure_large(bench, side):
    found = measure_flow(bench, side, 20, size=1 << 20, warm=20)
    if side is not Outlast:
        return found
    disk = measure_disk(bench)
    found["disk_mb_per_second"] = disk["sync_write_mb_s"]
    found["of_disk"] = found["mb_per_second"] / disk["sync_write_mb_s"]
    return found


def cell_large(bench):
    """1 MiB, 20 sessions; the sequential synced rate of the disk in the same minute."""
    bench.alternate("large", bench.sides, lambda side: measure_large(bench, side))
