#!/usr/bin/python3
"""The SMTP extensions at both ends: content by the count (BDAT), what a message may be wished at MAIL, and what we make of
what a next hop offers, limits or lacks."""

import os
import re
import ssl
import subprocess
import time

import bb
import lib
import server_content
from bb import Client, SETUPS, dialogue, expect, expect_equal, send, wait_for
from server_content import HEAD

KNOWN, STRANGER = None, "127.0.0.77"
RATE = 30  # of the clock of what waits
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
RCPT = SETUPS["rcpt"][0]


def chunks(content, size):
    """BDAT commands for the content; the last one is empty when size divides it."""
    parts = [content[at:at + size] for at in range(0, len(content), size)]
    return b"".join(b"BDAT %d\r\n%s" % (len(part), part) for part in parts) + b"BDAT 0 LAST\r\n", len(parts) + 1


BDAT = [
    ("last", "3030 2", "rcpt", b"BDAT 3 LAST\r\na\r\n", "250/2.0.0"),
    ("empty-last", "3030 2", "rcpt", b"BDAT 0 LAST\r\n", "250"),
    ("two-chunks", "3030 4.2", "rcpt", b"BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n", "250/2.0.0 250/2.0.0"),
    ("chunk-in-two-segments", "3030 2", "rcpt", (b"BDAT 6 LAST\r\na\r\n", b"b\r\n"), "; 250"),
    ("size-in-two-segments", "3030 2", "rcpt", (b"BDAT 1", b"2 LAST\r\n0123456789\r\n"), "; 250"),
    ("any-case", "5321 2.4", "rcpt", b"bdat 3 last\r\na\r\n", "250"),
    ("leading-zeros", "3030 2", "rcpt", b"BDAT 0003 LAST\r\na\r\n", "250"),
    ("no-final-crlf", "3030 2", "rcpt", b"BDAT 1 LAST\r\na", "250"),
    ("commands-inside", "3030 3", "rcpt", b"BDAT 24 LAST\r\nQUIT\r\n.\r\nRSET\r\nMAIL x\r\na", "250"),
    ("dot-is-no-end", "CVE-2017-16944", "rcpt", b"BDAT 9\r\na\r\n.\r\nb\r\nBDAT 1 LAST\r\nc", "250 250"),
    ("whole-session", "3030 4.2", "new", RCPT + b"BDAT 3\r\na\r\nBDAT 0 LAST\r\nQUIT\r\n", "250 250 250 250 250 221 close"),
    ("two-messages", "3030 4.2", "rcpt", b"BDAT 3 LAST\r\na\r\n" + RCPT[RCPT.index(b"MAIL"):] + b"BDAT 3 LAST\r\nb\r\n",
     "250 250 250 250"),
    ("data-in-another-transaction", "3030 2", "rcpt", b"BDAT 3 LAST\r\na\r\n" + RCPT[RCPT.index(b"MAIL"):] + b"DATA\r\na\r\n.\r\n",
     "250 250 250 354 250"),
    ("data-behind-bdat", "3030 2", "rcpt", b"BDAT 3\r\na\r\nDATA\r\n", "250 503/5.5.1"),
    ("bdat-behind-data", "3030 2", "data", b"BDAT 3 LAST\r\na\r\n.\r\n", "250"),
    ("rcpt-behind-bdat", "3030 2", "rcpt", b"BDAT 3\r\na\r\nRCPT TO:<b@to.test>\r\n", "250 503/5.5.1"),
    ("mail-behind-bdat", "3030 2", "rcpt", b"BDAT 3\r\na\r\nMAIL FROM:<>\r\n", "250 503/5.5.1"),
    ("noop-between", "3030 2", "rcpt", b"BDAT 3\r\na\r\nNOOP\r\nBDAT 3 LAST\r\nb\r\n", "250 250 250"),
    ("rset-between", "3030 2", "rcpt", b"BDAT 3\r\na\r\nRSET\r\nBDAT 3 LAST\r\nb\r\n", "250 250 503/5.5.1"),
    ("ehlo-between", "5321 4.1.4", "rcpt", b"BDAT 3\r\na\r\nEHLO x\r\nBDAT 3 LAST\r\nb\r\n", "250 250 503"),
    ("behind-the-last", "3030 2", "rcpt", b"BDAT 3 LAST\r\na\r\nBDAT 6 LAST\r\nQUIT\r\n", "250 503"),
    ("before-ehlo", "3030 2", "new", b"BDAT 6 LAST\r\nQUIT\r\n", "503/5.5.1"),
    ("before-mail", "3030 2", "ehlo", b"BDAT 6 LAST\r\nQUIT\r\n", "503/5.5.1"),
    ("before-rcpt", "3030 2", "mail", b"BDAT 6 LAST\r\nQUIT\r\n", "554/5.5.1"),
    ("all-rcpt-refused", "3030 4.2", "mail", b"RCPT TO:<x\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n", "501 554 503"),
    ("failed-is-not-mended", "3030 2", "mail", b"BDAT 3\r\na\r\nRCPT TO:<r@to.test>\r\nBDAT 3 LAST\r\nb\r\n", "554 503 503"),
    ("failed-then-next", "3030 4.2", "mail", b"BDAT 3\r\na\r\n" + RCPT[RCPT.index(b"MAIL"):] + b"BDAT 3 LAST\r\nb\r\n", "554 250 250 250"),
    ("bare-lf", "5321 2.3.8", "rcpt", b"BDAT 4 LAST\r\na\nb\n", "550/5.5.2"),
    ("bare-cr", "5321 2.3.8", "rcpt", b"BDAT 4 LAST\r\na\rb\r", "550/5.5.2"),
    ("bare-cr-at-end", "5321 2.3.8", "rcpt", b"BDAT 2 LAST\r\na\r", "550/5.5.2"),
    ("nul", "5321 2.4", "rcpt", b"BDAT 5 LAST\r\na\0b\r\n", "550/5.5.2"),
    ("crlf-over-two-chunks", "3030 2", "rcpt", b"BDAT 2\r\na\rBDAT 2 LAST\r\n\nb", "250 250"),
    ("bare-cr-over-two-chunks", "5321 2.3.8", "rcpt", b"BDAT 2\r\na\rBDAT 2 LAST\r\nb\n", "250 550/5.5.2"),
    ("bad-chunk-ends-it", "3030 2", "rcpt", b"BDAT 2\r\na\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nRSET\r\n", "550 503 503"),
    ("smuggled", "CVE-2023-51764", "rcpt", b"BDAT 7\r\na\r\n.\r\n\nBDAT 12 LAST\r\nMAIL FROM:<>", "550 503"),
    ("hops", "5321 6.3", "rcpt", b"BDAT %d LAST\r\n%s" % (101 * len(server_content.RECEIVED), 101 * server_content.RECEIVED), "554/5.4.6"),
    ("without-size", "3030 2", "rcpt", b"BDAT\r\nQUIT\r\n", "501/5.5.4 close"),
    ("word-for-size", "3030 2", "rcpt", b"BDAT six LAST\r\nQUIT\r\n", "501/5.5.4 close"),
    ("negative", "3030 2", "rcpt", b"BDAT -6 LAST\r\nQUIT\r\n", "501/5.5.4 close"),
    ("hex", "3030 2", "rcpt", b"BDAT 0x6 LAST\r\nQUIT\r\n", "501/5.5.4 close"),
    ("other-than-last", "3030 2", "rcpt", b"BDAT 6 FIRST\r\nQUIT\r\n", "501/5.5.4 close"),
    ("behind-bare-lf", "5321 2.3.8", "rcpt", b"BDAT 6 LAST\nQUIT\r\n", "500/5.5.2 close"),
    ("behind-long-line", "row 31", "rcpt", b"BDAT " + b"0" * 5000 + b"6\r\nQUIT\r\n", "500/5.5.2 close"),
    ("2-63", "row 32", "rcpt", b"BDAT 9223372036854775808 LAST\r\nQUIT\r\n", "552/5.3.4 close"),
    ("2-64-less-1", "row 32", "rcpt", b"BDAT 18446744073709551615\r\nQUIT\r\n", "552/5.3.4 close"),
    ("2-64-and-1", "row 32", "rcpt", b"BDAT 18446744073709551617 LAST\r\nQUIT\r\n", "552/5.3.4 close"),
    ("2-63-before-mail", "row 32", "ehlo", b"BDAT 9223372036854775808\r\nQUIT\r\n", "552/5.3.4 close"),
    ("one-too-large", "1870 6.3", "rcpt", b"BDAT 1048577 LAST\r\n" + b"QUIT\r\n" * 174762 + b"QUIT\n", "552/5.3.4"),
    ("largest", "1870 6.3", "rcpt", b"BDAT 1048576 LAST\r\n" + b"a" * 1048574 + b"\r\n", "250"),
    ("sum-too-large", "1870 6.3", "rcpt", b"BDAT 1048570\r\n" + b"a" * 1048570 + b"BDAT 7 LAST\r\nQUIT\r\n.", "250 552/5.3.4"),
    ("many-empty-chunks", "3030 2", "rcpt", b"BDAT 0\r\n" * 5000 + b"BDAT 0 LAST\r\n", "250 " * 5001),
]

