"""A box: a mount namespace in which unpacked packages look installed, for programs that insist on their paths and accounts.

/usr and /etc of the system shine through below those of the packages, /var and /run are the box's own, and so are the
accounts: nothing is written outside the test's directory, nothing is installed. The network is the machine's. Needs root;
without it, or where mounting is forbidden, the test is skipped.
"""

import grp
import os
import pwd
import signal
import subprocess

from peer import Skip, crlf, fetch_alone, lib, run_program

FIRST_ID = 61100
# What is mounted is seen by the program and its children alone.
PRELUDE = """set -e
mount --make-rprivate /
mount -t overlay -o ro,lowerdir="$BOX_ROOT/usr:/usr" overlay /usr
mount -t overlay -o ro,lowerdir="$BOX/etc:$BOX_ROOT/etc:/etc" overlay /etc
mount --bind "$BOX/var" /var
mount --bind "$BOX/run" /run
exec "$@"
"""


class Daemon(lib.Process):
    """A peer in the foreground, leader of a process group that holds all of it, and ended with that group."""

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.popen.wait(30)


class Box:
    """accounts: names; each gets a number, a group of its own, and a home in the box."""

    def __init__(self, world, name, package, accounts=(), groups=()):
        if os.geteuid() != 0:
            raise Skip(f"{package} wants a mount namespace of its own, and root for it")
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
            raise Skip("mount namespaces are forbidden here")
        self.world = world
        self.home = world.path(name)
        self.root = fetch_alone(package)
        os.chmod(world.directory, 0o711)
        for folder in ("", "etc", "var", "var/lib", "var/log", "var/mail", "var/spool", "var/tmp", "run", "home"):
            os.makedirs(os.path.join(self.home, folder), exist_ok=True)
            os.chmod(os.path.join(self.home, folder), 0o755)
        os.chmod(os.path.join(self.home, "var/tmp"), 0o1777)
        os.symlink("/run", os.path.join(self.home, "var/run"))
        self.ids = {account: FIRST_ID + number for number, account in enumerate((*accounts, *groups))}
        self.write_accounts(accounts)
        self.write("etc/hosts", "127.0.0.1 localhost\n", mode=0o644)  # a bare system has none
        for account in accounts:
            self.folder("home/" + account, account)

    def write_accounts(self, accounts):
        for file, lines in (
                ("passwd", [f"{a}:x:{self.ids[a]}:{self.ids[a]}::{self.home}/home/{a}:/bin/sh" for a in accounts]),
                ("group", [f"{name}:x:{number}:" for name, number in self.ids.items()])):
            with open("/etc/" + file, encoding="utf-8") as system:
                kept = [line for line in system.read().splitlines() if line.partition(":")[0] not in self.ids]
            self.write("etc/" + file, "\n".join([*kept, *lines]) + "\n", mode=0o644)

    def path(self, name):
        return os.path.join(self.home, name)

    def folder(self, name, owner="root", group=None, mode=0o755):
        """A folder of the box ("var/spool/x" is /var/spool/x inside)."""
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        self.give(path, owner, group, mode)
        return path

    def give(self, path, owner, group, mode):
        os.chown(path, self.ids.get(owner) or pwd.getpwnam(owner).pw_uid,
                 self.ids.get(group or owner) or grp.getgrnam(group or owner).gr_gid)
        os.chmod(path, mode)

    def write(self, name, text, mode=0o600, owner="root", group=None):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.give(path, owner, group, mode)
        return path

    def argv(self, *command):
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", PRELUDE, "box", *map(str, command)]

    def env(self):
        # Not the search paths of the unpacked tree: here everything is where it belongs.
        return {"BOX": self.home, "BOX_ROOT": self.root, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "",
                "PERL5LIB": "", "LC_ALL": "C"}

    def run(self, *command, stdin=b"", status=0, seconds=30):
        return run_program(self.argv(*command), stdin=stdin, status=status, seconds=seconds, env=self.env())

    def start(self, *command):
        daemon = Daemon(["setsid", *self.argv(*command)], self.path("daemon.log"), env=self.env())
        self.world.processes.append(daemon)
        return daemon

    def read(self, name):
        path = self.path(name)
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def mails(self, user):
        """What lies in the new/ of his maildir, with the line ends of SMTP."""
        folder = self.path(f"mail/{user}/new")
        found = []
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as file:
                found.append(crlf(file.read()))
        return found
