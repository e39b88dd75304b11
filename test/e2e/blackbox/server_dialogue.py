#!/usr/bin/python3
"""What the SMTP server answers to each command, well-formed or not: order, syntax, addresses, parameters, pipelining,
STARTTLS, AUTH, and who may relay. Each row is a session of its own, and must leave it in step."""

import base64
import os
import ssl
import subprocess

import bb
import lib
from bb import Client, SETUPS, dialogue, expect, expect_equal

LONG = "x" * 300
NOT_TRUSTED = "127.0.0.5"

COMMANDS = [
    ("ehlo", "5321 4.1.1.1", "new", "EHLO client.test", "250"),
    ("ehlo-literal", "5321 4.1.3", "new", "EHLO [127.0.0.1]", "250"),
    ("ehlo-literal-ipv6", "5321 4.1.3", "new", "EHLO [IPv6:::1]", "250"),
    ("ehlo-any-case", "5321 2.4", "new", "eHlO client.test", "250"),
    ("ehlo-without-name", "5321 4.1.1.1", "new", "EHLO", "501/5.5.4"),
    ("ehlo-of-two-words", "5321 4.1.1.1", "new", "EHLO a b", "501/5.5.4"),
    ("ehlo-too-long", "5321 4.5.3.1.2", "new", "EHLO " + LONG, "501/5.5.4"),
    ("ehlo-8bit", "5321 4.1.1.1", "new", "EHLO b\u00fccher.test", "501/5.5.4"),
    ("ehlo-control", "row 45", "new", b"EHLO a\x1b[31m\r\n", "501/5.5.4"),
    ("ehlo-nul", "row 45", "new", b"EHLO a\0b\r\n", "501/5.5.4"),
    ("ehlo-in-transaction-resets", "5321 4.1.4", "rcpt", ("EHLO client.test", "RCPT TO:<r@to.test>"), "250; 503/5.5.1"),
    ("ehlo-refused-keeps-transaction", "5321 4.1.4", "mail", ("EHLO", "RCPT TO:<r@to.test>"), "501; 250"),
    ("helo", "5321 4.1.1.1", "new", "HELO client.test", "250"),
    ("helo-without-name", "5321 4.1.1.1", "new", "HELO", "501/5.5.4"),
    ("helo-then-mail", "5321 3.2", "new", ("HELO client.test", "MAIL FROM:<s@from.test>"), "250; 250/2.1.0"),
    ("mail-before-ehlo", "5321 4.1.4", "new", "MAIL FROM:<s@from.test>", "503/5.5.1"),
    ("rcpt-before-ehlo", "5321 4.1.4", "new", "RCPT TO:<r@to.test>", "503/5.5.1"),
    ("data-before-ehlo", "5321 4.1.4", "new", "DATA", "503/5.5.1"),
    ("rcpt-before-mail", "5321 3.3", "ehlo", "RCPT TO:<r@to.test>", "503/5.5.1"),
    ("data-before-mail", "5321 3.3", "ehlo", "DATA", "503/5.5.1"),
    ("data-before-rcpt", "5321 3.3", "mail", "DATA", "554/5.5.1"),
    ("mail-in-mail", "5321 4.1.4", "mail", "MAIL FROM:<s@from.test>", "503/5.5.1"),
    ("mail-any-case", "5321 2.4", "ehlo", "mAiL fRoM:<s@from.test>", "250/2.1.0"),
    ("mail-without-from", "5321 4.1.1.2", "ehlo", "MAIL", "501/5.5.4"),
    ("mail-to", "5321 4.1.1.2", "ehlo", "MAIL TO:<s@from.test>", "501/5.5.4"),
    ("mail-from-nothing", "5321 4.1.1.2", "ehlo", "MAIL FROM:", "501/5.5.4"),
    ("mail-from-without-colon", "5321 4.1.1.2", "ehlo", "MAIL FROM <s@from.test>", "501/5.5.4"),
    ("rcpt-from", "5321 4.1.1.3", "mail", "RCPT FROM:<r@to.test>", "501/5.5.4"),
    ("rcpt-without-to", "5321 4.1.1.3", "mail", "RCPT", "501/5.5.4"),
    ("data-with-argument", "5321 4.1.1.4", "rcpt", "DATA now", "501/5.5.4"),
    ("rset", "5321 4.1.1.5", "new", "RSET", "250/2.0.0"),
    ("rset-ends-transaction", "5321 4.1.1.5", "rcpt", ("RSET", "DATA"), "250; 503/5.5.1"),
    ("rset-then-mail", "5321 4.1.1.5", "rcpt", ("RSET", "MAIL FROM:<>"), "250; 250"),
    ("rset-with-argument", "5321 4.1.1.5", "ehlo", "RSET x", "501/5.5.4"),
    ("noop", "5321 4.1.1.9", "new", "NOOP", "250/2.0.0"),
    ("noop-with-argument", "5321 4.1.1.9", "rcpt", "NOOP whatever", "250/2.0.0"),
    ("noop-keeps-transaction", "5321 4.1.1.9", "mail", ("NOOP", "RCPT TO:<r@to.test>"), "250; 250/2.1.5"),
    ("vrfy", "5321 3.5.3", "new", "VRFY root", "252"),
    ("vrfy-without-argument", "5321 4.1.1.6", "ehlo", "VRFY", "501/5.5.4"),
    ("vrfy-keeps-transaction", "5321 4.1.1.6", "mail", ("VRFY root", "RCPT TO:<r@to.test>"), "252; 250"),
    ("expn", "5321 3.5.2", "ehlo", "EXPN staff", "502/5.5.1"),
    ("help", "5321 4.1.1.8", "new", "HELP", "214"),
    ("help-with-argument", "5321 4.1.1.8", "ehlo", "HELP MAIL", "214"),
    ("quit", "5321 4.1.1.10", "new", "QUIT", "221/2.0.0 close"),
    ("quit-in-transaction", "5321 4.1.1.10", "rcpt", "QUIT", "221/2.0.0 close"),
    ("quit-with-argument", "5321 4.1.1.10", "ehlo", "QUIT now", "501/5.5.4"),
    ("starttls-not-offered", "3207 4", "ehlo", "STARTTLS", "502/5.5.1"),
    ("auth-not-offered", "4954 4", "ehlo", "AUTH PLAIN AGEAYg==", "502/5.5.1"),
    ("auth-before-ehlo", "4954 4", "new", "AUTH PLAIN AGEAYg==", "503/5.5.1"),
    ("auth-without-mechanism", "4954 4", "ehlo", "AUTH", "501/5.5.4"),
]

