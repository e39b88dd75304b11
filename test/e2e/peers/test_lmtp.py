#!/usr/bin/python3
"""Mailbox servers by LMTP: a scripted one, for each recipient's own reply, and Dovecot. And routes that come from an address and
under a name of their own."""

import os
import re

from dovecot import Dovecot
from mailhost import MailHost
from peer import (client, common_port, content_of, crlf, expect, expect_equal, messages, queue_is_empty, settings, split_trace,
                  lib, wait_for)

MAIL = (b"From: Anna <anna@client.test>\nTo: users@a.test\nSubject: by LMTP\nMessage-ID: <1@client.test>\n\n"
        b"First line\n.dot\n..dots\n\nFrom the end\n")
REPLIES = {"full@a.test": ["452 4.2.2 mailbox is full", "250 2.0.0 taken at last"], "gone@a.test": ["550 5.1.1 gone"]}


def set_up(world, via, route=None, changes=None, clock_rate=None):
    """A relay that sends a.test via this, and a sink for client.test."""
    sink = world.sink(args=["--maildir", world.path("maildir")])
    dns = world.dns(["client.test MX 10 mx.client.test", "mx.client.test A 127.0.0.1", "a.test MX 10 mx.a.test",
                     "mx.a.test A 127.0.4.1", "mda.test A 127.0.0.1"])
    port = int(sink.at["sink"].rpartition(":")[2])
    relay = world.relay({**settings(dns.at["dns"], port), "retry.schedule": ["1s"],
                         "routes": [{"name": "there", "to": "a.test", "via": via, **(route or {})}], **(changes or {})})
    relay.start(clock_rate=clock_rate)
    return relay, sink


def send(relay, *to):
    with client(relay.at) as smtp:
        expect_equal(smtp.sendmail("anna@client.test", to, crlf(MAIL)), {}, "refused by the relay")


def scripted(recipient, count):
    replies = REPLIES.get(recipient, ["250 2.0.0 taken"])
    return replies[min(count, len(replies) - 1)]


def each_recipient_its_own_reply(world, at, via, relay_says):
    host = MailHost(at, True, scripted)
    relay, sink = set_up(world, via if host.port is None else f"{via}:{host.port}")
    send(relay, "luigi@a.test", "full@a.test", "nobody@a.test", "gone@a.test", "mario@a.test")
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    host.close()
    expect_equal(set(host.hellos), {"relay.outlast.test"}, "names in LHLO")
    expect_equal(host.unknown, [], "commands that are none of LMTP")
    expect_equal(sorted(recipient for recipient, reply in host.answers if reply.startswith("250")),
                 ["full@a.test", "luigi@a.test", "mario@a.test"], "taken, each once")
    expect_equal([t["to"] for t in host.transactions],
                 [["luigi@a.test", "full@a.test", "gone@a.test", "mario@a.test"], ["full@a.test"]], "recipients by transaction")
    expect_equal(split_trace(host.transactions[0]["content"], 1)[1], crlf(MAIL), "content")
    log = relay.log()
    for user, result in (("luigi", "sent (250 2.0.0 taken)"), ("full", "deferred (452 4.2.2 mailbox is full)"),
                         ("full", "sent (250 2.0.0 taken at last)"), ("nobody", "bounced (550 5.1.1 no such user)"),
                         ("gone", "bounced (550 5.1.1 gone)")):
        expect(re.search(rf"to=<{user}@a\.test>, relay={relay_says}.*status={re.escape(result)}", log),
               f"{user}: {result} in the log:\n{log}")
    told = b" ".join(content_of(world, message) for message in messages(sink, 1))
    wait_for(lambda: {b"nobody@a.test", b"gone@a.test"} <= set(re.findall(
        rb"Final-Recipient: rfc822; (\S+)", b" ".join(content_of(world, m) for m in sink.messages()))), 10, f"both in {told!r}")


def test_each_recipient_has_its_own_reply(world):
    each_recipient_its_own_reply(world, ("127.0.0.1", 0), "lmtp:[mda.test]", r"mda\.test\[127\.0\.0\.1\]:\d+")


def test_socket_of_this_host(world):
    path = world.path("lmtp.sock")
    os.chmod(world.directory, 0o711)
    each_recipient_its_own_reply(world, path, "lmtp:unix:" + path, r"relay\.outlast\.test\[" + re.escape(path) + r"\]")


def test_connection_lost_between_replies(world):
    """Who was answered is done with; the others are in doubt and come again, alone."""
    host = MailHost(("127.0.0.1", 0), True, lambda recipient, count: None if recipient == "mario@a.test" and not count
                    else "250 2.0.0 taken")
    relay, sink = set_up(world, f"lmtp:[127.0.0.1]:{host.port}", clock_rate=600)  # in doubt: not before half an hour
    send(relay, "luigi@a.test", "mario@a.test", "peach@a.test")
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    host.close()
    expect_equal([t["to"] for t in host.transactions],
                 [["luigi@a.test", "mario@a.test", "peach@a.test"], ["mario@a.test", "peach@a.test"]], "recipients by transaction")
    expect_equal(sink.messages(), [], "notices")


