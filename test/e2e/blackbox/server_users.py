#!/usr/bin/python3
"""Who logs in, how often he may be wrong, what he may send (user-rules), and what a submission listener mends. The users
are made with `outlast passwd`."""

import base64
import os
import re
import ssl
import subprocess

import bb
import lib
from bb import Client, dialogue, expect, expect_equal

FAILURES_MAX = 3


def coded(text):
    return base64.b64encode(text.encode()).decode()


def plain(name, password):
    return "AUTH PLAIN " + coded(f"\0{name}\0{password}")


def login(name, *said):
    return (plain(name, name + "-secret"), *said)


RULES = [
    ("own-address", "6409 6.1", "ehlo", login("ann", "MAIL FROM:<ann@ours.test>"), "235; 250"),
    ("own-address-any-case", "5321 2.4", "ehlo", login("ann", "MAIL FROM:<Ann@OURS.test>"), "235; 250"),
    ("second-pattern", "6409 6.1", "ehlo", login("ann", "MAIL FROM:<x@lists.ours.test>"), "235; 250"),
    ("null-sender", "8098 3", "ehlo", login("ann", "MAIL FROM:<>", "RCPT TO:<r@to.test>"), "235; 250; 250"),
    ("address-of-another", "6409 6.1", "ehlo", login("ann", "MAIL FROM:<bob@ours.test>"), "235; 553/5.7.1"),
    ("domain-behind", "6409 6.1", "ehlo", login("ann", "MAIL FROM:<ann@ours.test.evil.test>"), "235; 553/5.7.1"),
    ("quoted-at", "row 35", "ehlo", login("ann", 'MAIL FROM:<"ann@ours.test"@evil.test>'), "235; 553/5.7.1"),
    ("claimed-by-auth", "4954 5", "ehlo", login("ann", "MAIL FROM:<bob@ours.test> AUTH=ann@ours.test"), "235; 553/5.7.1"),
    ("refused-then-own", "6409 6.1", "ehlo",
     login("ann", "MAIL FROM:<bob@ours.test>", "MAIL FROM:<ann@ours.test>", "RCPT TO:<r@to.test>"), "235; 553; 250; 250"),
    ("without-a-rule", "6409 6.1", "ehlo", login("bob", "MAIL FROM:<anybody@else.test>"), "235; 250"),
    ("without-a-login", "5321 3.6", "ehlo", ("MAIL FROM:<ann@ours.test>", "RCPT TO:<r@to.test>"), "250; 550/5.7.1"),
]

RECIPIENT_QUOTA = [
    ("two-an-hour", "5321 4.2.2", "ehlo",
     login("few", "MAIL FROM:<>", "RCPT TO:<a@to.test>", "RCPT TO:<b@to.test>", "RCPT TO:<c@to.test>"),
     "235; 250; 250; 250; 450/4.7.1"),
    ("what-was-not-sent-is-left", "5321 4.2.2", "ehlo",
     login("few", "MAIL FROM:<>", "RCPT TO:<a@to.test>", "RCPT TO:<b@to.test>", "DATA", b".\r\n"), "235; 250; 250; 250; 354; 250"),
    ("used-up", "5321 4.2.2", "ehlo", login("few", "MAIL FROM:<>", "RCPT TO:<a@to.test>"), "235; 250; 450/4.7.1"),
]

MESSAGE_QUOTA = [
    ("first", "5321 4.2.2", "ehlo", login("rare", "MAIL FROM:<>", "RCPT TO:<a@to.test>", "DATA", b".\r\n"), "235; 250; 250; 354; 250"),
    ("second-session", "5321 4.2.2", "ehlo", login("rare", "MAIL FROM:<>"), "235; 451/4.7.1"),
    ("others-may", "5321 4.2.2", "ehlo", login("bob", "MAIL FROM:<>"), "235; 250"),
]

