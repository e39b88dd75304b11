"""The harness of the end-to-end tests: processes, ports, tools, configurations and results.

Standard library only, Debian's python3. A test is a function test_*(world); run(globals()) calls all of them, each in a
World of its own: a temporary directory (KEEP=1 leaves that of a failed test), the processes started in it (ended by pid, never by name) and helpers to start the
judging tools and the relay. Nothing sleeps for luck: wait_for() polls a condition until a deadline.
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
SHIPPED_CONF = os.path.join(ROOT, "etc", "outlast.yaml")


class Failure(AssertionError):
    """A test found the program at fault."""


class Skip(Exception):
    """A test cannot run here, for example for want of root or of a peer."""


def expect(condition, what):
    if not condition:
        raise Failure(what)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: {got!r}, expected {wanted!r}")


def wait_for(condition, seconds, what, every=0.02):
    """Polls condition() until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failure(f"after {seconds} s still not: {what}")
        time.sleep(every)


def is_sanitized():
    """Built with sanitizers, which keep what was freed: memory says nothing then."""
    with open(os.path.join(BUILD, "outlastd"), "rb") as file:
        return b"__asan_init" in file.read()


_ports_given = {}  # port: the socket that reserves it


def _reserve(port):
    """Whether nobody else has been given this port, in this process or another: its name is taken until the process ends."""
    if port in _ports_given:
        return False
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0outlast-test-port-{port}")
    except OSError:
        holder.close()
        return False
    _ports_given[port] = holder
    return True


def _ports():
    """Those that the system gives to nobody who does not ask for them by number."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = (int(word) for word in file.read().split())
    below, above = range(max(1025, low // 2), low), range(high + 1, 65536)
    return below if len(below) > 4000 else above if len(above) > 4000 else range(10000, 60000)


def free_port(address="127.0.0.1"):
    """A port free for TCP and UDP now, and given to no other test, whoever runs it."""
    for _ in range(500):
        port = random.choice(_ports())
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((address, port))
                udp.bind((address, port))
            except OSError:
                continue
        if _reserve(port):
            return port
    raise Failure("no free port")


def common_port(addresses):
    """A port that is free on all these addresses: mail servers of several hosts listen on one port."""
    for _ in range(200):
        port = free_port()
        try:
            for address in addresses:
                with socket.socket() as probe:
                    probe.bind((address, port))
            return port
        except OSError:
            continue
    raise Failure("no port is free on all of " + ", ".join(addresses))


def port_answers(address, port):
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(3) == b"220"
    except OSError:
        return False


def read_journal(path):
    """The whole lines of a journal as dictionaries."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


