#!/usr/bin/python3
"""The failure notice, read by Python's email package and checked field by field (RFC 3461, 3462, 3464, 3834)."""

import email
import email.policy
import email.utils
import datetime

from peer import between, client, content_of, expect, expect_equal, lib, messages

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


lib.run(globals())
