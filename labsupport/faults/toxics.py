"""What can be wrong with a link: toxics, by the names of toxiproxy.

It has no ``Cut``.

Source: https://github.com/Shopify/toxiproxy#toxics. A toxic acts on one of
the streams of each connection: ``downstream`` from the server to the driver,
``upstream`` from the driver to the server. Durations are milliseconds.
"""

import math
from dataclasses import dataclass

STREAMS = ("upstream", "downstream")


@dataclass(eq=False)
class Toxic:
    """Does no harm; each toxic exchanges what it is about."""

    stream: str = "downstream"

    def __post_init__(self):
        if self.stream not in STREAMS:
            raise ValueError(
                f"There is no stream {self.stream!r}: take 'upstream' (to the "
                "server) or 'downstream' (from it).")
        for name, value in vars(self).items():
            if not isinstance(value, str) and not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}: take a number of at "
                                 "least 0.")

    def busy(self, size):
        """Seconds (float) that the line needs for ``size`` bytes."""
        return 0

    def delay(self, chunk):
        """Seconds (float) from the arrival of a Chunk until it goes on."""
        return 0

    def meet(self, connection, later):
        """Do at once what is to be done to a connection.

        ``later(ms, action)`` runs the action then if the toxic still acts.
        """

    def leave(self, connection):
        """Undo what ``meet`` has done, where that can be undone."""


@dataclass(eq=False)
class Latency(Toxic):
    """Each chunk comes ``ms`` later, plus or minus up to ``jitter``."""

    ms: float = 0
    jitter: float = 0

    def delay(self, chunk):
        return max(0, self.ms + self.jitter * chunk.luck) / 1000


@dataclass(eq=False)
class Bandwidth(Toxic):
    """At most ``rate`` kilobytes a second."""

    rate: float = 0

    def busy(self, size):
        return size / 1000 / self.rate if self.rate else math.inf


@dataclass(eq=False)
class SlowClose(Toxic):
    """The end of the stream (FIN) comes ``ms`` later."""

    ms: float = 0

    def delay(self, chunk):
        return 0 if chunk.data else self.ms / 1000


@dataclass(eq=False)
class Timeout(Toxic):
    """Nothing gets through; after ``ms`` the connection is closed (0: never).

    What was sent is held and comes when the toxic goes: TCP would send it
    again.
    """

    ms: float = 0

    def delay(self, chunk):
        return math.inf

    def meet(self, connection, later):
        if self.ms:
            later(self.ms, connection.close)


@dataclass(eq=False)
class Cut(Timeout):
    """Nothing gets through, and TCP itself acknowledges nothing."""

    def meet(self, connection, later):
        connection.deafen()

    def leave(self, connection):
        connection.hear()


@dataclass(eq=False)
class ResetPeer(Toxic):
    """After ``ms`` both ends get a RST: connection reset by peer."""

    ms: float = 0

    def meet(self, connection, later):
        later(self.ms, connection.reset)


@dataclass(eq=False)
class HalfClose(Toxic):
    """The stream ends (FIN), and the other stream goes on."""

    def meet(self, connection, later):
        connection.pumps[self.stream].finish()


@dataclass(eq=False)
class Down(Toxic):
    """The connections are closed; the Link refuses new ones meanwhile."""

    def meet(self, connection, later):
        connection.close()
