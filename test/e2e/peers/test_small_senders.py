#!/usr/bin/python3
"""nullmailer, dma, s-nail, and implicit TLS by msmtp and smtplib: small programs that log in and hand their mail to the relay.

Those with a queue of their own (nullmailer, dma) also meet a 452, and come again.
"""

import os
import smtplib
import ssl

from box import Box
from peer import (PASSWORD, client, content_of, crlf, expect, expect_equal, fetch_packages, lib, messages, port_of, program,
                  run_program, split_trace, submission, wait_for)

MAIL = (b"From: Anna <anna@front.test>\nTo: luigi@a.test\nSubject: from a small sender\nMessage-ID: <1@front.test>\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\nFirst line\n.dot\n..dots\n.\n \n" + "Grüße, 郵件\n".encode() + b"end\n")
BODY = crlf(MAIL).partition(b"\r\n\r\n")[2]


def expect_arrived(world, sink, to=("luigi@a.test",), body=BODY, seconds=15):
    """One message for these recipients, sent with a password over TLS; the body is octet for octet what was handed over."""
    message = messages(sink, 1, seconds)[0]
    content = content_of(world, message)
    expect_equal((message["from"], message["to"]), ("anna@front.test", list(to)), "envelope")
    expect(b"with ESMTPSA" in content.partition(b"\r\nFrom:")[0], f"trace {content[:400]!r}")
    got = content.partition(b"\r\n\r\n")[2]
    expect(got == body, f"sent {body!r}, arrived {got!r}")
    return content


def has_room(relay, pem):
    with client(relay.at) as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=pem))
        smtp.login("anna", PASSWORD)
        return smtp.mail("anna@front.test")[0] == 250


def make_room(relay, sink, pem):
    """The relay, which took nothing for want of space, takes mail again."""
    expect_equal(sink.messages(), [], "messages at the sink")
    expect(not has_room(relay, pem), "mail is taken though there is no room")
    relay.configure({**relay.settings, "queue.min-free": "1M"})
    relay.process.signal(1)
    wait_for(lambda: has_room(relay, pem), 20, "mail is taken again", every=0.2)


def nullmailer(world, relay, pem):
    """nullmailer in a box, its queue run as asked for."""
    box = Box(world, "nullmailer", "nullmailer")
    for folder in ("queue", "tmp", "failed"):
        box.folder("var/spool/nullmailer/" + folder, "mail")
    # The queue's programs talk over this pipe; nobody listens here.
    os.mkfifo(box.path("var/spool/nullmailer/trigger"))
    box.give(box.path("var/spool/nullmailer/trigger"), "mail", "mail", 0o622)
    box.write("etc/mailname", "mail.front.test\n", mode=0o644)
    box.write("etc/nullmailer/pausetime", "0\n", mode=0o644)  # once through the queue
    box.write("etc/nullmailer/remotes", f"localhost smtp port={relay.port} starttls x509cafile={pem} user=anna "
                                        f"pass='{PASSWORD}'\n")
    return box


def nullmailer_sends(box, *to):
    envelope = "\n".join(["anna@front.test", *to, "", ""]).encode()
    box.run("nullmailer-queue", stdin=envelope + MAIL)


def test_nullmailer(world):
    relay, sink, pem = submission(world)
    box = nullmailer(world, relay, pem)
    nullmailer_sends(box, "luigi@a.test", "mario@a.test")
    box.run("nullmailer-send")
    content = expect_arrived(world, sink, ["luigi@a.test", "mario@a.test"])
    expect(b"from mail.front.test" in content, f"trace {content[:400]!r}")
    expect_equal(os.listdir(box.path("var/spool/nullmailer/queue")), [], "nullmailer's queue")


def test_nullmailer_comes_again_after_452(world):
    relay, sink, pem = submission(world, changes={"queue.min-free": "1T"})
    box = nullmailer(world, relay, pem)
    nullmailer_sends(box, "luigi@a.test")
    box.run("nullmailer-send", status=None)
    expect_equal(len(os.listdir(box.path("var/spool/nullmailer/queue"))), 1, "mails in nullmailer's queue")
    make_room(relay, sink, pem)
    box.run("nullmailer-send")
    expect_arrived(world, sink)


