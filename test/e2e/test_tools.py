#!/usr/bin/python3
"""The judges judged: sink, client, ledger and DNS server against each other and against Python's smtplib.

Each test that the ledger finds a fault is as important as those where all is well: a judge that cannot object proves
nothing.
"""

import json
import smtplib
import socket
import struct
import subprocess

import lib
from lib import expect, expect_equal, wait_for


def address(at):
    host, _, port = at.rpartition(":")
    return host, int(port)


def client(tool, name="sink"):
    return smtplib.SMTP(*address(tool.at[name]), timeout=10)


def mail(token, body="hello\r\n"):
    return f"Received: by somebody\r\nX-Outlast-Token: {token}\r\nSubject: s\r\n\r\n{body}"


def test_balance_of_a_direct_run(world):
    sink = world.sink()
    figures = world.load(sink.at["sink"], count=500, size="1K-20K", rcpt=["u%d@a.test=3", "v%7d@b.test"],
                         pipelining=True, multi_rcpt=3)
    expect_equal(figures["accepted"], 500, "accepted")
    sums = world.ledger()
    expect_equal((sums["accepted"], sums["delivered"], sums["duplicates"]), (1500, 1500, 0), "sums")
    expect_equal(sink.control.stats()["sink"]["messages"], 500, "the sink's count")


def test_ledger_finds_lost_and_altered_and_doubled(world):
    sink = world.sink()
    world.load(sink.at["sink"], count=20)
    lines = open(world.path("sink.journal"), encoding="ascii").read().splitlines(True)
    messages = [i for i, line in enumerate(lines) if '"message"' in line]

    def ledger_of(changed):
        with open(world.path("changed.journal"), "w", encoding="ascii") as file:
            file.writelines(changed)
        return world.ledger(sinks=["changed"], status=1)

    without = [line for i, line in enumerate(lines) if i != messages[3]]
    expect_equal(ledger_of(without)["lost"], 1, "lost")
    event = json.loads(lines[messages[5]])
    event["sha256"] = "0" * 64
    other = lines[:messages[5]] + [json.dumps(event) + "\n"] + lines[messages[5] + 1:]
    expect_equal(ledger_of(other)["altered"], 1, "altered")
    expect_equal(ledger_of(lines + [lines[messages[0]]])["duplicates"], 1, "duplicates")
    expect_equal(world.ledger(sinks=["changed"], allow_duplicates=1)["duplicates"], 1, "allowed duplicates")
    queued = ledger_of(without + [lines[messages[0]]] * 2)
    expect_equal((queued["lost"], queued["duplicates"]), (1, 2), "lost and doubled")


def test_ledger_finds_delivery_of_what_was_refused(world):
    sink = world.sink()
    sink.control("sink reply dot 451 4.3.0 not now")
    world.load(sink.at["sink"], count=1, prefix="again", status=1)
    sink.control("sink up")
    with client(sink) as smtp:
        smtp.sendmail("sender0@client.test", ["user0@a.test"], mail("again-0"))
    expect_equal(world.ledger(status=1)["refused_delivered"], 1, "refused, yet delivered")


def test_digest_ignores_trace_fields_above_the_token(world):
    sink = world.sink()
    world.load(sink.at["sink"], count=1, prefix="trace", size=4000)
    sent = [e for e in lib.read_journal(world.path("client.journal"))][0]
    expect_equal(sink.messages()[0]["sha256"], sent["sha256"], "digest without trace fields")
    body = mail("t", "..dots\r\n.\r\n\r\nend\r\n")
    with client(sink) as smtp:
        smtp.sendmail("a@b.test", ["u@a.test"], body)
        smtp.sendmail("a@b.test", ["u@a.test"], "Received: by another\r\n" + body)
    first, second = sink.messages()[1:]
    expect_equal(first["sha256"], second["sha256"], "digest with one more trace field")
    expect_equal((first["received"], second["received"]), (1, 2), "Received fields")


