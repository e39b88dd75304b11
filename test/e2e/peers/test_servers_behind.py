#!/usr/bin/python3
"""Exim, OpenSMTPD and Postfix behind, as MX and as a smarthost with AUTH over verified TLS; and what becomes of mail when the smarthost
does not know us: it waits, an operator hears of it, nobody gets a notice.

OpenSMTPD of Debian 12 offers STARTTLS and fails each handshake (its key is apart from OpenSSL 3): mail goes on in clear text,
as RFC 7435 has it for opportunistic TLS. Postfix as MX is in test_postfix_behind.
"""

import os
import re

import exim
import opensmtpd
from dovecot import Dovecot
from peer import (certificate, client, common_port, crlf, expect, expect_equal, lib, queue_is_empty, settings, wait_for)
from postfix import Postfix

MAIL = (b"From: Anna <anna@client.test>\nTo: users@behind.test\nSubject: for others\nMessage-ID: <1@client.test>\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\nFirst line\n.dot\n..dots\n.\n \n" + "Grüße, čaj, 郵件\n".encode()
        + b"x" * 900 + b"\nFrom the end\n")
USERS = ["luigi", "mario"]
LOGIN = ("anna", "correct-horse")


def relay_to(world, port, changes=None, trust=None, login=None, via=None, tls="verify",
             clock_rate=None):
    """A relay for behind.test, by MX or via a smarthost; trust: the certificate that stands for all authorities."""
    sink = world.sink(f"sink=127.0.4.2:{port}", args=["--maildir", world.path("maildir")])
    dns = world.dns(["behind.test MX 10 mx.behind.test", "mx.behind.test A 127.0.4.1", "client.test MX 10 mx.client.test",
                     "mx.client.test A 127.0.4.2"])
    if login:
        path = world.path("login")
        with open(path, "w", encoding="ascii") as file:
            file.write(":".join(login) + "\n")
        os.chmod(path, 0o600)
    if via:
        route = {"name": "hub", "to": "behind.test", "via": via, "tls": tls, **({"auth": path} if login else {})}
        changes = {"routes": [route], **(changes or {})}
    relay = world.relay({**settings(dns.at["dns"], port), "retry.schedule": ["1s"], **(changes or {})})
    relay.start(clock_rate=clock_rate, env={"SSL_CERT_FILE": trust} if trust else None)
    return relay, sink


def send(relay, *to):
    with client(relay.at) as smtp:
        expect_equal(smtp.sendmail("anna@client.test", to, crlf(MAIL), ["BODY=8BITMIME"]), {}, "refused by the relay")


def expect_mailboxes(server, relay, *needles):
    """One mail each, as it was sent below the relay's trace field; the server's own field says this."""
    for user in USERS:
        mail = server.wait_for_mails(user, 1)[0]
        found = re.search(rb"Received: [^\r]*\r\n(?:[ \t][^\r]*\r\n)*?\tby relay\.outlast\.test .*\r\n(?:[ \t].*\r\n)*", mail)
        expect(found, f"the relay's Received field in {mail[:600]!r}")
        expect(mail[found.end():] == crlf(MAIL), f"sent {crlf(MAIL)!r}, arrived {mail[found.end():]!r}")
        for needle in needles:
            expect(needle in mail[:found.end()], f"{needle!r} in {mail[:found.end()]!r}")
    wait_for(lambda: queue_is_empty(relay), 10, "the relay's queue is empty")
    expect_equal([len(server.mails(user)) for user in USERS], [1, 1], "mails each")


def test_exim_as_mx_over_verified_tls(world):
    pem, key = certificate(world, "mx", host="mx.behind.test")
    os.chmod(key, 0o644)
    port = common_port("127.0.4.1", "127.0.4.2")
    server = exim.server(world, "mx.behind.test", "behind.test", USERS, "127.0.4.1", port, pem, key)
    relay, sink = relay_to(world, port, {"destinations": [{"match": "behind.test", "tls": "verify"}]}, trust=pem)
    send(relay, "luigi@behind.test", "nemo@behind.test", "mario@behind.test")
    expect_mailboxes(server, relay, b"with esmtps", b"TLS1.3")
    told = wait_for(sink.messages, 20, "a notice for the unknown user")
    expect_equal([message["to"] for message in told], [["anna@client.test"]], "notices")


def test_opensmtpd_as_mx(world):
    port = common_port("127.0.4.1", "127.0.4.2")
    server = opensmtpd.server(world, "mx.behind.test", "behind.test", USERS, "127.0.4.1", port)
    relay, sink = relay_to(world, port)
    send(relay, "luigi@behind.test", "nemo@behind.test", "mario@behind.test")
    expect_mailboxes(server, relay, b"by mx.behind.test (OpenSMTPD) with ESMTP id")
    told = wait_for(sink.messages, 20, "a notice for the unknown user")
    expect_equal([message["to"] for message in told], [["anna@client.test"]], "notices")


def test_opensmtpd_whose_tls_is_broken(world):
    pem, key = certificate(world, "mx", host="mx.behind.test", is_rsa=True)
    port = common_port("127.0.4.1", "127.0.4.2")
    server = opensmtpd.server(world, "mx.behind.test", "behind.test", USERS, "127.0.4.1", port, pem, key)
    relay, _ = relay_to(world, port)
    send(relay, *(f"{user}@behind.test" for user in USERS))
    expect_mailboxes(server, relay, b"(OpenSMTPD) with ESMTP id")


