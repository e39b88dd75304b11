"""Outlast as it is measured: the shipped configuration; name, listener, directory and static routes are set."""

import os
import time

import meter
import world as worlds
from world import Failure, lib


class Outlast:
    name = "outlast"

    def __init__(self, world, destinations, queue=None, has_tls=False):
        """destinations: [(domain, address)]; queue: a directory that is there already; has_tls: offered to clients, used
        with next hops, and a connection for each message."""
        routes = [{"name": domain.split(".")[0], "to": domain, "via": f"[{address}]:{world.port}"}
                  for domain, address in destinations]
        changes = {"routes": routes}
        if queue:
            changes["queue.directory"] = queue
        if has_tls:
            changes["tls.certificate"], changes["tls.key"] = world.certificate()
            changes["delivery.messages-per-connection"] = 1
        self.relay = world.relay(changes)
        if has_tls:
            self.relay.settings["listeners"][0]["tls"] = "starttls"
            self.relay.configure(self.relay.settings)
        self.at = self.relay.at
        self.queue = self.relay.settings["queue.directory"]
        self.database = os.path.join(self.queue, "queue.db")

    @property
    def pid(self):
        return self.relay.process.pid

    def start(self, clock_rate=None, wait=True):
        self.relay.start(clock_rate=clock_rate, wait=wait)

    def stop(self, seconds=60):
        status = self.relay.stop(seconds)
        if status != 0:
            raise Failure(f"outlastd ended with {status}: {self.relay.log()[-500:]}")

    def kill(self):
        self.relay.kill()

    def pids(self):
        return [self.pid]

    def memory_kib(self):
        return meter.memory_kib(self.pids())

    def probe(self):
        """Tells it to try the first destination now."""
        self.relay.cli("probe", worlds.DOMAIN_FORMAT % 0)

    def wait_until_all_parked(self):
        """Nothing is tried any more."""
        meter.settle(self)

    def start_timed(self, seconds=60):
        """Starts and returns (seconds to the reply to EHLO, the moment of exec)."""
        begun = time.monotonic()
        self.start(wait=False)
        at = begun + seconds
        while not says_hello("127.0.0.1", self.relay.port):
            if not self.relay.process.is_running():
                raise Failure(f"outlastd ended: {self.relay.log()[-500:]}")
            if time.monotonic() > at:
                raise Failure(f"outlastd does not answer within {seconds} s")
            time.sleep(0.001)
        return time.monotonic() - begun, begun


def says_hello(address, port, timeout=5):
    """Whether a server greets and answers EHLO."""
    try:
        with lib.socket.create_connection((address, port), timeout=timeout) as connection:
            if not connection.recv(512).startswith(b"220"):
                return False
            connection.sendall(b"EHLO bench.test\r\n")
            return connection.recv(1024).startswith(b"250")
    except OSError:
        return False