MAIL_KNOWN = [(name, reference, "ehlo", b"MAIL FROM:<s@from.test>" + said + b"\r\n", wanted) for name, reference, said, wanted in [
    ("requiretls-in-clear", "8689 2", b" REQUIRETLS", "530/5.7.10"), ("requiretls-value", "8689 2", b" REQUIRETLS=1", "501/5.5.4"),
    ("priority", "6710 4.1", b" MT-PRIORITY=4", "250/2.1.0"), ("priority-lowest", "6710 3", b" MT-PRIORITY=-9", "250/2.1.0"),
    ("priority-0", "6710 3", b" MT-PRIORITY=0", "250/2.1.0"), ("priority-10", "6710 3", b" MT-PRIORITY=10", "501/5.5.4"),
    ("priority-plus", "6710 3", b" MT-PRIORITY=+4", "501/5.5.4"), ("priority-word", "6710 3", b" MT-PRIORITY=high", "501/5.5.4"),
    ("priority-alone", "6710 3", b" MT-PRIORITY", "501/5.5.4"),
    ("by-return", "2852 4", b" BY=120;R", "250"), ("by-notify", "2852 4", b" BY=-120;NT", "250"),
    ("by-0-notify", "2852 4", b" BY=0;N", "250"), ("by-0-return", "2852 4", b" BY=0;R", "501/5.5.4"),
    ("by-past-return", "2852 4", b" BY=-1;R", "501/5.5.4"), ("by-10-digits", "2852 4", b" BY=1234567890;R", "501/5.5.4"),
    ("by-without-mode", "2852 4", b" BY=120", "501/5.5.4"), ("by-other-mode", "2852 4", b" BY=120;Q", "501/5.5.4"),
    ("by-twice", "5321 4.1.2", b" BY=120;R BY=120;R", "501/5.5.4"),
    ("holdfor", "4865 3", b" HOLDFOR=60", "250"), ("holdfor-largest", "4865 3", b" HOLDFOR=2592000", "250"),
    ("holdfor-too-long", "4865 3", b" HOLDFOR=2592001", "501/5.5.4"), ("holdfor-0", "4865 3", b" HOLDFOR=0", "501/5.5.4"),
    ("holdfor-10-digits", "4865 3", b" HOLDFOR=1234567890", "501/5.5.4"),
    ("holduntil-past", "4865 3", b" HOLDUNTIL=2001-01-01T00:00:00Z", "250"),
    ("holduntil-too-late", "4865 3", b" HOLDUNTIL=9999-12-31T23:59:59Z", "501/5.5.4"),
    ("holduntil-no-date", "3339 5.6", b" HOLDUNTIL=2026-02-30T00:00:00Z", "501/5.5.4"),
    ("holdfor-and-holduntil", "4865 3", b" HOLDFOR=60 HOLDUNTIL=2001-01-01T00:00:00Z", "501/5.5.4"),
    ("held-past-by-time", "4865 5.2.2", b" HOLDFOR=60 BY=60;R", "501/5.5.4"), ("held-within-by-time", "4865 5.2.2", b" HOLDFOR=60 BY=90;R", "250"),
    ("held-past-notice", "4865 5.2.2", b" HOLDFOR=60 BY=30;N", "501/5.5.4"), ("held-within-notice", "4865 5.2.2", b" HOLDFOR=60 BY=90;N", "250"),
    ("all-wishes", "5321 4.1.1.11", b" SIZE=9 MT-PRIORITY=2 BY=90;R HOLDFOR=60 BODY=8BITMIME", "250"),
]] + [
    ("submission-from-one-label", "6409 4.2", "ehlo", "MAIL FROM:<s@sales>", "554/5.1.8"),
    ("submission-to-one-label", "6409 4.2", "mail", "RCPT TO:<r@sales>", "554/5.1.2"),
    ("wish-at-rcpt", "5321 4.1.1.11", "mail", "RCPT TO:<r@to.test> MT-PRIORITY=2", "555/5.5.4"),
    ("etrn-domain", "1985 5", "ehlo", "ETRN to.test", "250/2.0.0"), ("etrn-below", "1985 5", "ehlo", "ETRN @to.test", "250"),
    ("etrn-no-route", "1985 5", "ehlo", "ETRN #none", "458"), ("etrn-empty", "1985 5", "ehlo", "ETRN", "501/5.5.4"),
    ("etrn-two-words", "1985 5", "ehlo", "ETRN a b", "501/5.5.4"), ("etrn-sql", "CVE-2025-26794", "ehlo", "ETRN #'OR'1=1--", "458"),
    ("etrn-no-domain", "1985 5", "ehlo", "ETRN a..b", "501"), ("etrn-before-ehlo", "1985 5", "new", "ETRN to.test", "503"),
    ("etrn-in-transaction", "1985 5", "mail", "ETRN to.test", "503"),
]