def test_exim_as_smarthost_with_plain_and_login(world):
    """Each mechanism alone, over TLS with the certificate verified."""
    for mechanism in ("plain", "login"):
        port = common_port("127.0.4.1", "127.0.4.2")
        with lib.World(f"smarthost-{mechanism}") as inner:
            pem, key = certificate(inner, "hub", host="hub.behind.test")
            os.chmod(key, 0o644)
            server = exim.server(inner, "hub.behind.test", "behind.test", USERS, "127.0.4.1", port, pem, key, LOGIN, mechanism)
            relay, _ = relay_to(inner, port, trust=pem, login=LOGIN, via=f"[hub.behind.test]:{port}",
                                changes={"dns.servers": [hub_dns(inner)]})
            send(relay, *(f"{user}@behind.test" for user in USERS))
            expect_mailboxes(server, relay, b"with esmtpsa")
            expect(f"A={mechanism}:anna" in server.log(), f"AUTH {mechanism} in Exim's log:\n{server.log()}")
            expect(LOGIN[1] not in relay.log(), "the password in the relay's log")


def hub_dns(world):
    return world.dns(["hub.behind.test A 127.0.4.1", "client.test MX 10 mx.client.test", "mx.client.test A 127.0.4.2"],
                     name="hub-dns").at["dns"]


def expect_parked(server, relay, sink, pattern, code=""):
    """The mail waits without an end, the operator is told why, the sender is told nothing."""
    send(relay, "luigi@behind.test")
    wait_for(lambda: re.search(code + pattern, relay.log()), 15, f"{pattern} in the log:\n{relay.log()[-1500:]}")
    expect_equal(relay.queued(), 1, "recipients in the queue")
    expect_equal(server.mails("luigi"), [], "mails")
    expect_equal(sink.messages(), [], "notices")
    expect("status=bounced" not in relay.log(), "the mail was returned")
    wait_for(lambda: re.search(pattern, relay.cli("status", status=None)), 10,
             f"{pattern} in what the operator sees:\n{relay.cli('status', status=None)}")


def test_postfix_as_smarthost_with_dovecots_passwords(world):
    """STARTTLS and a password required, as providers have it. The authority comes from our own configuration."""
    pem, key = certificate(world, "hub", host="hub.behind.test")
    port = common_port("127.0.4.1", "127.0.4.2")
    dovecot = Dovecot(world, LOGIN[1])
    server = Postfix(world, "hub.behind.test", "behind.test", USERS, "127.0.4.1", port, [
        "smtpd_tls_security_level = encrypt", f"smtpd_tls_cert_file = {pem}", f"smtpd_tls_key_file = {key}",
        "smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", f"smtpd_sasl_path = inet:127.0.0.1:{dovecot.auth_port}",
        "smtpd_tls_auth_only = yes", "smtpd_client_restrictions = permit_sasl_authenticated, reject",
        "smtpd_tls_received_header = yes", "smtpd_sasl_authenticated_header = yes"])
    relay, _ = relay_to(world, port, login=LOGIN, via=f"[hub.behind.test]:{port}",
                        changes={"dns.servers": [hub_dns(world)], "tls.authorities": pem})
    send(relay, *(f"{user}@behind.test" for user in USERS))
    expect_mailboxes(server, relay, b"with ESMTPSA", b"(Authenticated sender: anna)")


def test_smarthost_refuses_the_password(world):
    pem, key = certificate(world, "hub", host="hub.behind.test")
    os.chmod(key, 0o644)
    port = common_port("127.0.4.1", "127.0.4.2")
    server = exim.server(world, "hub.behind.test", "behind.test", USERS, "127.0.4.1", port, pem, key, LOGIN)
    relay, sink = relay_to(world, port, trust=pem, login=("anna", "wrong"), via=f"[hub.behind.test]:{port}",
                           clock_rate=60,  # a suspect site is tried each half minute
                           changes={"dns.servers": [hub_dns(world)]})
    expect_parked(server, relay, sink, r"Incorrect authentication data", "535 .*")
    # The password is put right: what waited goes, without being asked.
    with open(world.path("login"), "w", encoding="ascii") as file:
        file.write(":".join(LOGIN) + "\n")
    relay.process.signal(1)
    expect_equal(len(server.wait_for_mails("luigi", 1)), 1, "mails once the password is right")
    wait_for(lambda: queue_is_empty(relay), 10, "the relay's queue is empty")


def test_smarthost_without_a_common_mechanism(world):
    pem, key = certificate(world, "hub", host="hub.behind.test")
    os.chmod(key, 0o644)
    port = common_port("127.0.4.1", "127.0.4.2")
    server = exim.server(world, "hub.behind.test", "behind.test", USERS, "127.0.4.1", port, pem, key, LOGIN, "none")
    relay, sink = relay_to(world, port, trust=pem, login=LOGIN, via=f"[hub.behind.test]:{port}",
                           changes={"dns.servers": [hub_dns(world)]})
    expect_parked(server, relay, sink, r"neither AUTH PLAIN nor LOGIN is offered")


def test_smarthost_whose_certificate_is_of_another(world):
    """Verified TLS or none: the password is not said, the mail waits."""
    pem, key = certificate(world, "hub", host="other.behind.test")
    os.chmod(key, 0o644)
    port = common_port("127.0.4.1", "127.0.4.2")
    server = exim.server(world, "hub.behind.test", "behind.test", USERS, "127.0.4.1", port, pem, key, LOGIN)
    relay, sink = relay_to(world, port, trust=pem, login=LOGIN, via=f"[hub.behind.test]:{port}",
                           changes={"dns.servers": [hub_dns(world)]})
    expect_parked(server, relay, sink, r"(?i)certificate|name mismatch")
    expect("A=" not in server.log() and "authenticator failed" not in server.log(), f"AUTH was tried:\n{server.log()}")


lib.run(globals())
