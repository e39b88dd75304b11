"""Where a measurement happens: a directory below the build folder, the tools in C, one port for all destinations.

The queue of either relay lies in this directory, so on the same file system. Everything started is ended by its pid
when the world ends, whatever happened; every wait has a deadline.
"""

import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "test", "e2e"), os.path.join(ROOT, "test", "e2e", "peers")]
import lib  # noqa: E402  (the harness of the end-to-end tests)
from lib import Failure, Skip, wait_for  # noqa: E402, F401  (for the cells)

DIRECTORY = os.path.join(lib.BUILD, "bench")
TRASH = os.path.join(DIRECTORY, "trash")
DOMAIN_FORMAT = "d%d.bench.test"
LIVE_FORMAT = "live%d.bench.test"  # a destination that is up while those of DOMAIN_FORMAT are down
LIVE_ADDRESS = "127.1.1.1"
FIRST_ADDRESS = "127.1.0.1"


def address_of(number):
    """Where the domain of this number has its host; bench-sink --base FIRST_ADDRESS listens there."""
    return f"127.1.{(number + 1) >> 8}.{(number + 1) & 255}"


def destinations(count, with_live=False):
    """[(domain, address)] as both relays are told: static next hops, so that no name is looked up."""
    found = [(DOMAIN_FORMAT % number, address_of(number)) for number in range(count)]
    return found + [(LIVE_FORMAT % 0, LIVE_ADDRESS)] if with_live else found


def empty_trash():
    """Removes the directories of measurements that are over, several files at a time."""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(TRASH) for name in names]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(os.unlink, files))
    shutil.rmtree(TRASH, ignore_errors=True)


def tool(name):
    path = os.path.join(DIRECTORY, name)
    if not os.path.exists(path):
        raise Failure(f"{path} is not built: make bench-tools")
    return path


def options(settings):
    """pace=10, no_pipelining=True: --pace 10 --no-pipelining"""
    argv = []
    for name, value in settings.items():
        if value is not None and value is not False:
            argv.append("--" + name.replace("_", "-"))
            if value is not True:
                argv.append(str(value))
    return argv


class JsonTool(lib.Process):
    """A tool that prints its figures as JSON lines, at the end and whenever SIGUSR1 asks."""

    def figures(self):
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line.endswith("}")]

    def ask(self):
        wait_for(self.takes_signals, 10, f"{self.argv[0]} has begun", every=0.002)
        known = len(self.figures())
        self.signal(signal.SIGUSR1)

        def answered():
            found = self.figures()
            if len(found) <= known and not self.is_running():
                raise Failure(f"{self.argv[0]} ended with {self.popen.returncode}: {self.log()[-500:]}")
            return len(found) > known and found[-1]
        return wait_for(answered, 10, f"an answer of {self.argv[0]}", every=0.002)

    def takes_signals(self):
        """Whether SIGUSR1 reaches it as a question: before it has begun the signal would end it."""
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
                masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigBlk", "SigCgt"))]
        except OSError:
            masks = []
        return not self.is_running() or any(mask >> (signal.SIGUSR1 - 1) & 1 for mask in masks)

    def finish(self, seconds):
        """Waits for its end; its last figures."""
        try:
            status = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"not done within {seconds:.0f} s: {' '.join(self.argv)}") from None
        found = self.figures()
        if status != 0 or not found:
            raise Failure(f"{' '.join(self.argv)}: exit {status}: {self.log()[-500:]}")
        return found[-1]


class Sink(JsonTool):
    """bench-sink: takes everything."""

    def wait_for(self, distinct, seconds, what="all messages at the sink"):
        """Its figures once as many messages have come, each counted once."""
        def condition():
            found = self.ask()
            return found["distinct"] >= distinct and found
        try:
            return wait_for(condition, seconds, what, every=0.03)
        except Failure as why:
            raise Failure(f"{why}: {self.ask()}, wanted {distinct}") from None


class World(lib.World):
    """A directory for one measurement, and what runs in it."""

    def __init__(self, name, port):
        self.directory = tempfile.mkdtemp(prefix=f"{name}-", dir=DIRECTORY)
        self.processes = []
        self.is_failed = False
        self.port = port  # of all destinations
        self.started = 0

    def __exit__(self, kind, value, trace):
        """Ends what runs. The directory is only put aside: to remove the many files of a Postfix takes longer than to
        measure it on some file systems, and would disturb what is measured next."""
        for process in reversed(self.processes):
            if process.is_running():
                process.kill()
        if value is not None and os.environ.get("KEEP"):
            print(f"# kept: {self.directory}")
        else:
            os.makedirs(TRASH, exist_ok=True)
            os.rename(self.directory, os.path.join(TRASH, os.path.basename(self.directory)))
        return False

    def certificate(self):
        """(certificate, key) of everybody in this world: ECDSA, P-256."""
        pem, key = self.path("cert.pem"), self.path("key.pem")
        if not os.path.exists(pem):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", pem, "-days", "2", "-subj", "/CN=bench.test"],
                           check=True, capture_output=True)
        return pem, key

    def tool(self, kind, name, **settings):
        self.started += 1
        process = kind([tool(name), *options(settings)], self.path(f"{name}-{self.started}.out"))
        self.processes.append(process)
        return process

    def start_load(self, relay, sessions, seconds=None, count=None, size=10240, domains=1, first=0, **more):
        if count is None:
            count = 100000000
        return self.tool(JsonTool, "bench-load", to=relay.at, sessions=sessions, seconds=seconds, count=count,
                         size=size, domains=domains, first=first, **{"domain_format": DOMAIN_FORMAT, **more})

    def load(self, relay, sessions, **more):
        """Runs a load to its end: its figures."""
        return self.start_load(relay, sessions, **more).finish((more.get("seconds") or 300) + 60)

    def sink(self, addresses=1, base=FIRST_ADDRESS, **more):
        sink = self.tool(Sink, "bench-sink", port=self.port, base=base, addresses=addresses, **more)
        wait_for(lambda: sink.figures() or not sink.is_running(), 10, "bench-sink is ready", every=0.005)
        if not sink.is_running():
            raise Failure(f"bench-sink: {sink.log()[-500:]}")
        return sink

    def live_sink(self, **more):
        return self.sink(base=LIVE_ADDRESS, **more)

    def disk(self, seconds=2):
        """What the disk can do right now."""
        return self.tool(JsonTool, "bench-disk", directory=self.directory, seconds=seconds).finish(60)

    def fill(self, queue, count, size, first=0, urgent=None, seconds=900):
        """Queues messages for the first destination, which is down, as a relay would have left them."""
        return self.tool(JsonTool, "bench-fill", queue=queue, count=count, size=size, domains=1,
                         domain_format=DOMAIN_FORMAT, down=True, site=f"[{FIRST_ADDRESS}]:{self.port}",
                         from_number=first, urgent=urgent).finish(seconds)
