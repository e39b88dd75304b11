#!/usr/bin/python3
"""What an operator says and sees in an outage, through the outlast command: a new relay learns from old logs, an outage is
declared, watched, ended and reported; a configuration that would end mail says so first."""

import fcntl
import json
import os
import re
import smtplib
import ssl
import struct
import subprocess
import termios
import textwrap

import lib
from lib import expect, expect_equal, wait_for

RATE = 2000


def send(relay, *recipients):
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        for recipient in recipients:
            smtp.sendmail("from@sender.test", [recipient], b"Subject: waits\r\n\r\nfor its destination\r\n")


def waiting(relay):
    return relay.status()["recipients"]["ready"] + relay.status()["recipients"]["waiting"]


def test_outage_is_declared_watched_and_reported(world):
    net = lib.Internet(world, {"dead.test": "127.0.7.21", "well.test": "127.0.7.22"})
    relay = world.relay(net.conf())
    relay.start(clock_rate=RATE)
    send(relay, "before@dead.test")
    wait_for(lambda: net.got("dead.test") == 1, 20, "delivery before the outage")
    net.control("mx.dead.test refuse")
    declared = json.loads(relay.cli("outage", "declare", "dead.test", "--until", "3d", "--note", "they said so", "--json"))
    expect_equal((declared["name"], declared["kind"], declared["open"]), ("dead.test", "declared", True), "declared")
    number = declared["outage"]
    relay.cli("outage", "declare", "dead.test", status=64)
    relay.cli("outage", "extend", number, "--until", "9d")
    send(relay, "one@dead.test", "two@dead.test", "one@well.test")
    wait_for(lambda: net.got("well.test") == 1 and waiting(relay) == 2, 20, "the dead wait, the others do not")
    expect(any(o["outage"] == number for o in relay.status()["outages"]), "status tells of it")
    expect("they said so" in relay.cli("outages"), "outages tells the note")
    expect(f"outage report {number}" in relay.cli("explain", "dead.test"), "explain tells of it")
    net.control("mx.dead.test up")
    wait_for(lambda: net.got("dead.test") == 3, 30, "delivery after the outage")
    relay.cli("outage", "end", number, status=None)  # 1: the relay has seen by itself that all was offered
    report = wait_for(lambda: (lambda r: r if not r["outage"]["open"] else None)(relay.json("outage", "report", number)),
                      20, "the end of the outage")
    expect_equal((report["lost"]["recipients"], report["suspect"]["recipients"]), (0, 1), "lost, suspects")
    expect_equal(report["suspect"]["list"][0]["address"], "before@dead.test", "the suspect")
    page = relay.cli("outage", "report", number)
    expect("they said so" in page and "before@dead.test" in page, page)
    expect_equal(relay.stop(), 0, "exit status")
    relay.cli("outage", "end", number, status=1)
    expect("dead.test" in relay.cli("outages", "--all"), "known without a daemon too")


def test_import_tells_what_worked_before(world):
    relay = world.relay({})
    log = world.path("mail.log")
    line = ("{} mail postfix/smtp[7]: 4Q0: to=<u@{}>, relay=mx.{}[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, "
            "status=sent (250 ok)\n")
    with open(log, "w", encoding="ascii") as file:
        file.write(line.format("2023-01-22T10:00:00+01:00", "old.test", "old.test"))
        file.write(line.format("2023-01-23T10:00:00+01:00", "old.test", "old.test"))
        file.write("Jan 23 10:00:00 mail postfix/smtp[7]: 4Q1: to=<u@late.test>, relay=none, dsn=4.4.1, status=deferred (x)\n")
    relay.start()
    done = json.loads(relay.cli("import", "--known-good", log, "--json"))
    expect_equal((done["lines"], done["sent"], done["domains"], done["mailboxes"]), (3, 2, 1, 1), "lines, sent, known good")
    relay.cli("import", "--known-good", "/dev/null", status=1)
    relay.cli("import", log, status=64)
    expect_equal(relay.stop(), 0, "exit status")
    relay.cli("import", "--known-good", "-", stdin=line.format("2023-01-24T10:00:00Z", "new.test", "new.test"))


