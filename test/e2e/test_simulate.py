#!/usr/bin/python3
"""outlast simulate: a shape played, a scenario of the tests, and what it makes of a real queue, with the daemon and
without."""

import os
import smtplib
import xml.dom.minidom

import lib
from lib import expect, expect_equal, wait_for

SMALL = ("--set", "messages=300", "--set", "mailboxes=50", "--set", "senders=20", "--set", "others=100",
         "--set", "connections=4")


def test_shape_is_played_and_estimated(world):
    relay = world.relay()
    svg = world.path("backlog.svg")
    exact = relay.json("simulate", *SMALL, "--outage", "20h", "--svg", svg)
    expect_equal((exact["mode"], exact["expired"], exact["queued"]), ("exact", 0, 0), "mode, expired, queued")
    expect(295 <= exact["peak_backlog"] <= 305, f"300 messages came in the outage, {exact['peak_backlog']} waited at most")
    estimate = relay.json("simulate", *SMALL, "--outage", "20h", "--estimate")
    expect_equal(estimate["mode"], "estimate", "mode")
    expect(abs(estimate["peak_backlog"] - exact["peak_backlog"]) <= 15, "the estimate's backlog is that of the exact run")
    title = xml.dom.minidom.parse(svg).getElementsByTagName("title")[0].firstChild.data
    expect(title, "the plot has a title")
    text = relay.cli("simulate", *SMALL, "--outage", "20h", "--estimate")
    expect("ESTIMATE" in text and "largest backlog" in text, "a table that says what it is")


def test_estimate_agrees_at_a_small_size(world):
    """Exit status 2 when it is off by more than 5 %."""
    text = world.relay().cli("simulate", "--size", "1/20000", "--set", "connections=20000", "--compare")
    expect("MORE THAN" not in text and "differ" in text, text)


def test_scenario_of_the_tests_is_played(world):
    scenario = os.path.join(os.path.dirname(__file__), "../scenarios/parked.scn")
    text = world.relay().cli("simulate", "--scenario", scenario)
    expect("dead.taken" in text and "Everything that the scenario expects holds." in text, text)


def test_wrong_words_are_refused(world):
    relay = world.relay()
    for words in (("--outage", "libero.it=soon"), ("--set", "colour=red"), ("--size", "0"), ("--seed", "x"),
                  ("--exact", "--estimate"), ("operand",)):
        relay.cli("simulate", *words, status=64)
    relay.cli("simulate", "--scenario", world.path("absent"), status=65)


def test_outage_of_a_real_queue(world):
    net = lib.Internet(world, {"to.test": "127.0.7.9"})
    relay = world.relay(net.conf())
    relay.start()
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        for n in range(5):
            smtp.sendmail("from@to.test", [f"to{n}@to.test"], b"Subject: before\r\n\r\nbye\r\n")
    wait_for(lambda: net.got("to.test") == 5, 20, "delivery")
    found = relay.json("simulate", "--outage", "to.test=3d")
    expect_equal((found["mode"], found["shape"]["backlog"], found["expired"]), ("estimate", 0, 0), "what was found")
    expect(13 <= found["peak_backlog"] <= 17, f"5 messages a day make {found['peak_backlog']} in 3 days")
    relay.cli("simulate", "--outage", "nowhere.test=3d", status=1)
    expect_equal(relay.cli("sites", "--hop", "to.test", "--ids"), "mx.to.test\n", "the site of a domain")
    relay.cli("sites", "--hop", "nowhere.test", status=1)
    relay.stop()
    text = relay.cli("simulate", "--outage", "to.test=3d")
    expect("Taken from the queue" in text, text)


if __name__ == "__main__":
    lib.run(globals())