MAIL_STRANGER = [(name, reference, "ehlo", b"MAIL FROM:<s@from.test>" + said + b"\r\n", wanted) for name, reference, said, wanted in [
    ("stranger-priority", "6710 4.1", b" MT-PRIORITY=9", "250/2.3.6"), ("stranger-priority-0", "6710 4.1", b" MT-PRIORITY=0", "250/2.1.0"),
    ("stranger-holdfor", "4865 4.2", b" HOLDFOR=60", "555/5.5.4"), ("stranger-by", "2852 4", b" BY=60;R", "555/5.5.4"), ("stranger-by-notify", "2852 4", b" BY=-1;N", "555/5.5.4"),
]] + [("stranger-etrn", "1985 5", "ehlo", "ETRN to.test", "459/4.7.1")]


class Server:
    """What we offer and take. Mail is relayed to a host that takes all."""

    def __init__(self, world):
        self.hosts = bb.Hosts()
        dns = world.dns(["*.test A 127.0.9.9"])
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", world.path("key.pem"), "-out", world.path("cert.pem"), "-days", "2",
                        "-subj", "/CN=relay.outlast.test"], check=True, capture_output=True)
        os.chmod(world.path("key.pem"), 0o600)
        self.tls_port = lib.free_port()
        self.submission_port = lib.free_port()
        self.relay = world.relay({
            "delivery.port": self.hosts.port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
            "queue.min-free": "10M", "log.level": "warning", "trusted": ["127.0.0.1/32"], "limits.message-size-max": "1M",
            "limits.messages-per-session": 500, "tls.certificate": world.path("cert.pem"), "tls.key": world.path("key.pem")})
        self.relay.settings["listeners"] += [
            {"address": f"127.0.0.1:{self.tls_port}", "tls": "starttls"},
            {"address": f"127.0.0.1:{self.submission_port}", "submission": "yes", "allow": "trusted"}]
        self.relay.configure(self.relay.settings)
        self.relay.start()
        self.port = self.relay.port

    def keywords(self, port=None, source=None, is_tls=False):
        with Client(port or self.port, source) as client:
            if is_tls:
                start_tls(client)
            return client.ask("EHLO client.test")[2].split("\n")[1:]

    def offered(self, row):
        name, _, keyword, wanted = row
        found = [any(line.split(" ")[0] == keyword for line in lines) for lines in (
            self.keywords(), self.keywords(source=STRANGER), self.keywords(port=self.tls_port, is_tls=True),
            self.keywords(port=self.submission_port))]
        expect_equal(found, list(wanted), f"{name}: offered to a known client, a stranger, under TLS, at submission")

    def limits(self, _):
        expect("LIMITS MAILMAX=500 RCPTMAX=1000" in self.keywords(), "LIMITS")
        hold = [line for line in self.keywords(port=self.submission_port) if line.startswith("FUTURERELEASE")][0]
        expect(re.fullmatch(r"FUTURERELEASE 2592000 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", hold), hold)

    def exact(self, row, size):
        """Any content arrives as it was sent, whatever it was cut into; what did not end in CRLF does so now."""
        name, _, content = row
        to = f"{name}-{size}@chunked.test"
        said, count = chunks(content, size)
        with Client(self.port, seconds=30) as client:
            client.say(f"EHLO client.test\r\nMAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<{to}>\r\n".encode() + said)
            client.await_replies("250 250 250" + " 250" * count)
            client.is_in_step()
        got = bb.without_trace(wait_for(lambda: self.hosts.to(to), 20, "it arrives", every=0.005)[0]["content"])
        if content and not content.endswith(b"\r\n"):
            content += b"\r\n"
        expect(got == content, f"{len(got)} octets arrived, {len(content)} were sent: {got[:60]!r} ... {got[-60:]!r}")

    def slow(self, row):
        """Octets of a chunk that never come hold nobody up: others are served meanwhile."""
        with Client(self.port) as slow:
            slow.say(RCPT + b"BDAT 1000000 LAST\r\na")
            slow.await_replies("250 250 250")
            with Client(self.port) as client:
                client.say(RCPT + b"BDAT 3 LAST\r\na\r\n")
                client.await_replies("250 250 250 250")
        del row

    def claimed(self, _):
        """Nothing is reserved for octets that were only announced."""
        before = bb.memory_kib(self.relay.process.pid)
        clients = [Client(self.port) for _ in range(50)]
        for client in clients:
            client.say(RCPT + b"BDAT 1048576 LAST\r\n")
            client.await_replies("250 250 250")
        grown = bb.memory_kib(self.relay.process.pid) - before
        for client in clients:
            client.close()
        expect(grown < 50 * 100, f"{grown} KiB for 50 sessions")

    def requiretls(self, _):
        """Taken under TLS; a next hop in clear text never hears of the message."""
        to = "secret@chunked.test"
        with Client(self.tls_port) as client:
            start_tls(client)
            client.say(f"EHLO client.test\r\nMAIL FROM:<s@from.test> REQUIRETLS\r\nRCPT TO:<{to}>\r\nBDAT 3 LAST\r\na\r\n".encode())
            client.await_replies("250 250 250 250")
        last = wait_for(lambda: bb.attempts_of(self.relay).get(to), 5, "an attempt", every=0.1)[-1]
        expect_equal((last["disposition"], last["status"]), ("deferred", "4.7.30"), f"outcome {last}")
        expect_equal(self.hosts.to(to), [], "it was sent in clear text")
        expect(not any(b"secret" in line for line in self.hosts.said("127.0.9.9")), "its recipient was told in clear text")

    def requiretls_notice(self, _):
        """A notice is not lost for want of TLS; nothing is claimed that is not so."""
        to = "bounced@chunked.test"
        with Client(self.tls_port) as client:
            start_tls(client)
            client.say(f"EHLO client.test\r\nMAIL FROM:<> REQUIRETLS\r\nRCPT TO:<{to}>\r\nBDAT 3 LAST\r\na\r\n".encode())
            client.await_replies("250 250 250 250")
        wait_for(lambda: self.hosts.to(to), 5, "it arrives", every=0.02)
        expect(not any(b"REQUIRETLS" in line for line in self.hosts.said("127.0.9.9")), "REQUIRETLS in clear text")