def test_lost_reply_is_unknown_then_excused(world):
    sink = world.sink()
    sink.control("sink times 4 drop-after-dot")
    figures = world.load(sink.at["sink"], count=50, sessions=3, resume_after_drop=10)
    expect_equal((figures["accepted"], figures["unknown"]), (50, 4), "figures")
    sums = world.ledger()
    expect_equal((sums["duplicates"], sums["in_doubt"]), (4, 4), "duplicates")


def test_notice_counts_as_bounced(world):
    sink = world.sink()
    world.load(sink.at["sink"], count=1, prefix="bounce")
    token = json.loads(open(world.path("client.journal"), encoding="ascii").readline())["token"]
    with open(world.path("empty.journal"), "w", encoding="ascii"):
        pass
    expect_equal(world.ledger(sinks=["empty"], status=1)["lost"], 1, "lost before the notice")
    other = world.sink(name="notices")
    notice = ("Subject: failed\r\nContent-Type: multipart/report; boundary=b;\r\n report-type=delivery-status\r\n\r\n"
              "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; r.test\r\n\r\n"
              "Final-Recipient: rfc822; user0@A.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
              f"Content-Type: text/rfc822-headers\r\n\r\nX-Outlast-Token: {token}\r\nSubject: s\r\n\r\n--b--\r\n")
    with client(other) as smtp:
        smtp.sendmail("", ["sender0@client.test"], notice)
    sums = world.ledger(sinks=["notices"])
    expect_equal((sums["bounced"], sums["lost"]), (1, 0), "bounced")
    expect_equal(world.ledger(sinks=["sink", "notices"], status=1)["false_bounces"], 1, "both")
    expect_equal(world.ledger(sinks=["notices"], unknown="user?@*")["false_bounces"], 0, "bounced, and unknown")
    expect_equal(world.ledger(sinks=["notices"], unknown="nobody*", status=1)["false_bounces"], 1, "bounced, and not unknown")


def test_second_notice_is_a_fault_unless_the_token_was_sent_twice(world):
    def write(name, *events):
        with open(world.path(name + ".journal"), "w", encoding="ascii") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)

    def accepted(tries):
        return {"event": "accepted", "token": "t", "sha256": "s", "to": ["u@a.test"], "try": tries}

    notices = [{"event": "message", "to": ["from@c.test"], "sha256": digest, "dsn": True, "original_tokens": ["t"],
                "failed": ["u@a.test"]} for digest in ("one", "two")]
    write("client", accepted(1))
    write("sink", *notices)
    expect_equal(world.ledger(status=1)["double_notices"], 1, "second notice")
    write("client", accepted(2))
    sums = world.ledger()
    expect_equal((sums["double_notices"], sums["duplicates"], sums["in_doubt"]), (0, 1, 1), "sent twice")
    write("client", accepted(1))
    write("sink", notices[0], notices[0])
    sums = world.ledger(status=1)
    expect_equal((sums["double_notices"], sums["duplicates"]), (0, 1), "one notice, delivered twice")


def test_scripted_replies(world):
    sink = world.sink("a=127.0.0.1:0", "b=127.0.0.1:0")
    sink.control("a reply rcpt 550 5.1.1 no\\nsuch user for nobody@*")
    sink.control("a once reply mail 451 4.3.0 later")
    sink.control("b greet 554 5.3.2 go away")
    with client(sink, "a") as smtp:
        smtp.ehlo()
        expect_equal(smtp.mail("x@y.test")[0], 451, "once")
        expect_equal(smtp.mail("x@y.test")[0], 250, "after once")
        expect_equal(smtp.rcpt("nobody@z.test"), (550, b"5.1.1 no\nsuch user"), "glob and lines")
        expect_equal(smtp.rcpt("somebody@z.test")[0], 250, "other recipient")
        expect("pipelining" in smtp.esmtp_features, "PIPELINING offered")
    sink.control("a ext -PIPELINING +LIMITS")
    with client(sink, "a") as smtp:
        smtp.ehlo()
        expect("pipelining" not in smtp.esmtp_features and "limits" in smtp.esmtp_features, "ext")
    try:
        client(sink, "b")
        raise lib.Failure("greeted in spite of 554")
    except smtplib.SMTPConnectError as error:
        expect_equal(error.smtp_code, 554, "greeting")


