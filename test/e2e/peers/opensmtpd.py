"""A private OpenSMTPD in a box: a server with mailboxes, or an MTA whose smarthost is the relay."""

from box import Box
from peer import Failure, lib, wait_for

SERVER = """
{pki}
listen on {address} port {port} {listen} hostname {hostname}
action "mailboxes" maildir "{home}/mail/%{{user.username}}"
match from any for domain {domain} action "mailboxes"
"""

CLIENT = """
table secrets file:/etc/secrets
listen on {address} port {port} hostname {hostname}
action "smarthost" relay host {scheme}localhost:{smarthost} {auth} helo {hostname}
action "mailboxes" maildir "{home}/mail/%{{user.username}}"
match from any for domain {domain} action "mailboxes"
match from any for any action "smarthost"
"""


class Opensmtpd:
    def __init__(self, world, text, values, users, files):
        accounts = ["opensmtpd", "opensmtpq", *users]
        self.box = box = Box(world, "opensmtpd", "opensmtpd", accounts)
        self.address, self.port = values["address"], values["port"]
        box.folder("var/lib/opensmtpd/empty")
        box.folder("var/spool/smtpd", mode=0o711)
        box.folder("mail", mode=0o1777)
        for name, content, owner in files:
            box.write(name, content, owner=owner, mode=0o600 if name.endswith(".key") else 0o644)
        box.write("etc/smtpd.conf", text.format(**values, home=box.home), mode=0o644)
        self.process = box.start("smtpd", "-d", "-f", "/etc/smtpd.conf")
        wait_for(self.answers, 20, "OpenSMTPD greets")

    def answers(self):
        if not self.process.is_running():
            raise Failure(f"OpenSMTPD ended: {self.log()}")
        return lib.port_answers(self.address, self.port)

    def log(self):
        return self.process.log()

    def retry(self):
        self.box.run("setpriv", "--egid", "opensmtpq", "--keep-groups", "smtpctl", "schedule", "all")

    def queue(self):
        return self.box.run("sh", "-c", "ls /var/spool/smtpd/queue/*/* 2>/dev/null || true").decode().splitlines()

    def mails(self, user):
        return self.box.mails(user)

    def wait_for_mails(self, user, count, seconds=20):
        return wait_for(lambda: len(self.mails(user)) >= count and self.mails(user), seconds,
                        f"{count} mails for {user} in OpenSMTPD:\n{self.log()[-1500:]}")


def server(world, hostname, domain, users, address, port, certificate=None, key=None):
    """certificate: STARTTLS is offered, but every handshake fails: this version cannot use its key with OpenSSL 3."""
    files = []
    for path, name in ((certificate, "mx.pem"), (key, "mx.key")):
        if path:
            with open(path, encoding="ascii") as file:
                files.append(("etc/pki/" + name, file.read(), "root"))
    return Opensmtpd(world, SERVER, {
        "hostname": hostname, "domain": domain, "address": address, "port": port,
        "pki": 'pki server cert "/etc/pki/mx.pem"\npki server key "/etc/pki/mx.key"' if certificate else "",
        "listen": "tls pki server" if certificate else ""}, users, files)


def client(world, hostname, domain, address, port, smarthost, certificate=None, login=None):
    """An MTA at address:port that sends what is not for its domain to the relay on port smarthost. certificate: of the relay;
    it is verified, since in the box it is the only authority."""
    files = [("etc/secrets", f"relay {login[0]}:{login[1]}\n" if login else "relay a:b\n", "opensmtpd")]
    if certificate:
        with open(certificate, encoding="ascii") as file:
            files.append(("etc/ssl/certs/ca-certificates.crt", file.read(), "root"))
    return Opensmtpd(world, CLIENT, {
        "hostname": hostname, "domain": domain, "address": address, "port": port, "smarthost": smarthost,
        "scheme": ("smtp+tls://" if certificate else "smtp+notls://") + ("relay@" if login else ""),
        "auth": "auth <secrets>" if login else ""}, ["anna"], files)
