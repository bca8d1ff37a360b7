"""One run of a pool: what is set, who comes, what became of each request."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

SERVED, TIMED_OUT, FAILED = "served", "timed out", "failed"


class Pool(NamedTuple):
    """Options of the engine (seconds, SQLAlchemy's defaults), and a driver.

    ``connect`` and ``ping`` are the seconds that a connect and a pre-ping
    take. ``refused`` are numbers of connects, from 0, that fail.
    """

    pool_size: int = 5
    max_overflow: int = 10
    pool_timeout: float = 30.0
    pool_recycle: float = -1
    pool_pre_ping: bool = False
    pool_use_lifo: bool = False
    connect: float = 0.0
    ping: float = 0.0
    refused: frozenset = frozenset()

    @property
    def options(self):
        """The arguments (dict) of ``create_async_engine``."""
        return {name: value for name, value in self._asdict().items()
                if name.startswith(("pool_", "max_"))}

    def connecting_in(self, seconds):
        """The same Pool, whose connects take so many ``seconds``."""
        return self._replace(connect=seconds)


class User(NamedTuple):
    """Asks at second ``comes``, and again when done, a time per hold.

    ``holds`` (seconds, above 0) are how long each connection is kept,
    ``pause`` the seconds between. With ``explicit``, the connection goes
    back by ``await connection.close()``, not at the end of ``async with``:
    then a user without a pause asks again before anybody wakes.
    """

    comes: float
    holds: Sequence
    pause: float = 0.0
    explicit: bool = False


class OneEach:
    """Users of an open loop: each comes at its time, and asks once.

    ``times`` (seconds, in ascending order) and ``holds`` (seconds, above 0)
    are lists of one length.
    """

    def __init__(self, times, holds):
        self.times, self.holds = list(times), list(holds)

    def __iter__(self):
        return (User(comes, (hold,))
                for comes, hold in zip(self.times, self.holds))


class State(NamedTuple):
    """Requests (lists of numbers) and connections (counts) at a moment."""

    waiting: list  # neither a connection nor the right to open one
    preparing: list  # the connection is being opened, or pinged
    served: list  # has a connection
    live: int  # connections


class Run:
    """What became of each request, in columns of the same order.

    Requests have numbers from 0, in the order in which they came. Columns,
    in seconds: ``came``; ``chosen``, when the pool let it through; ``got``
    the connection; ``left``. None stands where it never got so far.
    ``outcomes``: SERVED, TIMED_OUT or FAILED. ``users``: whose it is.

    ``opened`` and ``closed`` are (second, connection) pairs, ``pings`` are
    seconds. A connection that is recycled gets a new number.
    """

    def __init__(self):
        self.users, self.came, self.chosen = [], [], []
        self.got, self.left, self.outcomes = [], [], []
        self.opened, self.closed, self.pings = [], [], []

    @property
    def waits(self):
        """Seconds that each served request waited, connecting included."""
        return [got - came for came, got in zip(self.came, self.got)
                if got is not None]

    @property
    def latencies(self):
        """Seconds from the asking to the giving back, of all requests."""
        return [left - came for came, left in zip(self.came, self.left)]

    def count(self, outcome):
        """How many requests ended so."""
        return self.outcomes.count(outcome)

    def history(self):
        """How it went: (second, waiting, live) at each change, in order.

        The counts are those of ``at``.
        """
        changes = [(at, 0, 1) for at, _ in self.opened]
        changes += [(at, 0, -1) for at, _ in self.closed]
        for came, chosen, left in zip(self.came, self.chosen, self.left):
            out = left if chosen is None else chosen
            if came < out:
                changes += [(came, 1, 0), (out, -1, 0)]
        changes = sorted(one for one in changes if one[0] < inf)
        waiting = live = 0
        found = []
        for at, more_waiting, more_live in changes:
            waiting += more_waiting
            live += more_live
            if found and found[-1][0] == at:
                found.pop()
            found.append((at, waiting, live))
        return found

    def at(self, second):
        """The State at ``second``, just after what happens then."""
        waiting, preparing, served = [], [], []
        for number, came in enumerate(self.came):
            if came <= second < self.left[number]:
                chosen, got = self.chosen[number], self.got[number]
                (waiting if chosen is None or second < chosen else
                 preparing if got is None or second < got else
                 served).append(number)
        live = sum(at <= second for at, _ in self.opened) - sum(
            at <= second for at, _ in self.closed)
        return State(waiting, preparing, served, live)