class Process:
    """A child with its output in a file. Ended by pid."""

    def __init__(self, argv, log_path, env=None, cwd=None):
        self.argv = [str(arg) for arg in argv]
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd=cwd, env={**os.environ, **(env or {})})
        self.pid = self.popen.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def is_running(self):
        return self.popen.poll() is None

    def wait_for_log(self, pattern, seconds=10):
        def condition():
            found = re.search(pattern, self.log(), re.M)
            if not found and not self.is_running():
                raise Failure(f"{self.argv[0]} ended with {self.popen.returncode}: {self.log()[-2000:]}")
            return found
        return wait_for(condition, seconds, f"{pattern!r} in {self.log_path}")

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def kill(self):
        """kill -9; returns when it is gone."""
        self.signal(signal.SIGKILL)
        return self.popen.wait(30)

    def stop(self, seconds=40):
        """SIGTERM; kill -9 and a failure if it does not obey in time. Returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.argv[0]} did not end within {seconds} s of SIGTERM") from None


class Control:
    """The control socket of a tool: one command a line, one answer a line."""

    def __init__(self, path):
        self.path = path

    def __call__(self, command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.path)
            connection.sendall(command.encode() + b"\n")
            with connection.makefile("r", encoding="ascii") as answers:
                answer = answers.readline().rstrip("\n")
        if answer.startswith("error"):
            raise Failure(f"{command}: {answer}")
        return answer

    def stats(self):
        return json.loads(self("stats"))


class Tool(Process):
    """outlast-sink or outlast-dns, ready: address of each listener in .at, commands through .control()."""

    def __init__(self, world, program, name, args):
        self.name = name
        self.journal_path = world.path(name + ".journal")
        self.control = Control(world.path(name + ".control"))
        super().__init__([tool_path(program), "--journal", self.journal_path, "--control", self.control.path,
                          *args], world.path(name + ".log"))
        self.wait_for_log(r"^ready$")
        self.at = dict(re.findall(r"^listening (\S+) (\S+)$", self.log(), re.M))

    def events(self, kind=None):
        return [e for e in read_journal(self.journal_path) if kind is None or e["event"] == kind]

    def messages(self):
        return self.events("message")


class Relay:
    """outlastd with a configuration of its own; may be started and killed many times over one queue."""

    def __init__(self, world, changes, name="relay", text=None):
        self.world = world
        self.name = name
        self.port = free_port()
        self.conf_path = world.path(name + ".yaml")
        settings = {
            "hostname": "relay.outlast.test",
            "listeners": [{"address": f"127.0.0.1:{self.port}"}],
            "queue.directory": world.path(name + ".queue"),
            "control.socket": world.path(name + ".sock"),
            "control.admin-group": "",
            "fetch-helper": os.path.join(BUILD, "outlast-fetch"),
            # tests of other things need not wait for it
            "outage.notice-hold": "0",
        }
        settings.update(changes)
        self.configure(settings, text)
        os.makedirs(settings["queue.directory"], exist_ok=True)
        self.process = None
        self.starts = 0

    def configure(self, settings, text=None):
        """Writes the configuration: the shipped one (or text) with these settings changed."""
        self.settings = settings
        with open(self.conf_path, "w", encoding="utf-8") as file:
            file.write(change_conf(text if text is not None else shipped_conf(), settings))

    def start(self, clock_rate=None, fault=None, wait=True, args=(), env=None, program="outlastd", wrap=()):
        self.starts += 1
        argv = [*wrap, program_path(program), "-c", self.conf_path, *args]
        if clock_rate:
            argv += ["--clock-rate", str(clock_rate)]
        if fault:
            argv += ["--fault", fault]
        self.process = self.world.start(argv, f"{self.name}.log", env=env)
        if wait:
            self.wait_until_ready()
        return self.process

    def wait_until_ready(self, seconds=15):
        def condition():
            if not self.process.is_running():
                raise Failure(f"outlastd ended with {self.process.popen.returncode}: {self.log()[-500:]}")
            return port_answers("127.0.0.1", self.port)
        wait_for(condition, seconds, "outlastd greets")

    def log(self):
        return self.process.log() if self.process else ""

    def kill(self):
        return self.process.kill()

    def stop(self, seconds=40):
        return self.process.stop(seconds)

    def cli(self, *args, status=0, seconds=30, stdin=None):
        """Runs the outlast command and returns its standard output; status None: any exit status will do."""
        done = subprocess.run([program_path("outlast"), "-c", self.conf_path, *map(str, args)], input=stdin,
                              capture_output=True, text=True, timeout=seconds, check=False)
        if status is not None and done.returncode != status:
            raise Failure(f"outlast {' '.join(map(str, args))}: exit {done.returncode}, expected {status}: "
                          f"{done.stdout[-500:]}{done.stderr[-1500:]}")
        return done.stdout

    def json(self, *args, status=0):
        return json.loads(self.cli(*args, "--json", status=status))

    def status(self):
        return self.json("status")

    def queued(self):
        """Recipients that are not finished."""
        recipients = self.status()["recipients"]
        return sum(recipients[state] for state in ("ready", "waiting", "held", "quarantined"))

    def memory_kib(self):
        """Peak of the resident memory."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))

    def io(self):
        """What the kernel counts of reads and writes: rchar wchar syscr syscw read_bytes write_bytes ..."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return {key: int(value) for key, value in (line.split(": ") for line in file)}

    @property
    def at(self):
        return f"127.0.0.1:{self.port}"


class Internet:
    """A DNS server and a sink: each domain has one host mx.DOMAIN at an address of its own, all on one port.

    Internet(world, {"a.test": "127.0.2.1", ...}); control("mx.a.test refuse"); conf() is what a relay must be told."""

    def __init__(self, world, domains, name="net", args=("--quiet",), sink_args=()):
        self.port = common_port(domains.values())
        self.sink = world.sink(*(f"mx.{domain}={at}:{self.port}" for domain, at in domains.items()), name=name,
                               args=(*args, *sink_args))
        self.dns = world.dns([f"{domain} MX 10 mx.{domain}" for domain in domains] +
                             [f"mx.{domain} A {at}" for domain, at in domains.items()], name=name + "-dns", args=args)
        self.control = self.sink.control

    def conf(self):
        return {"delivery.port": self.port, "dns.servers": [self.dns.at["dns"]],
                "dns.allow-addresses": ["127.0.0.0/8"]}

    def got(self, domain):
        """Messages that the domain's host has got."""
        return self.control.stats()["mx." + domain]["messages"]


def tool_path(name):
    path = os.path.join(BUILD, "tools", name)
    if not os.path.exists(path):
        raise Failure(f"{path} is not built: make tools")
    return path


def program_path(name):
    path = os.path.join(BUILD, name)
    if not os.path.exists(path):
        raise Failure(f"{path} is not built: make")
    return path


def shipped_conf():
    with open(SHIPPED_CONF, encoding="utf-8") as file:
        return file.read()