def test_shorter_lifetime_says_first_what_it_ends(world):
    net = lib.Internet(world, {"dead.test": "127.0.7.23"})
    net.control("mx.dead.test refuse")
    relay = world.relay(net.conf())
    relay.start(clock_rate=RATE)
    send(relay, "one@dead.test", "two@dead.test")
    wait_for(lambda: relay.status()["oldest_age"] > 7200, 20, "two hours")
    relay.cli("config", "diff", status=1)
    relay.configure({**relay.settings, "queue.lifetime": "1h"})
    change = json.loads(relay.cli("config", "diff", "--json"))
    expect_equal((change["over"], [s["name"] for s in change["settings"]]), (2, ["queue.lifetime"]), "config diff")
    relay.cli("reload", status=64)
    expect("OVER AT ONCE: 2 " in relay.cli("reload", "--dry-run"), "reload --dry-run says it")
    expect("lifetime: 14d" in relay.cli("config", "show"), "nothing has changed yet")
    expect("14d -> 1h" in relay.cli("reload", "--yes"), "reload")
    wait_for(lambda: relay.status()["failed_total"] >= 2, 30, "the mail is over")
    revived = relay.json("revive", "--domain", "dead.test", "--yes")
    expect_equal(revived["recipients"], 2, "revived")
    policy = relay.json("policy", "dead.test")
    expect("lifetime-short" in [w["name"] for w in policy["warnings"]], "policy warns")
    expect_equal(relay.stop(), 0, "exit status")


def test_order_of_entries_is_a_setting(world):
    first, second = {"name": "a", "from": "a*", "priority": 1}, {"name": "b", "from": "*", "priority": 2}
    relay = world.relay({"classes": [first, second]})
    relay.start()
    relay.cli("config", "diff", status=1)
    relay.configure({**relay.settings, "classes": [second, first]})
    expect("order of entries" in relay.cli("config", "diff"), "config diff")
    relay.cli("policy", "two words", status=64)
    relay.cli("policy", "user@well.test")


def test_mistake_in_the_configuration_hides_nothing(world):
    relay = world.relay({})
    relay.start()
    with open(relay.conf_path, "a", encoding="utf-8") as file:
        file.write("bogus: 1\n")
    for words in (("reload",), ("reload", "--dry-run"), ("config", "diff"), ("status",)):
        done = subprocess.run([lib.program_path("outlast"), "-c", relay.conf_path, *words], capture_output=True, text=True,
                              check=False)
        expect_equal((done.returncode, done.stderr.count("bogus"), done.stdout), (65, 1, ""), f"{words}: {done.stderr}")
        expect("no daemon" not in done.stderr, f"{words}: {done.stderr}")
    relay.cli("--socket", relay.settings["control.socket"], "status")
    relay.cli("--socket", relay.settings["control.socket"], "reload", status=65)


def test_explain_says_what_tls_waits_for(world):
    net = lib.Internet(world, {"strict.test": "127.0.7.24", "plain.test": "127.0.7.25"})
    key, pem = world.path("relay.key"), world.path("relay.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj",
                    "/CN=relay"], check=True, capture_output=True)
    port = lib.free_port()
    relay = world.relay({**net.conf(), "destinations": [{"match": "strict.test", "tls": "verify"}], "tls.certificate": pem,
                         "tls.key": key})
    relay.configure({**relay.settings, "listeners": relay.settings["listeners"] + [{"address": f"127.0.0.1:{port}",
                                                                                     "tls": "implicit"}]})
    relay.start()
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as smtp:
        smtp.ehlo("client.test")
        smtp.sendmail("from@sender.test", ["u@strict.test"], b"Subject: x\r\n\r\nx\r\n", mail_options=["BY=7200;R"])
    send(relay, "before@plain.test")  # known good from then on: what it lacks is missed for a while only
    wait_for(lambda: net.got("plain.test") == 1, 20, "delivery")
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=ssl._create_unverified_context()) as smtp:
        smtp.ehlo("client.test")
        smtp.sendmail("from@sender.test", ["u@plain.test"], b"Subject: x\r\n\r\nx\r\n", mail_options=["REQUIRETLS"])
    for to, words in (("u@strict.test", ("tls verify: TLS is required, but not offered", "must ask for less",
                                         "then it is returned, outage or not")),
                      ("u@plain.test", ("message needs REQUIRETLS", "Only the sender's wish", "a certificate that verifies"))):
        queue_id = relay.cli("list", "--to", to, "--ids").split()[0]
        page = wait_for(lambda queue_id=queue_id, words=words: (lambda text: text if words[0] in text else None)(
            relay.cli("explain", queue_id)), 10, "the reason in explain")
        for part in words:
            expect(part in page, f"{part!r} in {page}")
    relay.cli("tls", status=1)
    page = relay.cli("tls", "strict.test")
    expect("verify" in page and "TLS is required, but not offered" in page and "must ask for less" in page, page)
    expect("mail waits" not in relay.cli("tls", "plain.test"), "nothing waits for a rule of its own")
    expect("remedy" in relay.json("tls", "strict.test"), "the same as JSON")


