#!/usr/bin/python3
"""Slow clients: stalled at every stage of a session, and ten thousand at once that say nothing (RELIABILITY rows 29 and 30).

What is promised: a new client is greeted within 200 ms (median) while mail flows, an idle session costs at most 16 KiB, one
under TLS 20, and when places become few the longest silent make room. Figures are printed."""

import base64
import concurrent.futures
import os
import re
import resource
import socket
import ssl
import statistics
import subprocess
import threading
import time

import bb
import lib
from bb import Client, SETUPS, case, expect, expect_equal, wait_for
from server_limits import trickle

STAGES, CROWD = [], []
IDLE_MANY, IDLE_TLS = 10000, 1000
GREETED_S, SESSION_KIB = 0.2, 16
TLS_KIB = 20  # of which OpenSSL keeps 15 for itself


def pss_kib(pid):
    """What the process costs: its own pages and its share of those of others."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1])


def ended_within(client, least, most, wanted="421/4.4.2 close"):
    begun = time.monotonic()
    client.await_replies(wanted)
    seconds = time.monotonic() - begun
    expect(least <= seconds <= most, f"ended after {seconds:.1f} s, expected {least} to {most}")


# --- stalled at each stage: idle-timeout 1 s, data-timeout 2 s, data-rate-min 0 ---

@case(STAGES, "says-nothing", "5321 4.5.3.2.7")
def says_nothing(it):
    with Client(it.port) as client:
        ended_within(client, 0.5, 4)


@case(STAGES, "half-a-command", "row 30")
def half_a_command(it):
    with Client(it.port) as client:
        client.say(SETUPS["mail"][0] + b"RCPT TO:<r@")
        client.await_replies(SETUPS["mail"][1])
        ended_within(client, 0.5, 4)


@case(STAGES, "command-octet-by-octet", "row 30")
def command_octet_by_octet(it):
    with Client(it.port) as client:
        seconds = trickle(client, b"N")
        expect(seconds < 4, f"after {seconds:.1f} s")
        client.await_replies("421/4.4.2 close")


@case(STAGES, "auth-exchange", "4954 4")
def auth_exchange(it):
    with Client(it.port) as client:
        client.say("EHLO c")
        client.say("AUTH LOGIN")
        client.await_replies("250 334")
        ended_within(client, 0.5, 4)


@case(STAGES, "auth-octet-by-octet", "4954 4")
def auth_octet_by_octet(it):
    with Client(it.port) as client:
        client.say("EHLO c")
        client.say("AUTH LOGIN " + base64.b64encode(b"ann").decode())
        client.await_replies("250 334")
        seconds = trickle(client, b"A")
        expect(seconds < 4, f"after {seconds:.1f} s")
        client.await_replies("421/4.4.2 close")


@case(STAGES, "behind-starttls", "3207 4")
def behind_starttls(it):
    """The handshake never comes. Its limit is the adapter's, so here it is only seen that others are served."""
    with Client(it.tls_port) as client:
        client.say("EHLO c")
        client.say("STARTTLS")
        client.await_replies("250 220")
        with Client(it.tls_port) as other:
            other.is_in_step()


@case(STAGES, "within-the-handshake", "8446 4")
def within_the_handshake(it):
    """A ClientHello octet by octet: others are served meanwhile."""
    hello, server = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = lax_context().wrap_bio(server, hello)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    with Client(it.tls_port) as client:
        client.say("EHLO c")
        client.say("STARTTLS")
        client.await_replies("250 220")
        for octet in hello.read(40):
            client.say(bytes([octet]))
            time.sleep(0.01)
        with Client(it.tls_port) as other:
            other.is_in_step()


@case(STAGES, "data-says-nothing", "5321 4.5.3.2.5")
def data_says_nothing(it):
    with Client(it.port) as client:
        client.say(SETUPS["data"][0])
        client.await_replies(SETUPS["data"][1])
        ended_within(client, 0.5, 5)


@case(STAGES, "data-octet-by-octet", "row 30")
def data_octet_by_octet(it):
    with Client(it.port) as client:
        client.say(SETUPS["data"][0])
        client.await_replies(SETUPS["data"][1])
        seconds = trickle(client, b"x\r\n")
        expect(seconds < 6, f"after {seconds:.1f} s")
        client.await_replies("421/4.4.2 close")