# name, reference, content as sent, content as stored; {date} and {id} stand for the fields that are added
MENDED = [
    ("complete", "6409 8", b"Date: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n", b"Date: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n"),
    ("nothing-but-a-subject", "6409 8.2", b"Subject: s\r\n\r\nbody\r\n", b"Subject: s\r\n{date}{id}\r\nbody\r\n"),
    ("date-only", "6409 8.3", b"Date: x\r\n\r\nbody\r\n", b"Date: x\r\n{id}\r\nbody\r\n"),
    ("bcc", "5322 3.6.3", b"Date: x\r\nBcc: a@b,\r\n c@d\r\nMessage-ID: y\r\nbCC : e\r\n\r\nBcc: body\r\n",
     b"Date: x\r\nMessage-ID: y\r\n\r\nBcc: body\r\n"),
    ("resent-bcc", "5322 3.6.6", b"Resent-Bcc: a@b\r\nDate: x\r\nMessage-ID: y\r\n\r\n", b"Date: x\r\nMessage-ID: y\r\n\r\n"),
    ("no-body", "6409 8", b"Subject: s\r\n", b"Subject: s\r\n{date}{id}"),
    ("nothing", "6409 8", b"", b"{date}{id}"),
    ("dots", "5321 4.5.2", b".\r\n..x\r\n\r\n.\r\n", b"{date}{id}.\r\n..x\r\n\r\n.\r\n"),
    ("eight-bits", "6152 3", b"Date: x\r\nMessage-ID: y\r\nSubject: \xff\r\n\r\n\xfe\r\n",
     b"Date: x\r\nMessage-ID: y\r\nSubject: \xff\r\n\r\n\xfe\r\n"),
    ("long-header", "6409 8", b"".join(b"X-%d: %s\r\n" % (n, b"v" * 900) for n in range(600)) + b"Bcc: a\r\n\r\nbody\r\n",
     b"".join(b"X-%d: %s\r\n" % (n, b"v" * 900) for n in range(600)) + b"{date}{id}\r\nbody\r\n"),
]


def content_of(relay, message):
    return subprocess.run([lib.program_path("outlast"), "-c", relay.conf_path, "cat", message], capture_output=True,
                          timeout=20, check=True).stdout


def mended(relay, port):
    def check(row):
        _, _, sent, wanted = row
        with Client(port) as client:
            for line in ("EHLO client.test", plain("bob", "bob-secret"), "MAIL FROM:<s@from.test>", "RCPT TO:<r@to.test>"):
                reply = client.ask(line)
                expect(reply[0] in (235, 250), f"{line}: {reply}")
            if isinstance(sent, tuple):
                for i, chunk in enumerate(sent):
                    client.say(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if i + 1 == len(sent) else b"") + chunk)
                    reply = client.reply()
                    expect_equal(reply[0], 250, f"chunk {i} {reply}")
            else:
                expect_equal(client.ask("DATA")[0], 354, "DATA")
                client.say(re.sub(rb"(?m)^\.", b"..", sent) + b".\r\n")
                reply = client.reply()
                expect_equal(reply[0], 250, f"final dot {reply}")
        message = reply[2].rsplit(" ", 1)[1]
        whole = content_of(relay, message)
        expect(whole.startswith(b"Received: "), whole[:100])
        got = bb.without_trace(whole)
        pattern = re.escape(wanted)
        for mark, field in ((b"{date}", rb"Date: \w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n"),
                            (b"{id}", rb"Message-ID: <%s@relay\.outlast\.test>\r\n" % message.encode())):
            pattern = pattern.replace(re.escape(mark), field)
        expect(re.fullmatch(pattern, got), f"{got[-300:]!r}")
        shown = relay.json("show", message)
        shown = shown.get("message", shown)
        expect_equal(shown["message_size"], len(whole), "size")
        expect_equal(shown["message_id"].encode(), re.search(rb"(?mi)^Message-ID: *(\S*)", whole)[1], "the id that is remembered")
    return check


CHUNKS = [
    ("two-chunks", "3030 3", (b"Bcc: a\r\nSubj", b"ect: s\r\n\r\nbody\r\n"), b"Subject: s\r\n{date}{id}\r\nbody\r\n"),
    ("octets", "3030 3", tuple(bytes([octet]) for octet in b"Bcc: a\r\n b\r\nTo: c\r\n\r\nBcc: d\r\n"),
     b"To: c\r\n{date}{id}\r\nBcc: d\r\n"),
    ("open-line", "3030 2", (b"Subject: s",), b"Subject: s\r\n{date}{id}"),
    ("nothing", "3030 2", (b"",), b"{date}{id}"),
]


