#!/usr/bin/python3
"""The relay as a black box under TLS: what clients find (versions, tickets, certificates, reload), and what it makes of the
TLS of mail hosts under each policy. RELIABILITY row 25."""

import os
import re
import socket
import ssl
import subprocess
import time
import warnings

import bb
from bb import Client, Suite, expect, expect_equal, lib, send, wait_for

KEPT, DELIVERED = "kept", "delivered"
warnings.simplefilter("ignore", DeprecationWarning)  # old versions are named, to see that they are refused
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


class Authority:
    """Makes certificates: files in a folder."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = folder, name
        self.pem, self.key = (os.path.join(folder, f"{name}.{end}") for end in ("pem", "key"))
        openssl("req", "-x509", *EC, "-keyout", self.key, "-out", self.pem, "-days", "9", "-subj", f"/CN={name}")

    def leaf(self, name, san=None, days=30, is_self_signed=False):
        """(certificate, key)"""
        pem, key, req, ext = (os.path.join(self.folder, f"{self.name}-{name}.{end}") for end in ("pem", "key", "req", "ext"))
        with open(ext, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={san or 'DNS:' + name}\n")
        openssl("req", *EC, "-keyout", key, "-out", req, "-subj", f"/CN={name}")
        signed = ["-signkey", key] if is_self_signed else ["-CA", self.pem, "-CAkey", self.key]
        openssl("x509", "-req", "-in", req, *signed, "-days", str(days), "-extfile", ext, "-out", pem)
        os.chmod(key, 0o600)
        return pem, key


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


# ---- clients ----

class Clients:
    def __init__(self, world):
        self.good, self.other = Authority(world.directory), Authority(world.directory, "other")
        self.hosts = bb.Hosts()
        self.files = self.good.leaf("relay.outlast.test")
        self.relay = world.relay({
            "tls.certificate": self.files[0], "tls.key": self.files[1], "tls.client-authorities": self.good.pem,
            "routes": [{"name": "all", "via": f"[127.0.0.1]:{self.hosts.port}"}],
            "limits.sessions-per-client": 1000, "queue.min-free": "10M"}, name="clients")
        self.relay.settings["listeners"][0]["tls"] = "starttls"
        self.implicit = lib.free_port()
        self.relay.settings["listeners"].append({"address": f"127.0.0.1:{self.implicit}", "tls": "implicit"})
        self.relay.configure(self.relay.settings)
        self.relay.start()

    def context(self, certificate=None, version=None, authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if authority:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
        if certificate:
            context.load_cert_chain(*certificate)
        if version:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
        return context

    def secure(self, context, session=None, port=None):
        """A client behind STARTTLS (or, on another port, under TLS from the start) that has said EHLO."""
        client = Client(port or self.relay.port, greet=port is None)
        if port is None:
            client.ask("EHLO client.test")
            expect_equal(client.ask("STARTTLS")[0], 220, "STARTTLS")
        client.socket = context.wrap_socket(client.socket, session=session)
        if port:
            expect_equal(client.reply()[0], 220, "greeting")
        expect_equal(client.ask("EHLO client.test")[0], 250, "EHLO")
        return client

    def check_versions(self, row):
        version, is_taken = row[2]
        try:
            with self.secure(self.context(version=version)) as client:
                expect(is_taken, f"{client.socket.version()} was taken")
                client.is_in_step()
        except (ssl.SSLError, ConnectionError):
            expect(not is_taken, "the handshake failed")

    def check_cipher(self, row):
        context = self.context(version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(row[2] + ":@SECLEVEL=0")
        try:
            with self.secure(context) as client:
                raise bb.Failure(f"{client.socket.cipher()} was taken")
        except (ssl.SSLError, ConnectionError):
            pass

    def check_resumption(self, row):
        context = self.context(version=row[2], certificate=self.good.leaf("resumed"))
        with self.secure(context) as client:
            session = client.socket.session
            expect(not client.socket.session_reused, "the first is resumed")
            client.ask("QUIT")
        with self.secure(context, session) as client:
            expect(client.socket.session_reused, "not resumed")
            client.is_in_step()

    def check_trace(self, row):
        with self.secure(self.context(), port=self.implicit if row[2] else None) as client:
            for line in ("MAIL FROM:<s@from.test>", f"RCPT TO:<{row[0]}@to.test>"):
                expect_equal(client.ask(line)[0], 250, line)
            client.ask("DATA")
            expect_equal(client.ask(MESSAGE + b".\r\n")[0], 250, "dot")
        found = wait_for(lambda: self.hosts.to(f"{row[0]}@to.test"), 5, "the message")[0]["content"]
        trace = re.sub(rb"\s+", b" ", found[:found.index(b"Subject:")])
        expect(re.search(rb" with ESMTPS \(TLSv1\.3 TLS_[A-Z0-9_]+\) id ", trace), f"trace: {trace}")

    def check_certificate(self, row):
        certificate, is_good = row[2](self)
        log_before = len(self.relay.log())
        with self.secure(self.context(certificate=certificate)) as client:
            client.is_in_step()  # whatever it is worth, the session goes on
        line = "is not verified: "
        if is_good:
            expect(line not in self.relay.log()[log_before:], "a good certificate is complained of")
        else:
            wait_for(lambda: line in self.relay.log()[log_before:], 5, "a line in the log")

    def check_reload(self, _):
        before = self.secure(self.context(authority=self.good.pem))
        fresh = self.other.leaf("relay.outlast.test")
        self.relay.settings["tls.certificate"], self.relay.settings["tls.key"] = fresh
        self.relay.configure(self.relay.settings)
        self.relay.cli("reload")
        before.is_in_step()  # nobody is dropped
        before.close()
        with self.secure(self.context(authority=self.other.pem)) as client:
            client.is_in_step()

    def check_bad_reload(self, row):
        changed, wanted = row[2](self)
        kept = dict(self.relay.settings)
        self.relay.configure({**kept, **changed})
        found = subprocess.run([lib.program_path("outlast"), "-c", self.relay.conf_path, "reload"], capture_output=True,
                               text=True, check=False)
        self.relay.configure(kept)
        expect(found.returncode != 0, "the reload is a success")
        said = found.stdout + found.stderr + self.relay.log()
        expect(re.search(wanted, said), f"{wanted} is not in {said[-800:]}")
        with self.secure(self.context()) as client:
            client.is_in_step()

    def check_warning(self, _):
        pem, key = self.good.leaf("soon.test", days=3)
        self.relay.configure({**self.relay.settings, "tls.certificate": pem, "tls.key": key})
        self.relay.cli("reload")
        wait_for(lambda: re.search(r"soon\.test\.pem expires on \d{4}-\d\d-\d\d: renew it", self.relay.log()), 5, "a warning")

    def check_no_handshake(self, row):
        with Client(self.relay.port) as client:
            client.ask("EHLO client.test")
            client.ask("STARTTLS")
            client.say(row[2])
            wait_for(lambda: closed(client), 5, "the session ends")

    def check_idle(self, _):
        count, context = 200, self.context(version=ssl.TLSVersion.TLSv1_3)
        for _ in range(3):
            self.secure(context).close()
        before = bb.memory_kib(self.relay.process.pid)
        clients = [self.secure(context) for _ in range(count)]
        each = (bb.memory_kib(self.relay.process.pid) - before) / count
        for client in clients:
            client.close()
        expect(each < 64 or lib.is_sanitized(), f"{each:.1f} KiB for an idle session under TLS")
        return f"an idle session under TLS: {each:.1f} KiB"


def closed(client):
    try:
        return client.socket.recv(65536) == b""
    except ConnectionError:
        return True


VERSIONS = [("tls-1.0", "8996 2", (ssl.TLSVersion.TLSv1, False)), ("tls-1.1", "8996 2", (ssl.TLSVersion.TLSv1_1, False)),
            ("tls-1.2", "9325 3.1", (ssl.TLSVersion.TLSv1_2, True)), ("tls-1.3", "8446", (ssl.TLSVersion.TLSv1_3, True))]
WEAK_CIPHERS = [("null", "9325 4.1", "NULL"), ("anonymous", "9325 4.1", "aNULL"), ("no-forward-secrecy", "9325 4.1", "kRSA"),
                ("no-encryption-key", "9325 4.1", "PSK")]
RESUMPTION = [("resumed-1.2", "5077 3", ssl.TLSVersion.TLSv1_2),
              ("resumed-1.3", "8446 4.6.1", ssl.TLSVersion.TLSv1_3)]
CERTIFICATES = [
    ("none", "8446 4.4.2", lambda c: (None, True)),
    ("good", "8446 4.4.2", lambda c: (c.good.leaf("alice"), True)),
    ("of-others", "8446 4.4.2", lambda c: (c.other.leaf("mallory"), False)),
    ("expired", "8446 4.4.2", lambda c: (c.good.leaf("old", days=-1), False)),
    ("self-signed", "8446 4.4.2", lambda c: (c.good.leaf("self", is_self_signed=True), False)),
]
BAD_RELOADS = [
    ("no-such-file", "row 48", lambda c: ({"tls.certificate": "/nonexistent"}, "tls.certificate /nonexistent: No such file")),
    ("key-of-another", "row 48", lambda c: ({"tls.key": c.good.leaf("another")[1]}, "is not the key of tls.certificate")),
    ("no-pem", "row 48", lambda c: ({"tls.certificate": "/etc/passwd"}, "tls.certificate /etc/passwd: nothing in PEM form")),
]
NO_HANDSHAKES = [("clear-text", "row 25", b"EHLO injected.test\r\n"), ("alert", "row 25", b"\x15\x03\x01\x00\x02\x02\x28"),
                 ("cut-record", "row 25", b"\x16\x03\x01\x40\x00" + b"\x01" * 20 + b"\r\n" * 0x4000),
                 ("sslv2", "row 25", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\0" * 40)]


# ---- mail hosts ----

class Inner(bb.Session):
    """What a host says under TLS."""

    def act(self, stage, line=b""):
        return b"" if stage == "banner" else super().act(stage, line)


def secured(files, version=None):
    """A plan for STARTTLS: the handshake, and the session goes on under it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if version:
        context.maximum_version = version

    def starttls(_line, session):
        session.connection.sendall(b"220 go\r\n")
        try:
            connection = context.wrap_socket(session.connection, server_side=True)
            Inner(session.hosts, connection).run()
        except (ssl.SSLError, OSError, ValueError):
            pass
        return bb.DROP
    return starttls