NO_COMMANDS = [
    ("unknown-verb", "5321 4.2.4", "ehlo", "FOO", "500/5.5.2"),
    ("empty-line", "5321 4.2.4", "ehlo", "", "500/5.5.2"),
    ("space-only", "5321 4.2.4", "ehlo", " ", "500/5.5.2"),
    ("space-before-verb", "5321 4.1.1", "ehlo", " NOOP", "500/5.5.2"),
    ("space-behind-verb", "5321 4.1.1", "ehlo", "NOOP  ", "250"),
    ("tab-behind-verb", "5321 4.1.1", "ehlo", "NOOP\t", "250"),
    ("verb-with-tail", "5321 4.1.1", "ehlo", "NOOPS", "500/5.5.2"),
    ("mail-without-space", "5321 4.1.1.2", "ehlo", "MAILFROM:<s@from.test>", "500/5.5.2"),
    ("etrn", "CVE-2025-26794", "ehlo", "ETRN #' OR 1=1 --", "501/5.5.4"),
    ("xclient", "row 35", "ehlo", "XCLIENT ADDR=127.0.0.1 LOGIN=root", "550/5.7.0"),
    ("xforward", "row 35", "ehlo", "XFORWARD ADDR=127.0.0.1", "550/5.7.0"),
    ("proxy", "row 35", "new", "PROXY TCP4 127.0.0.1 127.0.0.1 1 25", "500/5.5.2"),
    ("send", "5321 F.6", "ehlo", "SEND FROM:<s@from.test>", "500/5.5.2"),
    ("turn", "5321 F.1", "ehlo", "TURN", "500/5.5.2"),
    ("debug", "1988", "ehlo", "DEBUG", "500/5.5.2"),
    ("wiz", "1988", "ehlo", "WIZ", "500/5.5.2"),
    ("ssh", "CVE-2021-3618", "new", "SSH-2.0-OpenSSH_9.2", "500/5.5.2"),
    ("client-hello", "CVE-2021-3618", "new", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", "500/5.5.2"),
    ("8bit-verb", "row 45", "new", b"\xff\xfe\xfd\r\n", "500/5.5.2"),
    ("format-verb", "row 45", "new", "%s%s%n%n%x", "500/5.5.2"),
    ("http-get", "CVE-2021-3618", "new", "GET / HTTP/1.1", "421 close"),
    ("http-post", "CVE-2021-3618", "new", b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<s@from.test>\r\n", "421 close"),
    ("http-field", "CVE-2021-3618", "ehlo", "Host: relay.test", "421 close"),
    ("http-options", "CVE-2021-3618", "ehlo", "OPTIONS * HTTP/1.0", "421 close"),
    ("bare-lf", "5321 2.3.8", "ehlo", b"NOOP\n", "500/5.5.2"),
    ("bare-lf-mail", "5321 2.3.8", "ehlo", b"MAIL FROM:<s@from.test>\n", "500/5.5.2"),
    ("bare-lf-twice", "5321 2.3.8", "ehlo", b"NOOP\nRSET\nNOOP\r\n", "500 500 250"),
    ("cr-cr-lf", "5321 2.3.8", "ehlo", b"NOOP\r\r\n", "500"),
    ("cr-inside", "5321 2.3.8", "ehlo", b"NOOP a\rb\r\n", "501"),
    ("nul-inside", "5321 2.4", "ehlo", b"NOOP a\0b\r\n", "501"),
    ("nul-first", "5321 2.4", "ehlo", b"\0NOOP\r\n", "500/5.5.2"),
    ("line-of-4096", "5321 4.5.3.1.4", "ehlo", b"NOOP " + b"x" * 4089 + b"\r\n", "250"),
    ("line-of-4097", "5321 4.5.3.1.4", "ehlo", b"NOOP " + b"x" * 4090 + b"\r\n", "500/5.5.2"),
    ("line-of-100000", "row 31", "ehlo", b"NOOP " + b"x" * 100000 + b"\r\n", "500/5.5.2"),
    ("long-line-hides-nothing", "row 31", "ehlo", b"x" * 5000 + b"\rMAIL FROM:<s@from.test>\r\nRSET\r\n", "500 250"),
]


def mail_row(name, reference, path, wanted):
    said = path if isinstance(path, bytes) else path.encode()
    return (name, reference, "ehlo", b"MAIL FROM:" + said + b"\r\n", wanted)


def rcpt_row(name, reference, path, wanted):
    said = path if isinstance(path, bytes) else path.encode()
    return (name, reference, "mail", b"RCPT TO:" + said + b"\r\n", wanted)


LABEL_63 = "d" * 63
ADDRESSES = [mail_row("from-" + name, "5321 4.1.2", path, "250/2.1.0") for name, path in [
    ("null", "<>"), ("plain", "<s@from.test>"), ("space-before", " <s@from.test>"), ("quoted-space", '<"a b"@c.test>'),
    ("quoted-at", '<"a@b"@c.test>'), ("quoted-quote", '<"a\\"b"@c.test>'), ("quoted-angle", '<"a>b"@c.test>'),
    ("quoted-backslash", '<"a\\\\b"@c.test>'), ("quoted-dots", '<"a..b."@c.test>'),
    ("dots", "<a.b.c@d.test>"), ("atext", "<!#$%&'*+-/=?^_`{|}~@d.test>"), ("upper", "<A@D.TEST>"),
    ("literal", "<a@[127.0.0.1]>"), ("literal-ipv6", "<a@[IPv6:2001:db8::1]>"), ("a-label", "<a@xn--bcher-kva.test>"),
    ("digits", "<1@1.test>"), ("route", "<@r.test:a@b.test>"), ("route-of-two", "<@r.test,@s.test:a@b.test>"),
    ("local-of-64", f"<{'a' * 64}@d.test>"), ("label-of-63", f"<a@{LABEL_63}.test>"),
    ("sql", "<\"'; DROP TABLE recipient; --\"@d.test>"), ("shell", "<${run{id}}`id`|id@d.test>"),
]] + [mail_row("from-" + name, "5321 4.1.2", path, "501") for name, path in [
    ("bare", "s@from.test"), ("unclosed", "<s@from.test"), ("unopened", "s@from.test>"), ("no-domain", "<s@>"),
    ("no-local", "<@from.test>"), ("no-at", "<s>"), ("postmaster", "<postmaster>"), ("two-ats", "<a@b@c.test>"),
    ("double-dot", "<a..b@c.test>"), ("dot-first", "<.a@c.test>"), ("dot-last", "<a.@c.test>"), ("space", "<a b@c.test>"),
    ("domain-double-dot", "<a@b..test>"), ("domain-dot-first", "<a@.test>"), ("domain-dot-last", "<a@b.test.>"),
    ("domain-hyphen-first", "<a@-b.test>"), ("domain-slash", "<a@b/c.test>"), ("domain-space", "<a@b c.test>"),
    ("literal-256", "<a@[127.0.0.256]>"), ("literal-three", "<a@[1.2.3]>"), ("literal-unclosed", "<a@[127.0.0.1>"),
    ("literal-empty", "<a@[]>"), ("literal-ipv6-short", "<a@[IPv6:1:2]>"), ("literal-ipv6-of-4", "<a@[IPv6:127.0.0.1]>"),
    ("literal-untagged-ipv6", "<a@[::1]>"), ("literal-tail", "<a@[127.0.0.1]x>"),
    ("quote-unclosed", '<"a@b.test>'), ("quote-tail", '<"a"b@c.test>'), ("quote-control", b'<"a\x01b"@c.test>'),
    ("quote-cr", b'<"a\rb"@c.test>'), ("comment", "<a(b)@c.test>"), ("tail", "<a@b.test>x"), ("two", "<a@b.test><c@d.test>"),
    ("two-angles", "<<a@b.test>>"), ("comma", "<a,b@c.test>"), ("semicolon", "<a;b@c.test>"), ("colon", "<:a@b.test>"),
    ("route-empty", "<@:a@b.test>"), ("route-without-colon", "<@r.test a@b.test>"), ("route-only", "<@r.test:>"),
    ("nul", b"<a\0b@c.test>"), ("tab", b"<a\tb@c.test>"), ("del", b"<a\x7fb@c.test>"),
    ("local-of-65", f"<{'a' * 65}@d.test>"), ("label-of-64", f"<a@{'d' * 64}.test>"),
    ("domain-of-256", f"<a@{'.'.join([LABEL_63] * 4)}.test>"), ("path-of-3000", f"<{'a' * 3000}@d.test>"),
    ("latin1", b"<\xfc@d.test>"),
]] + [
    mail_row("from-utf8-unannounced", "6531 3.5", "<\u00fc@d.test>", "550/5.6.7"),
    mail_row("from-utf8-domain-unannounced", "6531 3.5", "<a@b\u00fccher.test>", "550/5.6.7"),
    mail_row("from-utf8", "6531 3.3", "<\u00fc@d.test> SMTPUTF8", "250"),
    mail_row("from-utf8-domain", "6531 3.3", "<a@b\u00fccher.test> SMTPUTF8", "250"),
    mail_row("from-utf8-chinese", "6531 3.3", "<\u7528\u6237@\u4f8b\u5b50.test> SMTPUTF8", "250"),
    mail_row("from-utf8-invalid", "6531 3.3", b"<\xfc@d.test> SMTPUTF8", "501"),
    mail_row("from-utf8-overlong", "3629 3", b"<\xc0\x80@d.test> SMTPUTF8", "501"),
    mail_row("from-utf8-surrogate", "3629 3", b"<\xed\xa0\x80@d.test> SMTPUTF8", "501"),
    rcpt_row("to-plain", "5321 4.1.1.3", "<r@to.test>", "250/2.1.5"),
    rcpt_row("to-null", "5321 4.1.1.3", "<>", "501/5.1.3"),
    rcpt_row("to-postmaster", "5321 4.5.1", "<Postmaster>", "250"),
    rcpt_row("to-postmaster-of-domain", "5321 4.5.1", "<postmaster@to.test>", "250"),
    rcpt_row("to-no-domain", "5321 4.1.2", "<root>", "501/5.1.3"),
    rcpt_row("to-bare", "5321 4.1.2", "r@to.test", "501/5.1.3"),
    rcpt_row("to-route", "5321 C", "<@a.test,@b.test:r@to.test>", "250"),
    rcpt_row("to-local-of-65", "5321 4.5.3.1.1", f"<{'a' * 65}@d.test>", "501/5.1.3"),
    rcpt_row("to-utf8-unannounced", "6531 3.5", "<\u00fc@to.test>", "553/5.6.7"),
    ("orcpt-utf8", "6533 3", "ehlo", ("MAIL FROM:<a@b.test> SMTPUTF8", "RCPT TO:<u@to.test> ORCPT=utf-8;\u00fc@c.test"), "250; 250"),
    ("to-utf8", "6531 3.3", "ehlo", ("MAIL FROM:<a@b.test> SMTPUTF8", "RCPT TO:<\u00fc@to.test>"), "250; 250"),
]

PARAMETERS = [mail_row("mail-" + name, reference, "<s@from.test>" + said, wanted) for name, reference, said, wanted in [
    ("size", "1870 6.1", " SIZE=1000", "250"), ("size-0", "1870 6.1", " SIZE=0", "250"),
    ("size-largest", "1870 6.1", " SIZE=52428800", "250"), ("size-too-large", "1870 6.1", " SIZE=52428801", "552/5.3.4"),
    ("size-2-63", "row 32", " SIZE=9223372036854775808", "552/5.3.4"),
    ("size-2-64-and-1", "row 32", " SIZE=18446744073709551617", "552/5.3.4"),
    ("size-of-21-digits", "1870 6", " SIZE=" + "9" * 21, "501/5.5.4"), ("size-word", "1870 6", " SIZE=big", "501/5.5.4"),
    ("size-negative", "1870 6", " SIZE=-1", "501/5.5.4"), ("size-plus", "1870 6", " SIZE=+1", "501/5.5.4"),
    ("size-hex", "1870 6", " SIZE=0x10", "501/5.5.4"), ("size-empty", "1870 6", " SIZE=", "501/5.5.4"),
    ("size-alone", "1870 6", " SIZE", "501/5.5.4"), ("size-twice", "5321 4.1.2", " SIZE=1 SIZE=2", "501/5.5.4"),
    ("size-any-case", "5321 2.4", " siZe=1", "250"),
    ("body-7bit", "6152 3", " BODY=7BIT", "250"), ("body-8bitmime", "6152 3", " BODY=8bitMIME", "250"),
    ("body-binary", "3030 3", " BODY=BINARYMIME", "501/5.5.4"), ("body-alone", "6152 3", " BODY", "501/5.5.4"),
    ("body-twice", "6152 3", " BODY=7BIT BODY=7BIT", "501/5.5.4"),
    ("ret-full", "3461 4.3", " RET=FULL", "250"), ("ret-hdrs", "3461 4.3", " RET=HDRS", "250"),
    ("ret-other", "3461 4.3", " RET=ALL", "501/5.5.4"), ("ret-twice", "3461 4.3", " RET=FULL RET=HDRS", "501/5.5.4"),
    ("envid", "3461 4.4", " ENVID=QQ314159", "250"), ("envid-xtext", "3461 4.4", " ENVID=a+2Bb", "250"),
    ("envid-lf", "CVE-2020-28021", " ENVID=a+0Ab", "501/5.5.4"), ("envid-cr", "CVE-2020-28021", " ENVID=a+0Db", "501/5.5.4"),
    ("envid-nul", "3461 4.4", " ENVID=a+00", "501/5.5.4"), ("envid-esc", "row 45", " ENVID=a+1B[2J", "501/5.5.4"),
    ("envid-bad-hex", "3461 4", " ENVID=+zz", "501/5.5.4"), ("envid-cut-hex", "3461 4", " ENVID=a+2", "501/5.5.4"),
    ("envid-empty", "3461 4.4", " ENVID=", "501/5.5.4"), ("envid-of-101", "3461 4.4", " ENVID=" + "e" * 101, "501/5.5.4"),
    ("smtputf8", "6531 3.4", " SMTPUTF8", "250"), ("smtputf8-value", "6531 3.4", " SMTPUTF8=1", "501/5.5.4"),
    ("auth-null", "4954 5", " AUTH=<>", "250"), ("auth-lf", "CVE-2020-28021", " AUTH=a+0Ab", "501/5.5.4"),
    ("all", "5321 4.1.1.11", " SIZE=9 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<>", "250"),
    ("unknown", "5321 4.1.1.11", " FOO=1", "555/5.5.4"), ("unknown-alone", "5321 4.1.1.11", " FOO", "555/5.5.4"),
    ("requiretls", "8689 2", " REQUIRETLS", "530/5.7.10"),
    ("notify", "3461 4.1", " NOTIFY=NEVER", "555/5.5.4"), ("without-space", "5321 4.1.2", "SIZE=1", "501"),
    ("without-keyword", "5321 4.1.2", " =1", "501"), ("two-equals", "5321 4.1.2", " SIZE=1=2", "501"),
]] + [rcpt_row("rcpt-" + name, reference, "<r@to.test>" + said, wanted) for name, reference, said, wanted in [
    ("notify-never", "3461 4.1", " NOTIFY=NEVER", "250"), ("notify-three", "3461 4.1", " NOTIFY=SUCCESS,FAILURE,DELAY", "250"),
    ("notify-any-case", "3461 4.1", " notify=failure", "250"),
    ("notify-never-and", "3461 4.1", " NOTIFY=NEVER,SUCCESS", "501/5.5.4"), ("notify-empty", "3461 4.1", " NOTIFY=", "501/5.5.4"),
    ("notify-other", "3461 4.1", " NOTIFY=ALWAYS", "501/5.5.4"), ("notify-comma", "3461 4.1", " NOTIFY=SUCCESS,", "501/5.5.4"),
    ("notify-comma-first", "3461 4.1", " NOTIFY=,DELAY", "501/5.5.4"),
    ("notify-twice", "3461 4.1", " NOTIFY=DELAY NOTIFY=DELAY", "501/5.5.4"),
    ("orcpt", "3461 4.2", " ORCPT=rfc822;r@to.test", "250"), ("orcpt-xtext", "3461 4.2", " ORCPT=rfc822;a+2Bb@c.test", "250"),
    ("orcpt-lf", "CVE-2020-28026", " ORCPT=rfc822;a+0Ab", "501/5.5.4"),
    ("orcpt-crlf", "CVE-2020-28026", " ORCPT=rfc822;a+0D+0AFinal-Recipient:+20x", "501/5.5.4"),
    ("orcpt-nul", "CVE-2020-28026", " ORCPT=rfc822;a+00b", "501/5.5.4"),
    ("orcpt-sql", "CVE-2025-67896", " ORCPT=rfc822;x'/**/UNION/**/SELECT+2C1", "250"),
    ("orcpt-lower-hex", "3461 4", " ORCPT=rfc822;a+2bb", "501/5.5.4"), ("orcpt-cut-hex", "3461 4", " ORCPT=rfc822;a+", "501/5.5.4"),
    ("orcpt-no-type", "3461 4.2", " ORCPT=r@to.test", "501/5.5.4"), ("orcpt-empty", "3461 4.2", " ORCPT=rfc822;", "501/5.5.4"),
    ("orcpt-unixtext", "6533 3", " ORCPT=utf-8;\\x{FC}\\x{2B}@c.test", "250"), ("orcpt-bad-hexpoint", "6533 3", " ORCPT=utf-8;\\x{D800}", "501/5.5.4"),
    ("orcpt-utf8-unasked", "6533 3", " ORCPT=utf-8;\u00fc@c.test", "553/5.6.7"), ("orcpt-utf8-rfc822", "6533 3", " ORCPT=rfc822;\u00fc@c.test", "501/5.5.4"),
    ("orcpt-type-with-space", "3461 4.2", " ORCPT=rfc 822;a@b", "501/5.5.4"), ("orcpt-in-mail", "3461 4.2", " ENVID=x", "555/5.5.4"),
    ("orcpt-of-600", "3461 4.2", " ORCPT=rfc822;" + "o" * 600, "501/5.5.4"),
    ("size", "1870 6", " SIZE=1", "555/5.5.4"), ("unknown", "5321 4.1.1.11", " FOO", "555/5.5.4"),
]]

MESSAGE = b"Subject: s\r\n\r\nbody\r\n.\r\n"
WHOLE = SETUPS["data"][0] + MESSAGE
PIPELINING = [
    ("session-in-one-segment", "2920 3.2", "new", WHOLE + b"QUIT\r\n", "250 250 250 354 250/2.0.0 221 close"),
    ("two-messages-in-one-segment", "2920 3.2", "new", WHOLE + WHOLE[WHOLE.index(b"MAIL"):], "250 250 250 354 250 250 250 354 250"),
    ("rset-between", "2920 3.2", "ehlo", b"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<r@to.test>\r\n", "250 250 250 250"),
    ("mail-refused", "2920 3.1", "ehlo", b"MAIL FROM:<x\r\nRCPT TO:<r@to.test>\r\nDATA\r\n", "501 503 503"),
    ("all-rcpt-refused", "2920 3.1", "ehlo", b"MAIL FROM:<>\r\nRCPT TO:<x\r\nRCPT TO:<>\r\nDATA\r\nRSET\r\n", "250 501 501 554 250"),
    ("one-rcpt-refused", "2920 3.1", "mail", b"RCPT TO:<x\r\nRCPT TO:<r@to.test>\r\nDATA\r\n" + MESSAGE, "501 250 354 250"),
    ("noop-behind-data", "2920 3.1", "data", MESSAGE + b"NOOP\r\nRSET\r\n", "250 250 250"),
    ("quit-skips-the-rest", "2920 3.1", "ehlo", b"QUIT\r\nMAIL FROM:<>\r\n", "221 close"),
    ("line-in-two-segments", "2920 3.1", "ehlo", (b"MAIL FR", b"OM:<>\r", b"\n"), "; ; 250"),
    ("errors", "row 33", "new", b"FOO\r\n" * 21 + b"NOOP\r\n", "500 " * 20 + "421 close"),
    ("errors-of-recipients", "row 33", "mail", b"RCPT TO:<x\r\n" * 21, "501 " * 20 + "421 close"),
    ("noop-flood", "row 33", "new", b"NOOP\r\n" * 101, "250 " * 100 + "421 close"),
    ("rset-flood", "row 33", "new", b"RSET\r\n" * 101, "250 " * 100 + "421 close"),
    ("ehlo-flood", "row 33", "new", b"EHLO x\r\n" * 101, "250 " * 100 + "421 close"),
    ("vrfy-flood", "row 33", "new", b"VRFY x\r\n" * 101, "252 " * 100 + "421 close"),
    ("mail-rset-flood", "row 33", "ehlo", b"MAIL FROM:<>\r\nRSET\r\n" * 100, "250 250 " * 99 + "250 421 close"),
    ("message-clears-the-counts", "row 33", "new", b"FOO\r\n" * 15 + WHOLE + b"FOO\r\n" * 15, "500 " * 15 + "250 250 250 354 250 " + "500 " * 15),
]

RELAYING = [("relay-" + name, "row 35", "ehlo", ("MAIL FROM:<s@from.test>", f"RCPT TO:{path}", "DATA"), "250; 550/5.7.1; 554")
            for name, path in [
                ("plain", "<r@to.test>"), ("percent", "<r%to.test@relay.outlast.test>"), ("percent-literal", "<r%to.test@[127.0.0.1]>"),
                ("bang", "<to.test!r@relay.outlast.test>"), ("quoted-at", '<"r@to.test"@relay.outlast.test>'),
                ("quoted-percent", '<"r%to.test"@relay.outlast.test>'), ("route", "<@relay.outlast.test:r@to.test>"),
                ("route-localhost", "<@localhost:r@to.test>"), ("own-host", "<r@relay.outlast.test>"),
                ("own-literal", "<r@[127.0.0.1]>"), ("localhost", "<r@localhost>"), ("quoted-bang", '<"to.test!r"@relay.outlast.test>'),
                ("percent-twice", "<r%to.test%relay.outlast.test@relay.outlast.test>"), ("bang-twice", "<relay.outlast.test!to.test!r@localhost>"),
                ("bang-percent", "<to.test!r%a.test@relay.outlast.test>"), ("route-of-two", "<@localhost,@relay.outlast.test:r@to.test>"),
                ("route-with-percent", "<@relay.outlast.test:r%to.test@relay.outlast.test>"), ("quoted-at-literal", '<"r@to.test"@[127.0.0.1]>'),
                ("quoted-route", '<"@relay.outlast.test:r@to.test"@localhost>'), ("literal-ipv6", "<r@[IPv6:::1]>"),
                ("any-case", "<R@TO.TEST>"), ("without-space", " <r@to.test>"), ("notify", "<r@to.test> NOTIFY=SUCCESS"),
                ("postmaster-elsewhere", "<postmaster@to.test>"), ("orcpt", "<r@to.test> ORCPT=rfc822;r@relay.outlast.test"),
            ]] + [(f"relay-malformed-{name}", "row 35", "ehlo", ("MAIL FROM:<s@from.test>", f"RCPT TO:{path}", "DATA"), "250; 501; 554")
            for name, path in [
                ("bare", "r@to.test"), ("two-ats", "<r@to.test@relay.outlast.test>"), ("bang-only", "<to.test!r>"), ("final-dot", "<r@to.test.>"),
                ("percent-only", "<r%to.test>"), ("route-without-address", "<@relay.outlast.test:>"), ("percent-domain", "<r@to.test%localhost>"),
                ("quoted-only", '<"r@to.test">'), ("space", "<r@to.test relay.outlast.test>"), ("comment", "<r(x)@to.test>"),
            ]] + [
    ("postmaster-for-anybody", "5321 4.5.1", "ehlo", ("MAIL FROM:<s@from.test>", "RCPT TO:<Postmaster>"), "250; 250"),
    ("relay-null-sender", "row 35", "ehlo", ("MAIL FROM:<>", "RCPT TO:<r@to.test>"), "250; 550/5.7.1"),
    ("relay-sender-of-ours", "row 35", "ehlo", ("MAIL FROM:<a@relay.outlast.test>", "RCPT TO:<r@to.test>"), "250; 550/5.7.1"),
    ("relay-claims-a-login", "row 35", "ehlo", ("MAIL FROM:<s@from.test> AUTH=root@relay.outlast.test", "RCPT TO:<r@to.test>"),
     "250; 550/5.7.1"),
]


def plain(text):
    return "AUTH PLAIN " + base64.b64encode(text.encode()).decode()


def coded(text):
    return base64.b64encode(text.encode()).decode()


AUTH = [
    ("plain", "4616 2", "ehlo", (plain("\0ann\0secret"), "MAIL FROM:<>", "RCPT TO:<r@to.test>"), "235/2.7.0; 250; 250"),
    ("plain-for-oneself", "4616 2", "ehlo", plain("ann\0ann\0secret"), "235"),
    ("plain-in-two-steps", "4954 4", "ehlo", ("AUTH PLAIN", coded("\0ann\0secret")), "334; 235"),
    ("login", "4954 4", "ehlo", ("AUTH LOGIN", coded("ann"), coded("secret")), "334; 334; 235"),
    ("login-with-name", "4954 4", "ehlo", ("AUTH LOGIN " + coded("ann"), coded("secret")), "334; 235"),
    ("wrong-password", "4954 6", "ehlo", (plain("\0ann\0wrong"), "MAIL FROM:<>", "RCPT TO:<r@to.test>"), "535/5.7.8; 250; 550/5.7.1"),
    ("unknown-user", "4954 6", "ehlo", plain("\0bob\0secret"), "535/5.7.8"),
    ("for-another", "4616 2", "ehlo", plain("bob\0ann\0secret"), "535/5.7.8"),
    ("empty-password", "4616 2", "ehlo", plain("\0ann\0"), "535/5.7.8"),
    ("empty-response", "4954 4", "ehlo", "AUTH PLAIN =", "501/5.5.2"),
    ("no-nul", "4616 2", "ehlo", plain("annsecret"), "501/5.5.2"),
    ("three-nuls", "4616 2", "ehlo", plain("\0ann\0secret\0x"), "501/5.5.2"),
    ("not-base64", "4954 4", "ehlo", "AUTH PLAIN AGE!", "501"),
    ("cut-base64", "4954 4", "ehlo", "AUTH PLAIN AGE", "501"),
    ("cancelled", "4954 4", "ehlo", ("AUTH LOGIN", "*"), "334; 501/5.7.0"),
    ("cancelled-at-password", "4954 4", "ehlo", ("AUTH LOGIN", coded("ann"), "*"), "334; 334; 501/5.7.0"),
    ("command-in-exchange", "4954 4", "ehlo", ("AUTH LOGIN", "QUIT now"), "334; 501"),
    ("too-long-response", "4954 4.1", "ehlo", ("AUTH PLAIN", "A" * 20000), "334; 500/5.5.6"),
    ("unknown-mechanism", "4954 4", "ehlo", "AUTH CRAM-MD5", "504/5.5.4"),
    ("twice", "4954 4", "ehlo", (plain("\0ann\0secret"), plain("\0ann\0secret")), "235; 503"),
    ("in-transaction", "4954 4", "mail", plain("\0ann\0secret"), "503"),
    ("pipelined-behind", "4954 4", "ehlo", b"AUTH PLAIN AGFubgB3cm9uZw==\r\nMAIL FROM:<>\r\nRCPT TO:<r@to.test>\r\n", "535 250 550"),
    ("guesses", "row 33", "ehlo", (plain("\0ann\0no") + "\r\n").encode() * 5, "535 535 535 535 535"),
]

AUTH_ONLY = [
    ("mail-needs-auth", "4954 6", "ehlo", "MAIL FROM:<s@from.test>", "530/5.7.0"),
    ("mail-after-auth", "4954 6", "ehlo", (plain("\0ann\0secret"), "MAIL FROM:<s@from.test>"), "235; 250"),
]

STARTTLS = [
    ("noop-behind", "CVE-2011-0411", "ehlo", b"STARTTLS\r\nNOOP\r\n", "554 close"),
    ("mail-behind", "CVE-2011-0411", "ehlo", b"STARTTLS\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@to.test>\r\n", "554 close"),
    ("one-octet-behind", "CVE-2011-0411", "ehlo", b"STARTTLS\r\nx", "554 close"),
    ("in-transaction", "3207 4", "mail", "STARTTLS", "503"),
    ("with-argument", "3207 4", "ehlo", "STARTTLS now", "501"),
    ("before-ehlo", "3207 4", "new", b"STARTTLS\r\nNOOP\r\n", "554 close"),
    ("no-handshake", "row 25", "ehlo", (b"STARTTLS\r\n", b"EHLO injected.test\r\n\r\n"), "220; close"),
]


def run_dialogues(suite, world):
    hosts = bb.Hosts()
    dns = world.dns(["*.test A 127.0.9.9"])
    conf = {"delivery.port": hosts.port, "dns.servers": [dns.at["dns"]], "dns.allow-addresses": ["127.0.0.0/8"],
            "queue.min-free": "10M", "log.level": "warning"}
    relay = world.relay(conf)
    relay.start()
    check = dialogue(relay.port)
    suite.group("commands", COMMANDS, check)
    suite.group("no commands", NO_COMMANDS, check)
    suite.group("addresses", ADDRESSES, check)
    suite.group("parameters", PARAMETERS, check)
    suite.group("pipelining", PIPELINING, check)
    suite.group("octet by octet", [("every-octet-a-segment", "2920 3.2", None)], lambda row: octet_by_octet(relay.port))
    suite.group("no word of a crash", [("log", "row 45", None)], lambda row: is_unharmed(relay))


def octet_by_octet(port):
    octets = WHOLE + b"QUIT\r\n"
    with Client(port) as client:
        client.socket.setsockopt(bb.socket.IPPROTO_TCP, bb.socket.TCP_NODELAY, 1)
        for i in range(len(octets)):
            client.say(octets[i:i + 1])
        client.await_replies("250 250 250 354 250/2.0.0 221 close")


def is_unharmed(relay):
    expect(relay.process.is_running(), "outlastd died:\n" + relay.log()[-2000:])
    expect_equal(relay.stop(), 0, "exit status")


def run_access(suite, world):
    """Who may: networks, users, TLS."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", world.path("key.pem"), "-out", world.path("cert.pem"), "-days", "2",
                    "-subj", "/CN=relay.outlast.test"], check=True, capture_output=True)
    password = subprocess.run(["openssl", "passwd", "-6", "secret"], check=True, capture_output=True, text=True).stdout.strip()
    with open(world.path("users"), "w", encoding="ascii") as file:
        file.write(f"ann:{password}\n")
    os.chmod(world.path("users"), 0o600)
    os.chmod(world.path("key.pem"), 0o600)
    tls_port, auth_port = lib.free_port(), lib.free_port()
    relay = world.relay({
        "delivery.port": lib.free_port(), "queue.min-free": "10M", "trusted": ["127.0.0.1/32"], "log.level": "warning",
        "auth.users": world.path("users"), "auth.failures-max": 0, "tls.certificate": world.path("cert.pem"), "tls.key": world.path("key.pem"),
    }, name="access")
    relay.settings["listeners"] += [{"address": f"127.0.0.1:{tls_port}", "tls": "starttls"},
                                    {"address": f"127.0.0.1:{auth_port}", "allow": "authenticated"}]
    relay.configure(relay.settings)
    relay.start()
    suite.group("relaying", RELAYING, dialogue(relay.port, NOT_TRUSTED))
    suite.group("auth", AUTH, dialogue(relay.port, NOT_TRUSTED))
    suite.group("auth only", AUTH_ONLY, dialogue(auth_port))
    suite.group("starttls", STARTTLS, dialogue(tls_port))
    suite.group("tls", [("forgets-what-was-said", "3207 4.2", None)], lambda row: forgets(tls_port))
    suite.group("access, unharmed", [("access-log", "row 45", None)], lambda row: is_unharmed(relay))


def forgets(port):
    """Behind the handshake neither the name nor the offer of TLS counts any more."""
    with Client(port) as client:
        expect("STARTTLS" in client.ask("EHLO client.test")[2], "STARTTLS is offered")
        expect_equal(client.ask("STARTTLS")[0], 220, "STARTTLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.socket = context.wrap_socket(client.socket)
        client.say("MAIL FROM:<s@from.test>")
        client.await_reply("503/5.5.1")
        expect("STARTTLS" not in client.ask("EHLO client.test")[2], "STARTTLS is not offered again")
        client.say("STARTTLS")
        client.await_reply("503")
        client.is_in_step()


def main():
    suite = bb.Suite()
    with lib.World("dialogue") as world:
        run_dialogues(suite, world)
        run_access(suite, world)
        world.is_failed = suite.failed > 0
    return suite.finish()


if __name__ == "__main__":
    raise SystemExit(main())