def as_it_came(relay):
    """Elsewhere nothing is mended, not even a Bcc taken out."""
    def check(_):
        message = bb.send(relay.port, "r@to.test", b"Bcc: a@b\r\n\r\nbody\r\n")
        expect_equal(bb.without_trace(content_of(relay, message)), b"Bcc: a@b\r\n\r\nbody\r\n", "content")
    return check


def make_user(relay, name, password=None):
    relay.cli("passwd", name, stdin=(password or name + "-secret") + "\n")


def outside(world):
    """Nothing goes out: nobody is at home in *.test."""
    dns = world.dns(["*.test A 127.0.9.9"], name=f"dns{len(world.processes)}")
    return {"delivery.port": lib.free_port(), "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
            "queue.min-free": "10M"}


def start(world, users, rules=()):
    """A relay that trusts nobody; a second listener is for submission."""
    relay = world.relay({**outside(world), "trusted": [], "log.level": "warning", "auth.failures-max": FAILURES_MAX},
                        name="users")
    relay.submission_port = lib.free_port()
    path = world.path("users")
    for name in users:
        relay.cli("passwd", "--file", path, name, stdin=name + "-secret\n")
    relay.settings["auth.users"] = path
    relay.settings["listeners"] += [{"address": f"127.0.0.1:{relay.submission_port}", "submission": "yes",
                                     "allow": "authenticated"}]
    relay.settings["user-rules"] = list(rules)
    relay.configure(relay.settings)
    relay.start()
    return relay


WRONG = (plain("bob", "wrong") + "\r\n").encode()
UNKNOWN = b"".join((plain(name, "x") + "\r\n").encode() for name in "abcd")

# name, reference, from where, what is said, replies: each address is counted for itself, who is out is not even listened to
GUESSES = [
    ("wrong-until-out", "4954 6", "127.0.0.21", WRONG * 5, "535/5.7.8 535 535 454/4.7.0 454"),
    ("right-is-unheard-now", "4954 6", "127.0.0.21", plain("bob", "bob-secret"), "454/4.7.0"),
    ("login-is-unheard-too", "4954 6", "127.0.0.21", ("AUTH LOGIN", coded("bob"), coded("bob-secret")), "334; 334; 454"),
    ("another-address", "4954 6", "127.0.0.22", plain("bob", "bob-secret"), "235"),
    ("unknown-users-count", "4954 6", "127.0.0.23", UNKNOWN, "535 535 535 454"),
    ("success-between", "4954 6", "127.0.0.24", (WRONG, WRONG, plain("bob", "bob-secret")), "535; 535; 235"),
    ("success-forgives-nothing", "4954 6", "127.0.0.24", (WRONG, plain("bob", "bob-secret")), "535; 454"),
    ("malformed-does-not-count", "4954 4", "127.0.0.25", ("AUTH PLAIN !",) * 4 + (plain("bob", "bob-secret"),),
     "501; 501; 501; 501; 235"),
]


def is_logged(relay):
    def check(_):
        log = relay.log()
        # what fail2ban's filter "postfix" looks for, but for the program's name
        found = re.findall(r"outlast/smtpd\[\d+\]: warning: [^[]*\[(127\.0\.0\.\d+)\]: SASL (?:PLAIN|LOGIN) authentication failed:",
                           log)
        expect_equal(found.count("127.0.0.21"), FAILURES_MAX, "lines of the first address")
        expect_equal(found.count("127.0.0.25"), 0, "lines of one that was only malformed")
        expect_equal(len(re.findall(r"127\.0\.0\.21\]: 3 wrong passwords", log)), 1, "told once")
        expect("bob-secret" not in log and coded("\0bob\0bob-secret") not in log, "no password")
    return check


