"""What the crash tests share: a relay before one smarthost, kills, and how a queue is looked at from outside."""

import os
import random
import shutil
import signal
import sqlite3
import sys
import time

import lib
from lib import Failure, expect, expect_equal, wait_for

RATE = 1000  # simulated seconds in a second: retries after minutes come within the second
IS_FULL = "--full" in sys.argv
SEED = int(os.environ.get("CRASH_SEED", time.time_ns() % 1000000))
CONNECTIONS = 20


class CrashWorld:
    """A sink as the only next hop and a relay that is going to be killed."""

    def __init__(self, world, changes=None, program="outlastd", env=None):
        self.world = world
        self.rng = random.Random(f"{SEED} {world.directory.rsplit('-', 2)[1]}")
        self.sink = world.sink()
        self.program = program
        self.env = env
        self.kills = 0
        self.clients = []
        settings = {"routes": [{"name": "smarthost", "via": "[%s]:%s" % tuple(self.sink.at["sink"].split(":"))}],
                    "dns.servers": ["127.0.0.1:1"], "dns.allow-addresses": ["127.0.0.0/8"],
                    "queue.min-free": "16M", "delivery.connections": CONNECTIONS,
                    "outage.probe-unknown-first": "2m", "outage.probe-unknown-last": "5m"}
        settings.update(changes or {})
        self.relay = world.relay(settings)

    @property
    def queue(self):
        return self.relay.settings["queue.directory"]

    def start(self, fault=None, wait=True, **options):
        options = {"clock_rate": RATE, "program": self.program, "env": self.env, **options}
        return self.relay.start(fault=fault, wait=wait, **options)

    def start_load(self, count, name="client", **options):
        self.clients.append(name)
        options = {"sessions": 20, "size": "1K-8K", "pipelining": True, "resume_after_drop": 40, "timeout": 30,
                   "deadline": 600, "prefix": name, **options}
        return self.world.start_load(self.relay.at, journal=name, count=count, **options)

    def load(self, count, name="client", **options):
        finish(self.start_load(count, name, **options))

    def kill(self):
        expect_equal(self.relay.kill(), -signal.SIGKILL, "exit status of the killed daemon")
        self.kills += 1

    def wait_struck(self, fault, seconds=20, meanwhile=None):
        """The daemon must end itself at the armed point."""
        popen = self.relay.process.popen
        end = time.monotonic() + seconds
        while meanwhile and popen.poll() is None and time.monotonic() < end:
            meanwhile()
        try:
            status = popen.wait(max(0.1, end - time.monotonic()))
        except lib.subprocess.TimeoutExpired:
            raise Failure(f"the point {fault} was not passed; the log ends {self.relay.log()[-800:]}") from None
        if status != -signal.SIGKILL:
            raise Failure(f"{fault}: exit status {status}: {self.relay.log()[-1500:]}")
        self.kills += 1

    def settle(self, load=None, seconds=60):
        """Waits until everything is accepted and nothing is left in the queue."""
        if load:
            finish(load, seconds)
        wait_for(self.is_empty, seconds, "the queue is empty", every=0.1)

    def is_empty(self):
        recipients = self.relay.json("status")["recipients"]
        return not any(recipients[state] for state in ("ready", "waiting", "held", "quarantined"))

    def ledger(self, allowed=0, status=0):
        sums = self.world.ledger(clients=self.clients, allow_duplicates=allowed, status=status)
        sums["ours"] = sums["duplicates"] - sums["in_doubt"]  # the client is not to blame for these
        return sums


def finish(load, seconds=120):
    status = load.popen.wait(seconds)
    if status != 0:
        raise Failure(f"the client did not get its mail accepted: {load.log()[-500:]}")


def copy_queue(directory, to):
    """The files of the queue as they are, for looking into without touching them."""
    os.makedirs(to, exist_ok=True)
    for name in ("queue.db", "queue.db-wal"):
        if os.path.exists(os.path.join(to, name)):
            os.unlink(os.path.join(to, name))
        if os.path.exists(os.path.join(directory, name)):
            shutil.copy(os.path.join(directory, name), os.path.join(to, name))
    return os.path.join(to, "queue.db")


def expect_sound(world, directory):
    """The queue that a crash left is a sound database, seen in a copy."""
    path = copy_queue(directory, world.path("copy"))
    if not os.path.exists(path):
        return None
    database = sqlite3.connect(path)
    try:
        expect_equal(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of the queue")
        return database.execute("PRAGMA user_version").fetchone()[0]
    finally:
        database.close()


def change_queue(directory, script):
    """Changes the queue of a daemon that does not run."""
    database = sqlite3.connect(os.path.join(directory, "queue.db"))
    try:
        database.executescript(script)
    finally:
        database.close()


__all__ = ["CrashWorld", "CONNECTIONS", "IS_FULL", "RATE", "SEED", "change_queue", "copy_queue", "expect",
           "expect_equal", "expect_sound", "finish", "wait_for"]
