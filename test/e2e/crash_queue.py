"""What befalls a queue that is no crash: a second daemon, signals, a full or failing disk, damaged files."""

import hashlib
import os
import shutil
import signal
import smtplib
import subprocess
import time

import lib
from crash_world import *  # pylint: disable=wildcard-import,unused-wildcard-import
from lib import Failure, Skip


def stop_parked(world, count=30, **options):
    """A relay that has stopped with `count` messages in its queue; its sink is up again."""
    crash = CrashWorld(world)
    crash.start()
    crash.sink.control("sink refuse")
    crash.load(count, sessions=2, **options)
    expect_equal(crash.relay.stop(), 0, "exit status")
    crash.sink.control("sink up")
    return crash


def digests(directory):
    """An empty log that a look at the file leaves behind changes nothing."""
    result = {}
    for name in ("queue.db", "queue.db-wal"):
        path = os.path.join(directory, name)
        if os.path.exists(path) and (name == "queue.db" or os.path.getsize(path) > 0):
            with open(path, "rb") as file:
                result[name] = hashlib.sha256(file.read()).hexdigest()
    return result


# ---- two daemons, signals ----

def test_second_daemon_on_a_queue_is_refused(world):
    crash = CrashWorld(world)
    crash.start()
    other = world.relay(dict(crash.relay.settings, **{
        "listeners": [{"address": f"127.0.0.1:{lib.free_port()}"}], "control.socket": world.path("other.sock")}),
        name="other")
    begun = time.monotonic()
    other.start(wait=False)
    expect_equal(other.process.popen.wait(5), 75, "exit status of the second daemon")
    took = time.monotonic() - begun
    expect(took < 1, f"it took {took:.2f} s")
    expect(str(crash.relay.process.pid) in other.log() and crash.queue in other.log(),
           f"no word of who has it: {other.log()}")
    crash.load(5)
    crash.settle()
    crash.ledger()


def test_term_under_load_loses_nothing(world):
    crash = CrashWorld(world)
    crash.start()
    crash.sink.control("sink delay dot 20")
    load = crash.start_load(1500, rate=1000)
    for _ in range(2):
        wait_for(lambda: crash.sink.control.stats()["sink"]["open"] >= 3, 10, "deliveries are under way")
        time.sleep(crash.rng.uniform(0, 0.2))
        begun = time.monotonic()
        expect_equal(crash.relay.stop(30), 0, "exit status after SIGTERM")
        expect(time.monotonic() - begun < 30, "SIGTERM took 30 s")
        crash.start()
    crash.settle(load)
    sums = crash.ledger()
    expect_equal(sums["ours"], 0, "sent twice by the relay")


def test_hup_under_load_loses_nothing(world):
    crash = CrashWorld(world)
    crash.start()
    load = crash.start_load(1500, rate=1000)
    good = open(crash.relay.conf_path, encoding="utf-8").read()
    for _ in range(5):
        before = crash.relay.log().count("configuration reloaded")
        crash.relay.process.signal(signal.SIGHUP)
        wait_for(lambda: crash.relay.log().count("configuration reloaded") > before, 5, "the reload")
    with open(crash.relay.conf_path, "w", encoding="utf-8") as file:
        file.write(good.replace("queue:", "quueue:"))
    crash.relay.process.signal(signal.SIGHUP)
    crash.relay.process.wait_for_log(r"reload failed, the old configuration stays: .*relay.yaml:\d+:\d+", 5)
    with open(crash.relay.conf_path, "w", encoding="utf-8") as file:
        file.write(good)
    crash.settle(load)
    sums = crash.ledger()
    expect_equal((sums["duplicates"], crash.relay.stop()), (0, 0), "duplicates, exit status")


# ---- the disk ----

