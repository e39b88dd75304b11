"""A private Exim 4 in a box: a server with mailboxes, or an MTA whose smarthost is the relay."""

from box import Box
from peer import Failure, lib, wait_for

COMMON = """
primary_hostname = {hostname}
local_interfaces = {address}
daemon_smtp_ports = {port}
log_file_path = {home}/log/%s
spool_directory = {home}/spool
log_selector = +tls_cipher +received_recipients
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 100
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
acl_smtp_rcpt = to
acl_smtp_data = content
never_users =
{settings}
begin acl
to:
{to}
content:
  accept
"""

TLS = """
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
"""

# Mailboxes: Maildirs of the account that Exim runs under.
SERVER = COMMON + """
begin routers
mailboxes:
  driver = accept
  domains = {domain}
  local_parts = {users}
  transport = mailbox
  no_more
begin transports
mailbox:
  driver = appendfile
  maildir_format
  directory = {home}/mail/$local_part_data
  create_directory
  user = Debian-exim
  group = Debian-exim
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = {plain}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
  server_advertise_condition = {login}
"""

CLIENT = COMMON + """
begin routers
smarthost:
  driver = manualroute
  domains = !+local_domains
  transport = smarthost
  route_list = * "localhost::{smarthost}" byname
  self = send
  no_more
mailboxes:
  driver = accept
  transport = mailbox
begin transports
smarthost:
  driver = smtp
  hosts_require_tls = {require_tls}
  hosts_require_auth = {require_auth}
  tls_verify_certificates = {certificate}
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
  hosts_try_fastopen =
mailbox:
  driver = appendfile
  maildir_format
  directory = {home}/mail/anna
  create_directory
  user = Debian-exim
  group = Debian-exim
begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""


class Exim:
    def __init__(self, world, text, values):
        self.box = box = Box(world, "exim", "exim4-daemon-heavy", ["Debian-exim"])
        self.address, self.port = values["address"], values["port"]
        for folder in ("spool", "log", "mail"):
            box.folder(folder, "Debian-exim")
        box.write("etc/exim4/exim4.conf", text.format(**values, home=box.home), mode=0o644)
        self.process = box.start("exim4", "-bdf", "-q1s")
        wait_for(self.answers, 20, "Exim greets")

    def answers(self):
        if not self.process.is_running():
            raise Failure(f"Exim ended: {self.process.log()}{self.log()}")
        return lib.port_answers(self.address, self.port)

    def log(self):
        return self.box.read("log/main") + self.box.read("log/panic")

    def retry(self):
        """It comes again by itself, each second."""

    def queue(self):
        return self.box.run("exim4", "-bp").decode().splitlines()

    def sendmail(self, content, sender, *to):
        self.box.run("exim4", "-i", "-f", sender, "--", *to, stdin=content)

    def mails(self, user):
        return self.box.mails(user)

    def wait_for_mails(self, user, count, seconds=20):
        return wait_for(lambda: len(self.mails(user)) >= count and self.mails(user), seconds,
                        f"{count} mails for {user} in Exim:\n{self.log()[-1500:]}")


def server(world, hostname, domain, users, address, port, certificate=None, key=None, login=None, mechanisms="plain login",
           settings=""):
    """login: (user, password): nobody else may send."""
    user, password = login or ("", "")
    return Exim(world, SERVER, {
        "hostname": hostname, "domain": domain, "users": " : ".join(users), "address": address, "port": port,
        "user": user, "password": password, "plain": "plain" in mechanisms and bool(login) and "yes" or "no",
        "login": "login" in mechanisms and bool(login) and "yes" or "no",
        "to": "  deny message = authentication required\n       !authenticated = *\n" * bool(login)
              + f"  accept domains = {domain}\n         local_parts = {' : '.join(users)}\n"
              + f"  deny message = unknown user\n       domains = {domain}\n  deny message = relay not permitted",
        "settings": settings + (TLS.format(certificate=certificate, key=key) if certificate else "tls_advertise_hosts =")})


def client(world, hostname, domain, address, port, smarthost, certificate=None, login=None):
    """An MTA at address:port that sends what is not for its domain to the relay on port smarthost."""
    user, password = login or ("", "")
    return Exim(world, CLIENT, {
        "hostname": hostname, "address": address, "port": port, "smarthost": smarthost, "user": user,
        "password": password.replace("^", "^^"), "require_tls": "*" if certificate else "", "require_auth": "*" if login else "",
        "certificate": certificate or "/dev/null", "to": "  accept",
        "settings": f"tls_advertise_hosts =\ndomainlist local_domains = {domain}"})
