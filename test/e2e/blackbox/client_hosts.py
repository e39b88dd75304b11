#!/usr/bin/python3
"""The SMTP client and its name look-ups against hosts and name servers that are broken, hostile or merely odd.

Each case has a domain and a host of its own. All mail is sent at once; then each first outcome is looked at; then all
hosts are healed, and whatever was kept must arrive. Nothing that the other side breaks may ever bounce.
"""

import json
import re
import socket
import struct

import bb
import lib
from bb import DROP, HANG, USUAL, expect, expect_equal, send, wait_for

MESSAGE = b"Subject: case\r\n\r\nbody\r\n"
KEPT, DELIVERED = "kept", "delivered"


def replying(code):
    """What no reply may look like, with the code that would be the right one."""
    return {
        "no-code": b"hello\r\n", "empty": b"\r\n", "999": b"999 what\r\n", "099": b"099 what\r\n", "20": b"20 ok\r\n",
        "nul": b"\0\0\0\0\r\n", "8bit": b"\xff\xfe\xfd\xfc\r\n", "code-changes": code + b"-a\r\n" + b"599 b\r\n",
        "10000-lines": (code + b"-x\r\n") * 10000 + code + b" x\r\n", "1m-line": code + b" " + b"x" * (1 << 20) + b"\r\n",
        "odd-separator": code + b"_ok\r\n", "minus": b"-50 ok\r\n", "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "never-ends": (code + b"-x\r\n") * 50, "cut": code[:2],
    }


# name, reference, plan of the host, what comes of it first
REPLIES = [(f"{stage}-{what}", "row 24" if says is HANG else "row 27" if stage == "dot" else "row 28", {stage: says}, KEPT)
           for stage in ("banner", "ehlo", "mail", "rcpt", "data", "dot")
           for what, says in (("hangs", HANG), ("drops", DROP), ("421", b"421 4.3.2 closing\r\n"))]
REPLIES += [(f"{stage}-{what}", "row 26", {stage: says}, KEPT)
            for stage, code in (("banner", b"220"), ("ehlo", b"250"), ("rcpt", b"250"), ("dot", b"250"))
            for what, says in replying(code).items()]
REPLIES += [(f"quit-{what}", "row 24", {"quit": says}, DELIVERED)
            for what, says in (("hangs", HANG), ("drops", DROP), ("421", b"421 x\r\n"), ("odd", b"999 x\r\n"))]