def changes(relay):
    """A password that was changed, and a user who went, count from the reload on, remembered or not."""
    old = dialogue(relay.port, "127.0.0.31")

    def check(_):
        old(("", "", "ehlo", plain("bob", "bob-secret"), "235"))
        make_user(relay, "bob", "another")
        old(("", "", "ehlo", plain("bob", "bob-secret"), "235"))
        relay.cli("reload")
        old(("", "", "ehlo", plain("bob", "bob-secret"), "535"))
        old(("", "", "ehlo", plain("bob", "another"), "235"))
        relay.cli("passwd", "--delete", "ann")
        relay.cli("reload")
        old(("", "", "ehlo", plain("ann", "ann-secret"), "535"))
    return check


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_certificate(world, name, subject, issuer=None):
    """NAME.pem and NAME.key; of itself, or of an issuer made before."""
    key, request, own = (world.path(name + end) for end in (".key", ".csr", ".pem"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", subject)
    signer = ["-CA", world.path(issuer + ".pem"), "-CAkey", world.path(issuer + ".key"), "-CAcreateserial"] if issuer else ["-signkey", key]
    openssl("x509", "-req", "-in", request, "-out", own, "-days", "2", *signer)
    os.chmod(key, 0o600)


# name, reference, certificate shown, what is said, replies
CERTIFICATES = [
    ("counts-as-a-login", "8314 3.2", "host", ("EHLO c", "MAIL FROM:<x@host.test>", "RCPT TO:<r@to.test>"), "250; 250; 250"),
    ("its-rule-holds", "6409 6.1", "host", ("EHLO c", "MAIL FROM:<x@other.test>"), "250; 553/5.7.1"),
    ("of-somebody-else", "8314 3.2", "stranger", ("EHLO c", "MAIL FROM:<x@host.test>"), "250; 530/5.7.0"),
    ("none", "8314 3.2", None, ("EHLO c", "MAIL FROM:<x@host.test>"), "250; 530/5.7.0"),
    ("auth-on-top", "4954 4", "host", ("EHLO c", plain("bob", "bob-secret"), "MAIL FROM:<x@other.test>"), "250; 235; 250"),
]


def with_certificate(world, port):
    def check(row):
        _, _, name, said, wanted = row
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if name:
            context.load_cert_chain(world.path(name + ".pem"), world.path(name + ".key"))
        with Client(port) as client:
            expect_equal(client.ask("STARTTLS")[0], 220, "STARTTLS")
            client.socket = context.wrap_socket(client.socket)
            for line, replies in zip(said, wanted.split("; ")):
                client.say(line)
                client.await_replies(replies)
            client.is_in_step()
    return check


def run_certificates(suite, world):
    make_certificate(world, "authority", "/CN=authority.test")
    make_certificate(world, "server", "/CN=relay.outlast.test")
    make_certificate(world, "host", "/CN=host.test", "authority")
    make_certificate(world, "stranger", "/CN=host.test")
    relay = start(world, ["bob"], [{"user": "host.test", "senders": ["*@host.test"]}])
    port = lib.free_port()
    relay.settings["listeners"] += [{"address": f"127.0.0.1:{port}", "tls": "starttls", "allow": "authenticated"}]
    relay.configure({**relay.settings, "tls.certificate": world.path("server.pem"), "tls.key": world.path("server.key"),
                     "tls.client-authorities": world.path("authority.pem")})
    relay.kill()
    relay.start()
    suite.group("certificates", CERTIFICATES, with_certificate(world, port))
    relay.stop()


def main():
    suite = bb.Suite()
    with lib.World("users") as world:
        relay = start(world, ["ann", "bob", "few", "rare"], [
            {"user": "ann", "senders": ["ann@ours.test", "*@lists.ours.test"]},
            {"user": "few", "recipients-per-hour": 2}, {"user": "rare", "messages-per-hour": 1}])
        suite.group("user rules", RULES, dialogue(relay.port))
        suite.group("quotas", RECIPIENT_QUOTA + MESSAGE_QUOTA, dialogue(relay.port))
        suite.group("submission", MENDED, mended(relay, relay.submission_port))
        suite.group("submission in chunks", CHUNKS, mended(relay, relay.submission_port))
        suite.group("auth failures", GUESSES, lambda row: dialogue(relay.port, row[2])((*row[:2], "ehlo", *row[3:])))
        suite.group("auth log", [("fail2ban", "row 33")], is_logged(relay))
        suite.group("users change", [("reload", "row 33")], changes(relay))
        relay.stop()
        run_certificates(suite, world)
        other = world.relay(outside(world), name="other")
        other.start()
        suite.group("no submission", [("as-it-came", "5321 6.4")], as_it_came(other))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
