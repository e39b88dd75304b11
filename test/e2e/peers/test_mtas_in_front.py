#!/usr/bin/python3
"""Postfix, Exim and OpenSMTPD in front, with the relay as their smarthost: AUTH over verified TLS, content octet for octet,
DSN parameters, and what we put off with 4xx comes again, all of it, once."""

import smtplib

import exim
import opensmtpd
from peer import (PASSWORD, client, common_port, content_of, crlf, expect, expect_equal, fetch_packages, lib, messages,
                  queue_is_empty, submission, wait_for)
from postfix import Postfix

LOGIN = ("anna", PASSWORD)
MAIL = (b"From: Anna <anna@front.test>\nTo: luigi@a.test\nSubject: through an MTA\nMessage-ID: <1@front.test>\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\nGr\xc3\xbc\xc3\x9fe\n.dot\n..dots\n" + b"x" * 900 + b"\nend\n")
BODY = crlf(MAIL).partition(b"\r\n\r\n")[2]


def postfix_with_login(world, relay, pem):
    fetch_packages("libsasl2-modules")
    passwords = world.path("passwords")
    with open(passwords, "w", encoding="ascii") as file:
        file.write(f"[localhost]:{relay.port} {':'.join(LOGIN)}\n")
    return Postfix(world, "mail.front.test", "front.test", ["anna"], "127.0.3.1", common_port("127.0.3.1"), [
        f"relayhost = [localhost]:{relay.port}", "smtp_tls_security_level = secure", f"smtp_tls_CAfile = {pem}",
        "smtp_sasl_auth_enable = yes", f"smtp_sasl_password_maps = texthash:{passwords}",
        "smtp_sasl_security_options = noanonymous"])


def exim_with_login(world, relay, pem):
    return exim.client(world, "mail.front.test", "front.test", "127.0.3.1", common_port("127.0.3.1"), relay.port, pem, LOGIN)


def opensmtpd_with_login(world, relay, pem):
    return opensmtpd.client(world, "mail.front.test", "front.test", "127.0.3.1", common_port("127.0.3.1"), relay.port, pem, LOGIN)


def hand_over(mta, *to, options=(), rcpt_options=()):
    """As a program of this host would, by SMTP."""
    with smtplib.SMTP(mta.address, mta.port, timeout=20) as smtp:
        expect_equal(smtp.sendmail("anna@front.test", to, crlf(MAIL), options, rcpt_options), {}, "refused by the MTA")


def recipients_at(sink):
    return [to for message in sink.messages() for to in message["to"]]


def expect_each_once(world, sink, recipients, seconds=30):
    """Each recipient has the mail, and once; the first of the messages."""
    wait_for(lambda: len(recipients_at(sink)) >= len(recipients), seconds, f"mail for all of {recipients}")
    expect_equal(sorted(recipients_at(sink)), sorted(recipients), "recipients")
    for message in sink.messages():
        content = content_of(world, message)
        expect_equal(content.partition(b"\r\n\r\n")[2], BODY, "body")
    return sink.messages()[0], content_of(world, sink.messages()[0])


def goes_through(world, make):
    relay, sink, pem = submission(world)
    mta = make(world, relay, pem)
    hand_over(mta, "luigi@a.test", "mario@a.test", options=["BODY=8BITMIME"])
    _, content = expect_each_once(world, sink, ["luigi@a.test", "mario@a.test"])
    expect(b"from mail.front.test" in content and b"with ESMTPSA" in content, f"trace {content[:500]!r}")
    expect("sasl_username=anna" in relay.log(), "the user in the log")
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    return relay, sink, mta


def test_postfix_logs_in(world):
    goes_through(world, postfix_with_login)


def test_exim_logs_in(world):
    goes_through(world, exim_with_login)


def test_opensmtpd_logs_in(world):
    goes_through(world, opensmtpd_with_login)


def splits(world, make):
    """452 to the third recipient: the MTA comes again with the others, and nobody has it twice or never."""
    relay, sink, pem = submission(world, changes={"limits.recipients-max": 2})
    mta = make(world, relay, pem)
    to = [f"u{number}@a.test" for number in range(5)]
    hand_over(mta, *to)
    for count in (2, 4):
        wait_for(lambda: len(recipients_at(sink)) >= count, 20, f"mail for {count} recipients")
        mta.retry()  # OpenSMTPD would wait some minutes
    expect_each_once(world, sink, to)


def test_postfix_splits_what_has_too_many_recipients(world):
    splits(world, postfix_with_login)


def test_exim_splits_what_has_too_many_recipients(world):
    splits(world, exim_with_login)


def test_opensmtpd_splits_what_has_too_many_recipients(world):
    splits(world, opensmtpd_with_login)


def waits(world, make, seen):
    """452 to MAIL for want of space: the MTA keeps the mail and comes again."""
    relay, sink, pem = submission(world, changes={"queue.min-free": "1T"})
    mta = make(world, relay, pem)
    hand_over(mta, "luigi@a.test")
    wait_for(lambda: seen in mta.log(), 20, f"{seen!r} in the MTA's log:\n{mta.log()[-1500:]}")
    expect_equal(sink.messages(), [], "messages at the sink")
    relay.configure({**relay.settings, "queue.min-free": "1M"})
    relay.process.signal(1)
    wait_for(lambda: "configuration reloaded" in relay.log(), 10, "the relay has reloaded")
    wait_for(lambda: mta.retry() or sink.messages(), 40, "the mail is at the sink", every=1)  # the disk is looked at now and then
    expect_each_once(world, sink, ["luigi@a.test"])


def test_postfix_comes_again_after_452(world):
    waits(world, postfix_with_login, "452 4.3.1")


def test_exim_comes_again_after_452(world):
    waits(world, exim_with_login, "452 4.3.1")


def test_opensmtpd_comes_again_after_452(world):
    waits(world, opensmtpd_with_login, "452 4.3.1")


def passes_dsn(world, make):
    relay, sink, pem = submission(world)
    with client(relay.at) as smtp:
        smtp.ehlo()
        if not smtp.has_extn("dsn"):
            raise lib.Skip("the relay does not offer DSN")
    mta = make(world, relay, pem)
    hand_over(mta, "luigi@a.test", options=["RET=HDRS", "ENVID=QQ314"],
              rcpt_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;chief@front.test"])
    message = messages(sink, 1)[0]
    said = " ".join([message["params"], *message.get("rcpt_params", [])])
    for needle in ("RET=HDRS", "ENVID=QQ314"):
        expect(needle in said, f"{needle} in {said!r}")


def test_postfix_passes_dsn_on(world):
    passes_dsn(world, postfix_with_login)


def test_exim_passes_dsn_on(world):
    passes_dsn(world, exim_with_login)


def test_opensmtpd_passes_dsn_on(world):
    passes_dsn(world, opensmtpd_with_login)


lib.run(globals())
