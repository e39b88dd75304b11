"""Kills at random instants and at each named point of the crash table.

The unit of a promise is the 250: what was answered 250 is delivered, however often the daemon dies. The client journals
each 250 durably before it counts it, so what it holds after the kill is the truth.
"""

import os
import shutil
import time

import lib
from crash_world import *  # pylint: disable=wildcard-import,unused-wildcard-import
from lib import Failure

# Messages, kills. CRASH_KILLS=1000 makes a long run.
RANDOM = (10000, 20) if IS_FULL else (2000, 6)
if "CRASH_KILLS" in os.environ:
    RANDOM = (50 * int(os.environ["CRASH_KILLS"]), int(os.environ["CRASH_KILLS"]))

# What a full run leaves for doc/crash.md: lines by name.
FIGURES = {}


# ---- random instants ----

def strike_at_random(crash, load, kills):
    """kill -9 at random instants, also while it starts; restarted at once."""
    opened = []
    for _ in range(kills):
        time.sleep(crash.rng.uniform(0.02, 0.8))
        if not load.is_running():
            break
        opened.append(crash.sink.control.stats()["sink"]["open"])
        crash.kill()
        crash.start(wait=False)
    return opened


def random_kills(crash, count, kills, name, **options):
    """Returns the sums of the ledger. Lost and altered must be 0 (the ledger sees to it)."""
    crash.start()
    load = crash.start_load(count, rate=count / (kills * 0.7), deadline=600 + kills, **options)
    opened = strike_at_random(crash, load, kills)
    crash.relay.wait_until_ready()
    crash.settle(load, 240)
    expect(crash.kills >= kills * 0.8, f"only {crash.kills} kills of {kills} fell into the run")
    sums = crash.ledger(allowed=CONNECTIONS * crash.kills)
    FIGURES[name] = (f"{sums['accepted']} accepted, {crash.kills} kills, lost {sums['lost']}, altered {sums['altered']}, "
                     f"sent twice by the relay {sums['ours']} (connections to the next hop at the kills: {sum(opened)}), "
                     f"sent again by the client {sums['in_doubt']}")
    print(f"# seed {SEED}: {FIGURES[name]}", flush=True)
    return sums


def test_random_kills_lose_nothing(world):
    crash = CrashWorld(world, {"queue.wal-pages": 400})
    random_kills(crash, *RANDOM, name="kill -9 at random")
    expect_equal(crash.relay.stop(), 0, "exit status after the kills")


def test_random_kills_lose_nothing_when_unsynced_writes_go_too(world):
    crash = CrashWorld(world, {"queue.wal-pages": 400}, "crash/outlastd", {"OUTLAST_TEST_VFS": "unsynced"})
    random_kills(crash, *RANDOM, name="and every unsynced write lost")


# A sync of something else may come just before a kill and save what was written till then: not before each of these.
PLANTED_KILLS = 3


def find_planted_loss(world, program, name, changes=None):
    """The daemon with a planted defect must be found out: without its syncs mail is lost."""
    crash = CrashWorld(world, changes, program, {"OUTLAST_TEST_VFS": "unsynced"})
    crash.start()
    crash.sink.control("sink refuse")
    for part in range(PLANTED_KILLS):
        crash.load(100, f"client{part}", rate=1000)
        crash.kill()
        crash.start()
    crash.sink.control("sink up")
    crash.settle()
    sums = crash.ledger(status=None)
    expect(sums["lost"] > 0, f"a defect was planted and nothing is lost: {sums}")
    FIGURES["planted " + name] = f"{sums['accepted']} accepted, {PLANTED_KILLS} kills, lost {sums['lost']}"
    print(f"# {program}: lost {sums['lost']} of {sums['accepted']}, as it must")


def test_planted_synchronous_off_is_detected(world):
    find_planted_loss(world, "crash/planted-off/outlastd", "synchronous=OFF, no journal", {"queue.journal": 0})


def test_planted_synchronous_normal_is_detected(world):
    find_planted_loss(world, "crash/planted-normal/outlastd", "synchronous=NORMAL, no journal", {"queue.journal": 0})


def test_planted_journal_without_sync_is_detected(world):
    find_planted_loss(world, "crash/planted-journal/outlastd", "journal without its sync")


