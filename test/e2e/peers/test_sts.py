#!/usr/bin/python3
"""MTA-STS (RFC 8461) from end to end: policy hosts that speak HTTPS, MX hosts with good and bad certificates, and what happens to
the mail.

All certificates come from an authority of the test's own, which the relay is told to trust. Policy hosts are one server on a
loopback address, told apart by SNI; their port is not 443, which OUTLAST_TEST_HTTPS_PORT says. The clock runs fast: an hour is
seconds.
"""

import contextlib
import email
import gzip
import http.server
import json
import os
import sqlite3
import ssl
import subprocess
import threading

from peer import common_port, content_of, expect, expect_equal, lib, settings, wait_for

POLICY_AT = "127.0.4.1"
RATE = 600  # five minutes are half a second
ENFORCE = "version: STSv1\r\nmode: enforce\r\nmx: {mx}\r\nmax_age: {age}\r\n"


class Authority:
    """Signs certificates: path(name) -> (certificate, key)."""

    def __init__(self, world, name="ca"):
        self.world, self.name = world, name
        self.pem, self.key = world.path(name + ".pem"), world.path(name + ".key")
        self._openssl("req", "-x509", *self._new_key(self.key), "-out", self.pem, "-days", "30", "-subj", f"/CN=test {name}",
                      "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=keyCertSign")

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    @staticmethod
    def _new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]

    def sign(self, host, is_expired=False):
        base = self.world.path(f"{self.name}-{host}{'-expired' if is_expired else ''}")
        pem, key, request, extra = (base + end for end in (".pem", ".key", ".csr", ".ext"))
        self._openssl("req", *self._new_key(key), "-out", request, "-subj", f"/CN={host}")
        with open(extra, "w", encoding="ascii") as file:
            file.write(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:false\n")
        # of a validity in the past: by a clock of its own
        days = ["-days", "-1"] if is_expired else ["-days", "20"]
        self._openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-out", pem,
                      "-extfile", extra, *days)
        os.chmod(key, 0o600)
        return pem, key


