"""What a relay costs, seen from outside: /proc of its processes and the statistics of the disk below its queue.

CPU and bytes of processes that have ended are not lost: the kernel adds them to the parent that reaped them, so the
sum over the living counts all of Postfix, whose children come and go. What the file system writes for itself (its
journal) belongs to no process; therefore the disk is asked too, and what it wrote while nothing went on is taken off.
"""

import os
import time

TICK = os.sysconf("SC_CLK_TCK")
SECTOR = 512


def _read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def _stat(pid):
    """The fields of /proc/PID/stat behind the name, which may hold blanks: [0] state, [1] parent, [3] session, [11]
    user ticks."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def family(leader):
    """The process, its children and whatever belongs to its session."""
    found = [leader]
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == leader:
            continue
        try:
            fields = _stat(name)
        except OSError:  # ended meanwhile
            continue
        if leader in (int(fields[1]), int(fields[3])):
            found.append(int(name))
    return found


def _own_cpu(pid):
    """Of the threads that live, in nanoseconds. The ticks of /proc/PID/stat are cut off in each of Postfix's many
    processes, a third of all in a short run; they are what is left where the kernel has no schedstat."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        return sum(int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[0]) for thread in threads) / 1e9
    except FileNotFoundError:
        return sum(int(field) for field in _stat(pid)[11:13]) / TICK


def cpu_seconds(pids):
    """Of the processes and of the children they have reaped."""
    total = 0
    for pid in pids:
        try:
            total += _own_cpu(pid) + sum(int(field) for field in _stat(pid)[13:15]) / TICK
        except (OSError, IndexError):  # ended meanwhile
            continue
    return total


def written_bytes(pids):
    total = 0
    for pid in pids:
        try:
            total += next(int(line.split()[1]) for line in _read(f"/proc/{pid}/io").splitlines()
                          if line.startswith("write_bytes"))
        except (OSError, StopIteration):
            continue
    return total


def memory_kib(pids):
    """PSS: pages that processes share count once."""
    total = 0
    for pid in pids:
        try:
            total += next(int(line.split()[1]) for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()
                          if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


class Disk:
    """The block device that holds a directory; .is_known is false where there is none (overlay, tmpfs, network)."""

    def __init__(self, directory):
        device = os.stat(directory).st_dev
        path = os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        if os.path.exists(os.path.join(path, "partition")):  # flushes are counted for the whole disk only
            path = os.path.dirname(path)
        self.stat_path = os.path.join(path, "stat")
        self.name = os.path.basename(path)
        self.is_known = os.path.exists(self.stat_path)

    def look(self):
        """Bytes written and flushes since boot."""
        if not self.is_known:
            return {"bytes": 0, "flushes": 0}
        fields = _read(self.stat_path).split()
        return {"bytes": int(fields[6]) * SECTOR, "flushes": int(fields[15]) if len(fields) > 15 else 0}

    def noise(self, seconds=0.2):
        """What it does a second while we do nothing: the least of three looks, as a burst of others is no steady
        noise."""
        os.sync()
        looks = [self.look()]
        for _ in range(3):
            time.sleep(seconds)
            looks.append(self.look())
        return {key: min(b[key] - a[key] for a, b in zip(looks, looks[1:])) / seconds for key in looks[0]}


class Window:
    """Costs between its beginning and two ends: the CPU when the work is done, the disk when the relay has stopped
    and all is synced. Where the disk is unknown its figures are None."""

    def __init__(self, relay, directory):
        self.relay = relay
        self.disk = Disk(directory)
        self.noise = self.disk.noise()
        self.cpu = cpu_seconds(relay.pids())
        self.written = written_bytes(relay.pids())
        self.disk_before = self.disk.look()
        self.begun = time.monotonic()

    def end_of_work(self):
        settle(self.relay)
        pids = self.relay.pids()
        return {"cpu_s": cpu_seconds(pids) - self.cpu, "process_bytes": written_bytes(pids) - self.written,
                "pss_kib": memory_kib(pids)}

    def end_of_writes(self):
        """After a clean stop, so that what was only in a log or a cache is counted where it belongs."""
        os.sync()
        if not self.disk.is_known:
            return {"disk_bytes": None, "flushes": None}
        after, seconds = self.disk.look(), time.monotonic() - self.begun
        return {"disk_bytes": max(0, after["bytes"] - self.disk_before["bytes"] - self.noise["bytes"] * seconds),
                "flushes": max(0, after["flushes"] - self.disk_before["flushes"] - self.noise["flushes"] * seconds)}


def settle(relay, seconds=5):
    """Waits until the relay does nothing any more; what it still tidies up belongs to the messages it was given."""
    deadline = time.monotonic() + seconds
    last = cpu_seconds(relay.pids())
    while time.monotonic() < deadline:
        time.sleep(0.15)
        now = cpu_seconds(relay.pids())
        if now - last <= 1 / TICK:
            return
        last = now
