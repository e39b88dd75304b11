"""Postfix as it is measured: a private one from Debian's package, as shipped and tuned; the better of the two counts.

As shipped means the main.cf of Debian's package and Postfix's own defaults; only names, addresses, ports, directories
and the next hops differ, and TLS is off on both sides where there is none in what it is compared with. Tuned means what
is advised to those who want it fast: no delay of intake, more deliveries to one destination, more processes.
"""

import grp
import os
import pwd
import signal
import time

import meter
import world as worlds
from outlast import says_hello
from world import Failure, Skip, lib, wait_for

from peer import PEERS, fetch_packages, run_program
from postfix import DROP_GROUP, MASTER_CF, OWNER, PRIVATE_CF, Postfix

MAIN_CF = PRIVATE_CF + """
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
mailbox_size_limit = 0
recipient_delimiter = +
smtpd_tls_security_level = none
smtp_tls_security_level = none
myhostname = relay.postfix.test
transport_maps = texthash:{conf}/transport
"""

# The caches of sessions that Postfix has, and no connection used for a second message.
TLS = {
    "smtpd_tls_security_level = none\n": """smtpd_tls_security_level = may
smtpd_tls_cert_file = {pem}
smtpd_tls_key_file = {key}
smtpd_tls_session_cache_database = btree:$data_directory/smtpd_scache
""",
    "smtp_tls_security_level = none\n": """smtp_tls_security_level = may
smtp_tls_session_cache_database = btree:$data_directory/smtp_scache
smtp_connection_cache_on_demand = no
smtp_connection_reuse_count_limit = 1
""",
}

TUNED = """
in_flow_delay = 0
default_destination_concurrency_limit = 100
default_process_limit = 250
"""


class BenchPostfix(Postfix):
    def __init__(self, world, destinations, has_tls=False):
        values = self.settle(world, "127.0.0.1", lib.free_port())
        self.at = f"{self.address}:{self.port}"
        main = MAIN_CF.format(**values) + self.settings
        if has_tls:
            pem, key = world.certificate()
            for off, on in TLS.items():
                main = main.replace(off, on.format(pem=pem, key=key))
        self.write("main.cf", main)
        self.write("master.cf", MASTER_CF.format(**values))
        self.write("transport", "".join(f"{domain} smtp:[{address}]:{world.port}\n"
                                        for domain, address in destinations))

    def write(self, name, text):
        with open(os.path.join(self.conf, name), "w", encoding="ascii") as file:
            file.write(text)

    def pids(self):
        return meter.family(self.process.pid)

    def memory_kib(self):
        return meter.memory_kib(self.pids())

    def stop(self, seconds=30):
        """As `postfix stop` does; what does not go is killed with the group."""
        self.process.signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.process.is_running() or len(meter.family(self.process.pid)) > 1:
            if time.monotonic() > deadline:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise Failure(f"Postfix did not end within {seconds} s")
            time.sleep(0.02)

    def start_timed(self, seconds=60):
        """Starts and returns (seconds to the reply to EHLO, the moment of exec)."""
        begun = time.monotonic()
        self.spawn()
        while not says_hello(self.address, self.port):
            if time.monotonic() > begun + seconds:
                raise Failure(f"Postfix does not answer within {seconds} s: {self.log()[-500:]}")
            time.sleep(0.001)
        return time.monotonic() - begun, begun

    def probe(self):
        """Has all deferred mail tried now."""
        run_program([os.path.join(PEERS, "root/usr/sbin/postqueue"), "-f"], env={"MAIL_CONFIG": self.conf})

    def wait_until_all_parked(self, seconds=300):
        """Every message has been tried and deferred."""
        wait_for(lambda: not any(self.count(name) for name in ("maildrop", "incoming", "active")), seconds,
                 "all mail is deferred", every=0.2)
        meter.settle(self)

    def count(self, queue):
        return sum(len(files) for _, _, files in os.walk(os.path.join(self.queue_directory, queue)))


class AsShipped(BenchPostfix):
    name = "postfix, as shipped"
    settings = ""


class Tuned(BenchPostfix):
    name = "postfix, tuned"
    settings = TUNED


VARIANTS = (AsShipped, Tuned)


def check():
    """Skip, with the reason, where Postfix cannot run."""
    if os.geteuid() != 0:
        raise Skip("Postfix runs as root only")
    for account, database in ((OWNER, pwd.getpwnam), (DROP_GROUP, grp.getgrnam)):
        try:
            database(account)
        except KeyError:
            raise Skip(f"Postfix needs the account {account} of Debian") from None
    folder = worlds.DIRECTORY
    while folder != "/":
        if not os.stat(folder).st_mode & 0o001:
            raise Skip(f"Postfix's accounts may not enter {folder} (chmod o+x)")
        folder = os.path.dirname(folder)
    fetch_packages("postfix")
