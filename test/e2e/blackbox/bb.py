"""What the black-box cases share: tables of cases, a client that says any octets, and mail hosts that misbehave by plan.

A case is a row of a table: its name, what asks for it (RFC section, CVE, or "row N" of the list of scenarios), what is
done, what must come of it. A group of cases prints one line. Nothing here knows the relay but from outside.
"""

import json
import os
import re
import socket
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import lib  # noqa: E402
from lib import Failure, expect, expect_equal, wait_for  # noqa: E402,F401

CRLF = b"\r\n"


class Suite(lib.Results):
    """The groups of one program. run(): those that its arguments name, or all."""

    def __init__(self):
        super().__init__()
        self.figures = []

    def note(self, text):
        """A measured figure, shown under the group's line."""
        self.figures.append(text)

    def group(self, name, rows, check):
        """Calls check(row) for each row; row[0] is the case's name, row[1] its reference."""
        wanted = sys.argv[1:]
        rows = [row for row in rows if not wanted or name in wanted or row[0] in wanted]
        if not rows:
            return
        begun, wrong = time.monotonic(), []
        seen = set()
        for row in rows:
            try:
                expect(row[0] not in seen, "two cases have this name")
                seen.add(row[0])
                check(row)
            except Failure as why:
                wrong.append(f"{row[0]} ({row[1]}): {why}")
            except Exception:  # a defect of the case
                wrong.append(f"{row[0]} ({row[1]}): {traceback.format_exc()}")
        self.passed += len(rows) - len(wrong)
        self.failed += len(wrong)
        print(f"{'not ok' if wrong else 'ok'} {name}: {len(rows) - len(wrong)} of {len(rows)} cases "
              f"({time.monotonic() - begun:.1f} s)")
        for line in self.figures + wrong:
            print("# " + line.replace("\n", "\n# "))
        self.figures = []
        sys.stdout.flush()


def case(rows, name, reference):
    """Decorator: a function that is a case of its own."""
    def add(function):
        rows.append((name, reference, function))
        return function
    return add


class Client:
    """A connection to the relay that says what it is told, well-formed or not."""

    def __init__(self, port, source=None, seconds=10, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds,
                                               source_address=(source, 0) if source else None)
        self.buffer = b""
        self.greeting = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def say(self, octets):
        """A str is a line and gets its CRLF; bytes go as they are."""
        if isinstance(octets, str):
            octets = octets.encode() + CRLF
        self.socket.sendall(octets)

    def line(self):
        """One line without its end; None at the end of the connection."""
        while b"\n" not in self.buffer:
            try:
                octets = self.socket.recv(65536)
            except ConnectionError:
                octets = b""
            except TimeoutError:
                raise Failure("no reply in time") from None
            if not octets:
                return None
            self.buffer += octets
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def reply(self):
        """A whole reply: (code, enhanced code or "", text); None at the end."""
        texts = []
        while True:
            line = self.line()
            if line is None:
                return None
            found = re.fullmatch(rb"([2-5]\d\d)([ -])(?:([245]\.\d{1,3}\.\d{1,3}) )?([ -~]*)", line)
            expect(found, f"not a reply line: {line!r}")
            texts.append(found[4].decode())
            if found[2] == b" ":
                return int(found[1]), (found[3] or b"").decode(), "\n".join(texts)

    def ask(self, octets):
        self.say(octets)
        return self.reply()

    def await_reply(self, wanted):
        """wanted: "250", "550/5.7.1", alternatives "451|452", "close" for the end of the connection."""
        reply = self.reply()
        if wanted == "close":
            expect(reply is None, f"reply {reply}, expected the end of the connection")
            return
        expect(reply is not None, f"connection closed, expected {wanted}")
        for one in wanted.split("|"):
            code, _, enhanced = one.partition("/")
            if str(reply[0]) == code and enhanced in ("", reply[1]):
                return
        raise Failure(f"reply {reply}, expected {wanted}")

    def await_replies(self, wanted):
        for one in wanted.split():
            self.await_reply(one)

    def is_in_step(self):
        """Exactly one reply for each command so far."""
        reply = self.ask("NOOP")
        expect(reply and reply[0] == 250 and not self.buffer, f"out of step: NOOP was answered {reply} {self.buffer}")


SETUPS = {
    "new": (b"", ""),
    "ehlo": (b"EHLO client.test\r\n", "250"),
    "mail": (b"EHLO client.test\r\nMAIL FROM:<s@from.test>\r\n", "250 250"),
    "rcpt": (b"EHLO client.test\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@to.test>\r\n", "250 250 250"),
    "data": (b"EHLO client.test\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@to.test>\r\nDATA\r\n", "250 250 250 354"),
}


def dialogue(port, source=None):
    """A check for rows (name, reference, setup, what is said, replies): a tuple is said step by step, and its replies
    are separated by '; '. Whatever does not end the connection must leave it in step."""
    def check(row):
        _, _, setup, said, wanted = row
        steps = zip(said, wanted.split("; ")) if isinstance(said, tuple) else [(said, wanted)]
        with Client(port, source) as client:
            expect(client.greeting and client.greeting[0] == 220, f"greeting {client.greeting}")
            octets, replies = SETUPS[setup]
            client.say(octets)
            client.await_replies(replies)
            for one, replies in steps:
                client.say(one)
                client.await_replies(replies)
            if not wanted.endswith("close"):
                client.is_in_step()
    return check