def test_check_config_looks_at_the_machine_too(world):
    def check(changes, status, *words):
        relay = world.relay({**changes}, name=f"r{len(os.listdir(world.directory))}")
        done = subprocess.run([lib.program_path("outlastd"), "-c", relay.conf_path, "--check-config"], capture_output=True, text=True,
                              check=False)
        expect_equal(done.returncode, status, f"{changes}: {done.stderr}")
        for part in words:
            expect(part in done.stderr, f"{part!r} in {done.stderr}")
        if not words:
            expect_equal(done.stderr, "", f"{changes}")

    pems = {}
    for name in ("one", "two"):
        pems[name] = world.path(name + ".pem"), world.path(name + ".key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pems[name][1], "-out", pems[name][0],
                        "-days", "90", "-subj", "/CN=relay"], check=True, capture_output=True)
    listener = [{"address": "127.0.0.1:5587", "tls": "starttls"}]
    one = {"tls.certificate": pems["one"][0], "tls.key": pems["one"][1]}
    check({}, 0)
    check({**one, "listeners": listener}, 0)
    check({**one, "tls.key": pems["two"][1], "listeners": listener}, 65, "is not the key of tls.certificate")
    check({**one, "tls.certificate": "/none.pem", "listeners": listener}, 65, "/none.pem: No such file")
    check(one, 0, "warning: tls.certificate is set, but no listener")
    check({"listeners": [{"address": "0.0.0.0:5587", "submission": True}]}, 0, "'submission: yes' has no TLS")
    check({"proxy-from": ["192.0.2.1"]}, 0, "no listener has 'proxy: yes'")
    check({"delivery.tls": "dane", "dns.servers": ["192.0.2.53"]}, 0, "that mail will wait")
    check({"delivery.tls": "dane", "dns.servers": ["127.0.0.1"]}, 0)
    check({"fetch-helper": "/none/outlast-fetch"}, 0, "no MTA-STS policy can be fetched", "No such file")
    check({"fetch-helper": "/none/outlast-fetch", "delivery.mta-sts": False}, 0)
    if os.getuid() == 0:
        check({"user": "nobody-of-that-name"}, 0, "user 'nobody-of-that-name' does not exist")