def test_down_and_up(world):
    sink = world.sink()
    host, port = address(sink.at["sink"])
    smtp = client(sink)
    sink.control("sink refuse")
    try:
        smtp.noop()
        raise lib.Failure("the connection survived")
    except (smtplib.SMTPServerDisconnected, OSError):
        pass
    expect(not lib.port_answers(host, port), "refused")
    sink.control("sink up")
    smtp = client(sink)
    sink.control("sink cut")
    try:
        smtp.noop()
        raise lib.Failure("the connection survived a cut")
    except (smtplib.SMTPServerDisconnected, OSError):
        pass
    sink.control("sink hang")
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.settimeout(0.2)
        try:
            expect_equal(connection.recv(1), None, "greeting of a hanging host")
        except socket.timeout:
            pass
    sink.control("sink up")
    wait_for(lambda: lib.port_answers(host, port), 5, "up again")


def test_limits(world):
    sink = world.sink()
    sink.control("sink max-connections 2")
    with client(sink), client(sink):
        try:
            client(sink)
            raise lib.Failure("a third connection")
        except smtplib.SMTPConnectError as error:
            expect_equal(error.smtp_code, 421, "third connection")
    sink.control("sink up")
    sink.control("sink rate 5/s 421 4.7.0 slowly")
    figures = world.load(sink.at["sink"], count=20, sessions=1, resume_after_drop=30)
    expect(figures["seconds"] > 2.5, f"20 messages at 5/s took {figures['seconds']} s")
    expect(sink.control.stats()["sink"]["rate_refused"] > 0, "refused by rate")


def test_strict_about_line_ends(world):
    sink = world.sink()
    host, port = address(sink.at["sink"])
    with socket.create_connection((host, port), timeout=5) as connection:
        lines = connection.makefile("rb")
        connection.sendall(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
        while not lines.readline().startswith(b"354"):
            pass
        connection.sendall(b"one\n.\r\ntwo\r.\r\n\r\n.\nMAIL\r\n.\r\r\n\r\n.\r\n")
        expect(lines.readline().startswith(b"250"), "only CRLF.CRLF ends it")
    expect_equal(len(sink.messages()), 1, "messages")
    expect_equal(len(sink.events("violation")), 2, "kinds of violation")


def test_tls_and_auth(world):
    certificate, key = world.path("cert.pem"), world.path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=sink.test", "-days", "2", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    sink = world.sink(args=["--cert", certificate, "--key", key, "--auth", "user:secret"])
    with client(sink) as smtp:
        smtp.starttls()
        try:
            smtp.sendmail("a@b.test", ["c@d.test"], mail("x"))
            raise lib.Failure("taken without AUTH")
        except smtplib.SMTPSenderRefused as error:
            expect_equal(error.smtp_code, 530, "without AUTH")
        smtp.login("user", "secret")
        smtp.sendmail("a@b.test", ["c@d.test"], mail("x", "line\r\n" * 100000))
    expect_equal([m["tls"] for m in sink.messages()], [True], "over TLS")


def test_maildir_keeps_the_content(world):
    sink = world.sink(args=["--maildir", world.path("mail")])
    text = mail("kept", "..a\r\n.b\r\n")
    with client(sink) as smtp:
        smtp.sendmail("a@b.test", ["c@d.test"], text)
    with open(world.path("mail/new/" + sink.messages()[0]["file"]), "rb") as file:
        expect_equal(file.read(), text.encode(), "content")


def test_corpus_is_sent_with_crlf(world):
    lib.os.mkdir(world.path("corpus"))
    for i, text in enumerate((b"Subject: a\n\n.\nbody\n..", b"Subject: b\r\n\r\nx\ry\n", b"no header \xff\n")):
        with open(world.path(f"corpus/{i}.eml"), "wb") as file:
            file.write(text)
    sink = world.sink()
    world.load(sink.at["sink"], count=6, corpus=world.path("corpus"))
    expect_equal(world.ledger()["delivered"], 6, "delivered")
    expect_equal(sink.control.stats()["sink"]["violations"], 0, "violations")
    expect_equal([m.get("params", "") for m in sink.messages()].count("BODY=8BITMIME"), 2, "declared as 8-bit")


def dns_ask(at, name, kind, tcp=False):
    question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)
    packet = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + question
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.5)
        asker.connect(address(at))
        asker.sendall(struct.pack("!H", len(packet)) + packet if tcp else packet)
        reply = asker.recv(65535)
    reply = reply[2:] if tcp else reply
    ident, flags, _, answers, authority, _ = struct.unpack("!HHHHHH", reply[:12])
    return ident == 0x1234, flags & 15, bool(flags & 0x0200), answers, authority