def change_conf(text, settings):
    """The configuration text with settings changed: {"hostname": ..., "dns.servers": [...]}. Values are written as JSON,
    which YAML reads. A top-level list replaces the list that stands there; a key that the text does not have is an error."""
    lines = text.split("\n")
    for path, value in settings.items():
        section, _, key = path.rpartition(".")
        at = _find_key(lines, section, key)
        if at is None:
            raise Failure(f"the configuration has no {path}")
        indent = "  " if section else ""
        end = at + 1
        if re.match(r"[#\s]*[\w-]+:\s*(#.*)?$", lines[at]):
            while end < len(lines) and re.match(r"\s+\S|#?\s+(- |\w+:)|#  ", lines[end]):
                end += 1
        lines[at:end] = [f"{indent}{key}: {json.dumps(value)}"]
    return "\n".join(lines)


def _find_key(lines, section, key):
    """The line of a key, set or commented out, of a section ("" is the top level)."""
    at = 0
    if section:
        at = next((i + 1 for i, line in enumerate(lines) if line.startswith(section + ":")), len(lines))
    pattern = re.compile(rf"(?:  #?{re.escape(key)}|#?{re.escape(key)})\s*:" if section
                         else rf"#?{re.escape(key)}\s*:")
    for i in range(at, len(lines)):
        if section and re.match(r"[A-Za-z]", lines[i]):
            return None
        if pattern.match(lines[i]):
            return i
    return None


class World:
    """What one test works in."""

    def __init__(self, name="test"):
        self.directory = tempfile.mkdtemp(prefix=f"outlast-e2e-{name}-")
        self.processes = []
        self.is_failed = False  # set by whoever handles the failure itself

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for process in reversed(self.processes):
            if process.is_running():
                process.kill()
        if os.environ.get("KEEP") and (self.is_failed or kind not in (None, Skip)):
            print(f"# kept: {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, argv, log_name, env=None, cwd=None):
        process = Process(argv, self.path(log_name), env=env, cwd=cwd)
        self.processes.append(process)
        return process

    def sink(self, *listeners, name="sink", args=()):
        """A sink with these listeners, "NAME=ADDRESS:PORT"; by default one named sink on a free port."""
        options = []
        for listener in listeners or ("sink=127.0.0.1:0",):
            host, _, at = listener.partition("=")
            options += ["--listen", f"{at}={host}"]
        tool = Tool(self, "outlast-sink", name, [*options, *args])
        self.processes.append(tool)
        return tool

    def dns(self, zone, name="dns", args=()):
        """A DNS server with these zone lines; its address is .at["dns"]."""
        zone_path = self.path(name + ".zone")
        with open(zone_path, "w", encoding="ascii") as file:
            file.write("\n".join(zone) + "\n")
        tool = Tool(self, "outlast-dns", name, ["--listen", "127.0.0.1:0", "--zone", zone_path, *args])
        self.processes.append(tool)
        return tool

    def load_argv(self, to, journal="client", **options):
        argv = [tool_path("outlast-load"), "--to", to, "--journal", self.path(journal + ".journal"), "--json"]
        for option, value in options.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                argv.append("--" + option.replace("_", "-") + ("" if one is True else f"={one}"))
        return argv

    def load(self, to, journal="client", status=0, **options):
        """Runs outlast-load to its end (count=10, rcpt="u%d@a.test", pipelining=True ...): its figures."""
        done = subprocess.run(self.load_argv(to, journal, **options), capture_output=True, text=True, check=False)
        if status is not None and done.returncode != status:
            raise Failure(f"outlast-load: exit {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def start_load(self, to, journal="client", **options):
        return self.start(self.load_argv(to, journal, **options), journal + ".out")

    def ledger(self, clients=("client",), sinks=("sink",), status=0, **options):
        """The balance; with status 0 anything lost, altered or doubled is a failure."""
        argv = [tool_path("outlast-ledger"), "--json"]
        for name in clients:
            argv += ["--client", self.path(name + ".journal")]
        for name in sinks:
            argv += ["--sink", self.path(name + ".journal")]
        for option, value in options.items():
            argv.append("--" + option.replace("_", "-") + ("" if value is True else f"={value}"))
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if status is not None and done.returncode != status:
            raise Failure(f"outlast-ledger: exit {done.returncode}, expected {status}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def relay(self, changes=None, **options):
        return Relay(self, changes or {}, **options)


class Results:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def ok(self, name, seconds=None):
        self.passed += 1
        print(f"ok {name}" + (f" ({seconds:.1f} s)" if seconds is not None else ""), flush=True)

    def not_ok(self, name, why):
        self.failed += 1
        print(f"not ok {name}")
        for line in str(why).splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip {name}: {why}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed + self.skipped else 0


def run(module):
    """Runs every test_* of the module (or those whose names were given as arguments, or parts of them)."""
    results = Results()
    for name, function in list(module.items()):
        if not name.startswith("test_") or not callable(function):
            continue
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        begun = time.monotonic()
        try:
            with World(name[5:]) as world:
                function(world)
            results.ok(name, time.monotonic() - begun)
        except Skip as why:
            results.skip(name, why)
        except Failure as why:
            results.not_ok(name, why)
        except Exception:  # a defect of the test itself, or of what it leans on
            results.not_ok(name, traceback.format_exc())
    sys.exit(results.finish())