class PolicyHost:
    """https://mta-sts.DOMAIN/ of all domains: documents[DOMAIN] = (status, content type, text), or more headers behind."""

    def __init__(self, port, certificates):
        self.documents, self.asked, self.heads, self.posts = {}, [], [], []
        self.port = port
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802  (the name is given)
                domain = self.headers["Host"].partition(":")[0].removeprefix("mta-sts.")
                host.asked.append((domain, self.path))
                host.heads.append(dict(self.headers))
                status, kind, text, *more = host.documents.get(domain, (404, "text/plain", ""))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in more:
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(text.encode())
                except OSError:
                    pass

            def do_POST(self):  # noqa: N802
                host.posts.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(201)
                self.end_headers()

            def log_message(self, *_args):
                pass

        contexts = {}
        for domain, (pem, key) in certificates.items():
            contexts["mta-sts." + domain] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem, key)
        first = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        first.load_cert_chain(*next(iter(certificates.values())))

        def on_name(tls, name, _context):
            tls.context = contexts.get(name, first)
        first.sni_callback = on_name
        self.server = http.server.ThreadingHTTPServer((POLICY_AT, port), Handler, bind_and_activate=False)
        self.server.daemon_threads = True
        self.server.server_bind()
        self.server.server_activate()
        self.server.handle_error = lambda *_args: None
        # the handshake belongs to the thread of the connection
        self.server.socket = first.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Scene:
    """Domains, each with an MX host mx.DOMAIN, a certificate for it and a policy: documents and TXT records may change later.

    domains: {DOMAIN: {"policy": text or document, "mx_cert": host on it or None, "host_cert": "good", "expired", "other-ca",
    "other-name", "id": text}}"""

    def __init__(self, world, domains, changes=None, args=()):
        self.world, self.domains, self.sink_args = world, domains, list(args)
        self.authority, stranger = Authority(world), Authority(world, "stranger")
        self.addresses = {domain: f"127.0.5.{i}" for i, domain in enumerate(domains, 1)}
        self.mx_port = common_port(*self.addresses.values())
        self.sinks = {}
        zone, host_certs = [], {}
        for domain, what in domains.items():
            at = self.addresses[domain]
            zone += [f"{domain} MX 10 mx.{domain} 60", f"mx.{domain} A {at} 60", f"mta-sts.{domain} A {POLICY_AT} 60"]
            if what.get("id"):
                zone.append(f"_mta-sts.{domain} TXT v=STSv1;id={what['id']}; 60")
            kind = what.get("host_cert", "good")
            signer = stranger if kind == "other-ca" else self.authority
            name = "other.test" if kind == "other-name" else "mta-sts." + domain
            host_certs[domain] = signer.sign(name, is_expired=kind == "expired")
            self.start_mx(domain, what.get("mx_cert", "mx." + domain))
        self.policies = PolicyHost(common_port(POLICY_AT), host_certs)
        for domain, what in domains.items():
            policy = what.get("policy")
            if policy is not None:
                self.policies.documents[domain] = (200, "text/plain", policy) if isinstance(policy, str) else policy
        self.dns = world.dns(zone)
        self.relay = world.relay({**settings(self.dns.at["dns"], self.mx_port), "tls.authorities": self.authority.pem,
                                  **(changes or {})})

    def start_mx(self, domain, cert_name):
        args = self.sink_args
        if cert_name:
            pem, key = self.authority.sign(cert_name)
            args = [*args, "--cert", pem, "--key", key]
        if domain in self.sinks:
            self.sinks[domain].kill()
        self.sinks[domain] = self.world.sink(f"mx.{domain}={self.addresses[domain]}:{self.mx_port}", args=args,
                                             name=f"sink-{domain}-{len(self.world.processes)}")

    def start(self, rate=RATE):
        self.relay.start(clock_rate=rate, env={"OUTLAST_TEST_HTTPS_PORT": str(self.policies.port)})

    def send(self, *domains):
        for domain in domains:
            self.send_count = getattr(self, "send_count", 0) + 1
            figures = self.world.load(self.relay.at, count=1, prefix=str(self.send_count), rcpt=f"u@{domain}", size="1K", timeout=20)
            expect_equal(figures["accepted"], 1, f"mail for {domain} accepted")

    def got(self, domain):
        return len(self.sinks[domain].messages())

    def wait_delivered(self, *domains, count=1):
        for domain in domains:
            wait_for(lambda d=domain: self.got(d) >= count, 20, f"mail for {domain} delivered")

    def has_saved_counts(self):
        """The days of these domains are on the shelf of the queue."""
        with contextlib.closing(sqlite3.connect(f"file:{self.relay.settings['queue.directory']}/queue.db?mode=ro", uri=True)) as db:
            keys = [bytes(key).decode() for key, in db.execute("SELECT key FROM shelf WHERE kind = 1")]
        return all(any(key.endswith(" " + domain) for key in keys) for domain in self.domains)

    def wait_log(self, pattern):
        return self.relay.process.wait_for_log(pattern, 20)


def policy(domain, mx=None, mode="enforce", age=86400):
    return ENFORCE.format(mx=mx or "mx." + domain, age=age).replace("enforce", mode)


def test_policies_decide_where_mail_goes(world):
    scene = Scene(world, {
        "good.test": {"id": "1", "policy": policy("good.test")},
        "wild.test": {"id": "1", "policy": policy("wild.test", mx="*.wild.test")},
        "mismatch.test": {"id": "1", "policy": policy("mismatch.test", mx="mail.mismatch.test")},
        "badcert.test": {"id": "1", "policy": policy("badcert.test"), "mx_cert": "other.test"},
        "notls.test": {"id": "1", "policy": policy("notls.test"), "mx_cert": None},
        "testing.test": {"id": "1", "policy": policy("testing.test", mode="testing"), "mx_cert": "other.test"},
        "testmx.test": {"id": "1", "policy": policy("testmx.test", mx="no.testmx.test", mode="testing")},
        "none.test": {"id": "1", "policy": "version: STSv1\nmode: none\nmax_age: 86400\n", "mx_cert": "other.test"},
    })
    scene.start()
    scene.send(*scene.domains)
    scene.wait_delivered("good.test", "wild.test", "testing.test", "testmx.test", "none.test")
    scene.wait_log(r"mx\.mismatch\.test: not among the mx of the MTA-STS policy of mismatch\.test")
    scene.wait_log(r"mx\.badcert\.test.*TLS failed: .*\(not used without TLS\)")
    scene.wait_log(r"mx\.notls\.test.*(STARTTLS|TLS)")
    scene.wait_log(r"mx\.testing\.test.*TLS failed: .*MTA-STS in testing")
    for domain in ("mismatch.test", "badcert.test", "notls.test"):
        expect_equal(scene.got(domain), 0, f"messages of {domain} under enforce")
    wait_for(lambda: scene.relay.queued() == 3, 10, "three wait")
    for domain, path in scene.policies.asked:
        expect_equal(path, "/.well-known/mta-sts.txt", f"path for {domain}")
    for head in scene.policies.heads:
        expect(not {"Cookie", "Authorization", "Referer"} & set(head), f"nothing of ours in {head}")
    # Good certificates set free what waits.
    scene.start_mx("badcert.test", "mx.badcert.test")
    scene.start_mx("notls.test", "mx.notls.test")
    scene.wait_delivered("badcert.test", "notls.test")


