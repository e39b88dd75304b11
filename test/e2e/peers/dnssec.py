"""A signed zone: Knot DNS signs it and answers for it, Unbound validates on loopback as the relay's resolver."""

import os
import socket
import struct

from peer import environment, fetch_packages, lib, program, run_program, wait_for

KNOT = """
server:
    rundir: "{directory}"
    listen: [ 127.0.0.1@{port} ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{directory}"
policy:
  - id: single
    single-type-signing: on
    nsec3: on
template:
  - id: default
    storage: "{directory}"
    journal-content: none
    zonefile-load: whole
    zonefile-sync: -1
zone:
"""

# Nothing but these zones: there is no way out. The trust anchors are of the tests' zones alone.
UNBOUND = """
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    verbosity: 1
    interface: 127.0.0.1
    port: {port}
    do-daemonize: no
    do-not-query-localhost: no
    num-threads: 1
    module-config: "validator iterator"
    harden-below-nxdomain: no
    minimal-responses: no
    val-log-level: 1
{zones}
remote-control:
    control-enable: no
"""


class SignedZones:
    """Knot with zones of its own, {name: (text, is_signed)}."""

    def __init__(self, world, zones):
        fetch_packages("knot")
        self.world = world
        self.zones = zones
        self.port = lib.free_port()
        self.conf = world.path("signed.conf")
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(KNOT.format(directory=world.directory, port=self.port))
            for name, (_, is_signed) in zones.items():
                file.write(f"  - domain: {name}.\n    file: {name}.zone\n")
                if is_signed:
                    file.write("    dnssec-signing: on\n    dnssec-policy: single\n")
        for name, (text, _) in zones.items():
            with open(world.path(f"{name}.zone"), "w", encoding="ascii") as file:
                file.write(text)
        self.process = world.start([program("knotd", "knot"), "-c", self.conf], "signed.log", env=environment())
        for name in zones:
            wait_for(lambda name=name: ask(self.port, name, 6)[0] == 0, 20, f"knotd answers for {name}")

    def anchor(self, name):
        """The DS records of a signed zone: what a resolver must be told to trust it."""
        lines = run_program([program("keymgr", "knot"), "-c", self.conf, f"{name}.", "ds"]).decode("ascii")
        return [line for line in lines.splitlines() if " DS " in line]


class Unbound:
    """A validating resolver in front of SignedZones. anchors: lines "NAME DS ..."; others are not validated."""

    def __init__(self, world, knot, anchors):
        fetch_packages("unbound")
        self.port = lib.free_port()
        self.at = f"127.0.0.1:{self.port}"
        options = [f'trust-anchor: "{line}"' for line in anchors]
        options += [f'local-zone: "{name}." nodefault' for name in knot.zones]
        text = "".join(f"    {option}\n" for option in options)
        text += "".join(f'stub-zone:\n    name: "{name}."\n    stub-addr: 127.0.0.1@{knot.port}\n' for name in knot.zones)
        path = world.path("unbound.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(UNBOUND.format(directory=world.directory, port=self.port, zones=text))
        self.environment = environment()
        self.process = world.start([program("unbound"), "-d", "-c", path], "unbound.log", env=self.environment)
        first = next(iter(knot.zones))
        wait_for(lambda: ask(self.port, first, 6)[0] == 0, 20, "unbound answers")


def ask(port, name, kind):
    """(rcode, AD bit) of a name server's answer; (-1, False) without one."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    query = struct.pack(">HHHHHH", os.getpid() & 0xffff, 0x0120, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        try:
            udp.connect(("127.0.0.1", port))
            udp.send(query)
            answer = udp.recv(4096)
        except OSError:
            return -1, False
    return answer[3] & 15, bool(answer[3] & 0x20)
