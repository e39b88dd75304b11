#!/usr/bin/python3
"""What the SMTP server makes of content: every octet arrives as it was sent, only CRLF "." CRLF ends it, and what may not
pass is refused with one reply, never repaired and never split."""

import random
import re

import bb
import lib
from bb import Client, SETUPS, expect, expect_equal, wait_for

HEAD = b"Subject: case\r\nMessage-ID: <x@from.test>\r\n\r\n"
ALL_OCTETS = bytes(octet for octet in range(1, 256) if octet not in (10, 13))
RECEIVED = b"Received: from a.test by b.test; Sun, 22 Nov 2026 00:00:00 +0000\r\n"
OWN = b"Received: from a.test ([192.0.2.1])\r\n\tby relay.outlast.test (Outlast) with ESMTP id X;\r\n\tSun, 22 Nov 2026 00:00:00 +0000\r\n"


def noise(count, seed):
    """Lines of any octets but CR, LF and NUL."""
    generator = random.Random(seed)
    octets = bytearray(generator.randbytes(count).translate(bytes(o if o not in (0, 10, 13) else 46 for o in range(256))))
    at = 0
    while at < count - 100:
        at += generator.choice((1, 2, 60, 76, 998, 5000))
        octets[at:at + 2] = b"\r\n"
        at += 2
    return bytes(octets[:count]) + b"\r\n"


def stuffed(content):
    return re.sub(rb"(?m)^\.", b"..", content)


# name, reference, content as it should arrive; dots are stuffed on the wire
EXACT = [
    ("empty", "5321 4.1.1.4", b""),
    ("empty-line", "5321 4.1.1.4", b"\r\n"),
    ("header-only", "5322 2.1", b"Subject: x\r\n"),
    ("header-and-empty-line", "5322 2.1", b"Subject: x\r\n\r\n"),
    ("no-header", "5322 2.1", b"no field at all\r\n"),
    ("body-only", "5322 2.1", b"\r\nbody\r\n"),
    ("dot", "5321 4.5.2", HEAD + b".\r\n"),
    ("dots", "5321 4.5.2", HEAD + b"..\r\n...\r\n....\r\n"),
    ("dot-first-line", "5321 4.5.2", b".\r\n"),
    ("dot-words", "5321 4.5.2", HEAD + b".a\r\n..b\r\n. \r\n .\r\n"),
    ("dots-at-end", "5321 4.5.2", HEAD + b"a.\r\nb..\r\n"),
    ("smtp-commands", "5321 4.5.2", HEAD + b"QUIT\r\nRSET\r\nMAIL FROM:<>\r\n"),
    ("all-octets", "6152 3", HEAD + ALL_OCTETS + b"\r\n"),
    ("all-octets-in-header", "row 45", b"X-Odd: " + ALL_OCTETS + b"\r\n\r\nx\r\n"),
    ("utf8", "6152 3", "Subject: b\u00fccher\r\n\r\n\u4f8b\u5b50\r\n".encode()),
    ("latin1", "6152 3", HEAD + b"\xe4\xf6\xfc\r\n"),
    ("trailing-spaces", "5321 4.5.2", HEAD + b"a  \r\nb\t\r\n \r\n\t\r\n"),
    ("empty-lines", "5321 4.5.2", HEAD + b"\r\n" * 5000),
    ("long-line", "row 31", HEAD + b"x" * 100000 + b"\r\n"),
    ("long-header", "row 31", b"X-Long: " + b"y" * 200000 + b"\r\n\r\nz\r\n"),
    ("folded-header", "5322 2.2.3", b"Subject: a\r\n b\r\n\tc\r\n\r\nd\r\n"),
    ("many-fields", "5322 2.2", b"X-Field: 1\r\n" * 20000 + b"\r\n"),
    ("mbox-from", "5322 2.1", b"From someone Sun Nov 22\r\nSubject: x\r\n\r\nFrom here\r\n>From there\r\n"),
    ("received-99", "5321 6.3", RECEIVED * 99 + HEAD + b"x\r\n"),
    ("own-received-5", "row 36", OWN * 5 + HEAD + b"x\r\n"),
    ("received-in-body", "row 36", HEAD + RECEIVED * 200),
    ("noise-60k", "5321 4.5.2", HEAD + noise(60000, 1)),
    ("noise-256k", "5321 4.5.2", HEAD + noise(262144, 2)),
    ("noise-1m", "5321 4.5.2", HEAD + noise(1 << 20, 3)),
    ("noise-5m", "5321 4.5.2", HEAD + noise(5 << 20, 4)),
    ("dots-5m", "5321 4.5.2", HEAD + b".\r\n" * 1000000),
]

