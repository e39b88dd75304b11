#!/usr/bin/python3
"""Postfix, the relay, Postfix: what a sender asked for arrives as he said it, and each kind of notice comes back to him.

In front: Postfix for front.test, whose relayhost is the relay. Behind: Postfix for behind.test, which passes mail for
onward.test on to a sink that shows what it heard; and the same sink as plain.test, which does not offer DSN.
"""

import email
import email.policy

from peer import client, common_port, expect, expect_equal, lib, queue_is_empty, settings, wait_for
from postfix import Postfix

FRONT, BEHIND, SINK = "127.0.5.1", "127.0.5.2", "127.0.5.3"
ENVID = "QQ+2B314+3Dx"
ORCPT = "rfc822;Orig+2BOne@Elsewhere.Test"
MAIL = (b"From: Anna <anna@front.test>\r\nTo: somebody\r\nSubject: round\r\nMessage-ID: <1@front.test>\r\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nThe body of it.\r\n")


def set_up(world):
    port = common_port(FRONT, BEHIND, SINK, "127.0.5.4")
    sink = world.sink(f"onward={SINK}:{port}", f"plain=127.0.5.4:{port}", args=["--maildir", world.path("maildir")])
    sink.control("plain ext -DSN")
    dns = world.dns(["front.test MX 10 mail.front.test", f"mail.front.test A {FRONT}", "behind.test MX 10 mx.behind.test",
                     "onward.test MX 10 mx.behind.test", f"mx.behind.test A {BEHIND}", "plain.test MX 10 mx.plain.test",
                     "mx.plain.test A 127.0.5.4"])
    relay = world.relay({**settings(dns.at["dns"], port), "outage.storm-guard": "no"})
    relay.start()
    relayhost = f"relayhost = [127.0.0.1]:{relay.port}"
    front = Postfix(world, "mail.front.test", "front.test", ["anna"], FRONT, port, [relayhost])
    Postfix(world, "mx.behind.test", "behind.test", ["luigi"], BEHIND, port,
            [relayhost, "relay_domains = onward.test", f"transport_maps = inline:{{ onward.test=smtp:[{SINK}]:{port} }}"],
            home="pb")
    return front, relay, sink


def send(front, mail_params, *recipients):
    """recipients: (address, parameters of RCPT)."""
    with client(f"{front.address}:{front.port}") as smtp:
        smtp.ehlo("client.test")
        expect("dsn" in smtp.esmtp_features, "Postfix offers DSN")
        for line in ([f"MAIL FROM:<anna@front.test>{mail_params}"] +
                     [f"RCPT TO:<{address}>{params}" for address, params in recipients]):
            code, text = smtp.docmd(line)
            expect_equal(code, 250, f"{line}: {text}")
        expect_equal(smtp.data(MAIL)[0], 250, "the content")


