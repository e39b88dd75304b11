"""What the tests with real peers share: the peers themselves, and a relay between a DNS server and a sink.

Peers come from Debian's packages, unpacked into the build folder by scripts/fetch-peers and never installed; they run with
the paths of that folder in their environment. Where they cannot be had, the test is skipped with the reason.
"""

import fcntl
import os
import re
import smtplib
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import lib  # noqa: E402  (the harness lies one folder up)
from lib import Failure, Skip, expect, expect_equal, wait_for  # noqa: E402

PEERS = os.path.join(lib.BUILD, "peers")
CORPUS = os.path.join(lib.BUILD, "corpus")
PASSWORD = "correct horse"  # of the user anna of a submission listener


def _fetch(script, *args):
    """Runs a fetching script, one at a time: the tests run side by side. Skip if the packages cannot be had."""
    if os.environ.get("PEERS_MISSING"):
        raise Skip(os.environ["PEERS_MISSING"])
    os.makedirs(lib.BUILD, exist_ok=True)
    with open(os.path.join(lib.BUILD, "peers.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([os.path.join(lib.ROOT, "scripts", script), *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"{script} {' '.join(args)}: " + " ".join(done.stderr.split())[-300:])


def fetch_packages(*packages):
    _fetch("fetch-peers", PEERS, *packages)


def fetch_alone(package):
    """The root of a package by itself: several of them bring a /usr/sbin/sendmail, and Postfix wants its own."""
    folder = os.path.join(PEERS, "alone", package)
    _fetch("fetch-peers", folder, package)
    return os.path.join(folder, "root")


def fetch_corpus():
    """The folder of real mails."""
    _fetch("fetch-corpus", CORPUS)
    return CORPUS


def environment():
    """What an unpacked program needs to find its libraries and modules."""
    os.makedirs(os.path.join(PEERS, "root"), exist_ok=True)
    say = os.path.join(lib.ROOT, "scripts", "fetch-peers")
    script = 'eval "$("$1" --env "$2")"; printf "%s\\n" "$PATH" "$LD_LIBRARY_PATH" "$PERL5LIB"'
    done = subprocess.run(["sh", "-c", script, "sh", say, PEERS], capture_output=True, text=True, check=True)
    return dict(zip(("PATH", "LD_LIBRARY_PATH", "PERL5LIB"), done.stdout.splitlines()), LC_ALL="C")


def program(name, package=None):
    """The path of a peer's program, fetched when it is not there yet."""
    fetch_packages(package or name)
    for folder in ("usr/sbin", "usr/bin", "usr/lib/postfix/sbin"):
        path = os.path.join(PEERS, "root", folder, name)
        if os.path.exists(path):
            return path
    raise Skip(f"package {package or name} has no {name}")


def run_program(argv, stdin=b"", status=0, seconds=30, env=None):
    """Runs a peer to its end and returns its standard output; another exit status than expected is a failure."""
    done = subprocess.run([str(arg) for arg in argv], input=stdin, capture_output=True, timeout=seconds, check=False,
                          env={**os.environ, **environment(), **(env or {})})
    if status is not None and done.returncode != status:
        raise Failure(f"{' '.join(map(str, argv))}: exit {done.returncode}, expected {status}:\n"
                      f"{done.stdout.decode(errors='replace')[-1500:]}{done.stderr.decode(errors='replace')[-1500:]}")
    return done.stdout


def address(at):
    host, _, port = at.rpartition(":")
    return host, int(port)


def port_of(at):
    return address(at)[1]


def common_port(*hosts):
    """A port that is free on all of these addresses."""
    for _ in range(100):
        port = lib.free_port()
        try:
            for host in hosts:
                with socket.socket() as probe:
                    probe.bind((host, port))
            return port
        except OSError:
            continue
    raise Failure(f"no port is free on all of {hosts}")


def certificate(world, name="relay", host="localhost", is_rsa=False):
    """A self-made certificate for localhost, or another host: (certificate, key)."""
    pem, key = world.path(name + ".pem"), world.path(name + ".key")
    algorithm = ["rsa:2048"] if is_rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", *algorithm, "-nodes", "-keyout", key, "-out", pem, "-days", "2",
                    "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host},IP:127.0.0.1"],
                   check=True, capture_output=True)
    os.chmod(key, 0o600)
    return pem, key


def crlf(content):
    """The content with the only line ends that SMTP knows."""
    return re.sub(b"\r\n|\r|\n", b"\r\n", content)


def settings(dns_at, port):
    """Changes of the shipped configuration for a relay that asks this DNS server and delivers to this port of loopback."""
    return {"delivery.port": port, "dns.servers": [dns_at], "dns.allow-addresses": ["127.0.0.0/8"]}


def between(world, *domains, changes=None, port=None, wait=True):
    """A relay under way, with a sink that keeps a Maildir behind it as the MX of all domains: (relay, sink). port: where
    the relay listens, when the changes have listeners of their own."""
    sink = world.sink(args=["--maildir", world.path("maildir")])
    zone = [f"{domain} MX 10 mx.sink.test" for domain in domains] + ["mx.sink.test A 127.0.0.1"]
    dns = world.dns(zone)
    relay = world.relay({**settings(dns.at["dns"], port_of(sink.at["sink"])), **(changes or {})})
    relay.port = port or relay.port
    relay.start(wait=wait)
    if not wait:  # it does not greet in clear text
        relay.process.wait_for_log("started, version")
    return relay, sink


def submission(world, *domains, tls="starttls", changes=None):
    """A relay whose one listener wants TLS and a password: (relay, sink, certificate)."""
    hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True,
                            check=True).stdout.strip()
    users = world.path("users")
    with open(users, "w", encoding="ascii") as file:
        file.write(f"anna:{hashed}\n")
    os.chmod(users, 0o600)
    pem, key = certificate(world)
    port = lib.free_port()
    relay, sink = between(world, *(domains or ["a.test"]), port=port, wait=tls == "starttls", changes={
        "listeners": [{"address": f"127.0.0.1:{port}", "tls": tls, "allow": "authenticated"}],
        "auth.users": users, "tls.certificate": pem, "tls.key": key, **(changes or {})})
    return relay, sink, pem


def messages(sink, count, seconds=15):
    """The sink's first count messages, once they are there."""
    return wait_for(lambda: len(sink.messages()) >= count and sink.messages(), seconds, f"{count} messages at {sink.name}")


def content_of(world, message):
    """What the sink took, dots unstuffed, CRLF line ends. The journal may be a moment ahead of the Maildir."""
    path = os.path.join(world.path("maildir"), "new", message["file"])
    wait_for(lambda: os.path.exists(path), 10, f"{path} is there")
    with open(path, "rb") as file:
        return file.read()


def split_trace(content, fields):
    """(trace, rest) of a message: the rest begins behind as many Received fields on top."""
    rest = content
    for _ in range(fields):
        expect(rest.startswith(b"Received: "), f"no Received field on top of {rest[:200]!r}")
        at = rest.index(b"\r\n") + 2
        while rest[at:at + 1] in (b" ", b"\t"):
            at = rest.index(b"\r\n", at) + 2
        rest = rest[at:]
    expect(not rest.startswith((b"Received:", b"Return-Path:")), f"more trace fields than {fields}: {rest[:200]!r}")
    return content[:len(content) - len(rest)], rest


def client(at, **options):
    return smtplib.SMTP(*address(at), timeout=20, **options)


def queue_is_empty(relay):
    recipients = relay.json("status")["recipients"]
    return sum(recipients.get(state, 0) for state in ("ready", "waiting", "held", "quarantined")) == 0
