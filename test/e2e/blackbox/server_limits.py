#!/usr/bin/python3
"""The limits of the SMTP server, measured from outside: time, memory, sessions, descriptors, disk. The relay of most
cases has tiny limits; figures are printed."""

import os
import resource
import socket
import time

import bb
import lib
from bb import Client, SETUPS, case, expect, expect_equal, memory_kib, wait_for

TINY, WIDE, OTHERS = [], [], []
MIB = 1 << 20


def timed(function):
    begun = time.monotonic()
    result = function()
    return result, time.monotonic() - begun


def bounded(kib, most):
    """Sanitizers keep what was freed: their memory says nothing."""
    expect(kib <= most or lib.is_sanitized(), f"{kib} KiB of memory, {most} allowed")


def trickle(client, octets, every=0.2, seconds=8):
    """One octet at a time until the relay has something to say."""
    begun = time.monotonic()
    client.socket.settimeout(every)
    for i in range(1000000):
        expect(time.monotonic() - begun < seconds, f"still connected after {seconds} s")
        try:
            client.say(octets[i % len(octets):][:1])
            if client.socket.recv(1, socket.MSG_PEEK) is not None:
                break
        except (TimeoutError, ConnectionError):
            continue
    client.socket.settimeout(10)
    return time.monotonic() - begun


# --- a relay with tiny limits: sessions 20, 8 from one client, recipients 5, message 64K, idle 1 s, errors 3 ---

TINY_LIMITS = {
    "limits.sessions-max": 20, "limits.sessions-per-client": 8, "limits.recipients-max": 5,
    "limits.message-size-max": "64K", "limits.line-max": 512, "limits.text-line-max": 998, "limits.errors-max": 3,
    "limits.commands-without-mail-max": 5, "limits.messages-per-session": 2, "limits.hops-max": 10,
    "limits.own-hops-max": 1, "limits.idle-timeout": "1s", "limits.data-timeout": "2s", "limits.data-rate-min": 0,
    "limits.spool-from": "4K", "queue.min-free": "10M", "log.level": "warning",
}


def expect_replies(port, said, wanted, setup="new", source=None):
    row = ("", "", setup, said, wanted)
    bb.dialogue(port, source)(row)


def row(name, reference, setup, said, wanted):
    TINY.append((name, reference, lambda it: expect_replies(it.port, said, wanted, setup)))


row("line-of-512", "5321 4.5.3.1.4", "ehlo", b"NOOP " + b"x" * 505 + b"\r\n", "250")
row("line-of-513", "5321 4.5.3.1.4", "ehlo", b"NOOP " + b"x" * 506 + b"\r\n", "500/5.5.2")
row("recipients", "5321 4.5.3.1.8", "mail", b"RCPT TO:<r@to.test>\r\n" * 7, "250 250 250 250 250 452/4.5.3 452/4.5.3")
row("recipients-then-data", "5321 4.5.3.1.10", "mail", b"RCPT TO:<r@to.test>\r\n" * 6 + b"DATA\r\nx\r\n.\r\n",
    "250 250 250 250 250 452 354 250")
row("size", "1870 6.1", "ehlo", "MAIL FROM:<> SIZE=65537", "552/5.3.4")
row("size-offered", "1870 4", "new", "EHLO x", "250")
row("message-too-large", "5321 4.5.3.1.9", "data", b"x\r\n" * 21846 + b".\r\n", "552/5.3.4")
row("message-of-the-size", "5321 4.5.3.1.9", "data", b"x\r\n" * 21845 + b".\r\n", "250")
row("message-of-10m", "5321 4.5.3.1.9", "data", b"xxxxxxxx\r\n" * MIB + b".\r\n", "552/5.3.4")
row("text-line-of-998", "5321 4.5.3.1.6", "data", b"x" * 996 + b"\r\n.\r\n", "250")
row("text-line-of-1001", "5321 4.5.3.1.6", "data", b"x" * 999 + b"\r\n.\r\n", "554/5.6.0")
row("hops", "5321 6.3", "data", b"Received: x\r\n" * 11 + b"\r\n.\r\n", "554/5.4.6")
row("hops-allowed", "5321 6.3", "data", b"Received: x\r\n" * 10 + b"\r\n.\r\n", "250")
row("errors", "row 33", "ehlo", b"FOO\r\n" * 4, "500 500 500 421/4.7.0 close")
row("idle-commands", "row 33", "new", b"NOOP\r\n" * 6, "250 250 250 250 250 421/4.7.0 close")
row("messages", "5321 3.8", "new", bytes(SETUPS["data"][0] + b"x\r\n.\r\n" + (SETUPS["data"][0] + b"x\r\n.\r\n") +
                                         b"MAIL FROM:<>\r\n"),
    "250 250 250 354 250 250 250 250 354 250 421 close")


