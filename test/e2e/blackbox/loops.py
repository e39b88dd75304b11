#!/usr/bin/python3
"""Mail that would come back for ever, and hosts that never come to an end: both stop by themselves, soon, and are told of
once. Seen from outside: how often the message was taken, how much memory and time it cost."""

import os
import re
import socket
import time

import bb
import lib
from bb import Client, USUAL, case, expect, expect_equal, memory_kib, send, wait_for

LOOPS, ENDLESS = [], []
MESSAGE = b"Subject: round and round\r\n\r\nx\r\n"
FLOOD_SECONDS = 3


def rounds(*relays):
    return sum(len(re.findall(r"smtpd\[\d+\]: \w+: client=", relay.log())) for relay in relays)


def ends(relays, seconds=30):
    def is_over():
        """Nowhere, and it did not go from one to the other while they were asked one after the other."""
        before = rounds(*relays)
        return all(relay.queued() == 0 for relay in relays) and rounds(*relays) == before
    wait_for(is_over, seconds, "it ends", every=0.2)


@case(LOOPS, "smarthost-is-us", "5321 6.3")
def smarthost_is_us(it):
    port = lib.free_port()
    relay = it.relay("self", port, [{"name": "all", "via": f"[127.0.0.1]:{port}"}])
    send(port, "u@loop.test", MESSAGE, sender="s@loop.test")
    wait_for(lambda: "mail loops back to this host" in relay.log(), 10, "the log says so: " + relay.log()[-500:])
    # a mistake of the operator's and no fault of the mail: it waits, and goes round not even once
    expect_equal((rounds(relay), relay.queued()), (1, 1), "times taken, recipients kept")


@case(LOOPS, "smarthost-points-back", "5321 6.3")
def smarthost_points_back(it):
    """Two relays that each take the other for the smarthost."""
    ports = [lib.free_port(), lib.free_port()]
    relays = [it.relay(name, ports[i], [{"name": "all", "via": f"[127.0.0.1]:{ports[1 - i]}"}], hostname=f"{name}.outlast.test")
              for i, name in enumerate(("one", "two"))]
    send(ports[0], "u@loop.test", MESSAGE, sender="s@loop.test")
    ends(relays)
    it.note(f"two relays that point at each other: {rounds(*relays)} rounds, the notice included")
    expect(rounds(*relays) <= 26, f"{rounds(*relays)} rounds")
    expect("dsn=5.4.6" in "".join(relay.log() for relay in relays), "5.4.6")


@case(LOOPS, "null-sender-loops-silently", "5321 6.1")
def null_sender(it):
    """A notice that loops is no reason for another: who sent it is nobody."""
    ports = [lib.free_port(), lib.free_port()]
    relays = [it.relay("null-" + name, ports[i], [{"name": "all", "via": f"[127.0.0.1]:{ports[1 - i]}"}], hostname=f"{name}.outlast.test")
              for i, name in enumerate(("one", "two"))]
    send(ports[0], "u@loop.test", MESSAGE, sender="")
    ends(relays)
    it.note(f"a notice between two relays that point at each other: {rounds(*relays)} rounds")
    expect(rounds(*relays) <= 14, f"{rounds(*relays)} rounds")
    expect("status=sent" in relays[0].log(), "it went round")


@case(LOOPS, "stranger-gets-no-backscatter", "5321 3.6.2")
def no_backscatter(it):
    """Whatever a stranger's session is refused for, nobody is written to: the forged sender least of all."""
    hosts = bb.Hosts()
    relay = it.relay("scatter", lib.free_port(), [{"name": "all", "via": f"[127.0.0.1]:{hosts.port}"}], trusted=["127.0.0.1/32"])
    with Client(relay.port, "127.0.0.5") as client:
        client.say("EHLO stranger.test")
        client.await_reply("250")
        for to in ("u@to.test", "u%to.test@relay.outlast.test", '"u@to.test"@relay.outlast.test'):
            client.say(f"MAIL FROM:<victim@forged.test>\r\nRCPT TO:<{to}> NOTIFY=SUCCESS,FAILURE\r\nDATA\r\nRSET".encode() + b"\r\n")
            client.await_replies("250 550 554 250")
    expect_equal(relay.queued(), 0, "queued")
    expect_equal(hosts.messages, [], "sent")
    hosts.close()


# --- hosts that never end ---

def flood(octets, first=b""):
    """A plan that says the same for as long as it is heard."""
    def say(_, session):
        until = time.monotonic() + 60
        session.connection.sendall(first)
        while time.monotonic() < until:
            session.connection.sendall(octets * 200)
            session.hosts.flooded += 200 * len(octets)
        return b""
    return say


