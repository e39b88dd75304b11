#!/usr/bin/python3
"""Who is in front: load balancers with PROXY headers, servers with XCLIENT and XFORWARD; and mail for relay-domains,
which anybody may bring: nothing goes elsewhere, and what the next hop would refuse is not taken."""

import os
import socket
import ssl
import subprocess

import bb
import lib
from bb import Client, case, expect, expect_equal, wait_for

PROXY, FRONT, BACKUP = [], [], []
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BALANCER, STRANGER, SERVER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
TRUSTED, OUTSIDE = "198.51.100.7", "203.0.113.7"
RELAY_DENIED = "550/5.7.1"


def header(client=OUTSIDE, command=0x21, tlv=b""):
    """Version 2: from the client to 192.0.2.1:25."""
    block = socket.inet_aton(client) + socket.inet_aton("192.0.2.1") + (40000).to_bytes(2, "big") + (25).to_bytes(2, "big")
    block += tlv
    return SIGNATURE + bytes([command, 0x11]) + len(block).to_bytes(2, "big") + block


def header6(client, local="2001:db8::1"):
    block = socket.inet_pton(socket.AF_INET6, client) + socket.inet_pton(socket.AF_INET6, local) + b"\x9c\x40\0\x19"
    return SIGNATURE + b"\x21\x21" + len(block).to_bytes(2, "big") + block


def connect(it, octets=b"", source=BALANCER, port=None):
    client = Client(port or it.proxy_port, source, greet=False)
    client.say(octets)
    return client


def is_closed(client):
    expect(client.reply() is None, "the connection goes on")
    client.close()


def relays(client, wanted, to="r@to.test"):
    """Asks to relay somewhere; wanted: the reply to RCPT."""
    client.say(b"EHLO client.test\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<" + to.encode() + b">\r\n")
    client.await_replies(f"250 250 {wanted}")
    client.is_in_step()
    client.close()


# --- PROXY protocol ---