def test_site_is_down_and_back(world):
    """No socket yet: the mail waits at a site of its own name, and goes when the server is there."""
    path = world.path("late.sock")
    relay, _ = set_up(world, "lmtp:unix:" + path, clock_rate=60)
    send(relay, "luigi@a.test")
    wait_for(lambda: f"lmtp:unix:{path}" in relay.log(), 10, "the site in the log")
    wait_for(lambda: f"lmtp:unix:{path}" in relay.cli("sites"), 10, "the site among the sites")
    expect(f"LMTP to unix:{path}" in relay.cli("explain", "a.test"), f"the route in: {relay.cli('explain', 'a.test')}")
    host = MailHost(path, True)
    wait_for(lambda: queue_is_empty(relay), 20, "the relay's queue is empty")
    host.close()
    expect_equal([t["to"] for t in host.transactions], [["luigi@a.test"]], "recipients by transaction")


def test_dovecot_on_its_socket(world):
    dovecot = Dovecot(world)
    relay, sink = set_up(world, "lmtp:unix:" + dovecot.socket)
    send(relay, "luigi@a.test", "unknown@a.test", "mario@a.test")
    for user in ("luigi", "mario"):
        mail = wait_for(lambda: dovecot.mails(user), 20, f"mail for {user}:\n{dovecot.box.read('dovecot.log')}{relay.log()}")[0]
        expect(mail.endswith(b"\r\n" + crlf(MAIL)), f"sent {crlf(MAIL)!r}, arrived {mail!r}")
        expect(b"with LMTP" in mail and b"by relay.outlast.test" in mail, f"trace {mail[:500]!r}")
    told = content_of(world, messages(sink, 1)[0])
    expect(b"Final-Recipient: rfc822; unknown@a.test" in told, f"notice {told!r}")
    # Dovecot tells nobody of success: the relay does, and here the way ends.
    with client(relay.at) as smtp:
        smtp.sendmail("anna@client.test", ["mario@a.test"], crlf(MAIL), [], ["NOTIFY=SUCCESS"])
    told = content_of(world, messages(sink, 2)[1])
    expect(b"Final-Recipient: rfc822; mario@a.test\r\nAction: delivered\r\n" in told, f"notice {told!r}")
    wait_for(lambda: queue_is_empty(relay), 10, "the relay's queue is empty")


def test_dovecot_over_tcp_with_a_full_mailbox(world):
    """A full mailbox concerns nobody else, and waits like one that says so to RCPT."""
    dovecot = Dovecot(world)
    relay, sink = set_up(world, f"lmtp:127.0.0.1:{dovecot.port}", {"tls": "none"})
    large = MAIL + b"x" * 70 * 100
    with client(relay.at) as smtp:
        smtp.sendmail("anna@client.test", ["full@a.test", "luigi@a.test"], crlf(large))
    wait_for(lambda: dovecot.mails("luigi"), 20, "mail for luigi")
    wait_for(lambda: re.search(r"to=<full@a\.test>.*status=deferred \(\d+ \S+ .*[Qq]uota", relay.log()), 10,
             f"the deferral of full:\n{relay.log()}")
    expect_equal(([len(dovecot.mails(user)) for user in ("luigi", "full")], sink.messages()), ([1, 0], []), "mails and notices")


def test_routes_come_from_their_address_under_their_name(world):
    """By MX and via a smarthost; the other mail comes as ever."""
    port = common_port("127.0.4.1", "127.0.0.1")
    mx, hub = MailHost(("127.0.4.1", port), False), MailHost(("127.0.4.1", 0), False)
    dns = world.dns([line for domain in ("a", "b") for line in (f"{domain}.test MX 10 mx.a.test",)] + ["mx.a.test A 127.0.4.1"])
    relay = world.relay({**settings(dns.at["dns"], port), "routes": [
        {"name": "mx", "to": "a.test", "via": "mx", "source-ipv4": "127.0.5.1", "hostname": "out-a.outlast.test"},
        {"name": "hub", "to": "hub.test", "via": f"[127.0.4.1]:{hub.port}", "source-ipv4": "127.0.5.2",
         "hostname": "out-hub.outlast.test"}]})
    relay.start()
    for domain in ("a", "hub", "b", "a"):
        send(relay, f"luigi@{domain}.test")
        wait_for(lambda: queue_is_empty(relay), 10, "the relay's queue is empty")
    seen = [(t["to"][0], t["peer"], t["hello"]) for t in (*mx.transactions, *hub.transactions)]
    mx.close()
    hub.close()
    ours = ("luigi@b.test", "127.0.0.1", "relay.outlast.test")
    expect_equal(sorted(seen), sorted([("luigi@a.test", "127.0.5.1", "out-a.outlast.test")] * 2
                                      + [("luigi@hub.test", "127.0.5.2", "out-hub.outlast.test"), ours]), "who came")


lib.run(globals())
