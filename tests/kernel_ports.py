"""Ports for kernels that no connection takes meanwhile.

jupyter_client asks the system for a free port, lets it go, and the kernel
binds it a second later. Between the two, a connection to a database may get
the same port as its own end: the system takes both from one range. Then the
kernel dies, or a client talks to nobody. Below that range they cannot meet.
Importing this is enough; ``-p kernel_ports`` does so in another pytest.
"""

import random
import socket

from jupyter_client.connect import LocalPortCache

RANGE = 15_000, 32_000  # Linux gives connections ports from 32768 on
_random = random.SystemRandom()


def find_available_port(self, ip):
    while True:
        port = _random.randrange(*RANGE)
        with socket.socket() as probe:
            try:
                probe.bind((ip, port))
            except OSError:
                continue
        if port not in self.currently_used_ports:
            self.currently_used_ports.add(port)
            return port


LocalPortCache.find_available_port = find_available_port