REPLIES += [
    ("banner-554", "5321 3.1", {"banner": b"554 5.3.2 go away\r\n"}, KEPT),
    ("banner-multiline", "5321 4.2.1", {"banner": b"220-one\r\n220-two\r\n220 three\r\n"}, DELIVERED),
    ("banner-code-only", "5321 4.2", {"banner": b"220\r\n"}, DELIVERED),
    ("banner-lf-only", "5321 4.2", {"banner": b"220 host\n"}, DELIVERED),
    ("ehlo-502-then-helo", "5321 3.2", {"ehlo": b"502 5.5.1 what\r\n"}, DELIVERED),
    ("ehlo-and-helo-refused", "5321 3.2", {"ehlo": b"554 no\r\n", "helo": b"554 no\r\n"}, KEPT),
    ("ehlo-450", "5321 4.2", {"ehlo": b"450 later\r\n"}, KEPT),
    ("mail-451", "5321 4.2", {"mail": b"451 4.3.0 later\r\n"}, KEPT),
    ("mail-550", "5321 4.2", {"mail": b"550 5.7.1 no\r\n"}, "5.7.1"),
    ("mail-354", "row 28", {"mail": b"354 go\r\n"}, KEPT),
    ("rcpt-450", "5321 4.2", {"rcpt": b"450 4.2.1 greylisted\r\n"}, KEPT),
    ("rcpt-550", "5321 4.2", {"rcpt": b"550 5.1.1 unknown\r\n"}, "5.1.1"),
    ("rcpt-550-bare", "5321 4.2", {"rcpt": b"550 unknown\r\n"}, "5.0.0"),
    ("rcpt-code-beats-status", "3463 2", {"rcpt": b"450 5.1.1 unknown\r\n"}, KEPT),
    ("rcpt-status-does-not-save", "3463 2", {"rcpt": b"550 4.2.1 unknown\r\n"}, "5.0.0"),
    ("rcpt-unknown-4xx", "5321 4.3.2", {"rcpt": b"459 what\r\n"}, KEPT),
    ("rcpt-unknown-5xx", "5321 4.3.2", {"rcpt": b"559 what\r\n"}, "5.0.0"),
    ("rcpt-251", "5321 3.4", {"rcpt": b"251 will forward\r\n"}, DELIVERED),
    ("rcpt-552-mailbox-full", "5321 4.5.3.1.10", {"rcpt": b"552 5.2.2 full\r\n"}, KEPT),
    ("data-250", "row 28", {"data": b"250 ok\r\n"}, KEPT),
    ("data-451", "5321 4.2", {"data": b"451 4.3.0 later\r\n"}, KEPT),
    ("data-554", "5321 4.2", {"data": b"554 5.7.1 no\r\n"}, "5.7.1"),
    ("dot-451", "5321 4.2", {"dot": b"451 4.3.0 later\r\n"}, KEPT),
    ("dot-554", "5321 4.2", {"dot": b"554 5.7.1 spam\r\n"}, "5.7.1"),
    ("dot-354", "row 28", {"dot": b"354 more\r\n"}, KEPT),
    ("dot-250-multiline", "5321 4.2.1", {"dot": b"250-one\r\n250 two\r\n"}, DELIVERED),
    ("all-354", "row 28", {stage: b"354 go on\r\n" for stage in USUAL}, KEPT),
    ("all-250-but-data", "row 28", {"data": b"250 ok\r\n", "rcpt": b"250 ok\r\n", "dot": b"250 ok\r\n"}, KEPT),
    ("refused-all-but-354", "2920 3.1", {"rcpt": b"450 4.2.1 later\r\n", "data": b"354 go on\r\n"}, KEPT),
    ("replies-before-commands", "row 28", {"banner": b"220 host\r\n250 host\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"}, KEPT),
    ("replies-behind-ehlo", "row 28", {"ehlo": b"250 host\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"}, KEPT),
    ("reply-behind-dot", "row 28", {"dot": b"250 ok\r\n250 ok\r\n"}, DELIVERED),
    ("starttls-injected", "CVE-2021-38371", {"ehlo": b"250-h\r\n250 STARTTLS\r\n", "starttls": b"220 go\r\n250 injected\r\n"}, KEPT),
    ("size-100", "1870 6", {"ehlo": b"250-h\r\n250 SIZE 100\r\n"}, "5.3.4"),
    ("size-0", "1870 3", {"ehlo": b"250-h\r\n250 SIZE 0\r\n"}, DELIVERED),
    ("size-odd", "1870 3", {"ehlo": b"250-h\r\n250 SIZE a lot\r\n"}, DELIVERED),
    ("size-2-64-and-1", "row 32", {"ehlo": b"250-h\r\n250 SIZE 18446744073709551617\r\n"}, DELIVERED),
    ("ehlo-100-keywords", "row 26", {"ehlo": b"250-X\r\n" * 98 + b"250 X\r\n"}, DELIVERED),
]

