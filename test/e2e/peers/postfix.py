"""A private Postfix: unpacked from Debian's package, with configuration, queue and mailboxes in the test's directory.

Postfix insists on root and on two accounts of its own; those that every Debian has (news, games) lend their numbers, and
nothing is written outside the test's directory. Its master runs in a process group of its own, in the foreground, and is
ended with that group. Without root the test is skipped.
"""

import glob
import grp
import os
import pwd
import signal

from peer import PEERS, Failure, Skip, crlf, environment, fetch_packages, lib, run_program, wait_for

OWNER, DROP_GROUP, MAILBOX_USER = "news", "games", "mail"

# What makes it private, whatever else it is to be.
PRIVATE_CF = """
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
meta_directory = {conf}
shlib_directory = no
sendmail_path = {root}/usr/sbin/sendmail
mail_owner = {owner}
setgid_group = {group}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH SASL_PATH
export_environment = MAIL_CONFIG LD_LIBRARY_PATH SASL_PATH
maillog_file = {log}
maillog_file_prefixes = {directory}
inet_protocols = ipv4
inet_interfaces = loopback-only
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
"""

MAIN_CF = PRIVATE_CF + """
default_privs = nobody
myhostname = {hostname}
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mailboxes}
virtual_mailbox_maps = inline:{{ {maps} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
in_flow_delay = 0
minimal_backoff_time = 1s
queue_run_delay = 1s
smtp_host_lookup = native
smtputf8_autodetect_classes = all
"""

MASTER_CF = """
{address}:{port} inet n - n - - smtpd
postlog   unix-dgram n - n - 1 postlogd
pickup    unix n - n 1 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
tlsmgr    unix - - n 1000 1 tlsmgr
"""

# What `postfix set-permissions` would make: folders that only Postfix enters, and two that postdrop's group may.
OWNED = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")
SHARED = (("maildrop", 0o730), ("public", 0o710))


class Master(lib.Process):
    """Postfix's master, leader of a process group that holds all of Postfix."""

    def __init__(self, argv, log_path, env):
        # setsid becomes the master without a fork, so that the pid is the master's.
        super().__init__(["setsid", *argv], log_path, env=env)

    def kill(self):
        os.killpg(self.pid, signal.SIGKILL)
        return self.popen.wait(30)


class Postfix:
    """A running Postfix that takes mail at address:port and keeps that of its domain's users in Maildirs."""

    def __init__(self, world, hostname, domain, users, address, port, settings=(), home="pf"):
        if os.geteuid() != 0:
            raise Skip("Postfix runs as root only")
        fetch_packages("postfix")
        values = {**self.settle(world, address, port, home), "hostname": hostname, "domain": domain,
                  "mailboxes": self.mailboxes, "maps": ", ".join(f"{{ {u}@{domain} = {u}/ }}" for u in users),
                  "uid": pwd.getpwnam(MAILBOX_USER).pw_uid, "gid": grp.getgrnam(MAILBOX_USER).gr_gid}
        with open(os.path.join(self.conf, "main.cf"), "w", encoding="ascii") as file:
            file.write(MAIN_CF.format(**values) + "\n".join(settings) + "\n")
        with open(os.path.join(self.conf, "master.cf"), "w", encoding="ascii") as file:
            file.write(MASTER_CF.format(**values))
        self.start()

    def settle(self, world, address, port, home="pf"):
        """Makes its folders; returns what PRIVATE_CF and MASTER_CF are filled in with."""
        self.world = world
        self.address, self.port = address, port
        self.home = world.path(home)  # short: its sockets are to fit 107 octets
        self.mailboxes = os.path.join(self.home, "mail")
        self.log_path = os.path.join(self.home, "log", "maillog")
        self.conf = os.path.join(self.home, "etc")
        self.queue_directory = os.path.join(self.home, "queue")
        os.chmod(world.directory, 0o711)
        self.make_folders()
        return {"queue": self.queue_directory, "data": os.path.join(self.home, "data"), "conf": self.conf,
                "root": os.path.join(PEERS, "root"), "owner": OWNER, "group": DROP_GROUP, "log": self.log_path,
                "directory": self.home, "address": address, "port": port}

    def make_folders(self):
        owner, group = pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(DROP_GROUP).gr_gid
        for name in ("", "etc", "log", "queue", "queue/pid"):
            os.makedirs(os.path.join(self.home, name), mode=0o755, exist_ok=True)
        for name in ("data", *(f"queue/{name}" for name in OWNED)):
            path = os.path.join(self.home, name)
            os.mkdir(path, 0o700)
            os.chown(path, owner, 0)
        for name, mode in SHARED:
            path = os.path.join(self.home, "queue", name)
            os.mkdir(path)
            os.chown(path, owner, group)
            os.chmod(path, mode)
        os.mkdir(self.mailboxes)
        os.chown(self.mailboxes, pwd.getpwnam(MAILBOX_USER).pw_uid, grp.getgrnam(MAILBOX_USER).gr_gid)

    def start(self):
        self.spawn()
        wait_for(self.answers, 20, "Postfix greets")

    def spawn(self):
        master = os.path.join(PEERS, "root/usr/lib/postfix/sbin/master")
        self.process = Master([master, "-d", "-c", self.conf], os.path.join(self.home, "master.out"),
                              {**environment(), "MAIL_CONFIG": self.conf,
                                "SASL_PATH": ":".join(glob.glob(os.path.join(PEERS, "root/usr/lib/*/sasl2")))})
        self.world.processes.append(self.process)

    def answers(self):
        if not self.process.is_running():
            raise Failure(f"Postfix ended: {self.process.log()}{self.log()}")
        return lib.port_answers(self.address, self.port)

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def reload(self):
        """Every process takes up the configuration anew."""
        self.process.signal(signal.SIGHUP)

    def run(self, command, *args, stdin=b""):
        return run_program([os.path.join(PEERS, "root/usr/sbin", command), *args], stdin=stdin,
                           env={"MAIL_CONFIG": self.conf})

    def sendmail(self, content, sender, *to):
        """As a program of this host would send mail."""
        self.run("sendmail", "-i", "-f", sender, "--", *to, stdin=content)

    def retry(self):
        self.run("postqueue", "-f")

    def queue(self):
        return self.run("postqueue", "-j").decode().splitlines()

    def mails(self, user):
        """What lies in the user's mailbox, CRLF line ends, in no order."""
        folder = os.path.join(self.mailboxes, user, "new")
        if not os.path.isdir(folder):
            return []
        found = []
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                found.append(crlf(file.read()))
        return found

    def wait_for_mails(self, user, count, seconds=20):
        return wait_for(lambda: len(self.mails(user)) >= count and self.mails(user), seconds,
                        f"{count} mails for {user} in Postfix:\n{self.log()[-1500:]}")
