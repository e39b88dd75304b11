#!/usr/bin/python3
"""Postfix in front: its relayhost is the relay, mail goes on by MX, and what fails comes back through Postfix."""

import email
import email.policy

from peer import (common_port, content_of, expect, expect_equal, lib, messages, queue_is_empty, settings, wait_for)
from postfix import Postfix

MAIL = (b"From: Anna <anna@front.test>\nTo: luigi@a.test\nSubject: through Postfix\nMessage-ID: <1@front.test>\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\nGr\xc3\xbc\xc3\x9fe\n.dot\n..dots\n" + b"x" * 900 + b"\nend\n")
BODY = MAIL.partition(b"\n\n")[2].replace(b"\n", b"\r\n")


def set_up(world):
    """Postfix for front.test on one address, a sink for a.test on another, both on the port that the relay delivers to."""
    port = common_port("127.0.3.1", "127.0.3.2")
    sink = world.sink(f"sink=127.0.3.2:{port}", args=["--maildir", world.path("maildir")])
    dns = world.dns(["a.test MX 10 mx.a.test", "mx.a.test A 127.0.3.2", "front.test MX 10 mail.front.test",
                     "mail.front.test A 127.0.3.1"])
    relay = world.relay(settings(dns.at["dns"], port))
    postfix = Postfix(world, "mail.front.test", "front.test", ["anna"], "127.0.3.1", port,
                      [f"relayhost = [127.0.0.1]:{relay.port}"])
    return postfix, relay, sink


def expect_through(postfix, relay):
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    wait_for(lambda: not postfix.queue(), 20, "Postfix's queue is empty")


def test_mail_goes_through_both(world):
    postfix, relay, sink = set_up(world)
    relay.start()
    postfix.sendmail(MAIL, "anna@front.test", "luigi@a.test", "mario@a.test")
    message = messages(sink, 1, 20)[0]
    expect_equal((message["from"], message["to"]), ("anna@front.test", ["luigi@a.test", "mario@a.test"]), "envelope")
    content = content_of(world, message)
    expect_equal(content.partition(b"\r\n\r\n")[2], BODY, "body")
    expect("BODY=8BITMIME" in message["params"], f"BODY=8BITMIME in {message['params']!r}")
    received = email.message_from_bytes(content).get_all("Received")
    expect("by relay.outlast.test (Outlast)" in received[0] and "from mail.front.test" in received[0], f"first {received[0]}")
    expect("by mail.front.test (Postfix" in received[1], f"second {received[1]}")
    expect("status=sent (250 2.0.0 " in postfix.log(), f"Postfix's log:\n{postfix.log()}")

    # Many, by SMTP: Postfix's connections in parallel, pipelining, reuse. The digests bear out the content.
    figures = world.load(f"127.0.3.1:{postfix.port}", count=150, sessions=5, rcpt=["u%d@a.test", "v%d@a.test"], multi_rcpt=2,
                         size="1K-20K", pipelining=True, timeout=20)
    expect_equal(figures["accepted"], 150, "accepted by Postfix")
    messages(sink, 151, 40)
    expect_through(postfix, relay)
    sums = world.ledger()
    expect_equal((sums["delivered"], sums["lost"], sums["altered"]), (sums["accepted"], 0, 0), "the ledger")


def test_failure_comes_back_through_postfix(world):
    postfix, relay, sink = set_up(world)
    relay.start()
    sink.control("sink reply rcpt 550 5.1.1 no such user for nobody@*")
    postfix.sendmail(MAIL.replace(b"luigi@", b"nobody@"), "anna@front.test", "nobody@a.test", "luigi@a.test")
    notice = email.message_from_bytes(postfix.wait_for_mails("anna", 1)[0], policy=email.policy.default)
    expect_equal(notice["Return-Path"], "<>", "Return-Path of the notice")
    expect_equal((notice.get_content_type(), notice.get_param("report-type")), ("multipart/report", "delivery-status"), "type")
    groups = list(notice.iter_parts())[1].get_payload()
    expect_equal([str(group["Final-Recipient"]) for group in groups[1:]], ["rfc822; nobody@a.test"], "failed recipients")
    expect_equal(str(groups[0]["Reporting-MTA"]), "dns; relay.outlast.test", "Reporting-MTA")
    expect_equal([m["to"] for m in messages(sink, 1)], [["luigi@a.test"]], "delivered")
    expect_through(postfix, relay)


def test_refusal_by_the_relay_is_returned_by_postfix(world):
    """What the relay does not take, Postfix returns itself: nothing is lost between the two."""
    postfix, relay, sink = set_up(world)
    relay.configure({**relay.settings, "limits.message-size-max": "64K"})
    relay.start()
    postfix.sendmail(MAIL + b"y" * 70 * 1400 + b"\n", "anna@front.test", "luigi@a.test")
    notice = email.message_from_bytes(postfix.wait_for_mails("anna", 1)[0], policy=email.policy.default)
    groups = list(notice.iter_parts())[1].get_payload()
    expect_equal(str(groups[0]["Reporting-MTA"]), "dns; mail.front.test", "Reporting-MTA")
    expect("message size" in notice.as_string(), "the reason in the notice")
    expect_equal(sink.messages(), [], "messages at the sink")


def test_queue_of_postfix_moves_over(world):
    """The relay is put in place while Postfix sits on its mail: relayhost is set, postqueue -f sends it all."""
    postfix, relay, sink = set_up(world)
    for number in range(20):
        postfix.sendmail(MAIL, "anna@front.test", f"u{number}@a.test")
    wait_for(lambda: postfix.log().count("status=deferred") >= 20, 20, "20 deferrals in Postfix")
    relay.start()
    postfix.run("postqueue", "-f")
    expect_equal({m["to"][0] for m in messages(sink, 20, 30)}, {f"u{number}@a.test" for number in range(20)}, "recipients")
    expect_through(postfix, relay)


lib.run(globals())
