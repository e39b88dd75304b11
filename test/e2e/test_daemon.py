#!/usr/bin/python3
"""The daemon as a whole, in matters that no other test sees: what is left in the queue, what a reload keeps, and
when it refuses to start."""

import email
import email.policy
import email.utils
import os
import shutil
import signal
import smtplib
import socket
import sqlite3

import lib
from lib import expect, expect_equal, wait_for


def rows(relay, *tables):
    """How many rows these tables of the queue have, together."""
    path = os.path.join(relay.settings["queue.directory"], "queue.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
        return sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


def send_without_end(relay):
    client = socket.create_connection(("127.0.0.1", relay.port), timeout=10)
    client.sendall(b"EHLO a.test\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n")
    client.sendall(b"Subject: never ends\r\n\r\n" + (b"x" * 70 + b"\r\n") * 20000)
    return client


def journal_has_content(relay):
    with open(os.path.join(relay.settings["queue.directory"], "queue.db.journal"), "rb") as file:
        return b"xxxxxxxx\r\nxxxxxxxx" in file.read(2 << 20)


def test_content_of_a_client_that_went_away_is_dropped(world):
    """From the tables when there is no journal; else it never gets there."""
    relay = world.relay({"limits.spool-from": "64K", "queue.journal": 0})
    relay.start()
    client = send_without_end(relay)
    wait_for(lambda: rows(relay, "spool", "chunk") > 3, 10, "content is spooled")
    client.close()
    wait_for(lambda: rows(relay, "spool", "chunk", "content", "message") == 0, 10, "nothing of it is left")
    relay.stop()
    relay.configure({**relay.settings, "queue.journal": "1M"})
    relay.start()
    client = send_without_end(relay)
    wait_for(lambda: journal_has_content(relay), 10, "content is in the journal")
    client.close()
    wait_for(lambda: "disconnect" in relay.log(), 10, "the client is gone")
    expect_equal(relay.stop(), 0, "exit status")
    expect_equal(rows(relay, "spool", "chunk", "content", "message"), 0, "rows left")


def test_history_ends_and_short_space_refuses_mail(world):
    """Finished messages go when queue.history is over. Where space is short the daemon looks every 2 s, else every 30 s."""
    if shutil.disk_usage(world.path("")).free > 1 << 40:
        raise lib.Skip("more than 1 TiB is free: it would look too late")
    net = lib.Internet(world, {"to.test": "127.0.7.1"})
    relay = world.relay(net.conf())
    relay.start(clock_rate=400000)
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        for n in range(5):
            smtp.sendmail("from@to.test", [f"to{n}@to.test"], b"Subject: soon history\r\n\r\nbye\r\n")
    wait_for(lambda: net.got("to.test") == 5, 20, "delivery")
    relay.stop()
    expect_equal((rows(relay, "message"), rows(relay, "content")), (5, 0), "messages in the history, contents")
    relay.configure({**relay.settings, "queue.min-free": "1T"})
    relay.start(clock_rate=400000)
    wait_for(lambda: rows(relay, "message", "recipient", "attempt") == 0, 10, "the history ends after 7 days")
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        smtp.ehlo()
        code, text = smtp.docmd("MAIL FROM:<a@to.test>")
        expect(code == 452 and text.startswith(b"4.3.1"), f"new mail while space is short: {code} {text}")
    expect_equal(relay.stop(), 0, "exit status")


def test_reload_keeps_what_waits_in_memory(world):
    net = lib.Internet(world, {"to.test": "127.0.7.2"})
    net.control("mx.to.test delay dot 200")
    relay = world.relay(net.conf())
    relay.start()
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        for n in range(50):
            smtp.sendmail("from@to.test", [f"to{n}@to.test"], b"Subject: waits\r\n\r\nits turn\r\n")
    expect(net.got("to.test") < 30, "nothing waits any more: the destination is too fast for this test")
    relay.process.signal(signal.SIGHUP)
    relay.process.wait_for_log("configuration reloaded", 10)
    wait_for(lambda: net.got("to.test") >= 50, 20, "all are delivered")
    expect_equal((relay.stop(), net.got("to.test")), (0, 50), "exit status, deliveries")


def mails_of(directory):
    """What a sink with --maildir got, parsed."""
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            with open(os.path.join(folder, name), "rb") as file:
                yield email.message_from_binary_file(file, policy=email.policy.default)


def test_a_digest_of_late_mail_is_what_mail_programs_can_read(world):
    """A message waits four hours for a dead destination: one digest, with a status part for it."""
    maildir = world.path("mail")
    os.makedirs(maildir)
    net = lib.Internet(world, {"dead.test": "127.0.7.3", "from.test": "127.0.7.4"},
                       args=("--quiet",), sink_args=("--maildir", maildir))
    net.control("mx.dead.test refuse")
    relay = world.relay(net.conf())
    relay.start(clock_rate=3600)
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        smtp.sendmail("from@from.test", ["to0@dead.test", "to1@dead.test"], b"Subject: waits\r\n\r\nits turn\r\n")
        smtp.sendmail("list@from.test", ["to@dead.test"], b"List-Id: <l.from.test>\r\n\r\nno notice\r\n")
    wait_for(lambda: net.got("from.test") > 0, 30, "a digest")
    relay.stop()
    mails = list(mails_of(maildir))
    expect_equal(len(mails), 1, "mails to the senders")
    digest = mails[0]
    expect_equal((digest["to"], digest["auto-submitted"]), ("from@from.test", "auto-generated"), "head")
    parts = list(digest.iter_parts())
    expect_equal([part.get_content_type() for part in parts],
                 ["text/plain", "message/delivery-status"], "parts")
    expect("One of your messages has not been delivered yet." in parts[0].get_content(), "text for people")
    of_message, *of_recipients = parts[1].get_payload()
    expect_equal((of_message["reporting-mta"], len(of_recipients)), ("dns; relay.outlast.test", 2), "status")
    for n, of_recipient in enumerate(of_recipients):
        expect_equal(of_recipient["final-recipient"], f"rfc822; to{n}@dead.test", "Final-Recipient")
        expect_equal((of_recipient["action"], of_recipient["status"][:2]), ("delayed", "4."), "Action, Status")
        until, last = (email.utils.parsedate_to_datetime(of_recipient[field])
                       for field in ("will-retry-until", "last-attempt-date"))
        expect((until - last).days >= 13, f"kept until {until}, last tried {last}")


def test_fast_clock_and_faults_are_refused_beyond_loopback(world):
    for option in ({"clock_rate": 100}, {"fault": "accept_committed"}):
        relay = world.relay({"listeners": [{"address": f"0.0.0.0:{lib.free_port()}"}]}, name=next(iter(option)))
        relay.start(wait=False, **option)
        status = relay.process.popen.wait(10)
        expect(status not in (0, -6, -11) and "loopback" in relay.log(), f"{option}: exit {status}, {relay.log()[-300:]}")


if __name__ == "__main__":
    lib.run(globals())