def dma(world, relay):
    box = Box(world, "dma", "dma")
    box.folder("var/spool/dma", "root", "mail", mode=0o2775)
    box.write("etc/dma/dma.conf", f"SMARTHOST localhost\nPORT {relay.port}\nAUTHPATH /etc/dma/auth.conf\nSECURETRANSFER\n"
                                  "STARTTLS\nMAILNAME mail.front.test\n", mode=0o644)
    box.write("etc/dma/auth.conf", f"anna|localhost:{PASSWORD}\n", 0o640, "root", "mail")
    return box


def test_dma(world):
    relay, sink, _ = submission(world)
    box = dma(world, relay)
    box.run("dma", "-D", "-i", "-f", "anna@front.test", "luigi@a.test", stdin=MAIL)
    expect_arrived(world, sink)


def test_dma_comes_again_after_452(world):
    relay, sink, pem = submission(world, changes={"queue.min-free": "1T"})
    box = dma(world, relay)
    # After a refusal it sleeps for minutes; it is ended there, as if the machine went down, and its queue is run anew.
    box.run("timeout", "2", "dma", "-D", "-i", "-f", "anna@front.test", "luigi@a.test", stdin=MAIL, status=124)
    make_room(relay, sink, pem)
    box.run("dma", "-q")
    expect_arrived(world, sink)
    wait_for(lambda: not [name for name in os.listdir(box.path("var/spool/dma")) if name[0] in "MQ"], 20, "dma's queue is empty")


def test_s_nail(world):
    relay, sink, pem = submission(world)
    fetch_packages("s-nail")
    text = b"First line\n.dot\n..dots\n\nThe end\n"
    run_program([program("s-nail"), "-:/", "-S", "v15-compat=yes", "-S", "from=anna@front.test", "-S", "hostname=front.test",
                 "-S", f"mta=smtp://anna:{PASSWORD.replace(' ', '%20')}@localhost:{relay.port}", "-S", "smtp-use-starttls=yes",
                 "-S", "smtp-auth=plain", "-S", f"tls-ca-file={pem}", "-S", "tls-ca-no-defaults=yes", "-S", "tls-verify=strict",
                 "-s", "from s-nail", "luigi@a.test"], stdin=text,
                env={"HOME": world.directory})
    expect_arrived(world, sink, body=crlf(text))


def test_msmtp_over_implicit_tls(world):
    relay, sink, pem = submission(world, tls="implicit")
    config = world.path("msmtprc")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"account default\nhost localhost\nport {port_of(relay.at)}\nset_from_header off\nset_date_header off\n"
                   f"timeout 20\ntls on\ntls_starttls off\ntls_trust_file {pem}\nauth plain\nuser anna\npassword \"{PASSWORD}\"\n")
    os.chmod(config, 0o600)
    run_program([program("msmtp"), f"--file={config}", "--from=anna@front.test", "--", "luigi@a.test"], stdin=MAIL)
    content = expect_arrived(world, sink)
    expect(split_trace(content, 1)[1] == crlf(MAIL), "the header arrived altered")


def test_smtplib_over_implicit_tls(world):
    relay, sink, pem = submission(world, tls="implicit")
    context = ssl.create_default_context(cafile=pem)
    with smtplib.SMTP_SSL("localhost", port_of(relay.at), timeout=20, context=context) as smtp:
        smtp.login("anna", PASSWORD)
        expect(not smtp.has_extn("starttls"), "STARTTLS is offered under TLS")
        smtp.sendmail("anna@front.test", ["luigi@a.test"], crlf(MAIL), ["BODY=8BITMIME"])
    content = expect_arrived(world, sink)
    expect(split_trace(content, 1)[1] == crlf(MAIL), "the header arrived altered")


lib.run(globals())