def test_random_kills_in_a_mixed_world(world):
    """One destination down, one that answers 451, one slow; large messages among small ones, and several recipients."""
    small, large, kills = (2000, 80, 20) if IS_FULL else (400, 12, 4)
    names = ("good", "down", "busy", "slow")
    listeners = [f"{name}=127.0.2.{i + 1}:0" for i, name in enumerate(names)]
    sinks = {name: world.sink(listener, name=name) for name, listener in zip(names, listeners)}
    crash = CrashWorld(world, {"limits.spool-from": "256K", "queue.wal-pages": 2000, "routes": [
        {"name": name, "to": f"{name}.test", "via": "[%s]:%s" % tuple(sinks[name].at[name].split(":"))}
        for name in names]})
    sinks["down"].control("down refuse")
    sinks["busy"].control(f"busy times {small // 10} reply rcpt 451 4.2.1 come again")
    sinks["busy"].control(f"busy times {small // 20} reply dot 451 4.3.0 not now")
    sinks["slow"].control("slow delay dot 50")
    crash.start()
    rcpt = [f"u%d@{name}.test" for name in names]
    loads = [crash.start_load(small, "small", rcpt=rcpt, rate=small / (kills * 0.6), multi_rcpt=2),
             crash.start_load(large, "large", rcpt=rcpt, rate=large / (kills * 0.6), sessions=4, size="300K-2M")]
    strike_at_random(crash, loads[0], kills)
    crash.relay.wait_until_ready()
    for load in loads:
        finish(load, 200)
    sinks["down"].control("down up")
    crash.settle(seconds=120)
    sums = world.ledger(clients=crash.clients, sinks=names, allow_duplicates=CONNECTIONS * len(names) * crash.kills)
    FIGURES["in a mixed world"] = (
        f"{sums['accepted']} recipients accepted, {crash.kills} kills, lost {sums['lost']}, altered {sums['altered']}, "
        f"sent twice by the relay {sums['duplicates'] - sums['in_doubt']}, sent again by the client {sums['in_doubt']}")
    print(f"# {FIGURES['in a mixed world']}")


# ---- named points ----

PARKED = {"sink": "refuse"}  # deliveries out of the way: what is doubled is doubled by accepting
# What the journal has goes to the tables when somebody asks for the state of the queue.
ASKED = {**PARKED, "asked": True}
SERIAL = {"sink": "up", "delivery.connections": 1, "delivery.messages-per-connection": 2}

# Row of the crash table, point, setting, passages before it strikes (at most), options of the client, and how many duplicates
# a hit may leave: by the relay, by the client that had no 250.
POINTS = (
    ("during DATA, before the commit", "accept_in_data", PARKED, 6, {}, 0, 0),
    ("during DATA, before the commit", "accept_spooled", {**PARKED, "limits.spool-from": "16K"}, 4, {"size": "200K"}, 0, 0),
    ("during DATA, before the commit", "accept_applied", PARKED, 6, {}, 0, 0),
    ("after the commit, before our 250", "accept_committed", PARKED, 6, {}, 0, 1),
    # Strikes 1 ms after the 250: the client may be through with its next message, which then is in the row above.
    ("after our 250", "accept_replied", PARKED, 6, {"rate": 100}, 0, 1),
    ("in an attempt", "attempt_connected", {**SERIAL, "delivery.messages-per-connection": 1}, 4, None, 0, 0),
    ("in an attempt", "attempt_in_data", SERIAL, 4, None, 0, 0),
    ("in an attempt, final dot sent", "attempt_dot_sent", SERIAL, 4, None, 1, 0),
    ("next hop said 250, RECORD not committed", "attempt_delivered", SERIAL, 4, None, 1, 0),
    ("next hop said 250, RECORD not committed", "record_applied", SERIAL, 4, None, 1, 0),
    ("after RECORD", "record_committed", SERIAL, 4, None, 0, 0),
    ("while the journal goes to the tables", "retire_begin", ASKED, 2, {"size": "20K", "rate": 100}, 0, 1),
    ("while the journal goes to the tables", "retire_end", ASKED, 2, {"size": "20K", "rate": 100}, 0, 1),
    ("in a checkpoint", "checkpoint_begin", {**PARKED, "queue.wal-pages": 100, "queue.journal": 0}, 2, {"size": "20K"}, 0, 1),
    ("in a checkpoint", "checkpoint_end", {**PARKED, "queue.wal-pages": 100, "queue.journal": 0}, 2, {"size": "20K"}, 0, 1),
)


