#!/usr/bin/python3
"""DANE (RFC 7672) with a zone that Knot signs and Unbound validates: who gets mail, how, and who does not.

Each row is a domain with one host at an address of its own. Three sinks: a certificate of a private authority, one that ran out,
and no TLS at all. What the sinks wrote down says whether a message came, and whether under TLS; what waits is in the queue
with the reason, and its host has seen nothing of it.
"""

import hashlib
import os
import ssl
import subprocess

from dnssec import SignedZones, Unbound
from peer import common_port, expect, expect_equal, lib, messages, settings, wait_for

TLS, CLEAR, WAITS = "TLS", "clear text", "waits"
NO_KEY = "0123456789abcdef" * 4

# domain: (sink, TLSA records, what comes of it, part of the reason)
ROWS = {
    "ee311": ("good", ["3 1 1 {key}"], TLS, None),
    "ee301": ("good", ["3 0 1 {certificate}"], TLS, None),
    "ee312": ("good", ["3 1 2 {key512}"], TLS, None),
    "rollover": ("good", ["3 1 1 " + NO_KEY, "3 1 1 {key}"], TLS, None),
    "ta201": ("good", ["2 0 1 {authority}"], TLS, None),
    "tadomain": ("good", ["2 0 1 {authority}"], TLS, None),  # the certificate names the domain, not the host
    "taname": ("good", ["2 0 1 {authority}"], WAITS, "DANE: "),  # and here neither
    "mismatch": ("good", ["3 1 1 " + NO_KEY], WAITS, "DANE: "),
    "sour": ("good", [], WAITS, "its TLSA records cannot be looked up: SERVFAIL"),
    "missing": ("good", [], TLS, None),
    "expired3": ("expired", ["3 1 1 {expired_key}"], TLS, None),
    "expired2": ("expired", ["2 0 1 {authority}"], WAITS, "DANE: certificate has expired"),
    "expired0": ("expired", [], TLS, None),
    "unusable": ("good", ["1 1 1 " + NO_KEY, "3 1 9 " + NO_KEY], TLS, None),
    "unusable-clear": ("none", ["1 1 1 " + NO_KEY], WAITS, "DANE: TLS is required, but not offered"),
    "no-starttls": ("none", ["3 1 1 {key}"], WAITS, "DANE: TLS is required, but not offered"),
    "nothing": ("none", [], CLEAR, None),
}
# Zones that nobody vouches for: of one there is no trust anchor, the other's does not fit.
UNSIGNED = {"plain": ("good", TLS, None), "bogus": ("good", WAITS, "SERVFAIL")}

HEAD = """$ORIGIN {zone}.
$TTL 60
@   SOA ns hostmaster 1 3600 600 86400 60
    NS  ns
ns  A   127.0.0.1
"""
BAD_DS = "DS 4711 13 2 " + NO_KEY


def run(*argv, stdin=None):
    return subprocess.run([str(arg) for arg in argv], input=stdin, check=True, capture_output=True).stdout


