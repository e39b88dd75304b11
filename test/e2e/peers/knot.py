"""Knot DNS, a real name server, with the one zone test. on a port of its own."""

import socket

from peer import environment, fetch_packages, lib, program, wait_for

SERVER = """
server:
    rundir: "{directory}"
    listen: [ {address}@{port} ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{directory}"
template:
  - id: default
    storage: "{directory}"
    journal-content: none
    zonefile-load: whole
zone:
  - domain: test.
    file: test.zone
"""


class Knot:
    """knotd; may be stopped and started again. missing: zones whose file is not there (SERVFAIL)."""

    def __init__(self, world, zone, missing=()):
        fetch_packages("knot")
        self.world = world
        self.port = lib.free_port()
        self.at = f"127.0.0.1:{self.port}"
        with open(world.path("test.zone"), "w", encoding="ascii") as file:
            file.write(zone)
        with open(world.path("knot.conf"), "w", encoding="ascii") as file:
            file.write(SERVER.format(directory=world.directory, address="127.0.0.1", port=self.port))
            file.writelines(f"  - domain: {name}.\n    file: missing.zone\n" for name in missing)
        self.start()

    def start(self):
        self.process = self.world.start([program("knotd", "knot"), "-c", self.world.path("knot.conf")], "knot.log",
                                        env=environment())
        wait_for(self.answers, 20, "knotd answers")

    def answers(self):
        """Whether the zone is there: a question for its SOA gets an answer with no error."""
        if not self.process.is_running():
            raise lib.Failure(f"knotd ended: {self.process.log()[-1500:]}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(1)
            try:
                udp.connect(("127.0.0.1", self.port))
                udp.send(b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04test\x00\x00\x06\x00\x01")
                answer = udp.recv(512)
            except OSError:
                return False
        return answer[3] & 15 == 0 and answer[6:8] == b"\x00\x01"

    def stop(self):
        self.process.stop()
