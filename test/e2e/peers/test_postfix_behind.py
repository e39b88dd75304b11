#!/usr/bin/python3
"""Postfix behind: the relay delivers to it, and gets along with all of its answers."""

import email
import email.policy
import os
import re

from peer import (certificate, client, common_port, content_of, crlf, expect, expect_equal, lib, messages,
                  queue_is_empty, settings, wait_for)
from postfix import Postfix

MAIL = (b"From: Anna <anna@client.test>\nTo: users@behind.test\nSubject: for Postfix\nMessage-ID: <1@client.test>\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\n\nFirst line\n.dot\n..dots\n.\n \n" + b"x" * 998 + b"\nFrom the end\n")
EIGHT_BIT = MAIL + "Grüße, čaj, 郵件\n".encode()


def set_up(world, *postfix_settings, changes=None):
    """Postfix as the MX of behind.test on one address, a sink for client.test on another, both on one port."""
    port = common_port("127.0.4.1", "127.0.4.2")
    postfix = Postfix(world, "mx.behind.test", "behind.test", ["luigi", "mario", "later"], "127.0.4.1", port, postfix_settings)
    sink = world.sink(f"sink=127.0.4.2:{port}", args=["--maildir", world.path("maildir")])
    dns = world.dns(["behind.test MX 10 mx.behind.test", "mx.behind.test A 127.0.4.1", "client.test MX 10 mx.client.test",
                     "mx.client.test A 127.0.4.2"])
    relay = world.relay({**settings(dns.at["dns"], port), "retry.schedule": ["1s"], **(changes or {})})
    relay.start()
    return postfix, relay, sink


def original_of(mail):
    """What lies below the relay's trace field, and the trace above it (Postfix's own and the relay's)."""
    found = re.search(rb"Received: [^\r]*\r\n(?:[ \t][^\r]*\r\n)*?\tby relay\.outlast\.test .*\r\n(?:[ \t].*\r\n)*", mail)
    expect(found, f"the relay's Received field in {mail[:600]!r}")
    return mail[found.end():], mail[:found.end()]


def send(relay, content, *to, options=()):
    with client(relay.at) as smtp:
        expect_equal(smtp.sendmail("anna@client.test", to, crlf(content), options), {}, "refused by the relay")


def failures(world, sink, count):
    """{recipient: (status, diagnostic)} of the first notices that the sender got."""
    found = {}
    for message in messages(sink, count, 20):
        report = email.message_from_bytes(content_of(world, message), policy=email.policy.default)
        for group in list(report.iter_parts())[1].get_payload()[1:]:
            recipient = str(group["Final-Recipient"]).partition("; ")[2]
            found[recipient] = (group["Status"], " ".join(group["Diagnostic-Code"].split()))
    return found


def test_mail_arrives_in_mailboxes_octet_for_octet(world):
    postfix, relay, _ = set_up(world)
    send(relay, MAIL, "luigi@behind.test", "mario@behind.test")
    for user in ("luigi", "mario"):
        original, trace = original_of(postfix.wait_for_mails(user, 1)[0])
        expect(original == crlf(MAIL), f"sent {crlf(MAIL)!r}, arrived {original!r}")
        expect(trace.startswith(b"Return-Path: <anna@client.test>\r\n"), f"trace {trace!r}")
        expect(b"by mx.behind.test (Postfix" in trace and b"with ESMTP id" in trace, f"trace {trace!r}")
    send(relay, EIGHT_BIT, "luigi@behind.test", options=["BODY=8BITMIME"])
    mails = postfix.wait_for_mails("luigi", 2)
    expect(crlf(EIGHT_BIT) in [original_of(mail)[0] for mail in mails], "the 8-bit mail arrived altered")
    wait_for(lambda: queue_is_empty(relay), 10, "the relay's queue is empty")
    expect_equal(relay.log().count("status=sent (250 2.0.0 Ok: queued as "), 3, "deliveries in the relay's log")