# name, reference, what stands where an end of data might be seen; a second message hides behind it
SMUGGLED = [(name, reference, between) for name, reference, between in [
    ("lf-dot-lf", "CVE-2023-51764", b"\n.\n"), ("lf-dot-crlf", "CVE-2023-51764", b"\n.\r\n"),
    ("crlf-dot-lf", "CVE-2023-51765", b"\r\n.\n"), ("cr-dot-cr", "CVE-2023-51766", b"\r.\r"),
    ("cr-dot-crlf", "CVE-2023-51766", b"\r.\r\n"), ("crlf-dot-cr", "CVE-2023-51766", b"\r\n.\r"),
    ("crlf-dot-cr-cr-lf", "CVE-2023-51764", b"\r\n.\r\r\n"), ("crlf-cr-dot", "CVE-2023-51766", b"\r\n\r.\r\n"),
    ("cr-lf-cr-dot-cr-lf-cr", "CVE-2023-51766", b"\r\n.\r\x00\n"), ("nul-dot", "CVE-2023-51764", b"\r\n\0.\r\n"),
    ("dot-nul", "CVE-2023-51764", b"\r\n.\0\r\n"), ("lf-cr-dot-lf-cr", "CVE-2023-51764", b"\n\r.\n\r"),
    ("lf-lf", "CVE-2023-51764", b"\n\n.\n\n"), ("cr-only-lines", "CVE-2023-51766", b"\r\r.\r\r"),
    ("crlf-dot-lf-cr", "CVE-2023-51765", b"\r\n.\n\r"), ("lf-dot-cr", "CVE-2023-51764", b"\n.\r"),
    ("cr-dot-lf", "CVE-2023-51764", b"\r.\n"), ("crlf-cr-lf-dot", "CVE-2023-51764", b"\r\n\r\n\r.\r\r\n"),
]]

# name, reference, content on the wire, the reply
REFUSED = [
    ("bare-cr", "5321 2.3.8", HEAD + b"a\rb\r\n.\r\n", "550/5.5.2"),
    ("bare-lf", "5321 2.3.8", HEAD + b"a\nb\r\n.\r\n", "550/5.5.2"),
    ("bare-lf-in-header", "5321 2.3.8", b"Subject: a\nX: b\r\n\r\n.\r\n", "550/5.5.2"),
    ("nul", "5321 2.4", HEAD + b"a\0b\r\n.\r\n", "550/5.5.2"),
    ("cr-at-end", "5321 2.3.8", HEAD + b"a\r\r\n.\r\n", "550/5.5.2"),
    ("lf-first", "5321 2.3.8", b"\n\r\n.\r\n", "550/5.5.2"),
    ("bare-lf-behind-5m", "5321 2.3.8", HEAD + stuffed(noise(5 << 20, 5)) + b"\n\r\n.\r\n", "550/5.5.2"),
    ("received-101", "5321 6.3", RECEIVED * 101 + HEAD + b".\r\n", "554/5.4.6"),
    ("received-5000", "5321 6.3", RECEIVED * 5000 + HEAD + b".\r\n", "554/5.4.6"),
    ("own-loop", "row 36", OWN * 6 + HEAD + b".\r\n", "554/5.4.6"),
]


