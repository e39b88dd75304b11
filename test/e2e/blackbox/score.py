#!/usr/bin/python3
"""The server cases of this suite against other servers: score.py --server postfix|exim|opensmtpd|outlast (several may be named).

It checks the suite, not the peers: a case that all of them fail is looked at twice. Each case is judged (a) by what the RFCs
bind: the first digit of each reply, and what arrived at a sink behind, and (b) exactly, as outlastd is judged. Cases about
limits and wishes of our own are left out, by the table WISHES, and so is the refusal of bare CR, LF and NUL. The peers come from Debian's packages, unpacked, each with a
private configuration: it relays for 127.0.0.1 to the sink, and for nobody else. Nothing here is part of make check.
"""

import argparse
import fnmatch
import os
import re
import socket
import subprocess
import sys
import time

import bb
import lib
import server_content as content
import server_dialogue as dialogue

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
import exim  # noqa: E402
import opensmtpd  # noqa: E402
import peer  # noqa: E402
import postfix  # noqa: E402

STRANGER = "127.0.0.5"
SIZE_MAX, HOPS_MAX = 52428800, 100  # those of our shipped configuration, set alike for all
REPLY_S, SETTLE_S = 3, 4

# Group, pattern of case names, why the RFCs do not ask for it.
WISHES = [
    ("commands", "help*", "HELP is optional (5321 4.5.1)"),
    ("commands", "ehlo-control", "what may stand in our log"), ("commands", "ehlo-nul", "what may stand in our log"),
    ("commands", "quit-with-argument", "leniency is allowed"),
    ("no commands", "http-*", "other protocols end the session"), ("no commands", "format-verb", "any first digit will do"),
    ("no commands", "line-of-*", "longest line: 512 octets are owed"), ("no commands", "long-line-*", "longest line"),
    ("no commands", "etrn", "ETRN is for known clients"),
    ("no commands", "xclient", "a peer may know it"), ("no commands", "xforward", "a peer may know it"),
    ("parameters", "mail-size-largest", "our largest message"),
    ("parameters", "mail-hold*", "our extension"), ("parameters", "mail-by*", "our extension"),
    ("parameters", "mail-mt-priority*", "our extension"), ("parameters", "mail-requiretls*", "our extension"),
    ("pipelining", "*errors*", "our count of errors"), ("pipelining", "*flood", "our count of idle commands"),
    ("pipelining", "message-clears-the-counts", "our count of errors"),
    ("pipelining", "session-in-one-segment", "EHLO must end its group (2920 3.1)"),
    ("pipelining", "two-messages-in-one-segment", "EHLO must end its group (2920 3.1)"),
    ("relaying", "postmaster-for-anybody", "a matter of configuration"),
    ("byte-exact", "noise-*", "lines of more than 1000 octets"), ("byte-exact", "long-*", "lines of more than 1000 octets"),
    ("byte-exact", "all-octets-in-header", "no header section of RFC 5322"), ("byte-exact", "no-header", "the same"),
    ("byte-exact", "body-only", "the same"), ("byte-exact", "dot-first-line", "the same"), ("byte-exact", "mbox-from", "the same"),
]


class Line:
    """A connection that reads replies as they come, whatever they are."""

    def __init__(self, port, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0) if source else None)
        self.file = self.socket.makefile("rb")

    def say(self, octets):
        try:
            self.socket.sendall(octets.encode() + b"\r\n" if isinstance(octets, str) else octets)
        except OSError:
            pass  # the reply, or its want, tells

    def reply(self, seconds=REPLY_S):
        """(code, enhanced code), "close", or None when nothing comes."""
        self.socket.settimeout(seconds)
        while True:
            try:
                line = self.file.readline()
            except TimeoutError:
                self.file = self.socket.makefile("rb")
                return None
            except OSError:
                return "close"
            if not line:
                return "close"
            found = re.match(rb"(\d{3})(-?) ?([245]\.\d{1,3}\.\d{1,3}\b)?", line)
            if not found:
                return (0, "")
            if not found[2]:
                return (int(found[1]), (found[3] or b"").decode())

    def close(self):
        self.file.close()
        self.socket.close()


def is_met(got, wanted, is_exact):
    for one in wanted.split("|"):
        code, _, enhanced = one.partition("/")
        if got in ("close", None):
            if one == "close" and got == "close":
                return True
        elif one != "close" and (str(got[0]) == code and enhanced in ("", got[1]) if is_exact else str(got[0])[:1] == code[:1]):
            return True
    return False


def show(replies):
    return " ".join("-" if one is None else one if one == "close" else str(one[0]) for one in replies)


def set_up(line, setup):
    """As a client that waits for each reply; False when one is not as it must be."""
    octets, wanted = bb.SETUPS[setup]
    for command, code in zip(octets.splitlines(keepends=True), wanted.split()):
        line.say(command)
        if not is_met(line.reply(20), code, False):
            return False
    return True


