#!/usr/bin/python3
"""Nothing that outsiders word becomes a line, a field, a header or a statement of ours: in the log (text and JSON), in
what the operator sees, in notices, in trace fields, in the database. Row 45 of the scenarios."""

import email
import email.policy
import glob
import json
import re
import sqlite3

import bb
import lib
from bb import case, expect, expect_equal, send, wait_for

CONTROL = re.compile(r"[\0-\x09\x0b-\x1f\x7f-\x9f]")
TAB_TOO = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f]")
FAKE = "fake@victim.test"

HELOS = ["EHLO a;x=y", "EHLO (a)by(b)", 'EHLO "quoted"', "EHLO <script>alert(1)</script>", "EHLO $(id)", "EHLO %s%n%x",
         "EHLO a,to=<fake@victim.test>,status=sent", "EHLO \\x0d\\x0aInjected:x", "HELO ';DROP/**/TABLE/**/message;--"]
SENDERS = ["\"a>, status=sent (ok)\"@good.test", "\"'; DROP TABLE message; --\"@good.test", '"a\\"b, to=<x>"@good.test',
           "%s%n%s@good.test", "`id`@good.test", '"{}\\\\n"@good.test']
RECIPIENTS = ["\"'; DROP TABLE recipient; --\"@gone.test", '"x> status=sent, to=<fake@victim.test"@gone.test', "%n%n%n@gone.test",
              '"a\\"},{\\"b"@gone.test', "\"$(reboot)\"@gone.test", "'or'1'='1@gone.test",
              "RCPT TO:<o@gone.test> ORCPT=rfc822;x'/**/UNION/**/SELECT/**/1--",
              "RCPT TO:<p@gone.test> ORCPT=x-fake;a+22b+3Cc+3E+5C NOTIFY=FAILURE"]
HEADERS = [b"Message-ID: <a@b> to=<fake@victim.test>, status=sent (fake)\r\n", b"Message-ID: \x1b[2J\x1b]0;pwned\x07<c@d>\r\n",
           b"Message-ID: <e@f>\"},{\"x\":\"\r\n", b"Message-ID: <g\r\n h@i>\r\n", b"Message-ID: \xff\xfe\x9b2J\r\n",
           b"Message-ID: %s%n%s\r\n", b"Subject: =?utf-8?q?=0d=0aInjected:_x?=\r\n", b"Subject: --=_boundary--\r\n"]
REPLIES = [b"550 5.1.1 \x1b]0;pwned\x07 gone\r\n", b"550 5.1.1 no\rInjected: x\r\n", b"550-5.1.1 a\r\n550-5.1.1 \r\n550 5.1.1 Injected: x\r\n",
           b"550-5.1.1 x\r\n550 5.1.1 Final-Recipient: rfc822; fake@victim.test\r\n", b"550 5.1.1 \"},{\"status\":\"sent\"}\r\n",
           b"550 5.1.1 ) status=sent (ok\r\n", b"550 5.1.1 %s%n%s%n\r\n", b"550 5.1.1 \xc2\x9b2J\xff\xfe\r\n",
           b"550 5.1.1 --=_boundary--\r\n", b"550-5.1.1 a\r\n550 5.1.1 .\r\n", b"550 5.1.1 " + b"x" * 3000 + b"\r\n",
           b"550 5.1.1 \0\0\0nul\r\n"]

CASES = []


class World:
    def __init__(self, world, log_format):
        self.hosts = bb.Hosts()
        dns = world.dns(["good.test A 127.0.9.9", "gone.test A 127.0.9.8"], name="dns-" + log_format)
        self.relay = world.relay({"delivery.port": self.hosts.port, "dns.servers": [dns.at["dns"]],
                                  "dns.allow-addresses": ["127.0.0.0/8"], "queue.min-free": "10M", "log.format": log_format,
                                  "limits.errors-max": 1000}, name="relay-" + log_format)
        self.relay.start()
        self.sent = 0
        turn = {"n": 0}

        def refuse(_line, _session):
            turn["n"] += 1
            return REPLIES[turn["n"] % len(REPLIES)]
        self.hosts.plans["127.0.9.8"] = {"rcpt": refuse}
        for helo in HELOS:
            self.send("trace@good.test", helo=helo)
        for sender in SENDERS:
            self.send("u@good.test", sender=sender)
        for recipient in RECIPIENTS:
            self.send(recipient)
        for header in HEADERS:
            self.send("u@good.test", header)
        for _ in REPLIES:
            self.send("u@gone.test")
        self.bounced = len(RECIPIENTS) + len(REPLIES)
        wait_for(lambda: self.relay.queued() == 0 and len(self.hosts.messages) >= self.sent, 15, "all is settled", every=0.1)

    def send(self, to, header=b"", **options):
        send(self.relay.port, to, header + b"X-Case: 1\r\n\r\nbody\r\n", **options)
        self.sent += 1

    def log(self):
        with open(self.relay.process.log_path, "rb") as file:
            return file.read().decode("utf-8")

    def notices(self):
        return [m["content"] for m in self.hosts.messages if m["from"] == "" and b"multipart/report" in m["content"]]