ACCESS = [
    ("v2-trusted-client", header(TRUSTED), "250"), ("v2-outside", header(OUTSIDE), RELAY_DENIED),
    ("v2-with-tlv", header(TRUSTED, tlv=b"\x04\0\x03abc\x20\0\x02xy"), "250"),
    ("v2-ipv6", header6("2001:db8::9"), RELAY_DENIED), ("v2-mapped", header6("::ffff:198.51.100.7"), "250"),
    ("v2-local", SIGNATURE + b"\x20\0\0\0", "250"), ("v2-unspec", SIGNATURE + b"\x21\0\0\0", RELAY_DENIED),
    ("v2-unix", SIGNATURE + b"\x21\x31\0\xd8" + b"/run/x".ljust(216, b"\0"), RELAY_DENIED),
    ("v1-trusted-client", b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n", "250"),
    ("v1-outside", b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 25\r\n", RELAY_DENIED),
    ("v1-unknown", b"PROXY UNKNOWN\r\n", RELAY_DENIED),
]
for name, octets, wanted in ACCESS:
    def access(it, octets=octets, wanted=wanted):
        client = connect(it, octets)
        expect_equal(client.reply()[0], 220, "greeting")
        relays(client, wanted)
    PROXY.append((name, "PROXY protocol 2.2, row 35", access))

WRONG = [
    ("none", b"EHLO client.test\r\n"), ("tls-without", bytes.fromhex("1603010200010001fc0303") + b"\0" * 40),
    ("version-3", SIGNATURE + b"\x31\x11\0\x0c" + b"\0" * 12), ("command-2", header(command=0x22)),
    ("too-short", SIGNATURE + b"\x21\x11\0\x04" + b"\0" * 4), ("udp", SIGNATURE + b"\x21\x12\0\x0c" + b"\0" * 12),
    ("too-long", SIGNATURE + b"\x21\x11\xff\xff"), ("v1-garbage", b"PROXY TCP4 x y 1 2\r\n"),
    ("v1-endless", b"PROXY TCP4 " + b"1" * 200), ("half-signature", b"\r\n\r\n\0\r\nQUIX\n\x21\x11"),
]
for name, octets in WRONG:
    PROXY.append((name, "PROXY protocol 2.2", lambda it, octets=octets: is_closed(connect(it, octets))))


@case(PROXY, "not-from-others", "PROXY protocol 2")
def not_from_others(it):
    """Who is not a balancer cannot say who he is, nor speak at all; the log says why."""
    is_closed(connect(it, source=STRANGER))
    wait_for(lambda: f"connection from {STRANGER}:" in it.relay.log() and "not in proxy-from" in it.relay.log(), 5, "log")


@case(PROXY, "one-octet-at-a-time", "PROXY protocol 2.2")
def one_octet_at_a_time(it):
    client = connect(it)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in header(TRUSTED):
        client.say(bytes([octet]))
    expect_equal(client.reply()[0], 220, "greeting")
    relays(client, "250")


@case(PROXY, "commands-behind-it", "PROXY protocol 2.2")
def commands_behind_it(it):
    """Not one octet behind the header is taken for its part, or lost."""
    client = connect(it, header(TRUSTED) + b"NOOP\r\nNOOP\r\nQUIT\r\n")
    client.await_replies("220 250 250 221 close")


@case(PROXY, "tls-hello-behind-it", "8314 3.3")
def tls_hello_behind_it(it):
    """Implicit TLS: the header comes first, and the hello with it in one segment."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    client = connect(it, port=it.tls_port)
    first = header(TRUSTED)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.say(first + outgoing.read())
            first = b""
            incoming.write(client.socket.recv(65536))
    client.say(outgoing.read())

    def read():
        while True:
            try:
                return tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(client.socket.recv(65536))
    expect(read().startswith(b"220 "), "greeting under TLS")
    tls.write(b"EHLO client.test\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@to.test>\r\n")
    client.say(outgoing.read())
    text = b""
    while b"recipient ok" not in text:
        text += read()
    client.close()


@case(PROXY, "in-the-trace", "5321 4.4")
def in_the_trace(it):
    client = connect(it, header(TRUSTED) + b"EHLO client.test\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<trace@a.test>\r\nDATA\r\n")
    client.await_replies("220 250 250 250 354")
    client.say(b"x\r\n.\r\n")
    client.await_reply("250")
    client.close()
    message = wait_for(lambda: it.hosts.to("trace@a.test"), 10, "the message")[0]
    expect(b"from client.test ([198.51.100.7])" in message["content"], f"trace {message['content']!r}")
    expect(BALANCER.encode() not in message["content"], "the balancer in the trace")
    wait_for(lambda: f"client=unknown[{TRUSTED}]" in it.relay.log(), 5, "the client in the log")


@case(PROXY, "a-look-at-the-port", "row 33")
def a_look_at_the_port(it):
    """Balancers open and close connections all day to see whether we live."""
    for _ in range(50):
        connect(it).close()
    client = connect(it, header(TRUSTED))
    expect_equal(client.reply()[0], 220, "greeting")
    client.close()


# --- XCLIENT, XFORWARD ---

XCLIENT = "Postfix XCLIENT_README"
XFORWARD = "Postfix XFORWARD_README"


def front(name, reference, said, wanted, source=SERVER):
    row = (name, reference, "ehlo", said, wanted)
    FRONT.append((name, reference, lambda it: bb.dialogue(it.relay.port, source)(row)))


front("trusts-anew", XCLIENT, ("RSET", "XCLIENT ADDR=198.51.100.7 NAME=c.test", "EHLO x", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "250; 220; 250; 250; 250")
front("distrusts-anew", XCLIENT, ("XCLIENT ADDR=203.0.113.7", "EHLO x", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "220; 250; 250; 550/5.7.1")
front("ipv6", XCLIENT, ("XCLIENT ADDR=IPV6:2001:db8::7", "EHLO x", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "220; 250; 250; 550/5.7.1")
front("unavailable", XCLIENT, ("XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", "EHLO x", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "220; 250; 250; 550/5.7.1")
front("login-relays", XCLIENT, ("XCLIENT ADDR=203.0.113.7 LOGIN=ann", "EHLO x", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "220; 250; 250; 250")
front("ehlo-again", XCLIENT, ("XCLIENT ADDR=203.0.113.7", "MAIL FROM:<>"), "220; 503/5.5.1")
front("in-a-transaction", XCLIENT, ("MAIL FROM:<>", "XCLIENT ADDR=203.0.113.7"), "250; 503/5.5.1")
front("bad-attribute", XCLIENT, "XCLIENT FOO=1", "501/5.5.4")
front("bad-address", XCLIENT, "XCLIENT ADDR=1.2.3", "501/5.5.4")
front("control-octets", "row 45", "XCLIENT NAME=a+0D+0Ab ADDR=198.51.100.7", "501/5.5.4")
front("nothing-said", XCLIENT, "XCLIENT", "501/5.5.4")
front("loopback-of-others", "row 35", ("XCLIENT ADDR=198.51.100.8 LOGIN=[UNAVAILABLE]", "EHLO x", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "220; 250; 250; 550/5.7.1")
front("not-for-others", XCLIENT, "XCLIENT ADDR=198.51.100.7", "550/5.7.0", STRANGER)
front("not-for-others-login", XCLIENT, "XCLIENT LOGIN=root", "550/5.7.0", STRANGER)
front("forward-not-for-others", XFORWARD, "XFORWARD ADDR=198.51.100.7", "550/5.7.0", STRANGER)
front("forward", XFORWARD, "XFORWARD NAME=a.test ADDR=198.51.100.7 PORT=1 PROTO=ESMTP HELO=h IDENT=1 SOURCE=REMOTE", "250")
front("forward-gives-no-rights", XFORWARD, ("XFORWARD ADDR=198.51.100.7", "MAIL FROM:<>", "RCPT TO:<r@to.test>"),
      "250; 250; 550/5.7.1")
front("forward-login", XFORWARD, "XFORWARD LOGIN=ann", "501/5.5.4")
front("forward-in-a-transaction", XFORWARD, ("MAIL FROM:<>", "XFORWARD ADDR=198.51.100.7"), "250; 503/5.5.1")


@case(FRONT, "offered-where-it-counts", XCLIENT)
def offered_where_it_counts(it):
    for source, is_offered in ((SERVER, True), (STRANGER, False)):
        with Client(it.relay.port, source) as client:
            text = client.ask("EHLO x")[2]
            expect_equal(("XCLIENT NAME ADDR" in text, "XFORWARD NAME ADDR" in text), (is_offered, is_offered), source)


@case(FRONT, "forward-in-trace-and-log", XFORWARD)
def forward_in_trace_and_log(it):
    with Client(it.relay.port, SERVER) as client:
        client.say(b"EHLO front.test\r\nXCLIENT ADDR=198.51.100.7 NAME=c.test\r\nEHLO c.test\r\n"
                   b"XFORWARD NAME=orig.test ADDR=203.0.113.99 HELO=h(\r\nXFORWARD IDENT=4XYZ\r\nMAIL FROM:<s@from.test>\r\n"
                   b"RCPT TO:<forward@a.test>\r\nDATA\r\n")
        client.await_replies("250 220 250 250 250 250 250 354")
        client.say(b"x\r\n.\r\n")
        client.await_reply("250")
    content = wait_for(lambda: it.hosts.to("forward@a.test"), 10, "the message")[0]["content"]
    text = b" ".join(content.split())
    expect(b"from c.test (c.test [198.51.100.7]) (orig_client=orig.test[203.0.113.99] helo=h?)" in text, f"trace {text!r}")
    wait_for(lambda: "client=c.test[198.51.100.7], orig_queue_id=4XYZ, orig_client=orig.test[203.0.113.99]" in it.relay.log(),
             5, "log")


# --- relay-domains ---

def backup(name, reference, to, wanted):
    def check(it):
        with Client(it.relay.port, STRANGER) as client:
            client.say(b"EHLO x\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<" + to.encode() + b">\r\n")
            client.await_replies(f"250 250 {wanted}")
            client.is_in_step()
    BACKUP.append((name, reference, check))


backup("asked-and-good", "row 34", "yes@a.test", "250")
backup("asked-and-bad", "row 34", "no@a.test", "550/5.1.1")
backup("remembered-bad", "row 34", "NO@A.TEST", "550/5.1.1")
backup("greylisted", "row 34", "grey@a.test", "450/4.1.1")
backup("refused-for-us", "row 34", "policy@a.test", "450/4.1.1")
backup("next-hop-down", "row 34", "yes@down.test", "450/4.1.1")
backup("only-ourselves", "5321 5.1, row 34", "yes@self.test", "451/4.3.5")
backup("no-such-domain", "row 34", "yes@gone.test", "451/4.3.5")
backup("listed", "row 34", "Bob@listed.test", "250")
backup("not-listed", "row 34", "bob2@listed.test", "550/5.1.1")
backup("all-listed", "row 34", "anything@whole.test", "250")
backup("listed-but-down", "row 34", "up@later.test", "250")
backup("other-domain", "row 35", "yes@b.test", RELAY_DENIED)
backup("sub-domain", "row 35", "yes@sub.a.test", RELAY_DENIED)
backup("longer-domain", "row 35", "yes@a.test.b.test", RELAY_DENIED)
backup("source-route-out", "row 35", "@a.test:victim@b.test", RELAY_DENIED)
backup("literal", "row 35", "yes@[127.0.8.2]", RELAY_DENIED)
backup("percent", "row 35", "no%b.test@a.test", "550/5.1.1")
backup("bang", "row 35", "no!b.test@a.test", "550/5.1.1")
backup("quoted-at", "row 35", '"no@b.test"@a.test', "550/5.1.1")


@case(BACKUP, "opaque-locals-stay-there", "row 35")
def opaque_locals_stay_there(it):
    """What the next hop takes goes to it alone, octet for octet."""
    odd = ["user%b.test@a.test", "b.test!user@a.test", '"user@b.test"@a.test']
    bb.send(it.relay.port, odd, b"x\r\n", source=STRANGER)
    for one in odd:
        expect_equal([m["host"] for m in wait_for(lambda one=one: it.hosts.to(one), 10, one)], ["127.0.8.1"], one)
    expect_equal(it.hosts.got("127.0.8.2"), [], "mail for b.test")


@case(BACKUP, "no-content-while-asking", "row 34")
def no_content_while_asking(it):
    """A question is MAIL FROM:<>, RCPT, and no DATA."""
    with Client(it.relay.port, STRANGER) as client:
        client.say(b"EHLO x\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<yes-asked@a.test>\r\n")
        client.await_replies("250 250 250")
    lines = it.hosts.said("127.0.8.1")
    at = next(i for i, line in enumerate(lines) if b"<yes-asked@a.test>" in line)
    expect_equal(lines[at - 1].split(b" ")[:2], [b"MAIL", b"FROM:<>" + lines[at - 1].split(b" ")[1][7:]], "MAIL")
    expect(not lines[at + 1:at + 2] or lines[at + 1].startswith((b"RSET", b"QUIT", b"MAIL")), f"then {lines[at + 1:at + 2]}")


@case(BACKUP, "known-while-down", "row 34")
def known_while_down(it):
    """The primary goes: what it vouched for is taken, others are put off, nobody is refused."""
    with Client(it.relay.port, STRANGER) as client:
        client.say(b"EHLO x\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<vouched@a.test>\r\n")
        client.await_replies("250 250 250")
        it.hosts.plans["127.0.8.1"] = {"banner": bb.DROP, "mail": bb.DROP}
        client.say(b"RCPT TO:<vouched@a.test>\r\nRCPT TO:<stranger@a.test>\r\n")
        client.await_replies("250 450/4.1.1")


class Its:
    """What the cases get."""

    def __init__(self, relay, hosts, proxy_port, tls_port):
        self.relay, self.hosts, self.proxy_port, self.tls_port = relay, hosts, proxy_port, tls_port


def verdict(line, _):
    address = bb.address_in(line)
    if "no" == address.strip('"')[:2]:
        return b"550 5.1.1 no such user\r\n"
    if address.startswith("grey"):
        return b"450 4.2.0 greylisted\r\n"
    return b"550 5.7.1 not from you\r\n" if address.startswith("policy") else bb.USUAL["rcpt"]


def start(world):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", world.path("key.pem"), "-out", world.path("cert.pem"), "-days", "2",
                    "-subj", "/CN=relay.outlast.test"], check=True, capture_output=True)
    os.chmod(world.path("key.pem"), 0o600)
    with open(world.path("addresses"), "w", encoding="ascii") as file:
        file.write("# those that exist\nbob@listed.test\n@whole.test\nup@later.test\n")
    hosts = bb.Hosts()
    hosts.plans["127.0.8.1"] = {"rcpt": verdict}
    hosts.plans["127.0.8.8"] = {"banner": bb.DROP}
    zone = ["a.test MX 10 mx.a.test", "mx.a.test A 127.0.8.1", "b.test MX 10 mx.b.test", "mx.b.test A 127.0.8.2",
            "down.test MX 10 mx.down.test", "mx.down.test A 127.0.8.8",
            "self.test MX 10 relay.outlast.test", "relay.outlast.test A 127.0.0.1",
            "listed.test MX 10 relay.outlast.test", "listed.test MX 5 mx.a.test", "whole.test MX 10 mx.a.test",
            "later.test MX 10 mx.later.test", "mx.later.test A 127.0.8.9", "to.test MX 10 mx.b.test"]
    dns = world.dns(zone)
    proxy_port, tls_port = lib.free_port(), lib.free_port()
    relay = world.relay({
        "delivery.port": hosts.port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
        "hostname": "relay.outlast.test", "queue.min-free": "10M", "trusted": [f"{TRUSTED}/32", f"{BALANCER}/32"],
        "proxy-from": [f"{BALANCER}/32"], "xclient-from": [f"{SERVER}/32"], "tls.certificate": world.path("cert.pem"),
        "tls.key": world.path("key.pem"),
    }, name="front")
    relay.settings["listeners"] += [{"address": f"127.0.0.1:{proxy_port}", "proxy": "yes"},
                                    {"address": f"127.0.0.1:{tls_port}", "proxy": "yes", "tls": "implicit"}]
    relay.settings["relay-domains"] = [
        {"domain": one, "recipients": world.path("addresses")} for one in ("listed.test", "whole.test", "later.test")
    ] + [{"domain": one} for one in ("a.test", "down.test", "self.test", "gone.test")]
    relay.configure(relay.settings)
    relay.start()
    return Its(relay, hosts, proxy_port, tls_port)


def is_unharmed(relay):
    expect(relay.process.is_running(), "outlastd died:\n" + relay.log()[-2000:])
    expect_equal(relay.stop(), 0, "exit status")


def main():
    suite = bb.Suite()
    with lib.World("front") as world:
        it = start(world)
        for name, rows in (("proxy protocol", PROXY), ("xclient", FRONT), ("relay-domains", BACKUP)):
            suite.group(name, rows, lambda row: row[2](it))
        suite.group("front, unharmed", [("front-log", "row 45", None)], lambda row: is_unharmed(it.relay))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