def converse(port, row, source):
    """(by the first digit, exactly, what was replied)"""
    _, _, setup, said, wanted = row
    line = Line(port, source)
    try:
        line.reply(20)
        if not set_up(line, setup):
            return False, False, "not even " + setup
        got, asked = [], []
        steps = zip(said, wanted.split("; ")) if isinstance(said, tuple) else [(said, wanted)]
        for one, replies in steps:
            line.say(one)
            for want in replies.split():
                asked.append(want)
                got.append(line.reply())
                if got[-1] in (None, "close"):
                    break
        loose = len(got) == len(asked) and all(is_met(g, w, False) for g, w in zip(got, asked))
        exact = loose and all(is_met(g, w, True) for g, w in zip(got, asked))
        if exact and not wanted.endswith("close"):
            line.say("NOOP")
            exact = is_met(line.reply(), "250", True)
        return loose, exact, f"{show(got)}, expected {' '.join(asked)}"
    finally:
        line.close()


def everything(line, seconds):
    """All replies until it is silent."""
    got = []
    while got[-1:] != ["close"] and (reply := line.reply(seconds)):
        got.append(reply)
    return got


class Judge:
    def __init__(self, server, hosts):
        self.server, self.hosts, self.port = server, hosts, server.port

    def dialogue(self, row):
        return converse(self.port, row, None)

    def stranger(self, row):
        return converse(self.port, row, STRANGER)

    def exact(self, row):
        """(the body arrived as it was, all of it did)"""
        name, _, sent = row
        to = f"{name}@exact.test"
        line = Line(self.port)
        try:
            line.reply(20)
            for command in ("EHLO client.test", "MAIL FROM:<s@from.test> BODY=8BITMIME", f"RCPT TO:<{to}>", "DATA"):
                line.say(command)
                if not is_met(got := line.reply(20), "354" if command == "DATA" else "250", False):
                    return False, False, f"{command}: {got}"
            line.say(content.stuffed(sent) + b".\r\n")
            got = line.reply(60)
        finally:
            line.close()
        if not is_met(got, "250", False):
            return False, False, f"reply {got}"
        try:
            found = bb.wait_for(lambda: self.hosts.to(to), 20, "it arrives")[0]["content"]
        except bb.Failure:
            return False, False, "taken, and nothing arrived"
        trace = found[:len(found) - len(sent)]
        if found.endswith(sent) and re.fullmatch(rb"(?:(?:Received|Return-Path): [^\r]*\r\n(?:[ \t][^\r]*\r\n)*)*", trace):
            found = sent
        # a server of submission may mend the header section: what is behind the first empty line
        bodies = [part.partition(b"\r\n\r\n")[2] for part in (sent, found)]
        return bodies[0] == bodies[1] or found == sent, found == sent, f"{len(found)} octets arrived, {len(sent)} were sent"

    def smuggled(self, row):
        """(nothing but one message passed, it was refused with 550)"""
        name, _, between = row
        evil = f"evil-{name}@exact.test"
        hidden = f"MAIL FROM:<evil@from.test>\r\nRCPT TO:<{evil}>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n".encode()
        line = Line(self.port)
        try:
            line.reply(20)
            if not set_up(line, "data"):
                return False, False, "not even DATA"
            line.say(content.HEAD + b"body" + between + hidden)
            got = everything(line, 1)
        finally:
            line.close()
        deadline = time.monotonic() + (SETTLE_S if is_met(got[0] if got else None, "250", False) else 0.3)
        while time.monotonic() < deadline and not self.hosts.to(evil):
            time.sleep(0.05)
        return not self.hosts.to(evil), len(got) == 1 and is_met(got[0], "550", True), \
            f"{show(got)}; the hidden message {'ARRIVED' if self.hosts.to(evil) else 'did not arrive'}"


def groups(judge):
    return [
        ("commands", dialogue.COMMANDS, judge.dialogue), ("no commands", dialogue.NO_COMMANDS, judge.dialogue),
        ("addresses", dialogue.ADDRESSES, judge.dialogue), ("parameters", dialogue.PARAMETERS, judge.dialogue),
        ("pipelining", dialogue.PIPELINING, judge.dialogue), ("relaying", dialogue.RELAYING, judge.stranger),
        ("byte-exact", content.EXACT, judge.exact), ("smuggling", content.SMUGGLED, judge.smuggled),
    ]


def is_wish(group, name):
    return any(group == one and fnmatch.fnmatch(name, pattern) for one, pattern, _ in WISHES)


# --- the servers ---

def start_outlast(world, hosts, port):
    relay = world.relay({"routes": [{"name": "all", "via": f"[127.0.0.1]:{hosts.port}"}], "trusted": ["127.0.0.1/32"],
                         "queue.min-free": "10M", "log.level": "warning"})
    relay.start()
    return relay, "Outlast " + relay.cli("version").split()[-1]


