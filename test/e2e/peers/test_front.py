#!/usr/bin/python3
"""Real servers in front, and a real primary behind: Postfix with XFORWARD, HAProxy with PROXY headers, Postfix as the
primary whose backup MX the relay is."""

import smtplib

from peer import (Failure, common_port, content_of, environment, expect, expect_equal, lib, messages, program, settings,
                  wait_for)
from postfix import Postfix

MAIL = b"From: a@from.test\r\nSubject: x\r\n\r\nhello\r\n"


def set_up(world, changes):
    sink = world.sink(args=["--maildir", world.path("maildir")])
    dns = world.dns(["a.test MX 10 mx.a.test", "mx.a.test A 127.0.0.1"])
    relay = world.relay({**settings(dns.at["dns"], int(sink.at["sink"].rpartition(":")[2])), **changes})
    return relay, sink


def test_postfix_forwards_its_client(world):
    """XFORWARD: log and trace name the client and the queue id of Postfix in front."""
    relay, sink = set_up(world, {"xclient-from": ["127.0.0.1/32"]})
    relay.start()
    port = common_port("127.0.3.1")
    postfix = Postfix(world, "mail.front.test", "front.test", ["anna"], "127.0.3.1", port,
                      [f"relayhost = [127.0.0.1]:{relay.port}", "smtp_send_xforward_command = yes",
                       "smtpd_peername_lookup = no"])
    for number in range(2):  # the second one on the same connection, perhaps
        with smtplib.SMTP("127.0.3.1", port, local_hostname="client.test", timeout=20,
                          source_address=("127.0.3.9", 0)) as client:
            client.sendmail("s@from.test", [f"u{number}@a.test"], MAIL)
    for message in messages(sink, 2, 20):
        text = b" ".join(content_of(world, message).split())
        expect(b"(orig_client=unknown[127.0.3.9] helo=client.test)" in text, f"trace of {text[:400]!r}")
    wait_for(lambda: relay.log().count("orig_client=unknown[127.0.3.9]") == 2, 5, "both in the log")
    ids = [line.partition("orig_queue_id=")[2].partition(",")[0] for line in relay.log().splitlines() if "orig_queue_id=" in line]
    expect(all(f"{one}: client=unknown[127.0.3.9]" in postfix.log() for one in ids), f"{ids} are not Postfix's:\n{postfix.log()}")


class HAProxy:
    def __init__(self, world, to, mode):
        path = program("haproxy")
        self.port = lib.free_port()
        with open(world.path("haproxy.cfg"), "w", encoding="ascii") as file:
            file.write("defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
                       f"listen smtp\n bind 127.0.0.1:{self.port}\n server relay 127.0.0.1:{to} {mode}\n")
        self.process = world.start([path, "-db", "-f", world.path("haproxy.cfg")], "haproxy.log", env=environment())
        wait_for(self.answers, 10, "HAProxy answers")

    def answers(self):
        if not self.process.is_running():
            raise Failure("HAProxy ended: " + self.process.log())
        return lib.port_answers("127.0.0.1", self.port)


def through_haproxy(world, mode):
    relay, sink = set_up(world, {"proxy-from": ["127.0.0.1/32"], "trusted": ["127.0.3.9/32"]})
    port = lib.free_port()
    relay.settings["listeners"] += [{"address": f"127.0.0.1:{port}", "proxy": "yes"}]
    relay.configure(relay.settings)
    relay.start()
    haproxy = HAProxy(world, port, mode)
    with smtplib.SMTP("127.0.0.1", haproxy.port, local_hostname="client.test", timeout=20,
                      source_address=("127.0.3.9", 0)) as client:
        client.sendmail("s@from.test", ["u@a.test"], MAIL)
    text = b" ".join(content_of(world, messages(sink, 1, 20)[0]).split())
    expect(b"from client.test ([127.0.3.9])" in text, f"trace of {text[:300]!r}")
    # another client through the same balancer is not trusted
    with smtplib.SMTP("127.0.0.1", haproxy.port, timeout=20, source_address=("127.0.3.8", 0)) as client:
        client.ehlo()
        client.mail("s@from.test")
        expect_equal(client.rcpt("u@a.test")[0], 550, "RCPT of a stranger")


def test_haproxy_v2(world):
    through_haproxy(world, "send-proxy-v2")


def test_haproxy_v2_checks_and_tlvs(world):
    through_haproxy(world, "send-proxy-v2 proxy-v2-options unique-id,crc32c check inter 200ms")


def test_haproxy_v1(world):
    through_haproxy(world, "send-proxy")


def test_backup_of_postfix(world):
    """Postfix is asked for its recipients; while it is away its known users are taken, and get their mail when it is back."""
    port = common_port("127.0.3.1")
    dns = world.dns(["front.test MX 10 mail.front.test", "front.test MX 20 relay.outlast.test",
                     "mail.front.test A 127.0.3.1", "relay.outlast.test A 127.0.0.1"])
    relay = world.relay({**settings(dns.at["dns"], port), "trusted": [], "relay-domains": ["front.test"]})
    postfix = Postfix(world, "mail.front.test", "front.test", ["anna", "otto"], "127.0.3.1", port)
    relay.start(clock_rate=60)
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=40) as client:
        client.ehlo()
        client.mail("s@from.test")
        expect_equal(client.rcpt("anna@front.test")[0], 250, "anna")
        expect_equal(client.rcpt("nobody@front.test")[0], 550, "nobody")
        expect_equal(client.rcpt("s@elsewhere.test")[0], 550, "elsewhere")
        postfix.process.kill()
        client.rset()
        client.mail("s@from.test")
        expect_equal(client.rcpt("anna@front.test")[0], 250, "anna while Postfix is away")
        expect_equal(client.rcpt("otto@front.test")[0], 450, "otto while Postfix is away")
        expect_equal(client.data(MAIL)[0], 250, "the message")
    postfix.spawn()
    wait_for(postfix.answers, 20, "Postfix is back")
    postfix.wait_for_mails("anna", 1)


lib.run(globals())