@case(CASES, "log-lines", "row 45")
def log_lines(text, structured):
    for line in text.log().splitlines():
        expect(not CONTROL.search(line), f"control octets: {line!r}")
        expect(re.match(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ outlast/[a-z]+\[\d+\]: \S", line), f"not a line of ours: {line!r}")


@case(CASES, "log-fields", "row 45")
def log_fields(text, structured):
    """A reader that takes the line apart as for Postfix sees what happened, not what was claimed."""
    seen = {}
    for line in text.log().splitlines():
        found = re.search(r"outlast/smtp\[\d+\]: \w+: to=<([^<>]*)>, relay=(\S+), delay=[\d.]+, delays=[\d./]+, dsn=([\d.]+), "
                          r"status=(\w+) \(", line)
        if found:
            seen.setdefault(found[1], []).append(found[4])
        expect(found or "outlast/smtp[" not in line, f"a line that no reader understands: {line!r}")
    expect(not any(to == FAKE for to in seen), "a line for a recipient that there never was")
    gone = [status for to, states in seen.items() if "gone.test" in to for status in states]
    expect_equal(sorted(set(gone)), ["bounced"], "what became of mail to gone.test")
    expect_equal(len(gone), text.bounced, "lines of returned mail")


@case(CASES, "log-json", "row 45")
def log_json(text, structured):
    def unique(pairs):
        expect_equal(len({key for key, _ in pairs}), len(pairs), f"keys of {pairs}")
        return dict(pairs)
    lines = structured.log().splitlines()
    records = [json.loads(line, object_pairs_hook=unique) for line in lines]
    expect(all(not CONTROL.search(line) for line in lines), "control octets in a line")
    bounced = [r for r in records if r.get("status") == "bounced"]
    expect_equal(len(bounced), structured.bounced, "records of returned mail")
    expect("\"'; DROP TABLE recipient; --\"@gone.test" in [r["to"] for r in bounced], "the address as it was given")
    expect(not any(r.get("to") == FAKE for r in records), "a record of a recipient that there never was")


@case(CASES, "operator", "row 45")
def operator(text, structured):
    for args in (["list", "--state=any"], ["log", "--all", "--state=any"], ["sites"], ["status"], ["list", "--mailq", "--state=any"],
                 ["show", "--all", "--state=any"], ["list", "--state=any", "--json"], ["log", "--all", "--state=any", "--json"]):
        shown = text.relay.cli(*args, status=None)
        bad = TAB_TOO.search(shown)
        expect(not bad, f"{args}: {bad and shown[max(0, bad.start() - 60):bad.end() + 60]!r}")
        if "--json" in args:
            for line in shown.splitlines():
                json.loads(line)


@case(CASES, "notices", "3464 2")
def notices(text, structured):
    found = text.notices()
    expect_equal(len(found), text.bounced, "notices")
    for octets in found:
        expect(not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n", octets), f"control octets: {octets!r}")
        message = email.message_from_bytes(octets, policy=email.policy.default)
        expect_equal(message.get_content_type(), "multipart/report", "type")
        parts = list(message.iter_parts())
        expect_equal([p.get_content_type() for p in parts][1], "message/delivery-status", "second part")
        groups = parts[1].get_payload()
        expect_equal(len(groups), 2, f"groups of {octets.decode('latin-1')}")
        fields = [name.lower() for name in groups[1].keys()]
        expect_equal(fields.count("final-recipient"), 1, f"Final-Recipient in {fields}")
        expect_equal((groups[1]["Action"], groups[1]["Status"]), ("failed", "5.1.1"), "what it says")
        expect(not any("injected" in field for field in fields + [n.lower() for n in message.keys()]), f"fields {fields}")
        expect(FAKE not in str(groups[1]["Final-Recipient"]) or "status=sent" in str(groups[1]["Final-Recipient"]), "somebody else's")


@case(CASES, "trace", "5321 4.4")
def trace(text, structured):
    messages = text.hosts.to("trace@good.test")
    expect_equal(len(messages), len(HELOS), "messages")
    for message in messages:
        head = message["content"].partition(b"\r\n\r\n")[0]
        fields = [line for line in head.split(b"\r\n") if line[:1] not in b" \t"]
        expect_equal([field.partition(b":")[0] for field in fields], [b"Received", b"X-Case"], f"fields of {head!r}")
        first = fields[0]
        expect(re.fullmatch(rb"Received: from [^\s()<>@,;\\\"]+ \(\[127\.0\.0\.1\]\)", first), f"{first!r}")


@case(CASES, "filters", "CVE-2025-26794")
def filters(text, structured):
    for args in (["--to", "' OR '1'='1"], ["--from", "x' UNION SELECT * FROM message --"], ["--domain", "'; DROP TABLE recipient; --"],
                 ["--site", "' OR 1=1 --"], ["--hop", "' OR 1=1 --"], ["--user", "' OR ''='"], ["--code", "' OR 1=1 --"]):
        expect_equal(text.relay.cli("list", "--state=any", *args, status=1), "", f"matches of {args}")
    shown = text.relay.json("list", "--state=any", "--to", "\"'; DROP TABLE recipient; --\"@gone.test")
    expect_equal(shown["recipients"][0]["address"], "\"'; DROP TABLE recipient; --\"@gone.test", "found by its address")


@case(CASES, "database", "CVE-2025-67896")
def database(text, structured):
    text.relay.stop()
    files = [path for path in glob.glob(text.relay.settings["queue.directory"] + "/*") if open(path, "rb").read(15) == b"SQLite format 3"]
    expect(files, "a database")
    with sqlite3.connect(f"file:{files[0]}?mode=ro", uri=True) as connection:
        expect_equal(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",), "integrity")
        tables = {name for name, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        expect({"message", "recipient"} <= tables, f"tables {tables}")


def main():
    suite = bb.Suite()
    with lib.World("injection") as world:
        text, structured = World(world, "text"), World(world, "json")
        suite.group("injection", CASES, lambda row: row[2](text, structured))
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