def test_configurations_of_readme_and_manual_are_good(world):
    """Each is taken as it stands, with files where it expects them, by the program itself."""
    with open(os.path.join(lib.ROOT, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", file.read(), re.M)
    with open(os.path.join(lib.ROOT, "man", "outlast.yaml.5"), encoding="utf-8") as file:
        blocks += [block for block in re.findall(r"^\.Bd.*\n((?:[^.].*\n)+)\.Ed", file.read(), re.M) if "#" not in block[:1]]
    configurations = [text for text in (textwrap.dedent(block).lstrip() for block in blocks) if re.match(r"[a-z-]+:( |$)", text, re.M)]
    expect(len(configurations) >= 9, f"only {len(configurations)} configurations were found")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", world.path("key.pem"), "-out",
                    world.path("cert.pem"), "-days", "90", "-subj", "/CN=relay"], check=True, capture_output=True)
    for name, other in (("relay.pem", "cert.pem"), ("relay.key", "key.pem")):
        os.link(world.path(other), world.path(name))
    subprocess.run([lib.program_path("outlast"), "passwd", "--file", world.path("users"), "webshop"], input="secret\n", text=True,
                   check=True, capture_output=True)
    for name, text in (("provider.secret", "user:password\n"), ("provider.password", "user:password\n"),
                       ("example.org.addresses", "anna@example.org\n")):
        with open(world.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(world.path(name), 0o600)
    for number, text in enumerate(configurations):
        path = world.path(f"{number}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("/etc/outlast/", world.directory + "/")
                       + f"fetch-helper: {os.path.join(lib.BUILD, 'outlast-fetch')}\n")
        done = subprocess.run([lib.program_path("outlastd"), "-c", path, "--check-config"], capture_output=True, text=True, check=False)
        expect_equal((done.returncode, done.stderr), (0, ""), text)


def test_completions_know_what_the_manual_knows(world):
    with open(os.path.join(lib.ROOT, "man", "outlast.1"), encoding="utf-8") as file:
        manual = file.read()
    options = {word for line in re.findall(r"^\.(?:It|Nm|Op|Fl) .*|^\.Op .*", manual, re.M) for word in re.findall(r"Fl -([a-z-]{2,})", line)}
    verbs = set(re.findall(r"^\.It Cm ([a-z-]+)", manual[manual.index("Verbs that look"):manual.index(".Ss Conditions")], re.M))
    expect(len(options) > 30 and len(verbs) > 20, f"{options} {verbs}")
    for name in ("_outlast", "outlast.bash", "outlast.fish"):
        with open(os.path.join(lib.ROOT, "etc", "completion", name), encoding="utf-8") as file:
            words = set(re.findall(r"[a-z]+(?:-[a-z]+)*", file.read()))
        expect_equal(sorted((options | verbs) - words), [], name)


def test_table_on_a_narrow_terminal_keeps_its_last_column(world):
    net = lib.Internet(world, {"dead.test": "127.0.7.24"})
    relay = world.relay(net.conf())
    relay.start()
    relay.cli("outage", "declare", "dead.test", "--note", "they said so")
    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    subprocess.run([lib.program_path("outlast"), "-c", relay.conf_path, "outages"], stdout=terminal, timeout=10, check=True)
    os.close(terminal)
    shown = os.read(main, 65536).decode()
    os.close(main)
    expect("they said so" in shown, shown)


def passwd(*args, stdin="", status=0):
    done = subprocess.run([lib.program_path("outlast"), "passwd", *args], input=stdin.encode(), capture_output=True,
                          timeout=20, check=False)
    expect_equal(done.returncode, status, f"passwd {args}: {done.stderr}")
    return done.stdout.decode()


def test_passwd_changes_one_line_and_nothing_else(world):
    path = world.path("users")
    passwd("--file", path, "ann", stdin="secret\n")
    expect_equal(os.stat(path).st_mode & 0o777, 0o600, "mode of a new file")
    with open(path, "a", encoding="utf-8") as file:
        file.write("# kept: as it is\n\nold:$6$salt$hash\nlast:$5$salt$hash")  # without a line end
    os.chmod(path, 0o640)
    os.chown(path, os.getuid(), os.getgid())
    os.symlink(path, world.path("link"))
    before = open(path, "rb")
    passwd("--file", world.path("link"), "b\u00f6b", stdin="p\u00e4ss:w\u00f6rt")
    passwd("--file", path, "old", stdin="new\n")
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    expect_equal([line.split(":")[0] for line in lines], ["ann", "# kept", "", "old", "last", "b\u00f6b", ""], "lines")
    expect(lines[1] == "# kept: as it is" and lines[4] == "last:$5$salt$hash", lines)
    expect(all(lines[i].split(":")[1].startswith("$y$") for i in (0, 3, 5)), lines)
    state = os.stat(path)
    expect_equal((state.st_mode & 0o777, state.st_ino != os.fstat(before.fileno()).st_ino), (0o640, True), "mode kept, a new file")
    before.close()
    expect(os.path.islink(world.path("link")), "the link is one still")
    expect_equal(sorted(os.listdir(world.directory)), ["link", "users"], "nothing is left behind")
    passwd("--file", path, "--check", "b\u00f6b", stdin="p\u00e4ss:w\u00f6rt\n")
    passwd("--file", path, "--check", "ann", stdin="Secret\n", status=1)
    passwd("--file", path, "--check", "nobody", stdin="x\n", status=1)
    passwd("--file", path, "--delete", "ann")
    passwd("--file", path, "--delete", "ann", status=1)
    expect_equal(passwd("--file", path, "--list").split("\n"), ["old\tyescrypt", "last\tsha256crypt", "b\u00f6b\tyescrypt", ""], "list")


def test_passwd_refuses_what_the_daemon_would_not_take(world):
    path = world.path("users")
    for name in ("a:b", "", "#a", " a", "a\nb", "x" * 256):
        passwd("--file", path, "--", name, stdin="secret\n", status=64)
    for password in ("", "\n", "a\0b\n", "x" * 512):
        passwd("--file", path, "ann", stdin=password, status=65)
    passwd("--file", path, status=64)
    passwd("--file", path, "ann", "secret", status=64)
    passwd("--file", path, "--list", "--delete", "ann", status=64)
    passwd("--file", world.path("none/users"), "ann", stdin="secret\n", status=75)
    expect_equal(os.listdir(world.directory), [], "nothing is made")


def on_terminal(world, argv, answers):
    """Runs argv on a terminal; each answer is typed once something was asked. Returns (what was shown, exit status)."""
    main, terminal = os.openpty()
    child = subprocess.Popen([lib.program_path("outlast"), *argv], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    for asked, answer in answers:
        while asked not in shown:
            shown += os.read(main, 4096)
        wait_for(lambda: not termios.tcgetattr(main)[3] & termios.ECHO, 10, "the terminal shows nothing")
        os.write(main, answer)
    status = child.wait(20)
    has_echo = bool(termios.tcgetattr(main)[3] & termios.ECHO)
    os.set_blocking(main, False)
    try:
        shown += os.read(main, 65536)
    except OSError:
        pass
    os.close(main)
    return shown, status, has_echo


def test_passwd_asks_twice_and_shows_nothing(world):
    argv = ["passwd", "--file", world.path("users"), "ann"]
    for answers, wanted in (([b"secret\n", b"secret\n"], 0), ([b"secret\n", b"secreT\n"], 65), ([b"sec\x03\n"], 65)):
        shown, status, has_echo = on_terminal(world, argv, list(zip((b"Password: ", b"Again: "), answers)))
        expect_equal((status, has_echo), (wanted, True), shown)
        expect(b"sec" not in shown, shown)
    passwd("--file", world.path("users"), "--check", "ann", stdin="secret\n")


if __name__ == "__main__":
    lib.run(globals())