def after_220(action):
    def starttls(_line, session):
        session.connection.sendall(b"220 go\r\n")
        session.connection.recv(4096)  # the ClientHello
        action(session.connection)
        return bb.DROP
    return starttls


def damage(line, session):
    """In place of a reply: a record that is none of this session's, then nothing."""
    with socket.socket(fileno=os.dup(session.connection.fileno())) as wire:
        wire.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    return bb.DROP


def plans(good, other):
    """By name: what a host answers to STARTTLS."""
    def name(case, policy):
        return f"mx.{policy}-{case}.test"
    return {
        "good": lambda p: secured(good.leaf(name("good", p))),
        "tls-1.2": lambda p: secured(good.leaf(name("tls-1.2", p)), ssl.TLSVersion.TLSv1_2),
        "other-name": lambda p: secured(good.leaf("wrong.test")),
        "expired": lambda p: secured(good.leaf(name("expired", p), days=-1)),
        "untrusted": lambda p: secured(other.leaf(name("untrusted", p))),
        "self-signed": lambda p: secured(good.leaf(name("self-signed", p), is_self_signed=True)),
        "cut": lambda p: after_220(lambda connection: None),
        "stall": lambda p: after_220(lambda connection: time.sleep(5)),
        "alert": lambda p: after_220(lambda connection: connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")),
        "clear-text": lambda p: after_220(lambda connection: connection.sendall(b"454 4.7.0 not now\r\n")),
        "refused": lambda p: b"454 4.7.0 TLS not available\r\n",
        "not-offered": lambda p: None,
        "damaged": lambda p: secured(good.leaf(name("damaged", p))),
        "injected": lambda p: b"220 go\r\n250 injected\r\n",
    }


HOSTS = [  # case, policy, what comes of the first attempt, in clear text or not, what is told
    ("good", "opportunistic", DELIVERED, "TLSv1.3", ""), ("tls-1.2", "opportunistic", DELIVERED, "TLSv1.2", ""),
    ("other-name", "opportunistic", DELIVERED, "TLSv1.3", ""), ("expired", "opportunistic", DELIVERED, "TLSv1.3", ""),
    ("untrusted", "opportunistic", DELIVERED, "TLSv1.3", ""),
    ("cut", "opportunistic", DELIVERED, "", ""), ("stall", "opportunistic", DELIVERED, "", ""),
    ("alert", "opportunistic", DELIVERED, "", ""), ("clear-text", "opportunistic", DELIVERED, "", ""),
    ("refused", "opportunistic", DELIVERED, "", ""), ("not-offered", "opportunistic", DELIVERED, "", ""),
    ("injected", "opportunistic", KEPT, None, "clear text"),
    ("damaged", "opportunistic", KEPT, None, "tls error in mail"), ("damaged", "verify", KEPT, None, "tls error in mail"),
    ("expired", "require", DELIVERED, "TLSv1.3", ""), ("other-name", "require", DELIVERED, "TLSv1.3", ""),
    ("cut", "require", KEPT, None, "closed during the TLS handshake"), ("alert", "require", KEPT, None, "handshake failure"),
    ("stall", "require", KEPT, None, "tim"), ("refused", "require", KEPT, None, "TLS not available"),
    ("not-offered", "require", KEPT, None, "not offered"), ("injected", "require", KEPT, None, "clear text"),
    ("clear-text", "require", KEPT, None, "clear text"),
    ("good", "verify", DELIVERED, "TLSv1.3", ""), ("tls-1.2", "verify", DELIVERED, "TLSv1.2", ""),
    ("other-name", "verify", KEPT, None, "hostname mismatch, certificate is for wrong.test"),
    ("expired", "verify", KEPT, None, r"certificate has expired \(\d{4}-\d\d-\d\d\), certificate is for mx.verify-expired.test"),
    ("untrusted", "verify", KEPT, None, "issued by other"), ("self-signed", "verify", KEPT, None, "self-signed certificate"),
    ("cut", "verify", KEPT, None, "closed during the TLS handshake"), ("alert", "verify", KEPT, None, "handshake failure"),
    ("refused", "verify", KEPT, None, "TLS not available"), ("not-offered", "verify", KEPT, None, "not offered"),
    ("injected", "verify", KEPT, None, "clear text"),
]


class Outside:
    def __init__(self, world):
        self.good, self.other = Authority(world.directory, "trusted"), Authority(world.directory, "other")
        self.hosts, self.address, zone = bb.Hosts(), {}, []
        known = plans(self.good, self.other)
        for number, (case, policy, *_) in enumerate(HOSTS):
            name = f"{policy}-{case}"
            address = self.address[name] = f"127.6.0.{number + 1}"
            zone += [f"{name}.test MX 10 mx.{name}.test", f"mx.{name}.test A {address}"]
            plan = known[case](policy)
            if plan is not None:
                self.hosts.plans[address] = {"ehlo": b"250-h\r\n250 STARTTLS\r\n", "starttls": plan}
                if case == "damaged":
                    self.hosts.plans[address]["mail"] = damage
        dns = world.dns(zone)
        self.relay = world.relay({
            "delivery.port": self.hosts.port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/9"],
            "dns.timeout": "150ms", "dns.tries": 1, "queue.min-free": "10M", "delivery.tls-timeout": "1s", "delivery.dane": "no",
            "tls.authorities": self.good.pem,
            "destinations": [{"match": "require-*", "tls": "require"}, {"match": "verify-*", "tls": "verify"}]}, name="outside")
        self.relay.start()
        for case, policy, *_ in HOSTS:
            send(self.relay.port, f"u@{policy}-{case}.test", MESSAGE)

    def check(self, row):
        name, _, wanted, protocol, told = row
        to = f"u@{name}.test"
        if wanted == DELIVERED:
            attempt = wait_for(lambda: bb.attempts_of(self.relay).get(to), 8, "an attempt", every=0.2)[0]
            expect_equal(attempt["disposition"], "delivered", attempt["reply"])
            expect(attempt["tls"].startswith(protocol) and bool(attempt["tls"]) == bool(protocol), f"tls: {attempt['tls']!r}")
            return

        def reason():
            found = self.relay.cli("list", "--to", to, "--json", status=None)
            return found and re.search(r'"delay_reason": ?"([^"]+)"', found)
        found = wait_for(reason, 8, "a reason", every=0.2)[1]
        expect(re.search(told, found), f"told: {found}")
        said = self.hosts.said(self.address[name])
        if name.endswith("damaged"):
            said = said[:2]  # what follows is under TLS
        expect(said and all(line[:4].upper() in (b"EHLO", b"STAR", b"QUIT") for line in said), f"said in clear text: {said}")


def main():
    suite = Suite()
    with lib.World("tls") as world:
        clients = Clients(world)
        suite.group("versions", VERSIONS, clients.check_versions)
        suite.group("weak ciphers", WEAK_CIPHERS, clients.check_cipher)
        suite.group("tickets", RESUMPTION, clients.check_resumption)
        suite.group("no handshake", NO_HANDSHAKES, clients.check_no_handshake)
        suite.group("clients' certificates", CERTIFICATES, clients.check_certificate)
        suite.group("idle", [("idle-memory", "row 33", None)], lambda row: suite.note(clients.check_idle(row)))
        suite.group("trace", [("starttls", "3848", False), ("implicit", "8314", True)], clients.check_trace)
        suite.group("bad reloads", BAD_RELOADS, clients.check_bad_reload)
        suite.group("reload", [("reload", "row 48", None)], clients.check_reload)
        suite.group("warning", [("expires-soon", "row 48", None)], clients.check_warning)
        outside = Outside(world)
        suite.group("policies", [(f"{policy}-{case}", "row 25", *rest) for case, policy, *rest in HOSTS], outside.check)
        suite.group("tls, unharmed", [("log", "", None)],
                    lambda _: expect(clients.relay.process.is_running() and outside.relay.process.is_running(), "ended"))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