@case(STAGES, "dot-never-comes", "5321 4.5.3.2.5")
def dot_never_comes(it):
    with Client(it.port) as client:
        client.say(SETUPS["data"][0] + b"Subject: x\r\n\r\nx\r\n.")
        client.await_replies(SETUPS["data"][1])
        ended_within(client, 0.5, 5)
    expect_equal(it.relay.queued(), 0, "queued")


@case(STAGES, "chunk-never-comes", "3030 2")
def chunk_never_comes(it):
    with Client(it.port) as client:
        client.say(SETUPS["rcpt"][0] + b"BDAT 100000\r\n")
        client.await_replies(SETUPS["rcpt"][1])
        ended_within(client, 0.5, 5)


@case(STAGES, "chunk-octet-by-octet", "3030 2")
def chunk_octet_by_octet(it):
    with Client(it.port) as client:
        client.say(SETUPS["rcpt"][0] + b"BDAT 100000\r\n")
        client.await_replies(SETUPS["rcpt"][1])
        seconds = trickle(client, b"x")
        expect(seconds < 6, f"after {seconds:.1f} s")
        client.await_replies("421/4.4.2 close")


@case(STAGES, "next-chunk-never-comes", "3030 2")
def next_chunk_never_comes(it):
    with Client(it.port) as client:
        client.say(SETUPS["rcpt"][0] + b"BDAT 3\r\na\r\n")
        client.await_replies(SETUPS["rcpt"][1] + " 250")
        ended_within(client, 0.5, 5)


@case(STAGES, "refused-chunk-never-comes", "3030 2")
def refused_chunk_never_comes(it):
    with Client(it.port) as client:
        client.say(SETUPS["mail"][0] + b"BDAT 1000\r\n")
        client.await_replies(SETUPS["mail"][1])
        ended_within(client, 0.5, 5)


@case(STAGES, "behind-the-dot", "5321 4.5.3.2.7")
def behind_the_dot(it):
    with Client(it.port) as client:
        client.say(SETUPS["data"][0] + b"x\r\n.\r\n")
        client.await_replies(SETUPS["data"][1] + " 250")
        ended_within(client, 0.5, 4)


@case(STAGES, "half-closed", "9293 3.6")
def half_closed(it):
    """A client that closes its side is gone, whatever was half said."""
    for setup in SETUPS.values():
        with Client(it.port) as client:
            client.say(setup[0])
            client.await_replies(setup[1])
            client.socket.shutdown(socket.SHUT_WR)
            client.await_replies("close")


# --- many at once ---