def test_some_taken_some_later_some_never(world):
    greylist = world.path("greylist")
    with open(greylist, "w", encoding="ascii") as file:
        file.write("later@behind.test 450 4.2.0 Greylisted, come back later\n")
    os.chmod(greylist, 0o644)
    postfix, relay, sink = set_up(world, f"smtpd_recipient_restrictions = check_recipient_access texthash:{greylist}, "
                                         "permit_mynetworks, reject_unauth_destination",
                                  changes={"delivery.messages-per-connection": 1})  # a new smtpd reads the list anew
    send(relay, MAIL, "luigi@behind.test", "nobody@behind.test", "later@behind.test", "mario@behind.test")
    for user in ("luigi", "mario"):
        expect_equal(len(postfix.wait_for_mails(user, 1)), 1, f"mails for {user}")
    told = failures(world, sink, 1)
    expect_equal(list(told), ["nobody@behind.test"], "failed recipients")
    status, diagnostic = told["nobody@behind.test"]
    expect_equal(status, "5.1.1", "status")
    expect(diagnostic.startswith("smtp; 550 5.1.1 <nobody@behind.test>: Recipient address rejected: User unknown"), diagnostic)
    deferral = r"to=<later@behind.test>, .* dsn=4\.2\.0, status=deferred \(450 4\.2\.0 .*Greylisted, come back later"
    wait_for(lambda: len(re.findall(deferral, relay.log())) >= 2, 20, "two deferrals by the greylist")
    expect_equal(postfix.mails("later"), [], "mails for later before its time")
    with open(greylist, "w", encoding="ascii") as file:
        file.write("nobody@elsewhere.test 550 no\n")
    postfix.reload()
    expect_equal(len(postfix.wait_for_mails("later", 1)), 1, "mails for later")
    wait_for(lambda: queue_is_empty(relay), 10, "the relay's queue is empty")
    expect_equal([len(postfix.mails(user)) for user in ("luigi", "mario", "later")], [1, 1, 1], "mails each")
    expect_equal(len(sink.messages()), 1, "notices")


def test_size_limit_is_heeded_before_sending(world):
    postfix, relay, sink = set_up(world, "message_size_limit = 50000")
    large = MAIL + (b"z" * 76 + b"\n") * 1000
    send(relay, large, "luigi@behind.test")
    status, diagnostic = failures(world, sink, 1)["luigi@behind.test"]
    expect_equal(status, "5.3.4", "status")
    expect("larger than the next hop takes" in diagnostic, f"the reason: {diagnostic}")
    send(relay, MAIL, "luigi@behind.test")
    expect_equal(len(postfix.wait_for_mails("luigi", 1)), 1, "mails for luigi")
    expect("too big" not in postfix.log() and "size limit" not in postfix.log(), f"Postfix had to refuse:\n{postfix.log()}")


def test_starttls_when_postfix_offers_it(world):
    pem, key = certificate(world, "mx")
    postfix, relay, _ = set_up(world, "smtpd_tls_security_level = may", f"smtpd_tls_cert_file = {pem}",
                               f"smtpd_tls_key_file = {key}", "smtpd_tls_received_header = yes", "smtpd_tls_loglevel = 1")
    send(relay, MAIL, "luigi@behind.test")
    original, trace = original_of(postfix.wait_for_mails("luigi", 1)[0])
    expect(original == crlf(MAIL), "the mail arrived altered")
    expect(b"using TLSv1.3" in trace and b"with ESMTPS id" in trace, f"trace {trace!r}")


def test_tls_is_not_given_up_where_it_is_required(world):
    """Postfix without STARTTLS, and a policy that wants it: the mail waits, in clear text it does not go."""
    postfix, relay, sink = set_up(world, changes={"delivery.tls": "require"})
    send(relay, MAIL, "luigi@behind.test")
    wait_for(lambda: re.search(r"suspect after .*(?i:starttls|tls)", relay.log()), 15, "a log line on the missing TLS")
    expect_equal((postfix.mails("luigi"), sink.messages()), ([], []), "mails")


def test_many_messages_over_few_connections(world):
    postfix, relay, sink = set_up(world)
    figures = world.load(relay.at, count=200, sessions=4, rcpt=["luigi@behind.test", "mario@behind.test"], size="1K-9K",
                         pipelining=True, timeout=20)
    expect_equal(figures["accepted"], 200, "accepted")
    wait_for(lambda: queue_is_empty(relay), 40, "the relay's queue is empty")
    wait_for(lambda: not postfix.queue(), 20, "Postfix's queue is empty")
    found = postfix.mails("luigi") + postfix.mails("mario")
    tokens = sorted(re.search(rb"^X-Outlast-Token: (\S+)\r$", mail, re.M).group(1).decode() for mail in found)
    sent = sorted(entry["token"] for entry in lib.read_journal(world.path("client.journal")))
    expect_equal(tokens, sent, "tokens in the mailboxes")
    connections = postfix.log().count(" connect from ")
    expect(connections < 60, f"{connections} connections for 200 messages")
    expect("improper command pipelining" not in postfix.log(), "Postfix found fault with the pipelining")
    expect_equal(sink.messages(), [], "notices")


lib.run(globals())
