#!/usr/bin/python3
"""Mail programs that hand mail to the relay: Python's smtplib, msmtp and swaks; plain, 8-bit, SMTPUTF8, STARTTLS and AUTH.

What each sent is compared with what the sink took, octet for octet below the relay's trace field.
"""

import os
import smtplib
import ssl

from peer import (PASSWORD, Failure, between, client, content_of, crlf, expect, expect_equal, fetch_packages, lib, messages,
                  port_of, program, run_program, split_trace, submission)

PLAIN = (b"From: anna@client.test\nTo: luigi@a.test\nMessage-ID: <1@client.test>\nSubject: plain\n\n"
         b"First line\n.dot\n..two dots\n\nFrom the end\n")
EIGHT_BIT = ("From: anna@client.test\nTo: luigi@a.test\nMessage-ID: <2@client.test>\nSubject: 8 bits\nMIME-Version: 1.0\n"
             "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße, čaj, 郵件\n").encode()
UTF8 = ("From: Jürgen <jürgen@client.test>\nTo: 郵件@a.test\nMessage-ID: <3@client.test>\nSubject: 郵件\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n郵件\n").encode()


def expect_arrived(world, sink, number, sent, trace_says, params=None):
    """The message at the sink with this number: what was sent below the relay's trace field, which says this."""
    message = messages(sink, number + 1)[number]
    trace, rest = split_trace(content_of(world, message), 1)
    expect(rest == crlf(sent), f"sent {crlf(sent)!r}, arrived {rest!r}")
    for needle in trace_says:
        expect(needle in trace, f"{needle!r} in the trace field {trace!r}")
    for needle in params or ():
        expect(needle in message["params"].split(), f"{needle} in the parameters of MAIL: {message['params']!r}")
    return message


def test_smtplib_sends_plain_and_eight_bit(world):
    relay, sink = between(world, "a.test")
    with client(relay.at, local_hostname="laptop.client.test") as smtp:
        expect_equal(smtp.sendmail("anna@client.test", ["luigi@a.test", "mario@a.test"], PLAIN.decode()), {}, "refused")
        message = expect_arrived(world, sink, 0, PLAIN, [b"from laptop.client.test ([127.0.0.1])", b"with ESMTP id"])
        expect_equal(message["to"], ["luigi@a.test", "mario@a.test"], "recipients of one transaction")
        expect_equal(smtp.sendmail("anna@client.test", ["luigi@a.test"], crlf(EIGHT_BIT), ["BODY=8BITMIME"]), {}, "refused")
    expect_arrived(world, sink, 1, EIGHT_BIT, [b"with ESMTP id"], ["BODY=8BITMIME"])


def test_smtplib_sends_internationalised_mail(world):
    relay, sink = between(world, "a.test")
    with client(relay.at) as smtp:
        smtp.sendmail("jürgen@client.test", ["郵件@a.test"], crlf(UTF8), ["SMTPUTF8", "BODY=8BITMIME"])
        message = expect_arrived(world, sink, 0, UTF8, [b"with UTF8SMTP id"], ["SMTPUTF8", "BODY=8BITMIME"])
        envelope = [text.encode("latin-1").decode() for text in (message["from"], *message["to"])]  # as journaled: octets
        expect_equal(envelope, ["jürgen@client.test", "郵件@a.test"], "envelope")
        # An ASCII envelope and header need nothing of the next hop, though the client said SMTPUTF8.
        smtp.sendmail("anna@client.test", ["luigi@a.test"], crlf(EIGHT_BIT), ["SMTPUTF8", "BODY=8BITMIME"])
    message = expect_arrived(world, sink, 1, EIGHT_BIT, [b"id"], ["BODY=8BITMIME"])
    expect("SMTPUTF8" not in message["params"], f"SMTPUTF8 in {message['params']!r}, and nothing needs it")


def test_smtplib_logs_in_over_starttls(world):
    relay, sink, pem = submission(world)
    with client(relay.at) as smtp:
        smtp.ehlo()
        expect(smtp.has_extn("starttls") and smtp.has_extn("auth"), "STARTTLS and, on loopback, AUTH are offered")
        code, _ = smtp.mail("anna@client.test")
        expect_equal(code, 530, "MAIL without a password")
    context = ssl.create_default_context(cafile=pem)
    for number, mechanism in enumerate(("auth_plain", "auth_login")):
        with client(relay.at) as smtp:
            smtp.starttls(context=context)
            smtp.ehlo()
            expect_equal(smtp.esmtp_features["auth"].split(), ["PLAIN", "LOGIN"], "AUTH mechanisms")
            smtp.user, smtp.password = "anna", PASSWORD
            expect_equal(smtp.auth(mechanism[5:].upper(), getattr(smtp, mechanism))[0], 235, mechanism)
            smtp.sendmail("anna@client.test", ["luigi@a.test"], PLAIN.decode())
        expect_arrived(world, sink, number, PLAIN, [b"with ESMTPSA"])
    with client(relay.at) as smtp:
        smtp.starttls(context=context)
        try:
            smtp.login("anna", "wrong")
            raise Failure("a wrong password was taken")
        except smtplib.SMTPAuthenticationError as refused:
            expect_equal(refused.smtp_code, 535, "wrong password")
    expect("sasl_username=anna" in relay.log(), "the user in the log")