def lax_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Flow(threading.Thread):
    """Mail that goes on meanwhile: a message each time the one before was taken."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.sent, self.is_over, self.problem = port, 0, False, None
        self.start()

    def run(self):
        try:
            with Client(self.port, "127.0.0.9") as client:
                client.ask("EHLO flow.test")
                while not self.is_over:
                    client.say(b"MAIL FROM:<s@good.test>\r\nRCPT TO:<r@good.test>\r\nDATA\r\n")
                    client.await_replies("250 250 354")
                    client.say(b"Subject: flow\r\n\r\n" + b"x" * 70 + b"\r\n.\r\n")
                    client.await_reply("250")
                    self.sent += 1
        except Exception as why:  # told by end()
            self.problem = why

    def end(self):
        self.is_over = True
        self.join(20)
        expect(self.problem is None, f"mail stopped: {self.problem}")


def connect(port, i):
    """250 addresses, so that the limit of one client is not what counts."""
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(f"127.0.2.{i % 250 + 1}", 0))


def greetings(port, count):
    """Seconds until a new client was greeted, count times."""
    found = []
    for i in range(count):
        time.sleep(0.02)
        begun = time.monotonic()
        with Client(port, f"127.0.3.{i % 250 + 1}"):
            found.append(time.monotonic() - begun)
    return found


@case(CROWD, "10000-idle", "row 29")
def ten_thousand(it):
    before, sockets = pss_kib(it.pid), []
    it.idle = sockets
    begun = time.monotonic()
    for i in range(IDLE_MANY):
        sockets.append(connect(it.port, i))
    for one in sockets:
        expect_equal(one.recv(100)[:4], b"220 ", "greeting")
    opened = time.monotonic() - begun
    for one in sockets:
        one.sendall(b"EHLO idle.test\r\n")
    for one in sockets:
        expect_equal(one.recv(1000)[:4], b"250-", "EHLO")
    each = (pss_kib(it.pid) - before) / IDLE_MANY
    flow = Flow(it.port)
    seconds = greetings(it.port, 50)
    flow.end()
    median = statistics.median(seconds)
    it.note(f"{IDLE_MANY:,} idle sessions, opened in {opened:.1f} s: {each:.1f} KiB each (PSS); a new client is greeted within "
            f"{median * 1000:.1f} ms (median; at most {max(seconds) * 1000:.1f}), {flow.sent} messages were taken meanwhile")
    expect(median <= GREETED_S, f"greeted after {median * 1000:.0f} ms")
    expect(flow.sent > 0, "no mail meanwhile")
    expect(each <= SESSION_KIB or lib.is_sanitized(), f"{each:.1f} KiB for an idle session")


@case(CROWD, "places-become-few", "row 29")
def places_become_few(it):
    """Beyond crowded-from (95 % of 11,000) the longest silent go, as many as are too many, and who speaks stays."""
    kept, news = it.idle[:200], []
    speaker_stops = threading.Event()

    def speak():
        while not speaker_stops.wait(0.4):
            for one in kept:
                one.sendall(b"NOOP\r\n")
    for i in range(600):
        news.append(connect(it.port, i))
    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    begun = time.monotonic()
    _ = wait_for(lambda: it.sessions() <= 10450, 20, "sessions are ended", every=0.2)
    seconds = time.monotonic() - begun
    speaker_stops.set()
    speaker.join()
    left = it.sessions()
    expect(left >= 10300, f"{left} are left: too many were ended")
    for one in kept:
        one.setblocking(False)
        expect(b"421" not in drain(one), "one that spoke was ended")
    gone = [i for i, one in enumerate(it.idle[200:]) if is_ended(one)]
    expect(100 <= len(gone) <= 400, f"{len(gone)} of the old ones were ended")
    expect(not any(is_ended(one) for one in news[400:]), "a new one was ended while older ones were silent")
    it.note(f"{len(gone)} of 10,600 were ended {seconds:.1f} s after it became crowded (crowded-idle-timeout 2 s), {left:.0f} are left")
    metrics = it.relay.cli("metrics")
    expect(re.search(rf"^outlast_smtpd_crowded_out_total {len(gone)}$", metrics, re.M), "the metric says otherwise")
    for one in it.idle + news:
        one.close()
    wait_for(lambda: it.sessions() == 0, 20, "all are gone")
    expect("silent ones are ended early" in it.relay.log(), "a word of it in the log")


def drain(one):
    octets = b""
    try:
        while part := one.recv(65536):
            octets += part
    except (BlockingIOError, ConnectionError):
        pass
    return octets


def is_ended(one):
    one.setblocking(False)
    octets = drain(one)
    expect(not octets or b"421 4.3.2" in octets or octets[:4] == b"220 ", f"it was told {octets!r}")
    return b"421 4.3.2" in octets


@case(CROWD, "idle-under-tls", "row 29")
def idle_under_tls(it):
    context, sockets = lax_context(), []
    # a relay of its own: memory that others gave back would be used again, and nothing seen
    relay = start(it.world, {**it.conf, **it.tls, "limits.sessions-max": 2 * IDLE_TLS}, "idle-tls")
    with Client(relay.tls_port) as warm:  # what is there once for all
        start_tls(warm.socket, context)
    before = pss_kib(relay.process.pid)
    for i in range(IDLE_TLS):
        one = connect(relay.tls_port, i)
        one.recv(100)
        sockets.append(start_tls(one, context))
    each = (pss_kib(relay.process.pid) - before) / IDLE_TLS
    it.note(f"{IDLE_TLS:,} idle sessions under TLS: {each:.1f} KiB each (PSS)")
    for one in sockets:
        one.close()
    expect(each <= TLS_KIB or lib.is_sanitized(), f"{each:.1f} KiB for an idle session under TLS")
    relay.stop()


def start_tls(plain, context):
    plain.sendall(b"EHLO a\r\nSTARTTLS\r\n"[:8])
    expect(b"STARTTLS" in plain.recv(2000), "STARTTLS is offered")
    plain.sendall(b"STARTTLS\r\n")
    expect_equal(plain.recv(200)[:3], b"220", "STARTTLS")
    secured = context.wrap_socket(plain)
    secured.sendall(b"EHLO a\r\n")
    expect_equal(secured.recv(2000)[:3], b"250", "EHLO")
    return secured


@case(CROWD, "stalled-handshakes-make-room", "row 29")
def stalled_handshakes(it):
    """Also who stops in the middle of the TLS handshake."""
    relay = it.world.relay({**it.conf, **it.tls, "limits.sessions-max": 20, "limits.sessions-per-client": 50,
                            "limits.crowded-from": "50%", "limits.crowded-idle-timeout": "1s"}, name="handshakes")
    relay.settings["listeners"][0]["tls"] = "starttls"
    relay.configure(relay.settings)
    relay.start()
    clients = [Client(relay.port) for _ in range(16)]
    for client in clients:
        client.say("EHLO c")
        client.say("STARTTLS")
        client.await_replies("250 220")
    mailing = Client(relay.port)  # six times the patience
    mailing.say(SETUPS["mail"][0])
    mailing.await_replies(SETUPS["mail"][1])
    for client in clients[:6]:
        expect_equal(client.socket.recv(100), b"", "what a stalled client hears")
    time.sleep(1.5)
    mailing.is_in_step()
    for client in clients:
        client.close()
    mailing.close()
    relay.stop()


@case(CROWD, "descriptors", "row 41")
def descriptors(it):
    """The soft limit is raised to what sessions-max needs; where the hard one is too low, the log says so and mail flows."""
    for limit, is_enough in (("ulimit -S -n 256", True), ("ulimit -n 300", False)):
        relay = it.world.relay({**it.conf, "limits.sessions-max": 400, "limits.sessions-per-client": 1000,
                                "delivery.connections-max": 20}, name="soft" if is_enough else "hard")
        relay.start(wrap=("sh", "-c", limit + '; exec "$0" "$@"'))
        sockets = [connect(relay.port, i) for i in range(350)]
        if is_enough:
            for one in sockets:
                expect_equal(one.recv(100)[:4], b"220 ", "greeting")
        expect_equal("LimitNOFILE" in relay.log(), not is_enough, f"{limit}: a warning in the log")
        for one in sockets:
            one.close()
        wait_for(lambda relay=relay: lib.port_answers("127.0.0.1", relay.port), 10, "a client is greeted again")
        bb.send(relay.port, "after@good.test", b"x\r\n", sender="")
        relay.stop()


class Its:
    def __init__(self, suite, world, conf, tls, relay):
        self.world, self.conf, self.tls, self.relay, self.note = world, conf, tls, relay, suite.note
        self.port, self.tls_port, self.pid = relay.port, relay.tls_port, relay.process.pid
        self.idle = []

    def sessions(self):
        found = re.search(r"^outlast_smtpd_connections (\d+)", self.relay.cli("metrics"), re.M)
        return int(found[1])


def all_at_once(it):
    """A check for cases that mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(len(STAGES)) as pool:
        running = {row[0]: pool.submit(row[2], it) for row in STAGES}
    return lambda row: running[row[0]].result()