def start_tls(client):
    client.say("EHLO client.test")
    client.await_reply("250")
    client.say("STARTTLS")
    client.await_reply("220")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.socket = context.wrap_socket(client.socket)


OFFERS = [  # name, reference, keyword, to (a known client, a stranger, a known one under TLS, one at submission)
    ("chunking", "3030 2", "CHUNKING", (True, True, True, True)), ("binarymime", "3030 3", "BINARYMIME", (False, False, False, False)),
    ("smtputf8", "6531 3.1", "SMTPUTF8", (True, True, True, True)), ("requiretls", "8689 2", "REQUIRETLS", (False, False, True, False)),
    ("mt-priority", "6710 3", "MT-PRIORITY", (True, True, True, True)), ("deliverby", "2852 2", "DELIVERBY", (True, False, True, True)),
    ("futurerelease", "4865 4.2", "FUTURERELEASE", (False, False, False, True)), ("limits", "9422 3", "LIMITS", (True, True, True, True)),
    ("etrn", "1985 2", "ETRN", (True, False, True, True)),
]


class Outside:
    """The relay in front of hosts that offer this and that; wishes go with the mail, or it does not go."""

    EHLO = {
        "all": b"250-MT-PRIORITY MIXER\r\n250-DELIVERBY\r\n250 PIPELINING\r\n", "none": b"250 PIPELINING\r\n",
        "bare": b"250 PIPELINING\r\n",
        "slow": b"250-DELIVERBY 100000\r\n250 PIPELINING\r\n", "three": b"250-LIMITS RCPTMAX=3\r\n250 PIPELINING\r\n",
        "two": b"250-PIPELINING\r\n250 LIMITS MAILMAX=2\r\n", "held": b"250 PIPELINING\r\n", "down": b"250 PIPELINING\r\n",
    }

    def __init__(self, world):
        self.hosts = bb.Hosts()
        self.address = {name: f"127.0.8.{i + 1}" for i, name in enumerate(self.EHLO)}
        dns = world.dns(["good.test A 127.0.9.9"] + [f"{name}.test A {at}" for name, at in self.address.items()], name="wishes-dns")
        for name, lines in self.EHLO.items():
            self.hosts.plans[self.address[name]] = {"ehlo": b"250-h\r\n" + lines}
        self.hosts.plans[self.address["down"]] = {"banner": bb.DROP}
        self.relay = world.relay({
            "delivery.port": self.hosts.port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
            "queue.min-free": "10M", "log.level": "warning", "outage.probe-unknown-first": "1h", "outage.notice-hold": "0"},
            name="wishes")
        self.submission_port = lib.free_port()
        self.relay.settings["listeners"] += [{"address": f"127.0.0.1:{self.submission_port}", "submission": "yes", "allow": "trusted"}]
        self.relay.configure(self.relay.settings)
        self.relay.start(clock_rate=RATE)

    def said(self, name):
        return b"".join(self.hosts.said(self.address[name]))

    def arrives(self, name, local="u"):
        return wait_for(lambda: self.hosts.to(f"{local}@{name}.test"), 5, "it arrives", every=0.02)

    def notice(self, recipient, seconds=10):
        field = f"Final-Recipient: rfc822; {recipient}".encode()
        return wait_for(lambda: [m for m in self.hosts.to("s@good.test") if field in m["content"]], seconds, "a notice", every=0.05)[0]["content"]

    def passed_on(self, _):
        send(self.relay.port, "u@all.test", MESSAGE, params=" MT-PRIORITY=-3 BY=1000;RT")
        self.arrives("all")
        found = re.search(rb"MAIL FROM:<s@good.test>.* MT-PRIORITY=-3 BY=(\d+);RT\r\n", self.said("all"))
        expect(found, f"said {self.said('all')}")
        expect(900 <= int(found[1]) <= 1000, f"by-time {found[1]}")

    def not_passed_on(self, _):
        send(self.relay.port, "u@none.test", MESSAGE, params=" MT-PRIORITY=9 BY=1000;N")
        self.arrives("none")
        expect(not re.search(rb"MT-PRIORITY|BY=", self.said("none")), f"said {self.said('none')}")

    def returned(self, row, to, params, status):
        send(self.relay.port, to, MESSAGE, params=params)
        content = self.notice(to)
        expect(f"Status: {status}\r\n".encode() in content, content.decode())
        expect(b"Action: failed\r\n" in content, "it says failed")
        expect_equal(self.hosts.to(to), [], f"{row}: delivered too")

    def late(self, _):
        """Mode N: told once, and tried on."""
        send(self.relay.port, "n@down.test", MESSAGE, params=" BY=30;N")
        content = self.notice("n@down.test")
        expect(b"Action: delayed\r\n" in content and b"Status: 4.4.7\r\n" in content, content.decode())

    def rcptmax(self, _):
        to = [f"u{i}@three.test" for i in range(8)]
        send(self.relay.port, to, MESSAGE)
        for i in range(8):
            self.arrives("three", f"u{i}")
        got = self.hosts.got(self.address["three"])
        expect_equal(sorted(sum((m["to"] for m in got), [])), to, "each once")
        expect_equal([len(m["to"]) for m in got], [3, 3, 2], "recipients at a time")
        expect_equal(self.said("three").count(b"RCPT"), 8, "RCPT commands")

    def mailmax(self, _):
        for i in range(5):
            send(self.relay.port, f"u{i}@two.test", MESSAGE)
            self.arrives("two", f"u{i}")
        commands = re.findall(rb"(?m)^(EHLO|MAIL|QUIT)", self.said("two"))
        sessions = b" ".join(commands).split(b"EHLO")[1:]
        expect_equal([one.count(b"MAIL") for one in sessions], [2, 2, 1], "messages in a session")
        expect(all(one.strip().endswith(b"QUIT") for one in sessions[:2]), f"they end in order: {commands}")

    def held_notice(self, _):
        """A notice says how long the mail was to be held."""
        send(self.submission_port, "h@bare.test", MESSAGE, params=f" HOLDFOR={RATE} BY={1000 * RATE};R")
        content = self.notice("h@bare.test")
        expect(f"Future-Release-Request: for;{RATE}\r\n".encode() in content, content.decode())
        expect(b"Status: 5.3.3\r\n" in content and b"Deliver-By-Date: " in content and b"Arrival-Date: " in content, content.decode())

    def held(self, _):
        begun = time.monotonic()
        send(self.submission_port, "u@held.test", MESSAGE, params=f" HOLDFOR={2 * RATE}")
        self.arrives("held")
        waited = time.monotonic() - begun
        expect(1.9 <= waited <= 4, f"held for {waited:.1f} s")

    def etrn(self, _):
        """A site that is down is probed at once, and its mail goes."""
        send(self.relay.port, "e@down.test", MESSAGE)
        wait_for(lambda: "delay_reason" in self.relay.cli("list", "--to", "e@down.test", "--json", status=None), 5, "it is down", every=0.1)
        self.hosts.plans[self.address["down"]] = {}
        time.sleep(0.5)
        expect_equal(self.hosts.to("e@down.test"), [], "delivered without a word")
        with Client(self.relay.port) as client:
            client.say("EHLO client.test")
            client.await_reply("250")
            client.say("ETRN down.test")
            client.await_reply("250")
        self.arrives("down", "e")

    def etrn_flood(self, _):
        with Client(self.relay.port) as client:
            client.say("EHLO client.test")
            client.await_reply("250")
            codes = [client.ask(f"ETRN d{i}.test")[0] for i in range(40)]
        expect(codes[0] == 250 and codes[-1] == 458, f"codes {codes}")