class SmallDisk:
    """A relay whose queue lies on a small file system of its own, in a mount namespace that only it is in."""

    def __init__(self, world, megabytes, changes):
        if os.geteuid() != 0:
            raise Skip("mounts a file system: root only")
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
            raise Skip("no mount namespaces here")
        self.crash = CrashWorld(world, changes)
        script = 'mount -t tmpfs -o size=$1m none "$2" && shift 2 && exec "$@"'
        self.crash.start(wrap=["unshare", "-m", "sh", "-c", script, "sh", str(megabytes), self.crash.queue])
        self.root = f"/proc/{self.crash.relay.process.pid}/root{self.crash.queue}"
        expect(os.path.exists(self.root + "/queue.db"), "the queue is not on its own file system")

    def fill(self):
        with open(self.root + "/filler", "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass

    def free(self):
        os.unlink(self.root + "/filler")


def try_mail(relay):
    """The reply to the first command of a transaction that is refused, or None."""
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        smtp.ehlo()
        for command in ("MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA"):
            code, text = smtp.docmd(command)
            if code >= 400:
                return code, text.decode()
        smtp.send(b"Subject: full?\r\n\r\n" + b"x" * 70 * 1000 + b"\r\n.\r\n")
        code, text = smtp.getreply()
        return (code, text.decode()) if code >= 400 else None


def test_full_disk_refuses_new_mail_and_delivers_the_queued(world):
    disk = SmallDisk(world, 48, {"queue.min-free": "8M", "queue.reserve": "4M"})
    crash = disk.crash
    crash.sink.control("sink refuse")
    crash.load(200, rate=2000)
    disk.fill()
    refused = wait_for(lambda: try_mail(crash.relay), 10, "a refusal on the full disk")
    expect(refused[0] == 452 and refused[1].startswith("4.3.1"), f"refused with {refused}")
    crash.sink.control("sink up")
    crash.settle()  # while the disk is full
    expect(try_mail(crash.relay) is not None, "accepted on a full disk")
    disk.free()
    begun = time.monotonic()
    crash.load(20, "after", retry_4xx=True)
    took = time.monotonic() - begun
    expect(took < 5, f"accepted again only after {took:.1f} s")
    crash.settle()
    sums = crash.ledger()
    expect_equal((sums["duplicates"], crash.relay.stop()), (0, 0), "duplicates, exit status")


def test_full_disk_while_the_log_is_long(world):
    """The log holds mail that the file has no room for when the disk fills. The reserve, as large as the log may be,
    lets it be written back, so that deliveries go on and the log starts over."""
    disk = SmallDisk(world, 24, {"queue.min-free": "4M", "queue.reserve": "4M", "queue.wal-pages": 900})
    crash = disk.crash
    crash.sink.control("sink refuse")
    crash.load(150, size="16K")
    disk.fill()
    crash.sink.control("sink up")
    crash.settle()
    is_told = "the disk is too full" in crash.relay.log() or "the disk is full" in crash.relay.log()
    disk.free()
    crash.load(200, "after", size="16K", retry_4xx=True)
    crash.settle()
    crash.ledger()
    wal_bytes = os.path.getsize(disk.root + "/queue.db-wal")
    expect(wal_bytes < 10 << 20, f"the log does not shrink or start over: {wal_bytes}")
    expect_sound(world, disk.root)
    expect(is_told, f"no alarm: {crash.relay.log()[-600:]}")


def test_failing_sync_ends_the_daemon_without_a_reply(world):
    hits = 10 if IS_FULL else 2
    crash = CrashWorld(world, {"queue.wal-pages": 200}, "crash/outlastd")
    load = None
    for hit in range(hits):
        crash.start(env={"OUTLAST_TEST_VFS": "failsync", "OUTLAST_TEST_SYNC_FAILS": str(crash.rng.randint(8, 60))},
                    wait=False)
        load = load or crash.start_load(300 * hits, rate=1500)
        expect_equal(crash.relay.process.popen.wait(20), 71, "exit status after a failed sync")
        sentences = ("whether the last messages were stored is unknown", "cannot open")  # while it runs, at its start
        expect("queue.db" in crash.relay.log() and any(sentence in crash.relay.log() for sentence in sentences),
               f"no clear sentence: {crash.relay.log()[-500:]}")
        expect_sound(world, crash.queue)
    crash.start()
    crash.settle(load)
    sums = crash.ledger(allowed=CONNECTIONS * hits)
    print(f"# {hits} failed syncs: {sums['accepted']} accepted, lost {sums['lost']}, sent twice by the relay "
          f"{sums['ours']}, by the client {sums['in_doubt']}")


# ---- damaged files ----

def overwrite(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def expect_refused(crash, what):
    """The daemon says what is wrong and what to do, ends with 65, and leaves the files as they are."""
    before = digests(crash.queue)
    crash.start(wait=False)
    expect_equal(crash.relay.process.popen.wait(10), 65, f"exit status, {what}")
    log = crash.relay.log().rsplit("outlastd: ", 1)[-1]
    expect(os.path.join(crash.queue, "queue.db") in log, f"{what}: the file is not named: {log}")
    expect_equal(digests(crash.queue), before, f"the files after the refusal, {what}")
    return log


def test_damaged_queue_is_refused_and_salvaged(world):
    crash = stop_parked(world)
    whole = world.path("whole")
    shutil.copytree(crash.queue, whole)
    size = os.path.getsize(os.path.join(whole, "queue.db"))
    damages = {
        "no SQLite header": lambda path: overwrite(path, 0, os.urandom(100)),
        "garbage in the first page": lambda path: overwrite(path, 100, os.urandom(3000)),
        "truncated to a half": lambda path: os.truncate(path, size // 2 // 4096 * 4096),
        "truncated to 10 octets": lambda path: os.truncate(path, 10),
        "text instead of a queue": lambda path: open(path, "w", encoding="ascii").write("hello " * 5000),
    }
    for what, damage in damages.items():
        shutil.rmtree(crash.queue)
        shutil.copytree(whole, crash.queue)
        damage(os.path.join(crash.queue, "queue.db"))
        log = expect_refused(crash, what)
        expect("salvage" in log, f"{what}: no next step: {log}")
    shutil.rmtree(crash.queue)
    shutil.copytree(whole, crash.queue)
    overwrite(os.path.join(crash.queue, "queue.db"), 100, os.urandom(1000))
    crash.relay.cli("salvage", crash.queue, world.path("out"), status=None)
    shutil.rmtree(crash.queue)
    shutil.copytree(whole, crash.queue)
    crash.relay.cli("salvage", crash.queue, world.path("all"))
    expect_equal(len([n for n in os.listdir(world.path("all")) if n.endswith(".eml")]), 30, "messages salvaged")
    crash.start()
    crash.settle()
    expect_equal(crash.ledger()["duplicates"], 0, "duplicates")


def test_garbage_in_the_log_is_refused(world):
    crash = CrashWorld(world)
    crash.start()
    crash.sink.control("sink refuse")
    crash.load(30)
    crash.kill()
    log_path = os.path.join(crash.queue, "queue.db-wal")
    size = os.path.getsize(log_path)
    expect(size > 100000, f"the log has only {size} octets")
    saved = open(log_path, "rb").read()
    overwrite(log_path, size // 2, os.urandom(3000))
    log = expect_refused(crash, "garbage in the log")
    expect("salvage" in log, f"no next step: {log}")
    with open(log_path, "wb") as file:
        file.write(saved)
    crash.start()
    crash.sink.control("sink up")
    crash.settle()
    crash.ledger()


def test_newer_schema_is_refused_untouched(world):
    crash = stop_parked(world, 5)
    version = expect_sound(world, crash.queue)
    change_queue(crash.queue, "PRAGMA user_version=99")
    log = expect_refused(crash, "newer schema")
    expect("newer version" in log, log)
    expect("newer version" in subprocess.run([lib.program_path("outlast"), "-c", crash.relay.conf_path, "status"],
                                             capture_output=True, text=True, check=False).stderr, "the CLI reads it")
    change_queue(crash.queue, f"PRAGMA user_version={version}")
    crash.start()
    crash.settle()
    crash.ledger()


def held_after(world, change):
    """Ten parked messages, one of them damaged by an SQL statement: nine go on, one is held as corrupt, none is lost."""
    crash = stop_parked(world, 10)
    change_queue(crash.queue, change + " WHERE id = (SELECT id FROM content ORDER BY id LIMIT 1 OFFSET 4)")
    crash.start()
    wait_for(lambda: len(crash.sink.messages()) == 9, 10, "the nine others")
    held = wait_for(lambda: [lib.json.loads(line) for line in
                             crash.relay.cli("list", "--state", "held", "--json", status=None).splitlines()],
                    10, "one message is held")
    expect_equal((len(held), "corrupt" in held[0]["hold_reason"]), (1, True), f"held messages: {held}")
    crash.ledger(status=1)
    expect_equal(crash.world.ledger(clients=crash.clients, queued=1)["lost"], 0, "lost")


def test_message_without_content_is_held_and_others_go_on(world):
    held_after(world, "DELETE FROM content")


def test_message_with_part_of_its_content_is_held_and_never_sent(world):
    held_after(world, "UPDATE content SET data = substr(data, 1, length(data) - 10)")
