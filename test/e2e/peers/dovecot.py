"""A private Dovecot in a box: mailboxes by LMTP, and passwords for a Postfix that asks it."""

import os

from box import Box
from peer import Failure, lib, wait_for

DOVECOT = """
protocols = lmtp
base_dir = /run/dovecot
state_dir = {home}/var/lib/dovecot
log_path = {home}/dovecot.log
ssl = no
auth_username_format = %n
mail_location = maildir:{home}/mail/%n
default_internal_user = dovecot
default_login_user = dovenull
default_internal_group = dovecot
first_valid_uid = 1
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=100M
}}
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service auth {{
  inet_listener postfix {{
    address = 127.0.0.1
    port = {auth_port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """port and socket: LMTP for luigi, mario and full, whose mailbox is full; auth_port: its passwords, for Postfix."""

    def __init__(self, world, password="x"):
        self.box = box = Box(world, "dovecot", "dovecot-lmtpd", ["dovecot", "dovenull", "vmail"])
        self.port, self.auth_port = lib.free_port(), lib.free_port()
        for folder, owner in (("mail", "vmail"), ("var/lib/dovecot", "root"), ("run/dovecot", "root")):
            box.folder(folder, owner)
        ids = f"{box.ids['vmail']}:{box.ids['vmail']}"
        rules = {"anna": "", "luigi": "", "mario": "", "full": "userdb_quota_rule=*:storage=1"}
        box.write("users", "".join(f"{user}:{{PLAIN}}{password}:{ids}::{box.path('mail/' + user)}::{rule}\n"
                                   for user, rule in rules.items()), mode=0o644)
        box.write("etc/dovecot/dovecot.conf", DOVECOT.format(home=box.home, port=self.port,
                                                             auth_port=self.auth_port), mode=0o644)
        self.process = box.start("dovecot", "-F", "-c", "/etc/dovecot/dovecot.conf")
        self.socket = box.path("run/dovecot/lmtp")
        wait_for(self.answers, 20, "Dovecot greets")

    def answers(self):
        if not self.process.is_running():
            raise Failure(f"Dovecot ended: {self.process.log()}{self.box.read('dovecot.log')}")
        return lib.port_answers("127.0.0.1", self.port) and os.path.exists(self.socket)

    def mails(self, user):
        return self.box.mails(user)