def start_postfix(world, hosts, port):
    server = postfix.Postfix(world, "relay.outlast.test", "local.test", ["anna"], "127.0.0.1", port, settings=[
        f"relayhost = [127.0.0.1]:{hosts.port}", "mynetworks = 127.0.0.1/32",
        "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination", f"message_size_limit = {SIZE_MAX}",
        f"hopcount_limit = {HOPS_MAX}", "smtpd_error_sleep_time = 0", "smtpd_peername_lookup = no",
        "smtpd_client_connection_count_limit = 0", "smtpd_delay_reject = yes", "smtputf8_enable = yes", "disable_vrfy_command = no"])
    version = server.run("postconf", "-h", "mail_version").decode().strip()
    return server, f"Postfix {version}"


def start_exim(world, hosts, port):
    text = exim.CLIENT.replace("{to}", "  accept hosts = 127.0.0.1\n  deny message = relay not permitted")
    server = exim.Exim(world, text, {
        "hostname": "relay.outlast.test", "address": "127.0.0.1", "port": port, "smarthost": hosts.port, "user": "", "password": "",
        "require_tls": "", "require_auth": "", "certificate": "/dev/null",
        "settings": f"tls_advertise_hosts =\ndomainlist local_domains = local.test\nmessage_size_limit = {SIZE_MAX}\n"
                    f"received_headers_max = {HOPS_MAX}"})
    found = re.search(rb"Exim version (\S+)", server.box.run("exim4", "-bV"))
    return server, "Exim " + found[1].decode()


def start_opensmtpd(world, hosts, port):
    text = "smtp max-message-size {size}\n" + opensmtpd.CLIENT.replace(
        'match from any for any action "smarthost"', 'match from src 127.0.0.1 for any action "smarthost"')
    server = opensmtpd.Opensmtpd(world, text, {
        "hostname": "relay.outlast.test", "domain": "local.test", "address": "127.0.0.1", "port": port, "smarthost": hosts.port,
        "scheme": "smtp+notls://", "auth": "", "size": SIZE_MAX}, ["anna"], [("etc/secrets", "relay a:b\n", "opensmtpd")])
    version = subprocess.run(["dpkg-deb", "-f", debian_package("opensmtpd"), "Version"], capture_output=True, text=True, check=True)
    return server, "OpenSMTPD " + version.stdout.strip()


def debian_package(name):
    folder = os.path.join(peer.PEERS, "debs")
    return os.path.join(folder, sorted(one for one in os.listdir(folder) if one.startswith(name + "_"))[-1])


SERVERS = {"outlast": start_outlast, "postfix": start_postfix, "exim": start_exim, "opensmtpd": start_opensmtpd}


def score(name, only):
    """Prints what the server fails; returns its title and {group: (cases, by the first digit, exactly)} and the failed names."""
    with lib.World("score-" + name) as world:
        hosts = bb.Hosts("127.0.0.1")
        server, title = SERVERS[name](world, hosts, lib.free_port())
        judge, sums, failed = Judge(server, hosts), {}, set()
        for group, rows, check in groups(judge):
            if only and group not in only:
                continue
            counted = [row for row in rows if not is_wish(group, row[0])]
            met = [0, 0]
            for row in counted:
                try:
                    loose, exact, got = check(row)
                except OSError as why:
                    loose, exact, got = False, False, str(why)
                met[0] += loose
                met[1] += exact
                if not loose:
                    failed.add((group, row[0]))
                if not exact:
                    print(f"# {name} {group} {'FAILS' if not loose else 'differs'} {row[0]} ({row[1]}): {got}", flush=True)
            sums[group] = (len(counted), *met)
        server.process.kill()
        hosts.close()
    return title, sums, failed


def table(results):
    lines = ["| group | cases | " + " | ".join(title for title, _, _ in results) + " |", "|---|---" + "|---" * len(results) + "|"]
    totals = [[0, 0] for _ in results]
    cases = 0
    for group in results[0][1]:
        cells = []
        for total, (_, sums, _) in zip(totals, results):
            _, loose, exact = sums[group]
            total[0] += loose
            total[1] += exact
            cells.append(f"{loose} ({exact})")
        count = results[0][1][group][0]
        cases += count
        lines.append(f"| {group} | {count} | " + " | ".join(cells) + " |")
    lines.append(f"| all | {cases} | " + " | ".join(f"{loose} ({exact})" for loose, exact in totals) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", action="append", choices=SERVERS, help="default: all")
    parser.add_argument("--group", action="append", help="these groups only")
    args = parser.parse_args()
    results = [score(name, args.group) for name in args.server or SERVERS]
    print(f"Cases met by the first digit of each reply and by what arrived (exactly as Outlast), {time.strftime('%Y-%m-%d')}:\n")
    print(table(results))
    others = [failed for title, _, failed in results if not title.startswith("Outlast")]
    if len(others) > 1:
        print("\nFailed by all others: " + (", ".join(f"{group}: {name}" for group, name in sorted(set.intersection(*others))) or "none"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