ENDLESS_PLANS = {
    "banner-lines": {"banner": flood(b"220-x\r\n")}, "banner-octets": {"banner": flood(b"2" * 1000)},
    "ehlo-keywords": {"ehlo": flood(b"250-XKEYWORD-OF-SOME-LENGTH and parameters\r\n")},
    "mail-lines": {"mail": flood(b"250-go on\r\n")}, "data-lines": {"data": flood(b"354-go on\r\n")},
    "dot-lines": {"dot": flood(b"250-nearly\r\n")}, "dot-octets": {"dot": flood(b"y" * 1000, b"250 ")},
    "replies-unasked": {"banner": flood(b"250 ok\r\n", b"220 host\r\n")},
    "354-for-ever": {"data": flood(b"354 go on\r\n")},
    "quit-lines": {"quit": flood(b"221-bye\r\n")},
}


def endless(name):
    def check(it):
        hosts = bb.Hosts("127.0.0.1")
        hosts.flooded, hosts.plans = 0, {"127.0.0.1": ENDLESS_PLANS[name]}
        relay = it.relay(name, lib.free_port(), [{"name": "all", "via": f"[127.0.0.1]:{hosts.port}"}])
        before = memory_kib(relay.process.pid)
        to = f"{name}@endless.test"
        send(relay.port, to, MESSAGE, sender="")
        wait_for(lambda: hosts.flooded > 0, 10, "the host floods", every=0.01)
        begun, seen, grown = time.monotonic(), -1, 0
        while hosts.flooded != seen:  # until the connection is cut
            seen = hosts.flooded
            grown = max(grown, memory_kib(relay.process.pid) - before)
            expect(time.monotonic() - begun < FLOOD_SECONDS, f"still read after {FLOOD_SECONDS} s, {seen >> 10} KiB")
            time.sleep(0.2)
        expect(grown <= 2048 or lib.is_sanitized(), f"{grown} KiB more memory")
        expect(seen <= 16 << 20, f"{seen >> 10} KiB were taken")
        bounced = re.search(rf"to=<{re.escape(to)}>.*status=bounced", relay.log())
        expect(not bounced, bounced and bounced[0])
        with Client(relay.port) as client:
            client.is_in_step()
        relay.kill()
        hosts.close()
    return check


for _name in ENDLESS_PLANS:
    ENDLESS.append((_name, "row 26", endless(_name)))


@case(ENDLESS, "auth-challenges", "4954 4")
def auth_challenges(it):
    """A smarthost that asks on and on gets one password, once."""
    says = []

    def challenge(line, session):
        if line[:4].upper() != b"AUTH":
            return USUAL["other"]
        for _ in range(1000):
            session.connection.sendall(b"334 UGFzc3dvcmQ6\r\n")
            answer = session.file.readline()
            if not answer:
                break
            says.append(answer)
        return bb.DROP
    hosts = bb.Hosts("127.0.0.1")
    hosts.plans = {"127.0.0.1": {"ehlo": b"250-h\r\n250 AUTH LOGIN\r\n", "other": challenge}}
    path = it.world.path("login")
    with open(path, "w", encoding="ascii") as file:
        file.write("user:secret\n")
    os.chmod(path, 0o600)
    relay = it.relay("challenged", lib.free_port(), [{"name": "all", "via": f"[127.0.0.1]:{hosts.port}", "auth": path}])
    send(relay.port, "auth@endless.test", MESSAGE, sender="")
    wait_for(lambda: says, 10, "it authenticates")
    wait_for(lambda: bb.attempts_of(relay).get("auth@endless.test"), 10, "an outcome", every=0.1)
    expect(len(says) <= 3, f"{len(says)} answers: {says[:5]}")
    expect_equal(relay.queued(), 1, "it is kept")
    expect("c2VjcmV0" not in relay.log() and "secret" not in relay.log(), "the password in the log")
    relay.kill()
    hosts.close()


class Its:
    def __init__(self, suite, world):
        self.world, self.note = world, suite.note

    def relay(self, name, port, routes, **changes):
        relay = self.world.relay({
            "listeners": [{"address": f"127.0.0.1:{port}"}], "routes": routes, "queue.min-free": "10M", "retry.schedule": ["30s"],
            "delivery.quit-timeout": "1s", "outage.probe-unknown-first": "30s", "outage.probe-first": "30s", **changes}, name=name)
        relay.port = port
        relay.start()
        return relay


def main():
    suite = bb.Suite()
    socket.setdefaulttimeout(30)
    with lib.World("loops") as world:
        its = Its(suite, world)
        suite.group("loops", LOOPS, lambda row: row[2](its))
        suite.group("endless hosts", ENDLESS, lambda row: row[2](its))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