def parse(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        expect_equal(part.defects, [], f"defects of {part.get_content_type()}")
    return message


def report_of(content):
    """(notice, fields of the message, {recipient: fields}, type of what is returned) of a report."""
    notice = parse(content)
    expect_equal((notice.get_content_type(), notice.get_param("report-type")), ("multipart/report", "delivery-status"), "type")
    expect_equal(notice["Return-Path"], "<>", "Return-Path")
    parts = list(notice.iter_parts())
    groups = parts[1].get_payload()
    return notice, groups[0], {str(g["Final-Recipient"]).partition(";")[2].strip(): g for g in groups[1:]}, \
        parts[2].get_content_type()


def notify_of(params):
    return {word for part in params.split() if part.startswith("NOTIFY=") for word in part[7:].split(",")}


def test_wishes_arrive_intact_behind_postfix_relay_postfix(world):
    front, relay, sink = set_up(world)
    wishes = {"u1@onward.test": " NOTIFY=SUCCESS,FAILURE ORCPT=" + ORCPT, "u2@onward.test": " NOTIFY=NEVER",
              "u3@onward.test": " NOTIFY=DELAY ORCPT=rfc822;u3@first.test", "u4@onward.test": "",
              "u5@onward.test": " NOTIFY=SUCCESS,FAILURE,DELAY"}
    for ret in ("HDRS", "FULL"):
        before = len(sink.messages())
        send(front, f" RET={ret} ENVID={ENVID}", *wishes.items())
        wait_for(lambda: sum(len(m["to"]) for m in sink.messages()[before:]) == len(wishes), 20, "all at the sink")
        for message in sink.messages()[before:]:
            expect_equal({word for word in message["params"].split() if word[:4] in ("RET=", "ENVI")},
                         {f"RET={ret}", f"ENVID={ENVID}"}, "parameters of MAIL")
            for address, params in zip(message["to"], message["rcpt_params"]):
                expect_equal(notify_of(params), notify_of(wishes[address]), f"NOTIFY of {address}")
                # Postfix, which may, adds the address that it got; what was given stays.
                orcpt = [word[6:] for word in params.split() if word.startswith("ORCPT=")]
                expect_equal(orcpt, [wishes[address].partition("ORCPT=")[2] or f"rfc822;{address}"], f"ORCPT of {address}")
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    expect("sender" not in "".join(line for line in relay.log().splitlines() if "notification" in line),
           f"the relay wrote notices:\n{relay.log()[-2000:]}")


def test_success_is_reported_by_who_delivers_it(world):
    front, relay, _ = set_up(world)
    send(front, f" RET=HDRS ENVID={ENVID}", ("luigi@behind.test", " NOTIFY=SUCCESS ORCPT=" + ORCPT))
    _, message, recipients, returned = report_of(front.wait_for_mails("anna", 1)[0])
    expect_equal(str(message["Reporting-MTA"]), "dns; mx.behind.test", "Reporting-MTA")
    expect_equal(str(message["Original-Envelope-Id"]), "QQ+314=x", "Original-Envelope-Id")
    fields = recipients["luigi@behind.test"]
    expect_equal(str(fields["Original-Recipient"]).replace(" ", ""), "rfc822;Orig+One@Elsewhere.Test", "Original-Recipient")
    expect_equal(str(fields["Action"]), "delivered", "Action")
    expect_equal(returned, "text/rfc822-headers", "what is returned")
    expect("delivery status notification" not in relay.log(), "the relay spoke, too")


def test_success_without_dsn_behind_is_relayed(world):
    front, relay, _ = set_up(world)
    send(front, f" RET=FULL ENVID={ENVID}", ("yes@plain.test", " NOTIFY=SUCCESS,FAILURE ORCPT=" + ORCPT),
         ("also@plain.test", " NOTIFY=SUCCESS"), ("no@plain.test", " NOTIFY=FAILURE"), ("never@plain.test", " NOTIFY=NEVER"))
    notice, message, recipients, returned = report_of(front.wait_for_mails("anna", 1)[0])
    expect_equal(str(notice["Auto-Submitted"]), "auto-replied", "Auto-Submitted")
    expect_equal(str(message["Reporting-MTA"]), "dns; relay.outlast.test", "Reporting-MTA")
    expect_equal(str(message["Original-Envelope-Id"]), "QQ+314=x", "Original-Envelope-Id")
    expect_equal(str(message["Received-From-MTA"]), "dns; mail.front.test", "Received-From-MTA")
    expect_equal(sorted(recipients), ["also@plain.test", "yes@plain.test"], "who is named")
    fields = recipients["yes@plain.test"]
    expect_equal(str(fields["Original-Recipient"]), "rfc822; Orig+One@Elsewhere.Test", "Original-Recipient")
    for name, want in (("Action", "relayed"), ("Status", "2.0.0"), ("Remote-MTA", "dns; mx.plain.test"),
                       ("Diagnostic-Code", "smtp; 250 2.0.0 taken")):
        expect_equal(str(fields[name]), want, name)
    expect_equal(returned, "text/rfc822-headers", "RET is for failures: what is returned")
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    expect_equal(len(front.mails("anna")), 1, "notices")


def test_failure_returns_what_was_asked_for(world):
    front, relay, sink = set_up(world)
    sink.control("plain reply rcpt 550 5.1.1 no such user for *")
    for count, (ret, wanted) in enumerate((("FULL", "message/rfc822"), ("HDRS", "text/rfc822-headers")), 1):
        send(front, f" RET={ret} ENVID={ENVID}", ("a@plain.test", " NOTIFY=FAILURE ORCPT=" + ORCPT), ("b@plain.test", ""),
             ("never@plain.test", " NOTIFY=NEVER"), ("success@plain.test", " NOTIFY=SUCCESS"))
        contents = front.wait_for_mails("anna", count)
        found = [report_of(content) for content in contents]
        _, message, recipients, returned = next(f for f in found if f[3] == wanted)
        expect_equal(str(message["Original-Envelope-Id"]), "QQ+314=x", "Original-Envelope-Id")
        expect_equal(sorted(recipients), ["a@plain.test", "b@plain.test"], "who is named")
        fields = recipients["a@plain.test"]
        for name, want in (("Action", "failed"), ("Status", "5.1.1"), ("Diagnostic-Code", "smtp; 550 5.1.1 no such user"),
                           ("Original-Recipient", "rfc822; Orig+One@Elsewhere.Test")):
            expect_equal(str(fields[name]), want, name)
        content = next(c for c, f in zip(contents, found) if f[3] == wanted)
        expect_equal(b"The body of it." in content, ret == "FULL", f"the body is returned with RET={ret}")
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    expect_equal(len(front.mails("anna")), 2, "notices")
    expect_equal(sink.messages(), [], "delivered")


lib.run(globals())
