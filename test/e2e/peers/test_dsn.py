#!/usr/bin/python3
"""The failure notice, read by Python's email package and checked field by field (RFC 3461, 3462, 3464, 3834)."""

import email
import email.policy
import email.utils
import datetime
import socketserver
import threading

from peer import between, client, content_of, expect, expect_equal, lib, messages, port_of, settings, wait_for

ORIGINAL = ("From: Anna <anna@client.test>\r\nTo: nobody@a.test, gone@a.test, luigi@a.test\r\n"
            "Subject: What is returned\r\n with a folded subject\r\nMessage-ID: <original@client.test>\r\n"
            "X-Long: " + "x" * 900 + "\r\n\r\nThe body is not returned.\r\n")


def parse(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        expect_equal(part.defects, [], f"defects of {part.get_content_type()}")
    return message


def only(fields, name):
    """The one value of a field that must be there once."""
    values = fields.get_all(name, [])
    expect_equal(len(values), 1, f"fields {name} in {fields.as_string()}")
    return " ".join(str(values[0]).split())


def check_envelope_and_header(message, journal):
    expect_equal(journal["from"], "", "reverse-path of the notice")
    expect_equal(journal["to"], ["anna@client.test"], "recipient of the notice")
    expect_equal(message.get_content_type(), "multipart/report", "type")
    expect_equal(message.get_param("report-type"), "delivery-status", "report-type")
    expect_equal(only(message, "Auto-Submitted"), "auto-replied", "Auto-Submitted")
    expect_equal(only(message, "MIME-Version"), "1.0", "MIME-Version")
    expect_equal(only(message, "To").strip("<>"), "anna@client.test", "To")
    expect("MAILER-DAEMON@relay.outlast.test" in only(message, "From"), f"From: {message['From']}")
    expect(only(message, "Message-ID").endswith("@relay.outlast.test>"), f"Message-ID: {message['Message-ID']}")
    expect(only(message, "Subject") != "", "Subject")
    age = datetime.datetime.now(datetime.timezone.utc) - email.utils.parsedate_to_datetime(only(message, "Date"))
    expect(abs(age.total_seconds()) < 60, f"Date: {message['Date']}")
    expect_equal([part.get_content_type() for part in message.iter_parts()],
                 ["text/plain", "message/delivery-status", "text/rfc822-headers"], "parts")


def check_recipient(fields, address, status, diagnostic):
    expect_equal(only(fields, "Final-Recipient"), f"rfc822; {address}", "Final-Recipient")
    expect_equal(only(fields, "Action"), "failed", "Action")
    expect_equal(only(fields, "Status"), status, "Status")
    expect_equal(only(fields, "Remote-MTA"), "dns; mx.sink.test", "Remote-MTA")
    expect_equal(only(fields, "Diagnostic-Code"), f"smtp; {diagnostic}", "Diagnostic-Code")
    email.utils.parsedate_to_datetime(only(fields, "Last-Attempt-Date"))


def test_notice_is_a_report_that_email_reads_field_by_field(world):
    relay, sink = between(world, "a.test", "client.test")
    sink.control("sink reply rcpt 550 5.1.1 no such user here for nobody@*")
    sink.control("sink reply rcpt 554 5.7.1 first line\\nand a second one for gone@*")
    with client(relay.at) as smtp:
        refused = smtp.sendmail("anna@client.test", ["nobody@a.test", "gone@a.test", "luigi@a.test"], ORIGINAL)
    expect_equal(refused, {}, "refused by the relay")
    journals = messages(sink, 2)
    journal = next(m for m in journals if m["dsn"])
    delivered = next(m for m in journals if not m["dsn"])
    expect_equal(delivered["to"], ["luigi@a.test"], "delivered")
    content = content_of(world, journal)
    expect(max(len(line) for line in content.split(b"\r\n")) <= 998, "a line over 998 octets")
    expect(all(octet < 128 for octet in content), "octets over 127 in a notice about ASCII mail")
    message = parse(content)
    check_envelope_and_header(message, journal)

    human, report, headers = message.iter_parts()
    text = human.get_content()
    for needle in ("nobody@a.test", "gone@a.test", "no such user here", "and a second one"):
        expect(needle in text, f"{needle!r} in the text:\n{text}")
    expect("luigi@a.test" not in text, f"the recipient that got it is in the text:\n{text}")

    groups = report.get_payload()
    expect_equal(len(groups), 3, "groups of the delivery status")
    expect_equal(only(groups[0], "Reporting-MTA"), "dns; relay.outlast.test", "Reporting-MTA")
    age = email.utils.parsedate_to_datetime(only(groups[0], "Arrival-Date"))
    expect(abs((datetime.datetime.now(datetime.timezone.utc) - age).total_seconds()) < 60, f"Arrival-Date: {age}")
    by_address = {only(group, "Final-Recipient").partition("; ")[2]: group for group in groups[1:]}
    check_recipient(by_address["nobody@a.test"], "nobody@a.test", "5.1.1", "550 5.1.1 no such user here")
    check_recipient(by_address["gone@a.test"], "gone@a.test", "5.7.1", "554 5.7.1 first line and a second one")

    returned = email.message_from_string(headers.get_content(), policy=email.policy.default)
    for name in ("From", "To", "Message-ID", "Subject", "X-Long"):
        expect_equal(returned[name], email.message_from_string(ORIGINAL, policy=email.policy.default)[name], name)
    expect("relay.outlast.test" in returned["Received"], "our trace field among the returned headers")
    expect(b"The body is not returned" not in content, "the body came back")


def test_no_notice_about_a_notice(world):
    relay, sink = between(world, "a.test", "client.test", changes={"postmaster": "postmaster@client.test", "outage.storm-guard": "no"})
    sink.control("sink reply rcpt 550 5.1.1 no such user for nobody@*")
    with client(relay.at) as smtp:
        smtp.sendmail("", ["nobody@a.test"], ORIGINAL)
        smtp.sendmail("anna@client.test", ["luigi@a.test"], ORIGINAL)
    messages(sink, 1)
    lib.wait_for(lambda: relay.log().count("status=bounced") == 1 and relay.log().count(": removed") == 2, 15,
                 "both messages are through")
    expect_equal([m["dsn"] for m in sink.messages()], [False], "notices")


def test_notice_that_fails_goes_to_the_postmaster_once(world):
    relay, sink = between(world, "a.test", "client.test", changes={"postmaster": "postmaster@client.test", "outage.storm-guard": "no"})
    sink.control("sink reply rcpt 550 5.1.1 no such user for nobody@*")
    sink.control("sink reply rcpt 550 5.2.1 closed for anna@*")
    with client(relay.at) as smtp:
        smtp.sendmail("anna@client.test", ["nobody@a.test"], ORIGINAL)
    journal = messages(sink, 1)[0]
    expect_equal((journal["from"], journal["to"], journal["dsn"]), ("", ["postmaster@client.test"], True), "double bounce")
    report = list(parse(content_of(world, journal)).iter_parts())[1]
    check_recipient(report.get_payload()[1], "anna@client.test", "5.2.1", "550 5.2.1 closed")
    # it took mail before: a word on the mailbox would be doubted, one on policy is believed
    sink.control("sink reply rcpt 550 5.7.1 no reports for postmaster@*")
    with client(relay.at) as smtp:
        smtp.sendmail("anna@client.test", ["nobody@a.test"], ORIGINAL)
    lib.wait_for(lambda: relay.log().count("nobody is to be told") == 1, 15, "the end of the second double bounce")
    expect_equal(len(sink.messages()), 1, "messages at the sink")


def late_world(world, start=True, **changes):
    """A relay whose hour lasts two seconds, with a dead destination a.test and the sender's client.test."""
    port = lib.common_port(["127.0.6.1", "127.0.6.2"])
    sink = world.sink(f"dead=127.0.6.1:{port}", f"client=127.0.6.2:{port}", args=["--maildir", world.path("maildir")])
    dns = world.dns(["a.test MX 10 mx.a.test", "mx.a.test A 127.0.6.1", "client.test MX 10 mx.client.test",
                     "mx.client.test A 127.0.6.2"])
    sink.control("dead reply rcpt 451 4.3.0 come again for *")
    relay = world.relay({**settings(dns.at["dns"], port), "retry.schedule": ["20m"], **changes})
    if start:
        relay.start(clock_rate=1800)
    return relay, sink


def group_of(world, journal, address, kind="multipart/report"):
    """(fields of the message, fields of the recipient) of a notice."""
    message = parse(content_of(world, journal))
    expect_equal(message.get_content_type(), kind, "type")
    reports = [part for part in message.walk() if part.get_content_type() == "message/delivery-status"]
    for report in reports:
        groups = report.get_payload()
        for group in groups[1:]:
            if only(group, "Final-Recipient") == f"rfc822; {address}":
                return groups[0], group
    raise lib.Failure(f"{address} is not named in {message}")


def send_one(relay, address, params, mail_params=""):
    with client(relay.at) as smtp:
        smtp.ehlo("client.test")
        for line in (f"MAIL FROM:<anna@client.test>{mail_params}", f"RCPT TO:<{address}>{params}"):
            expect_equal(smtp.docmd(line)[0], 250, line)
        expect_equal(smtp.data(ORIGINAL)[0], 250, "content")


def test_delay_digest_and_expiry_field_by_field(world):
    relay, sink = late_world(world, **{"notify.delay": "1h", "queue.lifetime": "5h"})
    send_one(relay, "own@a.test", " NOTIFY=DELAY,FAILURE ORCPT=rfc822;o+2Bne@b.test", " ENVID=e+3D1")
    send_one(relay, "digest@a.test", "")
    send_one(relay, "silent@a.test", " NOTIFY=NEVER")
    send_one(relay, "success@a.test", " NOTIFY=SUCCESS")
    notices = messages(sink, 4, 40)
    contents = [content_of(world, n) for n in notices]
    expect(not any(b"silent@" in c or b"success@" in c for c in contents), "who did not ask was told")
    delayed = [n for n in notices if b"Action: delayed" in content_of(world, n)]
    own = next(n for n in delayed if b"own@a.test" in content_of(world, n))
    message, fields = group_of(world, own, "own@a.test")
    expect_equal(only(message, "Original-Envelope-Id"), "e=1", "Original-Envelope-Id")
    expect_equal(only(message, "Received-From-MTA"), "dns; client.test", "Received-From-MTA")
    arrival = email.utils.parsedate_to_datetime(only(message, "Arrival-Date"))
    expect_equal(only(fields, "Original-Recipient"), "rfc822; o+ne@b.test", "Original-Recipient")
    expect_equal((only(fields, "Action"), only(fields, "Status")), ("delayed", "4.3.0"), "Action, Status")
    expect_equal(only(fields, "Remote-MTA"), "dns; mx.a.test", "Remote-MTA")
    expect_equal(only(fields, "Diagnostic-Code"), "smtp; 451 4.3.0 come again", "Diagnostic-Code")
    expect(email.utils.parsedate_to_datetime(only(fields, "Last-Attempt-Date")) >= arrival, "Last-Attempt-Date")
    until = email.utils.parsedate_to_datetime(only(fields, "Will-Retry-Until"))
    expect_equal((until - arrival).total_seconds() // 60, 300, "minutes from Arrival-Date to Will-Retry-Until")
    # Who did not ask for one notice for each gets a digest.
    digest = next(n for n in delayed if b"digest@a.test" in content_of(world, n))
    message, fields = group_of(world, digest, "digest@a.test", "multipart/mixed")
    expect_equal(only(parse(content_of(world, digest)), "Auto-Submitted"), "auto-generated", "Auto-Submitted")
    expect_equal((only(fields, "Action"), message["Original-Envelope-Id"]), ("delayed", None), "the digest")
    expect(fields["Will-Retry-Until"] is not None, "Will-Retry-Until of the digest")
    # The time is over.
    for address in ("own@a.test", "digest@a.test"):
        expired = next(n for n in notices if b"Action: failed" in content_of(world, n) and address.encode() in content_of(world, n))
        message, fields = group_of(world, expired, address)
        expect_equal((only(fields, "Action"), only(fields, "Status")), ("failed", "4.3.0"), "Action, Status")
        expect_equal(fields["Will-Retry-Until"], None, "Will-Retry-Until of what failed")
    wait_for(lambda: relay.log().count(": removed") >= 4, 20, "all is over")


def test_what_is_returned_by_a_time_says_so(world):
    """RFC 2852 4: the status is that of the time, whatever the last attempt heard; attempted or parked."""
    relay, sink = late_world(world, start=False)
    relay.configure(relay.settings, lib.shipped_conf().replace(
        "\nclasses:\n", "\nclasses:\n  - name: short\n    from: \"anna@*\"\n    deliver-by: 1h\n"))
    relay.start(clock_rate=1800)
    send_one(relay, "tried@a.test", "")
    _, fields = group_of(world, messages(sink, 1, 20)[0], "tried@a.test")
    expect_equal((only(fields, "Action"), only(fields, "Status")), ("failed", "5.4.7"), "Action, Status of what was tried")
    sink.control("dead refuse")
    send_one(relay, "parked@a.test", "")
    _, fields = group_of(world, messages(sink, 2, 30)[1], "parked@a.test")
    expect_equal((only(fields, "Action"), only(fields, "Status")), ("failed", "5.4.7"), "Action, Status of what was parked")


def test_relayed_in_utf8_forms(world):
    """RFC 6533: addresses in UTF-8 have a type and parts of their own."""
    relay, sink = between(world, "a.test", "client.test")
    sink.control("sink ext -DSN")
    with client(relay.at) as smtp:
        smtp.ehlo("client.test")
        for line in ("MAIL FROM:<anna@client.test> SMTPUTF8", "RCPT TO:<grün@a.test> NOTIFY=SUCCESS ORCPT=utf-8;blau\\x{2B}ü@b.test"):
            smtp.send(line.encode() + b"\r\n")
            expect_equal(smtp.getreply()[0], 250, line)
        expect_equal(smtp.data(ORIGINAL)[0], 250, "content")
    notice = next(m for m in messages(sink, 2) if m["to"] == ["anna@client.test"])
    content = content_of(world, notice)
    expect("BODY=8BITMIME" in notice["params"] and "SMTPUTF8" not in notice["params"], f"parameters {notice['params']}")
    for text in ("Content-Type: message/global-delivery-status\r\n", "Original-Recipient: utf-8; blau\\x{2B}ü@b.test\r\n",
                 "Final-Recipient: utf-8; grün@a.test\r\nAction: relayed\r\n", "Content-Type: message/global-headers\r\n"):
        expect(text.encode() in content, f"{text!r} in {content!r}")


def test_relayed_where_nobody_knows_of_the_time(world):
    """RFC 2852 4: mode N to a host without DELIVERBY; a trace is of each relay. NEVER is never."""
    relay, sink = between(world, "a.test", "client.test")
    send_one(relay, "mode-n@a.test", "", " BY=7200;N")
    message, fields = group_of(world, next(m for m in messages(sink, 2) if m["to"] == ["anna@client.test"]), "mode-n@a.test")
    expect_equal(only(fields, "Action"), "relayed", "Action")
    by = email.utils.parsedate_to_datetime(only(message, "Deliver-By-Date"))
    arrival = email.utils.parsedate_to_datetime(only(message, "Arrival-Date"))
    expect(abs((by - arrival).total_seconds() - 7200) <= 2, f"Deliver-By-Date {by}, Arrival-Date {arrival}")
    sink.control("sink ext +DELIVERBY")
    sink.control("sink cut")  # what it offers counts by session
    for params, mail_params in ((" NOTIFY=NEVER", " BY=7200;NT"), ("", " BY=7200;N"), ("", " BY=7200;NT")):
        send_one(relay, "by@a.test", params, mail_params)
    told = wait_for(lambda: [m for m in messages(sink, 6) if m["to"] == ["anna@client.test"]][1:], 15, "the trace")
    expect_equal(len(told), 1, "notices of three to a host with DELIVERBY")
    _, fields = group_of(world, told[0], "by@a.test")
    expect_equal(only(fields, "Action"), "relayed", "Action of the trace")
    wait_for(lambda: relay.log().count(": removed") == 6, 15, "all are through")
    expect_equal(len(sink.messages()), 6, "messages at the sink")


class Mailboxes(socketserver.StreamRequestHandler):
    """A server of LMTP (RFC 2033) that refuses "closed", for one session after the other."""

    def handle(self):
        self.say("220 mailboxes.test LMTP")
        to = []
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"LHLO":
                self.say("250-mailboxes.test", "250 PIPELINING")
            elif verb == b"RCPT":
                to.append(line)
                self.say("250 2.1.5 there is such a mailbox")
            elif verb == b"DATA":
                self.say("354 go ahead")
                while self.rfile.readline() != b".\r\n":
                    pass
                self.say(*("550 5.7.1 closed" if b"closed@" in one else "250 2.0.0 in the mailbox" for one in to))
                to.clear()
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 2.0.0 ok")

    def say(self, *lines):
        self.wfile.write("".join(line + "\r\n" for line in lines).encode())


def test_delivered_by_lmtp(world):
    """The last host of the way: success is "delivered"; what of the same transaction failed is told apart."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailboxes) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        relay, sink = between(world, "client.test", changes={"outage.storm-guard": "no"})
        relay.stop()
        text = lib.shipped_conf().replace("\nroutes:\n", "\nroutes:\n  - name: boxes\n    to: a.test\n    via: \"lmtp:[127.0.0.1]:"
                                          f"{server.server_address[1]}\"\n    tls: none\n")
        relay.configure(relay.settings, text)
        relay.start()
        with client(relay.at) as smtp:
            smtp.ehlo("client.test")
            for line in ("MAIL FROM:<anna@client.test> ENVID=e1", "RCPT TO:<box@a.test> NOTIFY=SUCCESS,FAILURE",
                         "RCPT TO:<closed@a.test> NOTIFY=SUCCESS,FAILURE", "RCPT TO:<quiet@a.test>"):
                expect_equal(smtp.docmd(line)[0], 250, line)
            expect_equal(smtp.data(ORIGINAL)[0], 250, "content")
        contents = [content_of(world, message) for message in messages(sink, 2)]
        server.shutdown()
    for content in contents:
        groups = list(parse(content).iter_parts())[1].get_payload()
        expect_equal(only(groups[0], "Original-Envelope-Id"), "e1", "Original-Envelope-Id")
        expect_equal(len(groups), 2, "recipients named")
    found = {only(group, "Action"): group for content in contents for group in list(parse(content).iter_parts())[1].get_payload()[1:]}
    expect_equal(only(found["delivered"], "Final-Recipient"), "rfc822; box@a.test", "delivered")
    expect_equal((only(found["delivered"], "Status"), only(found["delivered"], "Diagnostic-Code")),
                 ("2.0.0", "smtp; 250 2.0.0 in the mailbox"), "Status, Diagnostic-Code")
    expect_equal((only(found["failed"], "Final-Recipient"), only(found["failed"], "Status")),
                 ("rfc822; closed@a.test", "5.7.1"), "failed")


def test_notice_of_success_that_fails_ends_there(world):
    relay, sink = between(world, "a.test", "client.test", changes={"postmaster": "postmaster@client.test", "outage.storm-guard": "no"})
    sink.control("sink ext -DSN")
    sink.control("sink reply rcpt 550 5.2.1 closed for anna@*")
    send_one(relay, "luigi@a.test", " NOTIFY=SUCCESS")
    lib.wait_for(lambda: relay.log().count("nobody is to be told") == 1, 15, "the end of the notice")
    expect_equal([m["to"] for m in sink.messages()], [["luigi@a.test"]], "messages at the sink")


lib.run(globals())