def main():
    suite = bb.Suite()
    with lib.World("extensions") as world:
        server = Server(world)
        suite.group("offers", OFFERS, server.offered)
        suite.group("offers with limits", [("limits-stated", "9422 3", None)], server.limits)
        suite.group("chunks", BDAT, dialogue(server.port))
        suite.group("chunks, byte-exact", server_content.EXACT[:-1] + [("no-end", "3030 2", HEAD + b"a"), ("dot-no-end", "3030 2", b".")],
                    lambda row: server.exact(row, 65536) if len(row[2]) < 1000000 else None)
        suite.group("chunks of 7", [row for row in server_content.EXACT if len(row[2]) < 3000], lambda row: server.exact(row, 7))
        suite.group("chunks, resources", [("slow", "row 30", server.slow), ("claimed", "row 32", server.claimed)], lambda row: row[2](row))
        suite.group("wishes", MAIL_KNOWN, dialogue(server.submission_port))
        suite.group("wishes of strangers", MAIL_STRANGER, dialogue(server.port, STRANGER))
        suite.group("REQUIRETLS", [("requiretls", "8689 4.2.1", server.requiretls), ("requiretls-notice", "8689 5", server.requiretls_notice)],
                    lambda row: row[2](row))
        outside = Outside(world)
        suite.group("next hops", [
            ("passed-on", "2852 4.1.4", outside.passed_on), ("not-passed-on", "6710 4.3", outside.not_passed_on),
            ("by-not-offered", "2852 4.1.4.1", lambda row: outside.returned(row, "r@bare.test", " BY=1000;R", "5.3.3")),
            ("by-below-the-least", "2852 4.1.4.1", lambda row: outside.returned(row, "r@slow.test", " BY=1000;R", "5.4.7")),
            ("by-time-over", "2852 4.1.3", lambda row: outside.returned(row, "r@down.test", " BY=60;R", "5.4.7")),
            ("by-time-told", "2852 4.1.3", outside.late),
            ("rcptmax", "9422 4.2", outside.rcptmax), ("mailmax", "9422 4.1", outside.mailmax),
            ("held", "4865 4.2", outside.held), ("held-notice", "4865 5.1.2", outside.held_notice), ("etrn", "1985 5", outside.etrn), ("etrn-flood", "row 33", outside.etrn_flood)],
            lambda row: row[2](row))
        suite.group("extensions, unharmed", [("log", "", None)],
                    lambda _: expect(server.relay.process.is_running() and outside.relay.process.is_running(), server.relay.log()))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