@case(TINY, "idle", "5321 4.5.3.2.7")
def idle(it):
    with Client(it.port) as client:
        reply, seconds = timed(client.reply)
        expect(reply and reply[0] == 421 and client.reply() is None, f"reply {reply}")
        expect(0.8 < seconds < 3, f"after {seconds:.1f} s")


@case(TINY, "idle-in-data", "5321 4.5.3.2.5")
def idle_in_data(it):
    with Client(it.port) as client:
        client.say(SETUPS["data"][0])
        client.await_replies(SETUPS["data"][1] + " 421/4.4.2 close")


@case(TINY, "idle-in-line", "row 30")
def idle_in_line(it):
    with Client(it.port) as client:
        client.say(b"NOO")
        client.await_replies("421/4.4.2 close")


@case(TINY, "slow-command", "row 30")
def slow_command(it):
    with Client(it.port) as client:
        seconds = trickle(client, b"x")
        client.await_replies("421/4.4.2 close")
        it.note(f"one octet each 0.2 s in a command: ended after {seconds:.1f} s (idle-timeout 1 s)")


@case(TINY, "slow-data", "row 30")
def slow_data(it):
    with Client(it.port) as client:
        client.say(SETUPS["data"][0])
        client.await_replies(SETUPS["data"][1])
        seconds = trickle(client, b"x\r\n")
        client.await_replies("421/4.4.2 close")
        it.note(f"one octet each 0.2 s in content: ended after {seconds:.1f} s (data-timeout 2 s)")


@case(TINY, "sessions-of-a-client", "row 29")
def sessions_of_a_client(it):
    clients = [Client(it.port) for _ in range(8)]
    with Client(it.port) as ninth, Client(it.port, "127.0.0.5") as other:
        expect(ninth.greeting[:2] == (421, "4.7.0") and ninth.reply() is None, f"the ninth: {ninth.greeting}")
        expect_equal(other.greeting[0], 220, "another client")
    clients.pop().close()
    wait_for(lambda: it.greets(), 5, "a place is free again")
    for client in clients:
        client.close()
    wait_for(lambda: it.sessions() == 0, 5, "all are gone")


@case(TINY, "sessions", "row 29")
def sessions(it):
    clients = [Client(it.port, f"127.0.0.{10 + i // 8}") for i in range(20)]
    with Client(it.port, "127.0.0.50") as last:
        expect(last.greeting[:2] == (421, "4.3.2") and last.reply() is None, f"number 21: {last.greeting}")
    for client in clients:
        client.close()
    wait_for(lambda: it.greets(), 5, "places are free again")


@case(TINY, "drop-in-data", "row 1")
def drop_in_data(it):
    for octets in (b"", b"Subject: half\r\n", b"x\r\n" * 10000, b"x\r\n.\r"):
        with Client(it.port) as client:
            client.say(SETUPS["data"][0])
            client.await_replies(SETUPS["data"][1])
            client.say(octets)
    wait_for(lambda: it.sessions() == 0, 5, "all are gone")
    expect_equal(it.relay.cli("list", "--to", "half@*", "--count", status=None).strip() or "0", "0", "half messages queued")


# --- a relay with default limits, but for the number of sessions ---

@case(WIDE, "2000-idle-sessions", "row 29")
def many_idle(it):
    before = memory_kib(it.pid)
    sockets = []
    for i in range(2000):
        one = socket.create_connection(("127.0.0.1", it.port), source_address=(f"127.0.1.{i % 40 + 1}", 0))
        sockets.append(one)
    for one in sockets:
        expect_equal(one.recv(100)[:4], b"220 ", "greeting")
    for one in sockets:
        one.sendall(b"EHLO idle.test\r\n")
    for one in sockets:
        expect_equal(one.recv(1000)[:4], b"250-", "EHLO")
    grown = memory_kib(it.pid) - before
    worst = 0
    for _ in range(20):
        client, seconds = timed(lambda: Client(it.port))
        worst = max(worst, seconds)
        client.close()
    it.note(f"2,000 idle sessions: {grown / 2000:.1f} KiB each, a new client is greeted within {worst * 1000:.1f} ms")
    for one in sockets:
        one.close()
    expect(worst <= 0.2, f"greeted after {worst * 1000:.0f} ms")
    bounded(grown, 2000 * 16)
    wait_for(lambda: it.sessions() == 0, 10, "all are gone")


