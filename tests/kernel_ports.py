"""Ports for kernels that no connection takes meanwhile.

jupyter_client asks the system for a free port, lets it go, and the kernel
binds it a second later. Between the two, a connection to a database may get
the same port as its own end: the system takes both from one range. Then the
kernel dies, or a client talks to nobody. Below that range they cannot meet,
and each worker of xdist has a part of its own: two never choose one port.
Importing this is enough; ``-p kernel_ports`` does so in another pytest.
"""

import os
import random
import socket

from jupyter_client.connect import LocalPortCache

FIRST, EACH, WORKERS = 15_000, 1_000, 17  # Linux's own begin at 32768
_random = random.SystemRandom()


def ports_of(worker):
    """The ports (range) of a worker, which xdist calls gw0, gw1, …"""
    first = FIRST + int(worker.removeprefix("gw")) % WORKERS * EACH
    return range(first, first + EACH)


def find_available_port(self, ip):
    ours = ports_of(os.environ.get("PYTEST_XDIST_WORKER", "gw0"))
    while True:
        port = _random.choice(ours)
        with socket.socket() as probe:
            try:
                probe.bind((ip, port))
            except OSError:
                continue
        if port not in self.currently_used_ports:
            self.currently_used_ports.add(port)
            return port


LocalPortCache.find_available_port = find_available_port
