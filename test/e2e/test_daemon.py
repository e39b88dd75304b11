#!/usr/bin/python3
"""The daemon as a whole, in matters that no other test sees: what is left in the queue, what a reload keeps, and
when it refuses to start."""

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


def test_fast_clock_and_faults_are_refused_beyond_loopback(world):
    for option in ({"clock_rate": 100}, {"fault": "accept_committed"}):
        relay = world.relay({"listeners": [{"address": f"0.0.0.0:{lib.free_port()}"}]}, name=next(iter(option)))
        relay.start(wait=False, **option)
        status = relay.process.popen.wait(10)
        expect(status not in (0, -6, -11) and "loopback" in relay.log(), f"{option}: exit {status}, {relay.log()[-300:]}")


if __name__ == "__main__":
    lib.run(globals())
