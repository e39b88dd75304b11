#!/usr/bin/python3
"""What strangers' tools say of the door: nmap's smtp-open-relay and testssl.sh against outlastd with the shipped configuration,
a certificate, and a listener with STARTTLS whose clients are strangers. `make door`; the summary is in doc/smtp.md.

Fails when nmap relays anything, or testssl.sh finds anything worse than a warning."""

import collections
import json
import os
import re
import subprocess
import sys

import lib
from lib import expect, expect_equal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
import peer  # noqa: E402

# Clients come from 127.0.0.1 and are no friends; port 25, since the tools know mail by it.
ADDRESS, FRIENDS = "127.0.25.1", "127.0.25.0/24"
GOOD = {"OK", "INFO", "LOW", "WARN", "DEBUG"}
# What a certificate made for this test cannot have; and what STARTTLS of any kind is told.
OF_THE_TEST = {"cert_chain_of_trust", "cert_trust", "cert_expirationStatus", "cert_notAfter", "cert_revocation", "overall_grade",
               "cert_crlDistributionPoints", "cert_ocspURL", "cert_extlifeSpan", "DNS_CAArecord", "OCSP_stapling", "grade_cap_reason_1",
               "cert_caIssuers", "cert_certificatePolicies_EV"}


def door(world, relaying):
    pem, key = peer.certificate(world, host="relay.outlast.test", is_rsa=False)
    relay = world.relay({"trusted": [FRIENDS], "tls.certificate": pem, "tls.key": key,
                         "limits.sessions-per-client": 1000, "delivery.port": relaying})
    relay.settings["listeners"] = [{"address": f"127.0.0.1:{relay.port}"}, {"address": f"{ADDRESS}:25", "tls": "starttls"}]
    relay.configure(relay.settings)
    relay.start()
    return relay


def run(argv, seconds, env=None):
    return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False,
                          env={**os.environ, **peer.environment(), **(env or {})})


def test_nmap_finds_no_open_relay(world):
    program = peer.program("nmap")
    peer.fetch_packages("nmap-common")
    relay = door(world, lib.free_port())
    data = os.path.join(peer.PEERS, "root", "usr/share/nmap")
    done = run([program, "--datadir", data, "-Pn", "-n", "-p", "25", "--script", "+smtp-open-relay,smtp-commands",
                "--script-args", "smtp-open-relay.domain=outside.test,smtp-open-relay.to=r,smtp-open-relay.from=s", ADDRESS],
               300, {"NMAPDIR": data})
    expect_equal(done.returncode, 0, done.stderr)
    found = re.search(r"smtp-open-relay: (.*(?:\n\|_?  .*)*)", done.stdout)
    expect(found, f"nmap says nothing of it:\n{done.stdout}{done.stderr}")
    print("# nmap " + re.search(r"Nmap ([\d.]+)", done.stdout)[1] + ": " + " ".join(found[1].split()))
    expect("doesn't seem to be an open relay" in found[1] and "all tests failed" in found[1], found[1])
    expect_equal(relay.queued(), 0, "queued")
    for verb in ("VRFY", "EXPN"):
        expect(not re.search(rf"\b{verb}\b.*@", done.stdout), verb)


def test_testssl_finds_nothing_worse_than_a_warning(world):
    program = peer.program("testssl", "testssl.sh")
    door(world, lib.free_port())
    out = world.path("testssl.json")
    folder = os.path.join(peer.PEERS, "root/etc/testssl")
    done = run(["bash", program, "--starttls", "smtp", "--openssl", "/usr/bin/openssl", "--warnings", "off", "--color", "0",
                "--nodns", "none", "--ip", ADDRESS, "--jsonfile", out, "--connect-timeout", "10",
                "--openssl-timeout", "10", "relay.outlast.test:25"], 1500, {"TESTSSL_INSTALL_DIR": folder})
    expect(os.path.exists(out), f"no verdict:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    with open(out, encoding="utf-8") as file:
        findings = json.load(file)
    counts = collections.Counter(one["severity"] for one in findings)
    version = re.search(r"testssl.sh +v?([\d.]+\S*)", done.stdout)
    print(f"# testssl.sh {version[1] if version else ''}: " + ", ".join(f"{n} {name}" for name, n in counts.most_common()))
    for one in findings:
        if one["severity"] not in ("OK", "INFO"):
            print(f"# {one['severity']} {one['id']}: {one['finding']}")
    bad = [one for one in findings if one["severity"] not in GOOD and one["id"] not in OF_THE_TEST]
    expect(len(findings) > 50, f"{len(findings)} findings only:\n{done.stdout[-3000:]}")
    expect_equal([f"{one['severity']} {one['id']}: {one['finding']}" for one in bad], [], "worse than a warning")


if __name__ == "__main__":
    lib.run(globals())
