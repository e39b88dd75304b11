#!/usr/bin/python3
"""The outages of January 2023 and December 2020 as one world, on the real daemon with a fast clock: 17 days in 100 seconds.

Real programs on loopback addresses: Knot DNS, two outlast-sink as the destinations, outlast-load as the senders, and outlastd
with the shipped configuration, changed only in names, addresses and ports. That destinations and mailboxes are known good, and
what a destination bears, the relay learns from the mail of this run. In it, at once or one after the other:

  Libero         nine hours in which mail is taken and gets stuck, 140 hours of refused connections and 421
  Virgilio       beside it, with MX names of its own, and a sibling on Libero's; before, 550 for mailboxes that exist
  Libero PEC     a sibling domain on another site, which works all the time
  recovery       a tenth of the capacity at first, 421 beyond it, 4xx for some mailboxes for ten days more
  Gmail          550 5.1.1 for mailboxes that exist, for 6 h 41 min; users who do not exist are refused all the time

and a kill -9 in the middle. Judged by outlast-ledger from the journals of senders and destinations: nothing lost, nothing
bounced but the users that do not exist. What the others' mail took is reported, not judged: the machine has its share in it.
"""

import os
import statistics
import sys
import time

import lib
from lib import expect, expect_equal, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
from knot import Knot  # noqa: E402

RATE = 15000  # a day in 5.8 s
DAY_S = 86400 / RATE
HOSTS = {"mx1.libero": "127.0.1.2", "mx2.libero": "127.0.1.3", "mx1.virgilio": "127.0.1.4", "mx2.virgilio": "127.0.1.5",
         "mx.pec": "127.0.1.6", "mx.gmail": "127.0.1.7", "mx.alpha": "127.0.1.8", "mx.client": "127.0.1.9"}
ITALY = ("mx1.libero", "mx2.libero", "mx1.virgilio", "mx2.virgilio")
ZONE = """
$ORIGIN test.
$TTL 3600
@         SOA   ns hostmaster 1 3600 600 86400 60
          NS    ns
ns        A     127.0.0.1
libero    MX    10 mx1.libero
          MX    20 mx2.libero
virgilio  MX    10 mx1.virgilio
          MX    10 mx2.virgilio
; shares Libero's set
inwind    MX    10 mx1.libero
          MX    20 mx2.libero
pec.libero MX   10 mx.pec
gmail     MX    10 mx.gmail
alpha     MX    10 mx.alpha
client    MX    10 mx.client
""" + "".join(f"{name} A {at}\n" for name, at in HOSTS.items())
# Mailboxes that exist, by domain: how many, and how many messages a second go to them while the run lasts.
MAILBOXES = {"u%300d@libero.test": (300, 12), "slow%40d@libero.test": (40, 2), "v%100d@virgilio.test": (100, 6),
             "w%50d@inwind.test": (50, 4), "p%200d@pec.libero.test": (200, 8), "g%200d@gmail.test": (200, 8),
             "a%200d@alpha.test": (200, 8)}
UNTIL_DAY = 11.5  # mail comes in
NOBODY = "550 5.1.1 no such user"