@case(WIDE, "20m-line-as-command", "row 31")
def long_command(it):
    before = memory_kib(it.pid)
    with Client(it.port, seconds=30) as client:
        for _ in range(20):
            client.say(b"x" * MIB)
        grown = memory_kib(it.pid) - before
        client.say(b"\r\n")
        client.await_reply("500/5.5.2")
        client.is_in_step()
    it.note(f"a command line of 20 MiB: {grown} KiB more")
    bounded(grown, 1024)


@case(WIDE, "20m-line-as-content", "row 31")
def long_content(it):
    # what is there once for all sessions, the page cache above all, is not this session's
    bb.send(it.port, "warm@hold.test", b"x" * (20 * MIB) + b"\r\n", sender="")
    it.relay.cli("list")  # who reads the queue wants it in the tables
    before = memory_kib(it.pid)
    with Client(it.port, seconds=30) as client:
        client.say(SETUPS["ehlo"][0] + b"MAIL FROM:<>\r\nRCPT TO:<long@hold.test>\r\nDATA\r\n")
        client.await_replies("250 250 250 354")
        for _ in range(20):
            client.say(b"x" * MIB)
        grown = memory_kib(it.pid) - before
        client.say(b"\r\n.\r\n")
        client.await_reply("250")
        client.is_in_step()
    it.note(f"a line of content of 20 MiB: {grown} KiB more")
    bounded(grown, 1024)


@case(WIDE, "many-recipients", "row 32")
def many_recipients(it):
    """1000 are taken, however many are offered; the rest costs nothing."""
    with Client(it.port, seconds=30) as client:
        client.say(SETUPS["mail"][0])
        client.await_replies(SETUPS["mail"][1])
        client.say(b"RCPT TO:<r@hold.test>\r\n" * 1000)
        client.await_replies("250 " * 1000)
        before = memory_kib(it.pid)
        for _ in range(50):
            client.say(b"RCPT TO:<r@hold.test>\r\n" * 200)
            client.await_replies("452/4.5.3 " * 200)
        grown = memory_kib(it.pid) - before
        client.is_in_step()
    it.note(f"10,000 recipients over the limit: {grown} KiB more")
    bounded(grown, 1024)


@case(WIDE, "claims-cost-nothing", "row 32")
def claims(it):
    before = memory_kib(it.pid)
    clients = []
    for _ in range(100):
        client = Client(it.port)
        client.say("EHLO x")
        client.say("MAIL FROM:<> SIZE=52428800")
        client.await_replies("250 250")
        clients.append(client)
    grown = memory_kib(it.pid) - before
    for client in clients:
        client.close()
    it.note(f"100 sessions that announce 50 MiB: {grown} KiB more")
    bounded(grown, 4096)