def start(world, conf, name):
    relay = world.relay(conf, name=name)
    relay.tls_port = lib.free_port()
    relay.settings["listeners"].append({"address": f"127.0.0.1:{relay.tls_port}", "tls": "starttls"})
    relay.configure(relay.settings)
    relay.start()
    return relay


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    suite = bb.Suite()
    with lib.World("slow") as world:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", world.path("key.pem"), "-out", world.path("cert.pem"), "-days", "2",
                        "-subj", "/CN=relay.outlast.test"], check=True, capture_output=True)
        password = subprocess.run(["openssl", "passwd", "-6", "secret"], check=True, capture_output=True, text=True).stdout
        with open(world.path("users"), "w", encoding="ascii") as file:
            file.write("ann:" + password)
        for name in ("users", "key.pem"):
            os.chmod(world.path(name), 0o600)
        hosts = bb.Hosts()
        dns = world.dns(["*.test A 127.0.9.9"])
        conf = {"delivery.port": hosts.port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
                "queue.min-free": "10M", "log.level": "warning"}
        tls = {"tls.certificate": world.path("cert.pem"), "tls.key": world.path("key.pem"), "auth.users": world.path("users")}
        for name, rows, changes in (
                ("stalled", STAGES, {"limits.idle-timeout": "1s", "limits.data-timeout": "2s", "limits.data-rate-min": 0}),
                ("crowd", CROWD, {"limits.sessions-max": 11000, "limits.sessions-per-client": 1000, "limits.crowded-from": "95%",
                                  "limits.crowded-idle-timeout": "2s"})):
            relay = start(world, {**conf, **tls, **changes}, name)
            its = Its(suite, world, conf, tls, relay)
            suite.group(name, rows, all_at_once(its) if rows is STAGES else lambda row, its=its: row[2](its))
            suite.group(name + ", unharmed", [("log", "", None)],
                        lambda _, relay=relay: expect(relay.process.is_running(), relay.log()))
            relay.kill()
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