def make_certificates(world):
    """An authority, and two certificates of it, one of yesterday. Returns what the TLSA records want."""
    at = {name: (world.path(name + ".pem"), world.path(name + ".key")) for name in ("authority", "good", "expired")}
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("openssl", "req", "-x509", *curve, "-keyout", at["authority"][1], "-out", at["authority"][0], "-days", 9, "-subj",
        "/CN=Authority of the test")
    with open(world.path("extensions"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:mx.ta201.test,DNS:tadomain.test,DNS:mx.expired2.test\n")
    for name, days in (("good", 5), ("expired", -1)):
        pem, key = at[name]
        request = run("openssl", "req", "-new", *curve, "-keyout", key, "-subj", "/CN=host")
        leaf = run("openssl", "x509", "-req", "-CA", at["authority"][0], "-CAkey", at["authority"][1], "-CAcreateserial",
                   "-days", days, "-extfile", world.path("extensions"), stdin=request)
        with open(at["authority"][0], "rb") as authority, open(pem, "wb") as file:
            file.write(leaf + authority.read())
        os.chmod(key, 0o600)
    public = {name: run("openssl", "pkey", "-pubin", "-outform", "DER", stdin=run("openssl", "x509", "-pubkey", "-noout", "-in", pem))
              for name, (pem, _) in at.items()}
    return at, {
        "key": hashlib.sha256(public["good"]).hexdigest(),
        "key512": hashlib.sha512(public["good"]).hexdigest(),
        "expired_key": hashlib.sha256(public["expired"]).hexdigest(),
        "certificate": hashlib.sha256(first_der(at["good"][0])).hexdigest(),
        "authority": hashlib.sha256(first_der(at["authority"][0])).hexdigest(),
    }


def first_der(path):
    with open(path, encoding="ascii") as file:
        text = file.read()
    return ssl.PEM_cert_to_DER_cert(text[:text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


def set_up(world, rows=None, changes=None, clock_rate=None):
    """The zones, their resolver, the sinks and a relay: (relay, {name: sink}, {domain: sink}, resolver)."""
    rows = ROWS if rows is None else rows
    certificates, values = make_certificates(world)
    domains = [f"{name}.test" for name in rows] + list(UNSIGNED)
    address = {domain: f"127.0.7.{number}" for number, domain in enumerate(domains, 1)}
    kind = {**{f"{name}.test": row[0] for name, row in rows.items()}, **{name: row[0] for name, row in UNSIGNED.items()}}
    port = common_port(*address.values())
    text = HEAD.format(zone="test")
    for name, (_, records, _, _) in rows.items():
        text += f"{name} MX 10 mx.{name}\nmx.{name} A {address[name + '.test']}\n"
        text += "".join(f"_{port}._tcp.mx.{name} TLSA {record.format(**values)}\n" for record in records)
    text += f"_tcp.mx.sour NS ns\n_tcp.mx.sour {BAD_DS}\n"
    zones = {"test": (text, True), "_tcp.mx.sour.test": (HEAD.format(zone="_tcp.mx.sour.test") + f"_{port} TLSA 3 1 1 {NO_KEY}\n", False)}
    for zone in UNSIGNED:
        zones[zone] = (HEAD.format(zone=zone) + f"@ MX 10 mx\nmx A {address[zone]}\n_{port}._tcp.mx TLSA 3 1 1 {NO_KEY}\n", False)
    knot = SignedZones(world, zones)
    unbound = Unbound(world, knot, [*knot.anchor("test"), f"bogus. {BAD_DS}"])
    sinks = {}
    for name in ("good", "expired", "none"):
        listeners = [f"mx.{domain}={address[domain]}:{port}" for domain in domains if kind[domain] == name]
        pem = [] if name == "none" else ["--cert", certificates[name][0], "--key", certificates[name][1]]
        if listeners:
            sinks[name] = world.sink(*listeners, name=name, args=pem)
    relay = world.relay({**settings(unbound.at, port), **(changes or {})})
    relay.start(clock_rate=clock_rate)
    return relay, sinks, kind, unbound


def send(world, relay, domains, prefix="d"):
    for number, domain in enumerate(domains):
        figures = world.load(relay.at, count=1, prefix=f"{prefix}{number}", rcpt=f"u@{domain}", size="1K", timeout=20)
        expect_equal(figures["accepted"], 1, f"{domain} accepted")


def arrived(sinks):
    """{domain: TLS or CLEAR}."""
    return {m["to"][0].partition("@")[2]: TLS if m["tls"] else CLEAR for sink in sinks.values() for m in sink.messages()}


def test_each_way_of_publishing_has_its_effect(world):
    relay, sinks, _, _ = set_up(world)
    wanted = {f"{name}.test": row[2:] for name, row in ROWS.items()}
    wanted.update({name: row[1:] for name, row in UNSIGNED.items()})
    send(world, relay, wanted)
    go = {domain: how for domain, (how, _) in wanted.items() if how != WAITS}
    stay = {domain: why for domain, (how, why) in wanted.items() if how == WAITS}
    wait_for(lambda: len(arrived(sinks)) >= len(go), 30, f"{sorted(go)} got their mail; {sorted(arrived(sinks))} did")
    wait_for(lambda: relay.queued() == len(stay), 30, f"{len(stay)} wait")
    expect_equal(arrived(sinks), go, "who got mail, and how")
    for domain, why in stay.items():
        text = wait_for(lambda domain=domain: reason(relay, domain), 20, f"a reason for {domain}")
        expect(why in text, f"{domain}: {why!r} is not in {text!r}")
    # nothing of what waits was said in clear text, nor to the end of a mail under TLS
    for name, sink in sinks.items():
        for host, figures in sink.control.stats().items():
            domain = host.partition("mx.")[2]
            if domain in stay:
                expect_equal((figures["messages"], figures["rejects"]), (0, 0), f"{name}: {host}")


def reason(relay, domain):
    """What the destination's state, or the log, says of it."""
    lines = [line for line in relay.log().splitlines() if f"mx.{domain}" in line or f" {domain}" in line]
    return "\n".join(line for line in lines if "TLS failed" in line or "look" in line or "SERVFAIL" in line)


def arrived_all(sinks, domain):
    return [m for sink in sinks.values() for m in sink.messages() if m["to"] == [f"u@{domain}"]]


def test_silence_of_dns_is_no_way_into_clear_text(world):
    """The resolver dies. Mail to a host that nothing bound goes on to where it went last; to one that TLSA records bound it
    waits, though its address is remembered too."""
    relay, sinks, _, unbound = set_up(world, {name: ROWS[name] for name in ("ee311", "missing", "sour")}, clock_rate=60,
                                      changes={"dns.timeout": "100ms", "dns.ttl-min": "1s"})
    send(world, relay, ["ee311.test", "missing.test"])
    messages(sinks["good"], 2)
    unbound.process.stop()
    # one minute of the zone's TTL is a second of this clock; till then answers are remembered
    rounds = 0

    def is_missed():
        nonlocal rounds
        rounds += 1
        send(world, relay, ["missing.test", "ee311.test"], prefix=f"e{rounds}.")
        return "missing.test gets no answer from DNS; its mail goes on" in relay.log() and relay.queued() > 0
    wait_for(is_missed, 30, "DNS is missed, and mail for the bound host waits", every=0.5)
    waiting = relay.queued()
    before = len(arrived_all(sinks, "missing.test"))
    send(world, relay, ["missing.test", "ee311.test"], prefix="f")
    wait_for(lambda: len(arrived_all(sinks, "missing.test")) == before + 1, 20, "mail that nothing binds goes on")
    wait_for(lambda: relay.queued() == waiting + 1, 20, "what TLSA records bound waits")
    unbound.process = world.start(unbound.process.argv, "unbound.log", env=unbound.environment)
    wait_for(lambda: relay.cli("retry", "ee311.test", status=None) is not None and relay.queued() == 0, 60,
             "the resolver is back, and all has gone", every=1)
    expect_equal({m["tls"] for m in sinks["good"].messages()}, {True}, "under TLS")


if __name__ == "__main__":
    lib.run(globals())