def test_policies_that_cannot_be_had_bind_nobody(world):
    good = {domain: policy(domain) for domain in ("expired.test", "otherca.test", "othername.test", "html.test", "redirect.test",
                                                  "large.test")}
    scene = Scene(world, {
        "bogus.test": {"id": "1", "policy": "version: STSv1\nmode: enforced\nmx: x\nmax_age: 5\n", "mx_cert": "other.test"},
        "missing.test": {"id": "1", "mx_cert": "other.test"},
        "expired.test": {"id": "1", "policy": good["expired.test"], "host_cert": "expired", "mx_cert": "other.test"},
        "otherca.test": {"id": "1", "policy": good["otherca.test"], "host_cert": "other-ca", "mx_cert": "other.test"},
        "othername.test": {"id": "1", "policy": good["othername.test"], "host_cert": "other-name", "mx_cert": "other.test"},
        "html.test": {"id": "1", "policy": (200, "text/html", good["html.test"]), "mx_cert": "other.test"},
        "large.test": {"id": "1", "policy": good["large.test"] + "x: " + "y" * 70000, "mx_cert": "other.test"},
        "redirect.test": {"id": "1", "policy": (302, "text/plain", good["redirect.test"],
                                                ("Location", "https://mta-sts.large.test/.well-known/mta-sts.txt")),
                          "mx_cert": "other.test"},
        "norecord.test": {"policy": policy("norecord.test"), "mx_cert": "other.test"},
    })
    scene.start()
    scene.send(*scene.domains)
    scene.wait_delivered(*scene.domains)
    for domain, why in {"bogus.test": "unknown mode", "missing.test": "status is not 200", "expired.test": "certificate expired",
                        "otherca.test": "certificate not trusted", "othername.test": "another host",
                        "html.test": "not of type text/plain", "large.test": "too large",
                        "redirect.test": "redirect"}.items():
        scene.wait_log(rf"{domain}: policy cannot be fetched, mail goes without: .*{why}")
    asked = [domain for domain, _ in scene.policies.asked]
    expect("norecord.test" not in asked, "without a record nothing is fetched")
    expect("othername.test" not in asked and "expired.test" not in asked, "no request over a bad certificate")
    # Not again before five minutes are over (half a second here).
    before = asked.count("missing.test")
    scene.send("missing.test", "missing.test", "missing.test")
    scene.wait_delivered("missing.test", count=4)
    expect([d for d, _ in scene.policies.asked].count("missing.test") <= before + 1, "fetched once, not for each message")


def test_an_outage_is_no_downgrade(world):
    scene = Scene(world, {"good.test": {"id": "1", "policy": policy("good.test", age=7200)}})
    scene.start()
    scene.send("good.test")
    scene.wait_delivered("good.test")
    # The policy host is gone, and somebody else answers for the MX. The relay starts anew, knowing only what is on disk.
    scene.relay.kill()
    scene.policies.stop()
    scene.start_mx("good.test", "other.test")
    scene.start()
    scene.send("good.test")
    scene.wait_log(r"mx\.good\.test.*TLS failed: .*\(not used without TLS\)")
    # max_age is two hours: twelve seconds of this clock. DNS and host stay silent beyond it.
    scene.wait_log(r"good\.test: policy cannot be renewed, the last one stays: cannot connect")
    said = scene.relay.log().count("not used without TLS")
    lib.wait_for(lambda: "over" in scene.relay.cli("tls", "good.test"), 30, "max_age is over")
    scene.send("good.test")
    lib.wait_for(lambda: scene.relay.log().count("not used without TLS") > said, 40, "another attempt after that")
    expect_equal(scene.got("good.test"), 0, "messages that went to the impostor")
    expect_equal(scene.relay.queued(), 2, "what waits")
    # The right one is back.
    scene.start_mx("good.test", "mx.good.test")
    scene.wait_delivered("good.test", count=2)