class Outage:
    def __init__(self, world):
        self.world = world
        self.knot = Knot(world, ZONE)
        port = lib.common_port(HOSTS.values())
        self.italy = world.sink(*(f"{name}={HOSTS[name]}:{port}" for name in ITALY), name="italy")
        self.others = world.sink(*(f"{name}={at}:{port}" for name, at in HOSTS.items() if name not in ITALY), name="others")
        self.relay = world.relay({"delivery.port": port, "dns.servers": [self.knot.at],
                                  "dns.allow-addresses": ["127.0.1.0/24"], "outage.notice-hold": "10m"})
        self.loads, self.clients = [], []
        self.begun = 0
        self.refused = []  # messages offered, and of these refused for the rate, at each capacity

    # time

    def day(self):
        return (time.monotonic() - self.begun) / DAY_S

    def wait_until(self, day):
        time.sleep(max(0, (day - self.day()) * DAY_S))

    def say(self, text):
        print(f"# day {self.day():5.2f}  {text}", flush=True)

    # mail

    def send(self, name, rcpt, count, wait=True, **more):
        self.clients.append(name)
        options = {"count": count, "rcpt": rcpt, "prefix": name, "sessions": 8, "size": "1K-4K", "pipelining": True,
                   "resume_after_drop": 30, "timeout": 30, "deadline": 110, "from": "sender%20d@client.test", **more}
        if wait:
            self.world.load(self.relay.at, journal=name, **options)
        else:
            self.loads.append(self.world.start_load(self.relay.at, journal=name, **options))

    def accept_from_all(self):
        """Each mailbox gets a message before anything happens; then mail comes all the time."""
        for number, (rcpt, (count, _)) in enumerate(MAILBOXES.items()):
            self.send(f"first{number}", rcpt, count)
        first = sum(count for count, _ in MAILBOXES.values())
        wait_for(lambda: self.arrived() >= first, 20, "the first message to each mailbox")
        self.begun = time.monotonic()
        for number, (rcpt, (_, rate)) in enumerate(MAILBOXES.items()):
            self.send(f"mail{number}", rcpt, int(rate * UNTIL_DAY * DAY_S), wait=False, rate=rate, sessions=2)
        self.send("nobody", "nobody%d@gmail.test", 60, wait=False, rate=1, sessions=1)

    def arrived(self):
        return sum(host["messages"] for sink in (self.italy, self.others) for host in sink.control.stats().values())

    # destinations

    def both(self, command, hosts=ITALY):
        for host in hosts:
            self.italy.control(f"{host} {command}")

    def gmail(self, *commands):
        for command in ("clear", *commands, f"reply rcpt {NOBODY} for nobody*"):
            self.others.control("mx.gmail " + command)

    def come_back(self):
        """Returns after how long the first message was taken, in seconds of the real clock."""
        before = len(self.italy.messages())
        for command in ("up", "reply rcpt 450 4.2.1 mailbox not restored yet for slow*", "rate 60/s", "max-connections 10"):
            self.both(command, ITALY[1:])
        back_ms = time.time() * 1000
        self.both("rate 60/s", ITALY[:1])
        self.both("up", ITALY[:1])
        self.both("reply rcpt 450 4.2.1 mailbox not restored yet for slow*", ITALY[:1])
        wait_for(lambda: len(self.italy.messages()) > before, 20, "the first message after the recovery", every=0.005)
        return max(0, self.italy.messages()[before]["t"] - back_ms) / 1000

    # the run

    def run(self):
        self.relay.start(clock_rate=RATE)
        self.gmail()
        self.accept_from_all()
        self.say("mail goes everywhere")
        self.wait_until(0.4)
        self.gmail(f"reply rcpt {NOBODY} for g*")
        self.send("storm", "g%200d@gmail.test", 300, wait=False, rate=600)
        self.say("Gmail refuses mailboxes that exist")
        self.wait_until(0.5)
        self.both("reply rcpt 550 5.1.1 mailbox unavailable for v*")
        self.both("reply rcpt 550 5.1.1 mailbox unavailable for w*")
        self.send("storm2", ["v%100d@virgilio.test", "w%50d@inwind.test"], 200, wait=False, rate=600)
        self.say("Virgilio refuses mailboxes that exist; Libero takes mail that gets stuck")
        self.wait_until(0.4 + 6.68 / 24)
        self.gmail()
        self.say("Gmail is well again")
        self.wait_until(0.5 + 9 / 24)
        self.both("refuse")
        self.say("Libero and Virgilio refuse connections")
        self.wait_until(2.5)
        self.relay.kill()
        self.relay.start(clock_rate=RATE)
        self.say("outlastd was killed and runs again")
        self.wait_until(3.5)
        self.both("up")
        self.both("greet 421 4.3.2 system not accepting mail")
        self.wait_until(5)
        self.both("refuse")
        self.wait_until(0.5 + 149 / 24)
        self.say(f"back, with a tenth of the capacity; {self.relay.queued()} recipients wait")
        self.offered = self.offers()
        self.waited_s = self.come_back()
        for day, rate in ((7.7, "120/s"), (8.7, "240/s"), (9.7, "off")):
            self.wait_until(day)
            self.refused.append(self.tell_offers("until then"))
            self.both(f"rate {rate}")
            self.say(f"capacity {rate}; {self.relay.queued()} recipients wait")
        self.wait_until(11.7)
        for load in self.loads:
            expect_equal(load.popen.wait(30), 0, f"outlast-load: {load.log()[-300:]}")
        self.say(f"no new mail; {self.relay.queued()} recipients wait")
        self.wait_until(6.7 + 10)
        self.both("up")
        self.say("the last mailboxes are restored")
        wait_for(lambda: self.relay.queued() == 0, 15, "the queue is empty", every=0.1)
        self.wait_for_notices()
        self.say("the queue is empty")

    def wait_for_notices(self):
        """The last notices are mail too."""
        wait_for(lambda: self.others.control.stats()["mx.client"]["dsns"] >= 60, 10, "a notice for each user who is not there")

    # what came of it

    def judge(self):
        sums = self.world.ledger(clients=self.clients, sinks=["italy", "others"], status=None, unknown="nobody*",
                                 allow_duplicates=20)
        print(f"# {sums}")
        expect_equal((sums["lost"], sums["false_bounces"]), (0, 0), "lost, falsely bounced")
        expect_equal(sums["bounced"], 60, "bounced: the users who are not there")
        expect(sums["ok"], "the ledger does not balance")
        self.report()
        limit_s = 1.1 * 600 / RATE + 0.6  # one probe interval; and what starting, connecting and a sync take in real time
        asked, refused = (sum(column) for column in zip(*self.refused))
        expect(refused <= 0.2 * asked, f"{refused} of {asked} messages offered were refused for their rate")
        expect(self.waited_s <= limit_s, f"the first message after the recovery came after {self.waited_s:.2f} s")

    def report(self):
        accepted = {e["token"]: e["t"] for name in self.clients for e in lib.read_journal(self.world.path(name + ".journal"))
                    if e["event"] == "accepted"}
        out = 0.9 * DAY_S * 1000, 6.7 * DAY_S * 1000
        begun_ms = time.time() * 1000 - (time.monotonic() - self.begun) * 1000
        print(f"# first message after the recovery: {self.waited_s * 1000:.0f} ms, {self.waited_s * RATE / 60:.0f} simulated minutes")
        for host in ("mx.pec", "mx.alpha"):
            during, outside = [], []
            for message in self.others.messages():
                if message["host"] == host and message.get("token") in accepted:
                    at_ms = accepted[message["token"]]
                    is_out = out[0] <= at_ms - begun_ms <= out[1]
                    (during if is_out else outside).append(max(0, message["t"] - at_ms))
            print(f"# {host}: median {statistics.median(during):.0f} ms during the outage ({len(during)} messages), "
                  f"{statistics.median(outside):.0f} ms otherwise ({len(outside)})")

    def offers(self):
        """Messages offered to Libero and Virgilio, and those refused for their rate; what is said to RCPT is no matter of it."""
        hosts = self.italy.control.stats().values()
        return [sum(host[what] for host in hosts) for what in ("mail", "rate_refused")]

    def tell_offers(self, what):
        asked, refused = (now - before for now, before in zip(self.offers(), self.offered))
        self.say(f"{what}: {refused} of {asked} messages offered were refused for their rate")
        self.offered = self.offers()
        return asked, refused


def test_outage(world):
    outage = Outage(world)
    outage.run()
    outage.judge()
    expect_equal(outage.relay.stop(), 0, "exit status")


if __name__ == "__main__":
    lib.run(globals())