def strike_at_point(world, row, point, setting, most, client, ours, theirs, hits):
    changes = {key: value for key, value in setting.items() if key not in ("sink", "asked")}
    crash = CrashWorld(world, changes)
    load = None

    def ask():
        crash.relay.cli("status", status=None)

    crash.sink.control("sink refuse")
    if client is None:  # a backlog, then deliveries one by one
        crash.start()
        crash.load(hits * most + 10)
        crash.kill()
        crash.kills = 0
        crash.sink.control(f"sink {setting['sink']}")
    for hit in range(hits):
        fault = f"{point}:{crash.rng.randint(1, most)}"
        crash.start(fault, wait=False)
        if "asked" in setting and hit > 0:  # before it answers, the program would look at the queue by itself
            try:
                crash.relay.wait_until_ready()
            except Failure:
                pass  # struck already
        if client is not None and hit == 0:
            crash.relay.wait_until_ready()
            load = crash.start_load(hits * most * client_scale(client), sessions=1, **client)
        crash.wait_struck(fault, meanwhile=ask if setting.get("asked") else None)
        expect_sound(world, crash.queue)
    crash.start()
    crash.sink.control("sink up")
    crash.settle(load)
    sums = crash.ledger(allowed=ours * hits)
    if sums["ours"] > ours * hits or sums["in_doubt"] > theirs * hits:
        raise Failure(f"{point}: more duplicates than the crash table allows: {sums}")
    return (row, point, crash.kills, sums["ours"], sums["in_doubt"], sums["lost"], sums["altered"])


def client_scale(client):
    """How many messages one passage may take: what came together while the relay was away counts once."""
    return 25 if client.get("size") == "20K" or "rate" in client else 2


def make_point_test(place):
    def test(world):
        hits = 20 if IS_FULL else 1 + (place % 2)
        row = strike_at_point(world, *POINTS[place], hits)
        FIGURES.setdefault("table", []).append(row)
        print("# %s | %s: %d hits, sent twice by the relay %d, by the client %d, lost %d, altered %d" % row)
    return test


for _place, _point in enumerate(POINTS):
    globals()[f"test_kill_at_{_point[1]}"] = make_point_test(_place)


# What the steps of a migration make, taken back: a queue as a program of that version left it.
SCHEMA_STEPS = 5
TO_VERSION_4 = """
ALTER TABLE message DROP COLUMN by_trace; ALTER TABLE message DROP COLUMN requiretls; DROP TABLE shelf; PRAGMA user_version=4;"""
TO_VERSION_3 = TO_VERSION_4 + """
DROP INDEX recipient_ready; DROP INDEX recipient_failed; DROP INDEX message_kept; DROP INDEX message_late;
DROP INDEX message_own; DROP INDEX message_by; DROP INDEX message_owed;
ALTER TABLE site DROP COLUMN rate; ALTER TABLE hop DROP COLUMN route; ALTER TABLE hop DROP COLUMN route_at;
ALTER TABLE hop DROP COLUMN denied; ALTER TABLE hop DROP COLUMN denied_at;
ALTER TABLE recipient DROP COLUMN bucket; ALTER TABLE recipient DROP COLUMN held; ALTER TABLE recipient DROP COLUMN notice;
ALTER TABLE message DROP COLUMN kept; ALTER TABLE message DROP COLUMN late_notice;
ALTER TABLE message DROP COLUMN told; ALTER TABLE message DROP COLUMN owed;
DROP TABLE told; DROP TABLE outage; DROP TABLE outage_sample;
CREATE INDEX recipient_ready ON recipient(hop, priority DESC, message, number) WHERE state = 0;
PRAGMA user_version=3;"""
TO_VERSION_2 = TO_VERSION_3 + "DROP TABLE meta; DROP TABLE audit; PRAGMA user_version=2"