def test_dns_answers_and_misbehaves(world):
    zone = ["a.test MX 10 mx.a.test", "mx.a.test A 127.0.0.2", "alias.test CNAME a.test", "*.w.test A 127.0.0.3",
            "null.test MX 0 ."] + [f"many.test MX {i} mx{i}.many.test" for i in range(60)]
    dns = world.dns(zone)
    at = dns.at["dns"]
    good, rcode, truncated, answers, authority = 0, 1, 2, 3, 4
    expect_equal(dns_ask(at, "a.test", 15)[1:], (0, False, 1, 0), "MX")
    expect_equal(dns_ask(at, "alias.test", 15)[answers], 2, "CNAME followed")
    expect_equal(dns_ask(at, "a.test", 1)[1:], (0, False, 0, 1), "NODATA")
    expect_equal(dns_ask(at, "x.a.test", 1)[1:], (3, False, 0, 1), "NXDOMAIN")
    expect_equal(dns_ask(at, "x.w.test", 1)[answers], 1, "wildcard")
    expect_equal(dns_ask(at, "many.test", 15)[1:4], (0, True, 0), "too large for UDP")
    expect_equal(dns_ask(at, "many.test", 15, tcp=True)[1:4], (0, False, 60), "whole by TCP")
    dns.control("servfail a.test")
    expect_equal(dns_ask(at, "a.test", 15)[rcode], 2, "SERVFAIL")
    dns.control("refused a.test")
    expect_equal(dns_ask(at, "a.test", 15)[rcode], 5, "REFUSED")
    dns.control("truncate a.test")
    expect(dns_ask(at, "a.test", 15)[truncated], "TC")
    dns.control("wrong-id a.test")
    expect(not dns_ask(at, "a.test", 15)[good], "wrong id")
    dns.control("timeout *")
    try:
        dns_ask(at, "a.test", 15)
        raise lib.Failure("answered in spite of timeout")
    except socket.timeout:
        pass
    dns.control("normal *")
    dns.control("set a.test MX 5 other.test")
    expect_equal(dns_ask(at, "a.test", 15)[1:], (0, False, 1, 0), "normal again")
    expect_equal(dns.control.stats()["by_name"]["a.test/MX"], 7, "counted")


def test_configuration_changes_reach_every_key(world):
    text = lib.change_conf(lib.shipped_conf(), {
        "hostname": "h.test", "listeners": [{"address": "127.0.0.1:1"}], "delivery.port": 77, "tls.key": "k",
        "dns.servers": ["127.0.0.1:5"], "auth.users": "u", "routes": [{"name": "r", "via": "[127.0.0.1]:9"}]})
    for line in ('hostname: "h.test"', 'listeners: [{"address": "127.0.0.1:1"}]', "  port: 77", '  key: "k"',
                 '  servers: ["127.0.0.1:5"]', '  users: "u"', 'routes: [{"name": "r", "via": "[127.0.0.1]:9"}]'):
        expect(f"\n{line}\n" in text, f"{line} in the configuration")
    expect("2525\n" not in text, "the old listener is gone")


if __name__ == "__main__":
    lib.run(globals())