class Content:
    def __init__(self, world):
        self.hosts = bb.Hosts()
        self.dns = world.dns(["*.test A 127.0.9.9"])
        self.relay = world.relay({"delivery.port": self.hosts.port, "dns.servers": [self.dns.at["dns"]],
                                  "dns.allow-addresses": ["127.0.0.0/8"], "queue.min-free": "10M", "log.level": "warning"})
        self.relay.start()
        self.port = self.relay.port

    def exact(self, row, cut=None):
        name, _, content = row
        to = f"{name}{'-cut' if cut else ''}@exact.test"
        with Client(self.port, seconds=30) as client:
            client.say(f"EHLO client.test\r\nMAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
            client.await_replies("250 250 250 354")
            wire = stuffed(content) + b".\r\n"
            if cut:
                client.socket.setsockopt(bb.socket.IPPROTO_TCP, bb.socket.TCP_NODELAY, 1)
            for at in range(0, len(wire), cut or len(wire)):
                client.say(wire[at:at + (cut or len(wire))])
            client.await_reply("250/2.0.0")
            client.is_in_step()
        messages = wait_for(lambda: self.hosts.to(to), 20, "it arrives", every=0.005)
        got = messages[0]["content"]
        expect(got.startswith(b"Received: from client.test"), f"begins {got[:60]!r}")
        got = bb.without_trace(got)
        if got != content:
            at = next((i for i, (a, b) in enumerate(zip(got, content)) if a != b), min(len(got), len(content)))
            raise bb.Failure(f"octet {at} of {len(content)} ({len(got)} arrived): {got[at - 20:at + 20]!r}, sent {content[at - 20:at + 20]!r}")

    def refused(self, row):
        name, _, wire, wanted = row
        with Client(self.port, seconds=30) as client:
            client.say(SETUPS["ehlo"][0] + f"MAIL FROM:<>\r\nRCPT TO:<refused-{name}@exact.test>\r\nDATA\r\n".encode())
            client.await_replies("250 250 250 354")
            client.say(wire)
            client.await_reply(wanted)
            client.is_in_step()
            client.say("RCPT TO:<r@to.test>")  # and the transaction is over
            client.await_reply("503")

    def smuggled(self, row):
        name, reference, between = row
        hidden = f"MAIL FROM:<evil@from.test>\r\nRCPT TO:<evil-{name}@exact.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n"
        self.refused((name, reference, HEAD + b"body" + between + hidden.encode(), "550/5.5.2"))
        # the same in two segments cut within the variant, where a scanner may forget its state
        for cut in range(1, len(between)):
            with Client(self.port) as client:
                client.socket.setsockopt(bb.socket.IPPROTO_TCP, bb.socket.TCP_NODELAY, 1)
                client.say(SETUPS["data"][0])
                client.await_replies(SETUPS["data"][1])
                client.say(HEAD + between[:cut])
                client.say(between[cut:] + hidden.encode())
                client.await_reply("550/5.5.2")
                client.is_in_step()

    def nothing_refused_arrived(self, _):
        wait_for(lambda: self.relay.queued() == 0, 10, "the queue is empty")
        bad = [m["to"] for m in self.hosts.messages
               if any(to.startswith(("refused-", "evil-")) or to == "r@to.test" for to in m["to"])]
        expect_equal(bad, [], "refused, yet delivered")

    def outbound_is_stuffed(self, _):
        """What we say to others has no bare CR or LF either, and one end: seen on the wire, not after unstuffing."""
        wire = []

        def on_data(line, session):
            session.connection.sendall(b"354 go on\r\n")
            for one in session.file:
                wire.append(one)
                if one == b".\r\n":
                    break
            return b"250 ok\r\n"
        self.hosts.plans["127.0.9.9"] = {"data": on_data}
        content = HEAD + b".\r\n..\r\n.a\r\n" + ALL_OCTETS + b"\r\n"
        bb.send(self.port, "wire@exact.test", content, sender="")
        wait_for(lambda: wire and wire[-1] == b".\r\n", 10, "it is sent")
        self.hosts.plans.clear()
        octets = b"".join(wire)
        expect(not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets), "a bare CR, bare LF or NUL")
        expect_equal(octets.count(b"\r\n.\r\n"), 1, "ends of data")
        expect(octets.endswith(HEAD + b"..\r\n...\r\n..a\r\n" + ALL_OCTETS + b"\r\n.\r\n"), f"the wire has {octets[-300:]!r}")


def main():
    suite = bb.Suite()
    with lib.World("content") as world:
        content = Content(world)
        suite.group("byte-exact", EXACT, content.exact)
        suite.group("byte-exact, octet by octet", [row for row in EXACT if len(row[2]) < 3000], lambda row: content.exact(row, 1))
        suite.group("byte-exact, cut oddly", [row for row in EXACT if 3000 < len(row[2]) < 300000], lambda row: content.exact(row, 997))
        suite.group("smuggling", SMUGGLED, content.smuggled)
        suite.group("content refused", REFUSED, content.refused)
        suite.group("outbound", [("dots-and-line-ends", "5321 4.5.2", None)], content.outbound_is_stuffed)
        suite.group("refused means refused", [("nothing-arrived", "5321 4.2.5", None)], content.nothing_refused_arrived)
        suite.group("content, unharmed", [("log", "", None)],
                    lambda _: expect(content.relay.process.is_running(), content.relay.log()))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