def msmtp(world, relay, *options, mail, to=("luigi@a.test",), sender="anna@client.test", status=0):
    """Sends a mail with msmtp, which makes the line ends CRLF itself."""
    config = world.path("msmtprc")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"account default\nhost 127.0.0.1\nport {port_of(relay.at)}\nset_from_header off\nset_date_header off\n"
                   "timeout 20\n" + "".join(line + "\n" for line in options))
    os.chmod(config, 0o600)
    run_program([program("msmtp"), f"--file={config}", f"--from={sender}", "--", *to], stdin=mail, status=status)


def test_msmtp_sends_plain_and_eight_bit(world):
    fetch_packages("msmtp")
    relay, sink = between(world, "a.test")
    msmtp(world, relay, mail=PLAIN, to=["luigi@a.test", "mario@a.test"])
    message = expect_arrived(world, sink, 0, PLAIN, [b"with ESMTP id"])
    expect_equal(message["to"], ["luigi@a.test", "mario@a.test"], "recipients")
    msmtp(world, relay, mail=EIGHT_BIT)
    expect_arrived(world, sink, 1, EIGHT_BIT, [b"with ESMTP id"], ["BODY=8BITMIME"])
    # This msmtp does not know SMTPUTF8 and hands such addresses on all the same: it has to hear a clear no.
    msmtp(world, relay, mail=UTF8, sender="jürgen@client.test", status=65)
    msmtp(world, relay, mail=UTF8, to=["郵件@a.test"], status=65)
    # Such a header alone is carried as it came.
    msmtp(world, relay, mail=UTF8)
    expect_arrived(world, sink, 2, UTF8, [b"with ESMTP id"], ["BODY=8BITMIME"])


def test_msmtp_logs_in_over_starttls(world):
    fetch_packages("msmtp")
    relay, sink, pem = submission(world)
    tls = ["tls on", "tls_starttls on", f"tls_trust_file {pem}", "user anna"]
    for number, mechanism in enumerate(("plain", "login")):
        msmtp(world, relay, *tls, f"auth {mechanism}", f'password "{PASSWORD}"', mail=PLAIN)
        expect_arrived(world, sink, number, PLAIN, [b"with ESMTPSA"])
    msmtp(world, relay, *tls, "auth plain", "password wrong", mail=PLAIN, status=77)


def swaks(relay, *options, status=0):
    return run_program([program("swaks"), "--server", "127.0.0.1", "--port", port_of(relay.at), "--timeout", "20s",
                        "--ehlo", "swaks.client.test", "--from", "anna@client.test", *options], status=status).decode()


def test_swaks_sends_with_and_without_pipelining(world):
    fetch_packages("swaks")
    relay, sink = between(world, "a.test")
    with open(world.path("mail"), "wb") as file:
        file.write(PLAIN)
    for number, options in enumerate(([], ["--pipeline"], ["--protocol", "SMTP"])):
        transcript = swaks(relay, "--to", "luigi@a.test,mario@a.test", "--data", "@" + world.path("mail"), *options)
        expect("<-  250 2.0.0 " in transcript, f"the reply to the final dot:\n{transcript}")
        message = expect_arrived(world, sink, number, PLAIN + b"\n",
                                 [b"from swaks.client.test", b"with SMTP id" if number == 2 else b"with ESMTP id"])
        expect_equal(message["to"], ["luigi@a.test", "mario@a.test"], "recipients")


def test_swaks_logs_in_over_starttls(world):
    fetch_packages("swaks", "libnet-ssleay-perl")
    relay, sink, pem = submission(world)
    for number, mechanism in enumerate(("PLAIN", "LOGIN")):
        transcript = swaks(relay, "--to", "luigi@a.test", "--tls", "--tls-verify", "--tls-ca-path", pem,
                           "--auth", mechanism, "--auth-user", "anna", "--auth-password", PASSWORD)
        expect("<~  235 2.7.0 " in transcript, f"the reply to AUTH {mechanism}:\n{transcript}")
        trace, _ = split_trace(content_of(world, messages(sink, number + 1)[number]), 1)
        expect(b"with ESMTPSA" in trace, f"trace field {trace!r}")
    swaks(relay, "--to", "luigi@a.test", "--tls", "--auth", "PLAIN", "--auth-user", "anna", "--auth-password", "wrong",
          status=28)
    swaks(relay, "--to", "luigi@a.test", status=23)


def test_no_sender_relays_from_elsewhere(world):
    """127.0.0.1 trusted by nobody: whoever comes without a password gets nowhere, whatever the address looks like."""
    relay, sink = between(world, "a.test", changes={"trusted": ["192.0.2.0/24"]})
    with client(relay.at) as smtp:
        smtp.ehlo()
        for recipient in ("luigi@a.test", "luigi%a.test@relay.outlast.test", "@relay.outlast.test:luigi@a.test",
                          '"luigi@a.test"@relay.outlast.test', "a.test!luigi"):
            code, _ = smtp.docmd("MAIL", "FROM:<anna@client.test>")
            if code < 400:
                code, _ = smtp.docmd("RCPT", f"TO:<{recipient}>")
            expect(500 <= code < 600, f"RCPT TO:<{recipient}>: {code}")
            smtp.rset()
    expect_equal(sink.messages(), [], "messages at the sink")


lib.run(globals())