def test_kill_at_migrate_step(world):
    """The steps on an empty queue, then the later ones over a queue with mail."""
    hits = 20 if IS_FULL else 2
    crash = CrashWorld(world)
    crash.sink.control("sink refuse")
    for hit in range(hits):
        if hit % 2 == 0:
            shutil.rmtree(crash.queue)
            os.makedirs(crash.queue)
            fault = f"migrate_step:{1 + hit // 2 % SCHEMA_STEPS}"
        else:
            crash.start()
            crash.load(20, f"client{hit}", sessions=2)
            expect_equal(crash.relay.stop(), 0, "exit status")
            change_queue(crash.queue, TO_VERSION_2)
            os.unlink(os.path.join(crash.queue, "queue.db.journal"))  # that version had none
            fault = f"migrate_step:{1 + hit // 2 % (SCHEMA_STEPS - 2)}"
        crash.start(fault, wait=False)
        crash.wait_struck(fault)
        version = expect_sound(world, crash.queue)
        expect(version in range(1, SCHEMA_STEPS + 1), f"version {version} of the schema after the kill")
        if hit % 2 == 1:
            crash.start()
            crash.sink.control("sink up")
            crash.settle()
            crash.sink.control("sink refuse")
            expect_equal(crash.relay.stop(), 0, "exit status")
            expect_equal(expect_sound(world, crash.queue), SCHEMA_STEPS, "version of the schema")
    sums = crash.ledger()
    row = ("in a schema migration", "migrate_step", crash.kills, sums["ours"], sums["in_doubt"], sums["lost"],
           sums["altered"])
    FIGURES.setdefault("table", []).append(row)
    print("# %s | %s: %d hits, sent twice by the relay %d, by the client %d, lost %d, altered %d" % row)


def test_kill_around_record_of_a_failure_leaves_one_notice(world):
    """The failure and its notice are one transaction: either both are there or neither."""
    hits = 20 if IS_FULL else 4
    crash = CrashWorld(world, {"delivery.connections": 1})
    crash.sink.control("sink refuse")
    crash.start()
    crash.load(hits * 4 + 10, rcpt=["nobody%d@a.test", "user%d@a.test"])
    crash.kill()
    crash.kills = 0
    crash.sink.control("sink up")
    crash.sink.control("sink reply rcpt 550 5.1.1 no such user for nobody*")
    for hit in range(hits):
        fault = f"{('record_applied', 'record_committed')[hit % 2]}:{crash.rng.randint(1, 4)}"
        crash.start(fault, wait=False)
        crash.wait_struck(fault)
        expect_sound(world, crash.queue)
    crash.start()
    crash.settle()
    sums = crash.ledger(allowed=hits)
    expect(sums["bounced"] > 0 and sums["bounced"] + sums["delivered"] == sums["accepted"], f"sums: {sums}")
    FIGURES["at RECORD, half of it failures"] = (
        f"{sums['accepted']} accepted, {crash.kills} kills, delivered {sums['delivered']}, returned {sums['bounced']}, "
        f"lost {sums['lost']}, second notices {sums['double_notices']}, sent twice by the relay {sums['ours']}")
    print(f"# {FIGURES['at RECORD, half of it failures']}")


# ---- the reply to the final dot is lost ----

def test_lost_reply_is_in_doubt_and_retried_late(world):
    """No crash of ours: the next hop has the message, its reply never comes."""
    crash = CrashWorld(world)
    crash.start(clock_rate=1)
    crash.sink.control("sink once drop-after-dot")
    crash.load(1, sessions=1)
    listed = wait_for(lambda: [line for line in crash.relay.cli("list", "--state", "waiting", "--json", status=None)
                               .splitlines() if line], 15, "the recipient is waiting")
    expect("in-doubt=yes" in crash.relay.log(), "the log does not say in-doubt=yes")
    message = lib.json.loads(listed[0])
    recipient = lib.json.loads(crash.relay.cli("show", message["queue_id"], "--json").splitlines()[0])["recipients"][0]
    expect_equal(recipient["in_doubt"], True, "in_doubt of the recipient")
    waits = lib.json.loads(listed[0])["recipients"][0]["next_attempt"] - time.time()
    expect(29 * 60 < waits < 40 * 60, f"the next attempt is {waits:.0f} s away, usual would be 300 s")
    expect("outlast_recipients_in_doubt_total 1" in crash.relay.cli("metrics"), "in doubt, and not counted")
    crash.relay.cli("retry", message["queue_id"])
    crash.settle()
    sums = crash.ledger()
    expect_equal((sums["duplicates"], sums["in_doubt"], sums["bounced"]), (1, 1, 0), "sent twice, in doubt, bounced")