def test_a_new_id_changes_the_policy(world):
    scene = Scene(world, {"moved.test": {"id": "1", "policy": policy("moved.test", mx="old.moved.test")}})
    scene.start()
    scene.send("moved.test")
    scene.wait_log(r"not among the mx of the MTA-STS policy of moved\.test")
    expect_equal(scene.got("moved.test"), 0, "messages so far")
    scene.policies.documents["moved.test"] = (200, "text/plain", policy("moved.test"))
    scene.dns.control("set _mta-sts.moved.test TXT v=STSv1;id=2; 60")
    scene.wait_delivered("moved.test")
    scene.wait_log(r"moved\.test: policy enforce, id 2")
    # And off: mode none.
    scene.policies.documents["moved.test"] = (200, "text/plain", "version: STSv1\nmode: none\nmax_age: 86400\n")
    scene.dns.control("set _mta-sts.moved.test TXT v=STSv1;id=3; 60")
    scene.start_mx("moved.test", None)

    def delivers():
        scene.send("moved.test")
        return scene.got("moved.test") > 0
    lib.wait_for(delivers, 20, "mail goes without TLS", every=0.5)


def test_reports_of_a_day(world):
    """RFC 8460: what was seen in a day is reported by mail and by HTTPS, also after a kill."""
    scene = Scene(world, {
        "testing.test": {"id": "1", "policy": policy("testing.test", mode="testing"), "mx_cert": "other.test"},
        "plain.test": {"mx_cert": None},
        "silent.test": {},
    }, {"tls-report.enabled": True, "tls-report.contact": "tls@outlast.test"}, args=["--maildir", world.path("maildir")])
    scene.dns.control("set _smtp._tls.testing.test TXT v=TLSRPTv1;rua=mailto:reports@plain.test 60")
    scene.dns.control("set _smtp._tls.plain.test TXT v=TLSRPTv1;rua=https://mta-sts.plain.test/report 60")
    scene.start(rate=10000)  # a day is nine seconds
    scene.send("testing.test", "plain.test", "silent.test")
    scene.wait_delivered("testing.test", "plain.test", "silent.test")
    scene.wait_log("testing.test.*MTA-STS in testing")
    wait_for(scene.has_saved_counts, 20, "what was counted is on disk", every=0.1)
    scene.relay.kill()
    scene.start(rate=10000)
    scene.wait_delivered("plain.test", count=2)
    wait_for(lambda: scene.policies.posts, 30, "a report by HTTPS")
    wait_for(lambda: "testing.test: report sent" in scene.relay.log(), 30, "the report by mail")
    kind, body = scene.policies.posts[0]
    expect_equal(kind, "application/tlsrpt+gzip", "content type")
    report = json.loads(gzip.decompress(body))
    expect_equal(report["organization-name"], "relay.outlast.test", "organization")
    expect_equal(report["contact-info"], "tls@outlast.test", "contact")
    [line] = report["policies"]
    expect_equal(line["policy"], {"policy-type": "no-policy-found", "policy-domain": "plain.test"}, "policy")
    expect_equal(line["summary"], {"total-successful-session-count": 0, "total-failure-session-count": 1}, "sums")
    expect_equal(line["failure-details"][0]["result-type"], "starttls-not-supported", "result")
    mails = [m for m in scene.sinks["plain.test"].messages() if m["to"] == ["reports@plain.test"]]
    message = email.message_from_bytes(content_of(world, mails[0]))
    expect_equal(message.get_content_type(), "multipart/report", "mail")
    expect_equal(message.get_param("report-type"), "tlsrpt", "report type")
    expect_equal((message["TLS-Report-Domain"], message["TLS-Report-Submitter"]), ("testing.test", "outlast.test"), "heads")
    expect_equal(message["TLS-Required"], "No", "the policies that it is about are not in its way")
    part = message.get_payload()[1]
    expect_equal(part.get_content_type(), "application/tlsrpt+gzip", "part")
    report = json.loads(gzip.decompress(part.get_payload(decode=True)))
    [line] = report["policies"]
    expect_equal(line["policy"]["policy-type"], "sts", "policy type")
    expect_equal(line["policy"]["mx-host"], ["mx.testing.test"], "MX of the policy")
    expect_equal(line["summary"], {"total-successful-session-count": 0, "total-failure-session-count": 1}, "sums")
    expect_equal([(d["result-type"], d["receiving-mx-hostname"], d["failed-session-count"]) for d in line["failure-details"]],
                 [("certificate-host-mismatch", "mx.testing.test", 1)], "failures")


if __name__ == "__main__":
    lib.run(globals())
