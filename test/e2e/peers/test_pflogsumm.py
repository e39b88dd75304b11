#!/usr/bin/python3
"""pflogsumm, written for Postfix, reads the relay's log and counts what the client, the sink and the ledger count."""

import re
import smtplib

from peer import between, expect_equal, fetch_packages, lib, program, queue_is_empty, run_program

GOOD, UNKNOWN, LATER = 40, 7, 5


def totals_of(report):
    """The grand totals: {"received": 12, "deferrals": 3, ...}; pflogsumm writes 12k for 12,000."""
    section = report.partition("Grand Totals")[2].partition("Per-Hour")[0]
    totals = {name: int(number) for number, name in re.findall(r"^ +(\d+)  +([a-z]+(?: [a-z/]+)*)", section, re.M)}
    deferrals = re.search(r"deferred +\((\d+) +deferrals\)", section)
    totals["deferrals"] = int(deferrals.group(1)) if deferrals else 0
    return totals


def test_pflogsumm_counts_what_the_ledger_counts(world):
    fetch_packages("pflogsumm")
    relay, sink = between(world, "a.test", "b.test", "client.test", changes={"retry.schedule": ["1s"], "retry.jitter": "0%"})
    sink.control("sink reply rcpt 550 5.1.1 no such user for nobody*")
    for number in range(LATER):
        sink.control(f"sink times {1 + number % 2} reply rcpt 450 4.2.0 come back later for later{number}@*")
    accepted = 0
    for prefix, count, rcpt in (("good", GOOD, "u%d@a.test"), ("unknown", UNKNOWN, "nobody%d@b.test"),
                                ("later", LATER, "later%d@b.test")):
        accepted += world.load(relay.at, count=count, prefix=prefix, rcpt=rcpt, size="1K-9K", timeout=20)["accepted"]
    expect_equal(accepted, GOOD + UNKNOWN + LATER, "accepted")
    lib.wait_for(lambda: sink.control.stats()["sink"]["messages"] == accepted, 30, "all is delivered or returned")
    lib.wait_for(lambda: queue_is_empty(relay), 10, "the queue is empty")
    sums = world.ledger()
    expect_equal((sums["delivered"], sums["bounced"]), (GOOD + LATER, UNKNOWN), "delivered and bounced in the ledger")
    relay.stop()

    report = run_program([program("pflogsumm"), "--syslog-name=outlast", relay.process.log_path]).decode()
    totals = totals_of(report)
    wanted = {"received": accepted, "delivered": sums["delivered"] + sums["bounced"], "deferred": LATER,
              "deferrals": sum(1 + number % 2 for number in range(LATER)), "bounced": sums["bounced"],
              "rejected": 0, "forwarded": 0, "held": 0, "discarded": 0,
              "recipients": len({to for m in sink.messages() for to in m["to"]}),
              "recipient hosts/domains": 3}
    expect_equal({name: totals.get(name) for name in wanted}, wanted, f"pflogsumm's totals in\n{report}\n")
    expect_equal("no size data" in report, False, "messages whose size pflogsumm did not find")


def test_pflogsumm_sees_rejects_and_reasons(world):
    fetch_packages("pflogsumm")
    relay, sink = between(world, "a.test", changes={"log.tag": "postfix", "trusted": ["127.0.0.1/32"],
                                                    "limits.message-size-max": "64K"})
    sink.control("sink reply rcpt 550 5.1.1 no such user for nobody@*")
    sink.control("sink reply rcpt 452 4.2.2 mailbox full for full@*")
    world.load(relay.at, count=1, rcpt="nobody@a.test", prefix="one")
    world.load(relay.at, count=1, rcpt="full@a.test", prefix="two")
    for status in ("bounced", "deferred"):
        lib.wait_for(lambda wanted=status: f"status={wanted}" in relay.log(), 15, f"a log line with status={status}")
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10, source_address=("127.0.0.2", 0)) as stranger:
        stranger.ehlo("stranger.test")
        stranger.mail("s@stranger.test")
        expect_equal([stranger.rcpt(f"u{number}@elsewhere.test")[0] for number in range(3)], [550] * 3, "relaying")
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as client:
        client.ehlo("client.test")
        expect_equal(client.mail("s@client.test", ["SIZE=90000"])[0], 552, "size")
    lib.wait_for(lambda: relay.log().count("NOQUEUE: reject: ") == 4, 5, "a line for each refusal")
    relay.stop()
    line = next(line for line in relay.log().splitlines() if "reject: RCPT" in line)
    expect_equal("NOQUEUE: reject: RCPT from localhost[127.0.0.2]: 550 5.7.1 Relaying denied" in line, True, line)
    expect_equal(line.endswith("; from=<s@stranger.test> to=<u0@elsewhere.test> proto=ESMTP helo=<stranger.test>"), True, line)
    report = run_program([program("pflogsumm"), "--problems-first", relay.process.log_path]).decode()
    for section, reason in (("message deferral detail", "mailbox full"), ("message bounce detail", "no such user"),
                            ("message reject detail", "not in a trusted network")):
        part = report.partition(section)[2].partition("\n\n")[0]
        expect_equal(reason in part, True, f"{reason!r} under {section!r} in\n{report}\n")


lib.run(globals())