def send(port, to, content, sender="s@good.test", source=None, params="", helo="EHLO client.test"):
    """One message, one or several recipients; the queue id."""
    with Client(port, source) as client:
        expect_equal(client.ask(helo)[0], 250, helo)
        reply = client.ask(f"MAIL FROM:<{sender}>{params}")
        expect_equal(reply[0], 250, f"MAIL {reply}")
        for one in [to] if isinstance(to, str) else to:
            reply = client.ask(one if one.startswith("RCPT") else f"RCPT TO:<{one}>")
            expect_equal(reply[0], 250, f"RCPT {one} {reply}")
        expect_equal(client.ask("DATA")[0], 354, "DATA")
        client.say(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
        reply = client.reply()
        expect_equal(reply[0], 250, f"final dot {reply}")
        return reply[2].rsplit(" ", 1)[1]


def memory_kib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{field}:\s+(\d+)", file.read())[1])


class Drop(Exception):
    """A host's plan: the connection ends here."""


class Hang(Exception):
    """A host's plan: nothing more is said."""


DROP, HANG = object(), object()

USUAL = {
    "banner": b"220 host.test ESMTP\r\n",
    "ehlo": b"250-host.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n"
            b"250 SIZE 100000000\r\n",
    "helo": b"250 host.test\r\n",
    "mail": b"250 2.1.0 ok\r\n",
    "rcpt": b"250 2.1.5 ok\r\n",
    "data": b"354 go on\r\n",
    "dot": b"250 2.0.0 taken\r\n",
    "rset": b"250 2.0.0 ok\r\n",
    "quit": b"221 2.0.0 bye\r\n",
    "starttls": b"502 5.5.1 no\r\n",
    "other": b"502 5.5.1 what\r\n",
}


class Hosts:
    """Mail hosts on one port of all of 127.0.0.0/8; a host is its address.

    plans[address] tells what a host says in each stage instead of the usual: octets, DROP, HANG, or a function
    (line, session) that returns one of these. messages: all that was taken, also when the reply to the dot was lost.
    """

    def __init__(self, address="0.0.0.0", port=0):
        self.plans = {}
        self.messages = []
        self.lines = []  # (address, command line)
        self.lock = threading.Lock()
        self.listener = socket.create_server((address, port), backlog=1000)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        self.listener.close()

    def serve(self, connection):
        try:
            connection.settimeout(30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Session(self, connection).run()
        except (Drop, OSError):
            pass
        except Hang:
            try:
                while connection.recv(65536):
                    pass
            except OSError:
                pass
        finally:
            connection.close()

    def got(self, address):
        with self.lock:
            return [m for m in self.messages if m["host"] == address]

    def said(self, address):
        with self.lock:
            return [line for host, line in self.lines if host == address]

    def to(self, recipient):
        """Messages with this recipient."""
        with self.lock:
            return [m for m in self.messages if recipient in m["to"]]


class Session:
    def __init__(self, hosts, connection):
        self.hosts = hosts
        self.connection = connection
        self.file = connection.makefile("rb")
        self.address = connection.getsockname()[0]
        self.recipients = 0
        self.sender = ""
        self.to = []

    def act(self, stage, line=b""):
        """Says what the plan has for the stage; the octets."""
        usual = USUAL[stage]
        if stage == "rcpt" and self.sender is None or stage == "data" and not self.to:
            usual = b"503 5.5.1 out of order\r\n"
        says = self.hosts.plans.get(self.address, {}).get(stage, usual)
        if callable(says):
            says = says(line, self)
        if says is DROP:
            raise Drop
        if says is HANG:
            raise Hang
        self.connection.sendall(says)
        return says

    def run(self):
        self.act("banner")
        for line in self.file:
            with self.hosts.lock:
                self.hosts.lines.append((self.address, line))
            verb = line[:4].decode("latin-1").lower()
            stage = {"star": "starttls"}.get(verb, verb if verb in USUAL else "other")
            if stage in ("mail", "rset", "ehlo"):
                self.recipients, self.to = 0, []
            if stage == "rcpt":
                self.recipients += 1
            says = self.act(stage, line)
            if stage == "mail":
                self.sender = address_in(line) if says[:1] == b"2" else None
            elif stage == "rcpt" and says[:1] == b"2":
                self.to.append(address_in(line))
            elif stage == "data" and says[:3] == b"354":
                self.take_content()
            elif stage == "quit":
                return

    def take_content(self):
        content = []
        for line in self.file:
            if line == b".\r\n":
                break
            content.append(line[1:] if line[:1] == b"." else line)
        else:
            return
        message = {"host": self.address, "from": self.sender, "to": list(self.to), "content": b"".join(content)}
        plan = self.hosts.plans.get(self.address, {}).get("dot", USUAL["dot"])
        if callable(plan) or not isinstance(plan, bytes) or plan[:1] == b"2":
            with self.hosts.lock:
                self.hosts.messages.append(message)
        self.act("dot")


def address_in(line):
    found = re.search(rb":<(.*)>", line)
    return found[1].decode("utf-8", "replace") if found else ""


def attempts_of(relay):
    """What the relay tells of its attempts: {address: [attempt, ...]}, oldest first."""
    attempts = {}
    for line in relay.cli("log", "--all", "--state=any", "--json", status=None).splitlines():
        attempt = json.loads(line)
        attempts.setdefault(attempt["address"], []).append(attempt)
    return attempts


def without_trace(content):
    """Content as it was before our Received field was put in front."""
    found = re.match(rb"Received: .*\r\n(?:[ \t].*\r\n)*", content)
    return content[found.end():] if found else content
