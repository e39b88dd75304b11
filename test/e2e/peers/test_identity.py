#!/usr/bin/python3
"""Real-world mail arrives octet for octet, but for the trace field on top.

The mails that Debian ships with Python's test suite and with spamassassin, and some made to hurt: lines far over 998 octets,
leading dots, octets over 127, no header, no body, no line end. Line ends are made CRLF before sending, for SMTP knows no
other. Two judges that share nothing: outlast-load with the ledger (digests from the token line on), and smtplib with a
comparison of the whole content that the sink wrote down.
"""

import os
import re

from peer import (between, client, content_of, crlf, expect, expect_equal, fetch_corpus, lib, messages,
                  queue_is_empty, split_trace)

HURTING = {
    "long-lines": b"Subject: long lines\n\n" + b"x" * 998 + b"\n" + b"y" * 999 + b"\n" + b"z" * 70000 + b"\nend\n",
    "long-header": b"Subject: long header\nX-Long: " + b"h" * 5000 + b"\n\nbody\n",
    "dots": b"Subject: dots\n\n.\n..\n.. two\n...\n. \n.x\n\n.\n",
    "dot-boundaries": b"Subject: dots at block ends\n\n" + b"".join(b"a" * n + b"\n.\n" for n in range(200)) + b".",
    "octets": b"Subject: octets\n\n" + bytes(o for o in range(1, 256) if o not in (10, 13)) + b"\n",
    "octets-in-header": b"Subject: \xfcml\xe4ut in ISO 8859-1 \xff\n\nbody\n",
    "no-header": b"just a line without a header\nand another\n",
    "no-body": b"Subject: header only\n",
    "empty-header": b"\nbody behind an empty header\n",
    "blanks": b"Subject: blanks \t\nX-Folded: a\n \t\n b\t \n\n trailing blanks \t \n\t\n   \n",
    "no-line-end": b"Subject: no line end\n\nthe last line has no end",
    "empty-lines": b"Subject: empty lines\n\n" + b"\n" * 300,
    "large": b"Subject: large enough to be spooled to the disk\n\n" + b"0123456789abcdef" * 4 * 16 + b"\n"
             + (b"." + b"q" * 76 + b"\n") * 20000,
}


def build_corpus(world):
    """The folder of mails, real and made, each with CRLF line ends."""
    folder = world.path("corpus")
    os.makedirs(folder)
    real = fetch_corpus()
    names = sorted(name for name in os.listdir(real) if name.endswith(".eml"))
    expect(len(names) >= 45, f"only {len(names)} real mails")
    mails = {"made-" + name: content for name, content in HURTING.items()}
    for name in names:
        with open(os.path.join(real, name), "rb") as file:
            mails[name] = file.read()
    for name, content in mails.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(crlf(content))
    return folder


def test_mails_keep_their_digest_from_the_token_on(world):
    folder = build_corpus(world)
    count = len(os.listdir(folder))
    relay, sink = between(world, "a.test", "b.test")
    figures = world.load(relay.at, corpus=folder, count=3 * count, sessions=8, pipelining=True, timeout=20, deadline=60,
                         rcpt=["u%d@a.test", "v%d@b.test"])
    expect_equal(figures["accepted"], 3 * count, "accepted")
    lib.wait_for(lambda: queue_is_empty(relay), 30, "the queue is empty")
    sums = world.ledger()
    expect_equal((sums["accepted"], sums["delivered"], sums["altered"]), (3 * count, 3 * count, 0), "the ledger")
    expect_equal({m["received"] - sent_received(world, m, folder) for m in sink.messages()}, {1}, "Received fields added")
    expect_equal(sink.control.stats()["sink"]["violations"], 0, "violations that the sink saw")


def sent_received(world, message, folder):
    """Received fields of the mail as it was before: the sink has them behind the token line."""
    _, rest = split_trace(content_of(world, message), 1)
    header = rest.partition(b"\r\n\r\n")[0]
    return len(re.findall(rb"(?im)^received:", header))


def test_mails_are_equal_octet_for_octet(world):
    folder = build_corpus(world)
    relay, sink = between(world, "a.test")
    sent = {}
    with client(relay.at) as smtp:
        smtp.ehlo()
        for number, name in enumerate(sorted(os.listdir(folder))):
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            recipient = f"u{number}@a.test"
            smtp.mail("anna@client.test", ["BODY=8BITMIME", f"SIZE={len(content)}"])
            smtp.rcpt(recipient)
            code, text = smtp.data(content)
            expect_equal(code, 250, f"{name}: {text}")
            # SMTP ends a content with a line end, whether it had one or not.
            sent[recipient] = (name, content if content.endswith(b"\r\n") else content + b"\r\n")
    for message in messages(sink, len(sent), 30):
        name, content = sent.pop(message["to"][0])
        trace, rest = split_trace_of_one(content_of(world, message), name)
        expect(rest == content, f"{name} arrived altered at octet {first_difference(rest, content)}")
        expect(b"by relay.outlast.test (Outlast)" in trace, f"{name}: trace {trace!r}")
        eight_bit = any(octet > 127 for octet in content)
        expect_equal("BODY=8BITMIME" in message["params"], eight_bit, f"{name}: BODY=8BITMIME in {message['params']!r}")
    expect_equal(sent, {}, "mails that did not arrive")


def split_trace_of_one(content, name):
    """The first Received field is ours; the mail may have its own behind it."""
    expect(content.startswith(b"Received: "), f"{name} begins with {content[:100]!r}")
    end = re.search(rb"\r\n(?![ \t])", content).end()
    return content[:end], content[end:]


def first_difference(got, wanted):
    return next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))


lib.run(globals())