# name, reference, zone ({d}: the domain, {a}: an address where a host is), commands to the name server, outcome
LOOKUPS = [
    ("dns-mx", "5321 5.1", ["{d} MX 10 mx.{d}", "mx.{d} A {a}"], [], DELIVERED),
    ("dns-implicit", "5321 5.1", ["{d} A {a}"], [], DELIVERED),
    ("dns-null-mx", "7505 3", ["{d} MX 0 ."], [], "5.1.10"),
    ("dns-null-mx-ignores-address", "7505 3", ["{d} MX 0 .", "{d} A {a}"], [], "5.1.10"),
    ("dns-null-mx-and-others", "7505 3", ["{d} MX 0 .", "{d} MX 10 mx.{d}", "mx.{d} A {a}"], [], DELIVERED),
    ("dns-nxdomain", "row 19", [], [], "5.1.2"),
    ("dns-no-mx-no-address", "5321 5.1", ["{d} TXT none"], [], "5.1.2"),
    ("dns-mx-without-address", "5321 5.1", ["{d} MX 10 mx.{d}", "mx.{d} TXT none", "{d} A {a}"], [], "5.4.4"),
    ("dns-mx-nxdomain", "5321 5.1", ["{d} MX 10 gone.{d}", "{d} A {a}"], [], "5.4.4"),
] + [(f"dns-{manner}", "row 18", ["{d} MX 10 mx.{d}", "mx.{d} A {a}"], [manner + " {d}"], KEPT)
     for manner in ("servfail", "refused", "timeout", "garbage", "empty", "wrong-id", "wrong-question")] + [
    (f"dns-host-{manner}", "row 18", ["{d} MX 10 mx.{d}", "mx.{d} A {a}"], [manner + " mx.{d}"], KEPT)
    for manner in ("servfail", "refused", "timeout", "garbage")] + [
    ("dns-truncated", "row 18", ["{d} MX 10 mx.{d}", "mx.{d} A {a}"], ["truncate {d}", "truncate mx.{d}"], DELIVERED),
    ("dns-mx-is-alias", "row 19", ["{d} MX 10 alias.{d}", "alias.{d} CNAME real.{d}", "real.{d} A {a}"], [], DELIVERED),
    ("dns-domain-is-alias", "5321 5.1", ["{d} CNAME other.{d}", "other.{d} MX 10 mx.{d}", "mx.{d} A {a}"], [], DELIVERED),
    ("dns-alias-of-10", "row 18", ["{d} CNAME c1.{d}"] + [f"c{i}.{{d}} CNAME c{i + 1}.{{d}}" for i in range(1, 8)] + ["c8.{d} A {a}"], [],
     DELIVERED),
    ("dns-alias-loop", "row 18", ["{d} CNAME b.{d}", "b.{d} CNAME {d}"], [], KEPT),
    ("dns-mx-literal", "row 19", ["{d} MX 10 127.0.9.9"], [], "5.4.4"),
    ("dns-mx-literal-and-host", "row 19", ["{d} MX 5 127.0.9.9", "{d} MX 10 mx.{d}", "mx.{d} A {a}"], [], DELIVERED),
    ("dns-1000-mx", "row 18", [f"{{d}} MX {i} mx{i}.{{d}}" for i in range(1000)] + ["*.{d} A {a}"], [], DELIVERED),
    ("dns-40-addresses", "row 18", ["{d} MX 10 mx.{d}", "mx.{d} A {a}"] + [f"mx.{{d}} A 127.3.0.{i}" for i in range(40)], [], DELIVERED),
    ("dns-we-are-best", "row 22", ["{d} MX 10 relay.outlast.test", "{d} MX 20 mx.{d}", "mx.{d} A {a}"], [], "5.4.6"),
    ("dns-we-are-second", "row 22", ["{d} MX 10 mx.{d}", "mx.{d} A {a}", "{d} MX 20 Relay.Outlast.Test"], [], DELIVERED),
] + [(f"dns-address-{name}", "row 20", ["{d} MX 10 mx.{d}", f"mx.{{d}} A {address}"], [], wanted)
     for name, address, wanted in [
         ("loopback", "127.200.0.1", "5.4.6"), ("unspecified", "0.0.0.0", "5.4.6"), ("private-10", "10.1.2.3", "5.4.4"),
         ("private-192", "192.168.1.1", "5.4.4"), ("private-172", "172.16.0.1", "5.4.4"), ("link-local", "169.254.1.1", "5.4.4"),
         ("multicast", "224.0.0.1", "5.4.4"), ("broadcast", "255.255.255.255", "5.4.4"), ("shared", "100.64.0.1", "5.4.4")]] + [
    (f"dns-address6-{name}", "row 20", ["{d} MX 10 mx.{d}", f"mx.{{d}} AAAA {address}"], [], wanted)
    for name, address, wanted in [
        ("loopback", "::1", "5.4.6"), ("unspecified", "::", "5.4.6"), ("mapped-loopback", "::ffff:127.200.0.1", "5.4.6"),
        ("link-local", "fe80::1", "5.4.4"), ("unique-local", "fd00::1", "5.4.4"), ("multicast", "ff02::1", "5.4.4")]]