@case(WIDE, "never-reads", "row 33")
def never_reads(it):
    """Commands whose replies nobody takes: the relay stops reading, others do not notice."""
    before = memory_kib(it.pid)
    with Client(it.port, seconds=30) as client:
        client.say("EHLO x")
        client.say("MAIL FROM:<>")
        client.await_replies("250 250")
        flood = b"RCPT TO:<r@hold.test>\r\n" * 1000
        sent = 0
        client.socket.settimeout(0.7)
        try:
            while sent < 64 * MIB:
                sent += client.socket.send(flood[sent % 23:])
        except TimeoutError:
            pass
        expect(sent < 32 * MIB, f"{sent} octets were taken and no reply was")
        grown = memory_kib(it.pid) - before
        with Client(it.port) as other:
            other.is_in_step()
        client.socket.settimeout(30)
        client.await_replies("250 " * 1000)
        client.await_replies("452 " * (sent // 23 - 1000))
        client.say(flood[sent % 23:23] if sent % 23 else b"")
        if sent % 23:
            client.await_reply("452")
        client.is_in_step()
    it.note(f"a client that never reads: {sent // 1024} KiB taken (socket buffers included), {grown} KiB more memory")
    bounded(grown, 1024)


@case(WIDE, "50-clients-of-10m", "row 8")
def fifty_clients(it):
    block = (b"x" * 76 + b"\r\n") * 4096
    before = memory_kib(it.pid)
    clients = []
    for i in range(50):
        client = Client(it.port, f"127.0.1.{i + 1}", seconds=60)
        client.say(SETUPS["ehlo"][0] + b"MAIL FROM:<>\r\nRCPT TO:<big@hold.test>\r\nDATA\r\n")
        clients.append(client)
    for client in clients:
        client.await_replies("250 250 250 354")
    begun, peak = time.monotonic(), 0
    rounds = 10 * MIB // len(block)
    for _ in range(rounds):
        for client in clients:
            client.say(block)
        peak = max(peak, memory_kib(it.pid))
    for client in clients:
        client.say(b".\r\n")
    for client in clients:
        client.await_reply("250/2.0.0")
        client.close()
    peak = max(peak, memory_kib(it.pid))
    seconds = time.monotonic() - begun
    it.note(f"50 clients of {rounds * len(block) >> 20} MiB each at once: {(peak - before) >> 10} MiB more memory at the peak "
            f"({peak >> 10} MiB in all), {50 * rounds * len(block) / MIB / seconds:.0f} MiB/s")
    bounded(peak, 64 * 1024)


# --- relays of their own ---

@case(OTHERS, "descriptors-used-up", "row 41")
def descriptors(it):
    relay = it.world.relay({**it.conf, "limits.sessions-max": 1000, "limits.sessions-per-client": 1000}, name="fds")
    relay.start(wrap=("sh", "-c", 'ulimit -n 64; exec "$0" "$@"'))
    sockets = [socket.create_connection(("127.0.0.1", relay.port), timeout=5) for _ in range(150)]
    time.sleep(0.3)  # for it to spin, if it does
    before = cpu_seconds(relay.process.pid)
    time.sleep(0.7)
    spent = cpu_seconds(relay.process.pid) - before
    for one in sockets:
        one.close()
    _, seconds = timed(lambda: wait_for(lambda: lib.port_answers("127.0.0.1", relay.port), 10, "a client is greeted again"))
    bb.send(relay.port, "after@hold.test", b"x\r\n", sender="")
    it.note(f"150 clients at 64 descriptors: {spent / 0.7 * 100:.0f} % CPU meanwhile, greets again after {seconds:.2f} s")
    expect(spent <= 0.35, f"{spent:.2f} s of CPU in 0.7 s")
    relay.stop()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case(OTHERS, "disk-low", "row 8 9")
def disk_low(it):
    relay = it.world.relay({**it.conf, "queue.min-free": "1T"}, name="disk")
    relay.start()

    def mail():
        with Client(relay.port) as client:
            client.say("EHLO x")
            client.await_reply("250")
            return client.ask("MAIL FROM:<s@from.test>")[:2]
    wait_for(lambda: mail() == (452, "4.3.1"), 5, "MAIL is refused")
    relay.configure({**relay.settings, "queue.min-free": "10M"})
    relay.process.signal(lib.signal.SIGHUP)
    _, seconds = timed(lambda: wait_for(lambda: mail()[0] == 250, 8, "MAIL is taken again"))
    it.note(f"disk space is back: mail is taken after {seconds:.1f} s")
    expect(seconds <= 5, f"after {seconds:.1f} s")
    relay.stop()


@case(OTHERS, "speaks-first", "5321 4.3.1")
def speaks_first(it):
    relay = it.world.relay({**it.conf, "limits.greeting-delay": "400ms"}, name="delay")
    relay.start()
    with Client(relay.port, greet=False) as client:
        client.say("EHLO spam.test")
        client.await_replies("554 close")
    client, seconds = timed(lambda: Client(relay.port))
    expect(client.greeting[0] == 220 and seconds >= 0.35, f"{client.greeting} after {seconds:.2f} s")
    client.is_in_step()
    relay.stop()


class Its:
    """What a case gets: the relay it runs against, and where figures go."""

    def __init__(self, suite, world, conf, relay=None):
        self.world, self.conf, self.relay, self.note = world, conf, relay, suite.note
        if relay:
            self.port, self.pid = relay.port, relay.process.pid

    def greets(self):
        with Client(self.port) as client:
            return client.greeting[0] == 220

    def sessions(self):
        for line in self.relay.cli("metrics").splitlines():
            if line.startswith("outlast_smtpd_connections "):
                return float(line.split()[1])
        raise bb.Failure("no such metric")


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 20000 else max(soft, 20000), hard))
    suite = bb.Suite()
    with lib.World("limits") as world:
        # to hold.test nothing goes: its mail stays in the queue
        dns = world.dns(["*.test A 127.0.9.9"])
        conf = {"delivery.port": lib.free_port(), "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
                "queue.min-free": "10M", "log.level": "warning"}
        for name, rows, changes in (("tiny limits", TINY, TINY_LIMITS),
                                    ("load", WIDE, {"limits.sessions-max": 5000, "limits.sessions-per-client": 5000})):
            relay = world.relay({**conf, **changes}, name=name.replace(" ", "-"))
            relay.start()
            its = Its(suite, world, conf, relay)
            suite.group(name, rows, lambda row, its=its: row[2](its))
            suite.group(name + ", unharmed", [("log", "", None)],
                        lambda _, relay=relay: expect(relay.process.is_running(), relay.log()))
            relay.kill()
        its = Its(suite, world, conf)
        suite.group("resources", OTHERS, lambda row: row[2](its))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
