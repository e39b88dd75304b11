#!/usr/bin/python3
"""A real name server, Knot DNS, tells the relay where mail goes; the sinks tell whether it went there.

All domains of the tests lie in one zone, test., so that Knot says NXDOMAIN and NODATA with a SOA. Beside it, broken. is a
zone whose file is missing (SERVFAIL), and for anything else Knot says REFUSED.
"""

import email
import re

from knot import Knot
from peer import common_port, content_of, expect, expect_equal, lib, messages, queue_is_empty, settings, wait_for

HOSTS = {"mx1": "127.0.1.1", "mx2": "127.0.1.2", "mx3": "127.0.1.3", "implicit": "127.0.1.4", "client": "127.0.1.5"}
ZONE = """
$ORIGIN test.
$TTL 60
@         SOA   ns hostmaster 1 3600 600 86400 60
          NS    ns
ns        A     127.0.0.1
mx1       A     127.0.1.1
mx2       A     127.0.1.2
mx3       A     127.0.1.3
three     MX    30 mx3
          MX    10 mx1
          MX    20 mx2
; the best host's name has no address
gap       MX    5 nobody-home
          MX    20 mx2
implicit  A     127.0.1.4
null      MX    0 .
; against RFC 2181, and seen every day
aliased   MX    10 alias
alias     CNAME mx3
www       CNAME three
nodata    TXT   "no mail here"
unusable  MX    10 nobody-home
*.wild    MX    10 mx3
client    MX    10 mxclient
mxclient  A     127.0.1.5
"""


def set_up(world, clock_rate=None, **more):
    knot = Knot(world, ZONE, missing=["broken"])
    port = common_port(*HOSTS.values())
    sink = world.sink(*(f"{name}={at}:{port}" for name, at in HOSTS.items()), args=["--maildir", world.path("maildir")])
    relay = world.relay({**settings(knot.at, port), **more})
    relay.start(clock_rate=clock_rate)
    return knot, sink, relay


def send(world, relay, *recipients):
    """One mail to each, all of them accepted."""
    for number, recipient in enumerate(recipients):
        send.count += 1
        figures = world.load(relay.at, count=1, prefix=f"{send.count}", rcpt=recipient, size="1K", timeout=20)
        expect_equal(figures["accepted"], 1, f"{recipient} accepted, number {number}")


send.count = 0


def where(sink):
    """{recipient: host} of all that is not a notice."""
    return {m["to"][0]: m["host"] for m in sink.messages() if not m["dsn"]}


def notices(world, sink):
    """{recipient that failed: (status, diagnostic)} of the notices that the sender got."""
    found = {}
    for message in sink.messages():
        if message["dsn"]:
            expect_equal(message["host"], "client", "host of the notice")
            report = list(email.message_from_bytes(content_of(world, message)).walk())
            for part in report:
                if part["Final-Recipient"]:
                    recipient = part["Final-Recipient"].partition(";")[2].strip()
                    found[recipient] = (part["Status"], " ".join((part["Diagnostic-Code"] or "").split()))
    return found


def test_mail_goes_where_the_zone_says(world):
    _, sink, relay = set_up(world)
    send(world, relay, "a@three.test", "a@gap.test", "a@implicit.test", "a@aliased.test", "a@www.test", "a@deep.wild.test")
    messages(sink, 6)
    expect_equal(where(sink), {"a@three.test": "mx1", "a@gap.test": "mx2", "a@implicit.test": "implicit",
                               "a@aliased.test": "mx3", "a@www.test": "mx1", "a@deep.wild.test": "mx3"}, "hosts")
    wait_for(lambda: queue_is_empty(relay), 10, "the queue is empty")
    expect_equal(world.ledger()["delivered"], 6, "delivered")


def test_fail_over_in_order_of_preference(world):
    _, sink, relay = set_up(world)
    sink.control("mx1 refuse")
    sink.control("mx2 reply banner 421 4.3.2 too busy")
    send(world, relay, "a@three.test")
    messages(sink, 1)
    expect_equal(where(sink), {"a@three.test": "mx3"}, "with the first refusing and the second busy")
    stats = sink.control.stats()
    expect(stats["mx2"]["connections"] >= 1, "the second was asked")
    sink.control("mx2 up")
    sink.control("mx3 refuse")
    send(world, relay, "b@three.test")
    messages(sink, 2)
    expect_equal(where(sink)["b@three.test"], "mx2", "with only the second there")
    sink.control("* up")
    expect_equal(world.ledger()["delivered"], 2, "delivered")


def test_domains_without_mail_are_told_to_the_sender(world):
    _, sink, relay = set_up(world)
    send(world, relay, "a@null.test", "a@nowhere.test", "a@nodata.test", "a@three.test")
    messages(sink, 4)
    wait_for(lambda: queue_is_empty(relay), 10, "the queue is empty")
    told = notices(world, sink)
    expect_equal({to: status for to, (status, _) in told.items()},
                 {"a@null.test": "5.1.10", "a@nowhere.test": "5.1.2", "a@nodata.test": "5.1.2"}, f"notices: {told}")
    sums = world.ledger()
    expect_equal((sums["delivered"], sums["bounced"]), (1, 3), "delivered and bounced")


def test_name_server_trouble_is_no_answer(world):
    knot, sink, relay = set_up(world, clock_rate=60, **{"dns.timeout": "300ms", "dns.tries": 1})
    send(world, relay, "a@broken", "a@sub.broken", "a@elsewhere.example")
    for domain, rcode in (("broken", "SERVFAIL"), ("sub.broken", "SERVFAIL"), ("elsewhere.example", "REFUSED")):
        wait_for(lambda line=f"next hop {domain} is suspect after .*{rcode}": re.search(line, relay.log()), 15,
                 f"a log line on {domain}")
    knot.stop()
    send(world, relay, "a@three.test")
    wait_for(lambda: re.search(r"next hop three.test is suspect after .* dns: ", relay.log()), 15,
             "a log line while the name server is down")
    expect_equal(sink.messages(), [], "messages while no name was found")
    knot.start()
    messages(sink, 1, 20)
    expect_equal(where(sink), {"a@three.test": "mx1"}, "once the name server is back")
    expect_equal(world.ledger(queued=3)["bounced"], 0, "bounced")


lib.run(globals())