class Outside:
    """The relay between a client and all those hosts."""

    def __init__(self, world):
        self.world = world
        self.hosts = bb.Hosts()
        self.next_host = 0
        self.domain, self.address = {}, {}
        zone = ["good.test A 127.0.9.9"]
        for name, _, _, _ in REPLIES:
            zone += self.domain_lines(name, ["{d} MX 10 mx.{d}", "mx.{d} A {a}"])
        for name, _, lines, _, _ in LOOKUPS:
            zone += self.domain_lines(name, lines)
        for name in ("second-mx", "not-past-us", "many", "many452", "mix", "mid421", "moves", "8bit", "utf8", "8bit-second", "8bit-unheard",
                     "dsn", "no-dsn", "notify"):
            zone += self.domain_lines(name, {
                "second-mx": ["{d} MX 10 mx1.{d}", "{d} MX 20 mx2.{d}", "mx1.{d} A 127.4.0.1", "mx2.{d} A {a}"],
                "not-past-us": ["{d} MX 5 mx1.{d}", "{d} MX 10 relay.outlast.test", "{d} MX 20 mx2.{d}", "mx1.{d} A 127.4.0.2",
                                "mx2.{d} A {a}"],
                "8bit-second": ["{d} MX 10 mx1.{d}", "{d} MX 20 mx2.{d}", "mx1.{d} A 127.4.0.4", "mx2.{d} A {a}"],
                "8bit-unheard": ["{d} MX 10 mx1.{d}", "{d} MX 20 mx2.{d}", "mx1.{d} A 127.4.0.4", "mx2.{d} A 127.4.0.1"],
                "moves": ["{d} MX 10 mx1.{d} 1", "mx1.{d} A 127.4.0.3", "mx2.{d} A {a}"],
            }.get(name, ["{d} MX 10 mx.{d}", "mx.{d} A {a}"]))
        self.dns = world.dns(zone)
        self.relay = world.relay({
            "delivery.port": self.hosts.port, "dns.servers": [self.dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/9"],
            "dns.timeout": "150ms", "dns.tries": 1, "dns.ttl-min": "1s", "queue.min-free": "10M", "retry.schedule": ["30s"],
            "retry.jitter": "0%", "outage.probe-unknown-first": "30s", "outage.probe-unknown-last": "30s",
            "outage.probe-first": "30s", "outage.probe-last": "30s", "limits.errors-max": 10000, "delivery.connection-idle": "1s",
            **{f"delivery.{stage}-timeout": "1s" for stage in ("greeting", "helo", "mail", "rcpt", "data-init", "data-block",
                                                               "data-done", "rset", "quit", "tls", "connect")}})
        self.relay.start(clock_rate=30)

    def domain_lines(self, name, lines):
        self.next_host += 1
        self.domain[name] = f"{name}.test"
        self.address[name] = f"127.1.{self.next_host // 250}.{self.next_host % 250 + 1}"
        return [line.format(d=self.domain[name], a=self.address[name]) for line in lines]

    def to(self, name, local="u"):
        return f"{local}@{self.domain[name]}"

    def send(self, name, content=MESSAGE, locals_=("u",), **options):
        return send(self.relay.port, [self.to(name, local) for local in locals_], content, **options)

    def start(self):
        for name, _, plan, _ in REPLIES:
            self.hosts.plans[self.address[name]] = plan
        for name, _, _, commands, _ in LOOKUPS:
            for command in commands:
                self.dns.control(command.format(d=self.domain[name]))
        self.hosts.plans["127.4.0.1"] = {"banner": DROP}
        self.hosts.plans["127.4.0.2"] = {"banner": DROP}
        self.hosts.plans["127.4.0.3"] = {"rcpt": b"450 4.2.1 not here\r\n"}
        self.hosts.plans[self.address["many"]] = {
            "rcpt": lambda line, session: b"552 too many recipients\r\n" if session.recipients > 3 else b"250 ok\r\n"}
        self.hosts.plans[self.address["many452"]] = {
            "rcpt": lambda line, session: b"452 4.5.3 too many\r\n" if session.recipients > 3 else b"250 ok\r\n"}
        self.hosts.plans[self.address["mix"]] = {
            "rcpt": lambda line, session: b"550 5.1.1 no\r\n" if b"gone" in line else b"450 4.2.1 later\r\n" if b"later" in line
            else b"250 ok\r\n"}
        self.hosts.plans[self.address["mid421"]] = {
            "rcpt": lambda line, session: b"421 4.3.2 enough\r\n" if session.recipients > 1 else b"250 ok\r\n"}
        bare = b"250-h\r\n250 PIPELINING\r\n"
        for name in ("8bit", "utf8"):
            self.hosts.plans[self.address[name]] = {"ehlo": bare}
        self.hosts.plans["127.4.0.4"] = {"ehlo": bare}
        self.hosts.plans[self.address["dsn"]] = {"ehlo": b"250-h\r\n250 DSN\r\n"}
        self.hosts.plans[self.address["notify"]] = {"rcpt": b"550 5.1.1 no\r\n"}
        for name in ("dsn", "no-dsn"):
            send(self.relay.port, f"RCPT TO:<{self.to(name)}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@c.test", MESSAGE,
                 params=" RET=HDRS ENVID=e+3Df")
        for notify in ("NEVER", "SUCCESS", "DELAY"):
            send(self.relay.port, f"RCPT TO:<{notify}@{self.domain['notify']}> NOTIFY={notify}", MESSAGE)
        send(self.relay.port, f"RCPT TO:<FAILURE@{self.domain['notify']}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;first+2B@c.test", MESSAGE,
             params=" ENVID=e+3Df")
        self.send("notify", locals_=("null",), sender="")
        for name in [row[0] for row in REPLIES + LOOKUPS] + ["second-mx", "not-past-us", "moves"]:
            self.send(name)
        for name in ("many", "many452"):
            self.send(name, locals_=[f"u{i}" for i in range(10)])
        self.send("mix", locals_=("good", "later", "gone"))
        self.send("mid421", locals_=("one", "two"))
        for name in ("8bit", "8bit-second", "8bit-unheard"):
            self.send(name, content=b"Subject: x\r\n\r\n\xe4\xf6\r\n", params=" BODY=8BITMIME")
        self.send("utf8", sender="\u00fc@good.test", params=" SMTPUTF8")

    def first_outcome(self, name, wanted, local="u"):
        to = self.to(name, local)
        attempts = wait_for(lambda: self.attempts_now.get(to) or self.refresh().get(to) or wanted == KEPT and self.waits(to), 4,
                            "an attempt", every=0.1)
        if attempts is True:
            return []  # what fails before a message is at hand leaves no attempt of it
        last = attempts[0]
        where = f"first attempt: {last['disposition']} in {last['stage']!r}, {last['code']} {last['status']} {last['reply'][:200]!r}"
        if wanted == KEPT:
            expect(all(a["disposition"] in ("parked", "deferred", "again") for a in attempts), where)
        elif wanted == DELIVERED:
            expect_equal(last["disposition"], "delivered", where)
        else:
            expect_equal((last["disposition"], last["status"]), ("failed", wanted), where)
        return attempts

    def waits(self, to):
        """It is queued, and the operator is told why."""
        found = self.relay.cli("list", "--to", to, "--json", status=None)
        return found != "" and json.loads(found)["recipients"][0].get("delay_reason", "") != ""

    def refresh(self):
        self.attempts_now = bb.attempts_of(self.relay)
        return self.attempts_now

    def notices_for(self, recipient):
        return [m for m in self.hosts.to("s@good.test") if f"Final-Recipient: rfc822; {recipient}".encode() in m["content"]]

    def check_first(self, row):
        name, wanted = row[0], row[-1]
        self.first_outcome(name, wanted)
        if wanted not in (KEPT, DELIVERED):
            notice = wait_for(lambda: self.notices_for(self.to(name)), 5, "a notice")[0]["content"]
            expect(f"Status: {wanted}\r\n".encode() in notice, "the notice has another status")

    def heal(self):
        self.hosts.plans.clear()
        self.dns.control("normal *")
        self.hosts.plans["127.4.0.2"] = {"banner": DROP}

    def check_healed(self, row):
        """Kept mail arrived, nothing bounced, and twice only where the reply to the dot was lost."""
        name, wanted = row[0], row[-1]
        to = self.to(name)
        if wanted == KEPT and name != "dns-alias-loop":
            wait_for(lambda: self.hosts.to(to) and self.is_finished(to), 15, "kept mail arrives", every=0.1)
        elif wanted == KEPT:
            return
        expect(wanted not in (KEPT, DELIVERED) or not self.notices_for(to), "a notice was sent")
        copies = len(self.hosts.to(to))
        if wanted == DELIVERED:
            expect_equal(copies, 1, "copies")
        elif wanted != KEPT:
            expect_equal(len(self.notices_for(to)), 1, "notices")
            expect_equal(copies, 0, "copies of what was returned")
        elif not name.startswith("dot-"):
            expect_equal(copies, 1, "copies")

    def is_finished(self, to):
        attempts = self.refresh().get(to, [])
        return attempts and attempts[-1]["disposition"] == "delivered"

    # --- several recipients ---

    def check_many(self, row):
        name = row[0]
        wait_for(lambda: all(self.hosts.to(self.to(name, f"u{i}")) for i in range(10)), 10, "all arrive")
        expect_equal([len(self.hosts.to(self.to(name, f"u{i}"))) for i in range(10)], [1] * 10, "copies of each")
        expect(all(len(m["to"]) <= 3 for m in self.hosts.got(self.address[name])), "more at once than the host takes")

    def check_mix(self, _):
        self.first_outcome("mix", DELIVERED, "good")
        self.first_outcome("mix", KEPT, "later")
        self.first_outcome("mix", "5.1.1", "gone")

    def check_mix_healed(self, _):
        later = self.to("mix", "later")
        wait_for(lambda: self.hosts.to(later), 10, "the deferred one arrives", every=0.1)
        expect_equal([len(self.hosts.to(self.to("mix", local))) for local in ("good", "later", "gone")], [1, 1, 0], "copies")
        expect_equal(len(self.notices_for(self.to("mix", "gone"))), 1, "notices")

    def check_mid421(self, _):
        for local in ("one", "two"):
            self.first_outcome("mid421", KEPT, local)

    def check_mid421_healed(self, _):
        for local in ("one", "two"):
            wait_for(lambda local=local: self.hosts.to(self.to("mid421", local)), 10, "it arrives", every=0.1)
            expect_equal(len(self.hosts.to(self.to("mid421", local))), 1, "copies")

    def check_8bit(self, _):
        self.first_outcome("8bit", "5.6.3")

    def check_8bit_second(self, _):
        """One host of the site cannot take it, another one can: it goes there, whole."""
        self.first_outcome("8bit-second", DELIVERED)
        got = self.hosts.got(self.address["8bit-second"])
        expect_equal(len(got), 1, "copies")
        expect(b"\xe4\xf6" in got[0]["content"], "the content was changed")

    def check_8bit_unheard(self, _):
        """Nor can the one that is up, and what the other can is not known: it waits."""
        self.first_outcome("8bit-unheard", KEPT)

    def check_utf8(self, _):
        self.first_outcome("utf8", "5.6.7")

    def check_dsn_passed_on(self, _):
        self.first_outcome("dsn", DELIVERED)
        said = b"".join(self.hosts.said(self.address["dsn"]))
        for part in (b" RET=HDRS", b" ENVID=e+3Df", b" NOTIFY=SUCCESS,FAILURE", b" ORCPT=rfc822;a+2Bb@c.test"):
            expect(part in said, f"{part} not in {said}")

    def check_dsn_not_offered(self, _):
        self.first_outcome("no-dsn", DELIVERED)
        said = b"".join(self.hosts.said(self.address["no-dsn"]))
        expect(not re.search(rb" (RET|ENVID|NOTIFY|ORCPT)=", said), f"said {said}")
        # whose success is ours to tell; the other's is not
        notice = wait_for(lambda: self.notices_for(self.to("no-dsn")), 5, "the notice of success")[0]["content"]
        for field in (b"Action: relayed\r\n", b"Original-Envelope-Id: e=f\r\n", b"Original-Recipient: rfc822; a+b@c.test\r\n"):
            expect(field in notice, f"{field} not in {notice.decode()}")
        expect_equal(len(self.notices_for(self.to("dsn"))), 0, "notices of what went to a host with DSN")

    def check_notify(self, _):
        """NOTIFY decides on notices; nobody is told of what has no sender."""
        for local in ("NEVER", "SUCCESS", "DELAY", "FAILURE", "null"):
            self.first_outcome("notify", "5.1.1", local)
        notice = wait_for(lambda: self.notices_for(self.to("notify", "FAILURE")), 5, "the notice that is wanted")[0]["content"]
        for field in (b"Original-Envelope-Id: e=f\r\n", b"Original-Recipient: rfc822; first+@c.test\r\n"):
            expect(field.replace(b"; ", b";") in notice.replace(b"; ", b";"), f"{field} not in {notice.decode()}")
        for local in ("NEVER", "SUCCESS", "DELAY", "null"):
            expect_equal(len(self.notices_for(self.to("notify", local))), 0, f"notices for {local}")
        expect_equal([m for m in self.hosts.messages if m["to"] == [""]], [], "mail to nobody")

    def check_second_mx(self, _):
        wait_for(lambda: self.hosts.got(self.address["second-mx"]), 5, "the second MX gets it")

    def check_not_past_us(self, _):
        self.first_outcome("not-past-us", KEPT)
        expect_equal(self.hosts.said(self.address["not-past-us"]), [], "what an MX worse than us heard")

    def check_moves(self, _):
        self.first_outcome("moves", KEPT)
        self.dns.control(f"set {self.domain['moves']} MX 10 mx2.{self.domain['moves']} 1")
        self.relay.process.signal(lib.signal.SIGHUP)
        wait_for(lambda: self.hosts.got(self.address["moves"]), 8, "the new MX gets it")

    def check_bounded_lookups(self, _):
        queries = self.dns.events("query")
        names = {e["name"] for e in queries if e["name"].endswith("dns-1000-mx.test") and not e["name"].startswith("_")}
        expect(1 < len(names) <= 21, f"{len(names)} names were asked for one domain")

    def check_printable(self, _):
        """What broken hosts said reaches log and operator escaped."""
        texts = {"the log": self.relay.log(), "log --json": self.relay.cli("log", "--all", "--state=any", "--json"),
                 "log": self.relay.cli("log", "--all", "--state=any"), "sites": self.relay.cli("sites")}
        for name, text in texts.items():
            bad = re.search(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", text)
            expect(not bad, f"{name} has {bad and text[max(0, bad.start() - 60):bad.end() + 60]!r}")

    def check_starttls_injected(self, _):
        lines = self.hosts.said(self.address["starttls-injected"])
        at = [i for i, line in enumerate(lines) if line.upper().startswith(b"STARTTLS")]
        expect(at, f"STARTTLS was never said: {lines}")
        expect(all(i + 1 == len(lines) or lines[i + 1][:4] in (b"EHLO", b"QUIT", b"STAR") for i in at), f"went on behind it: {lines}")


def loop_through_ourselves(world, allowed):
    """The MX is a listener of our own."""
    def check(_):
        port = lib.free_port()
        dns = world.dns(["loop.test A 127.0.0.1"], name=f"loop-{allowed}")
        relay = world.relay({"delivery.port": port, "listeners": [{"address": f"127.0.0.1:{port}"}], "queue.min-free": "10M",
                             "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"] if allowed else []},
                            name=f"loop-{allowed}")
        relay.port = port
        relay.start()
        send(port, "u@loop.test", MESSAGE, sender="s@loop.test")
        wait_for(lambda: relay.queued() == 0 and "status=bounced" in relay.log(), 10, "it ends", every=0.1)
        accepted = relay.log().count("client=")
        expect(accepted <= (15 if allowed else 1), f"{accepted} rounds")
        expect("dsn=5.4.6" in relay.log(), relay.log()[-1500:])
        relay.kill()
    return check


def connections(world):
    """Hosts that cannot be reached delay nobody else's mail, and the next address is tried: row 23."""
    port = lib.common_port(["127.5.0.1", "127.5.0.2", "127.5.0.3", "127.5.0.4"])
    good, resetting = bb.Hosts("127.5.0.3", port), bb.Hosts("127.5.0.4", port)
    resetting.plans["127.5.0.4"] = {"banner": reset}
    silent = socket.create_server(("127.5.0.1", port), backlog=0)
    queue = [socket.socket() for _ in range(4)]  # once these wait, the kernel drops further SYN
    for one in queue:
        one.setblocking(False)
        one.connect_ex(("127.5.0.1", port))
    names = {"silent": ["127.5.0.1"], "refusing": ["127.5.0.2"], "good": ["127.5.0.3"], "resetting": ["127.5.0.4"],
             "silent-then-good": ["127.5.0.1", "127.5.0.3"], "refusing-then-good": ["127.5.0.2", "127.5.0.3"],
             "resetting-then-good": ["127.5.0.4", "127.5.0.3"]}
    dns = world.dns([line for name, addresses in names.items() for i, at in enumerate(addresses)
                     for line in (f"{name}.test MX {i} mx{i}.{name}.test", f"mx{i}.{name}.test A {at}")], name="dns-23")
    relay = world.relay({"delivery.port": port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
                         "queue.min-free": "10M", "delivery.connect-timeout": "700ms"}, name="connections")
    relay.start()

    def check(row):
        name, _, is_delivered = row
        begun = bb.time.monotonic()
        send(relay.port, f"u@{name}.test", MESSAGE, sender="s@good.test")
        if is_delivered:
            wait_for(lambda: good.to(f"u@{name}.test"), 5, "it arrives")
            expect(bb.time.monotonic() - begun < 2, f"after {bb.time.monotonic() - begun:.1f} s")
            expect_equal(len(good.to(f"u@{name}.test")), 1, "copies")
            return
        attempt = wait_for(lambda: bb.attempts_of(relay).get(f"u@{name}.test"), 5, "an attempt", every=0.1)[0]
        expect_equal(attempt["disposition"], "parked", f"{attempt}")
        send(relay.port, f"other-{name}@good.test", MESSAGE, sender="s@good.test")
        begun = bb.time.monotonic()
        wait_for(lambda: good.to(f"other-{name}@good.test"), 5, "other mail arrives")
        expect(bb.time.monotonic() - begun < 1, "other mail is late")

    check.sockets = [silent, *queue]
    return check


def reset(_line, session):
    session.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.file.close()
    return DROP


def main():
    suite = bb.Suite()
    with lib.World("hosts") as world:
        outside = Outside(world)
        outside.start()
        outside.refresh()
        suite.group("hostile hosts", REPLIES, outside.check_first)
        suite.group("look-ups", LOOKUPS, outside.check_first)
        suite.group("several recipients", [("many", "5321 4.5.3.1.10", outside.check_many), ("many452", "5321 4.5.3.1.10", outside.check_many),
                                           ("mix", "row 28", outside.check_mix), ("mid421", "row 28", outside.check_mid421)],
                    lambda row: row[2](row))
        suite.group("several hosts", [("second-mx", "row 22", outside.check_second_mx), ("not-past-us", "row 22", outside.check_not_past_us),
                                      ("moves", "row 22", outside.check_moves), ("1000-mx", "row 18", outside.check_bounded_lookups)],
                    lambda row: row[2](row))
        suite.group("abilities", [("8bit", "6152 3", outside.check_8bit), ("8bit-second", "6152 3", outside.check_8bit_second),
                                  ("8bit-unheard", "6152 3", outside.check_8bit_unheard),
                                  ("utf8", "6531 3.2", outside.check_utf8),
                                  ("dsn-passed-on", "3461 5.2.1", outside.check_dsn_passed_on),
                                  ("dsn-not-offered", "3461 5.2.2", outside.check_dsn_not_offered),
                                  ("notify", "3461 4.1", outside.check_notify)],
                    lambda row: row[2](row))
        suite.group("injection by TLS", [("starttls", "CVE-2021-38371", outside.check_starttls_injected)], lambda row: row[2](row))
        outside.heal()
        outside.relay.cli("retry", "--all", "--yes")  # what may have arrived is not tried again for long
        suite.group("healed", [(row[0], row[1], row[-1]) for row in REPLIES + LOOKUPS], outside.check_healed)
        suite.group("several recipients, healed", [("mix-healed", "row 28", outside.check_mix_healed),
                                                   ("mid421-healed", "row 28", outside.check_mid421_healed)], lambda row: row[2](row))
        suite.group("printable", [("printable", "row 26", outside.check_printable)], lambda row: row[2](row))
        suite.group("own listener", [("not-allowed", "row 20", loop_through_ourselves(world, False)),
                                     ("allowed", "row 36", loop_through_ourselves(world, True))], lambda row: row[2](row))
        suite.group("connections", [(name, "row 23", name == "good" or name.endswith("-good")) for name in (
            "silent", "refusing", "resetting", "good", "silent-then-good", "refusing-then-good", "resetting-then-good")],
                    connections(world))
        suite.group("hosts, unharmed", [("log", "", None)],
                    lambda _: expect(outside.relay.process.is_running(), outside.relay.log()))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
