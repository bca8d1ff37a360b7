"""What formulas say of a pool, and where they stop being true.

They speak of the long run: averages of a queue that has forgotten how it
began. They know no timeout, no connect, no overflow that comes and goes. A
run of seconds is far from the long run, above all near full load: there the
simulation of the same schedule is nearer, and the formula shows the shape.

Sources: Little, "A Proof for the Queuing Formula L = λW", Operations
Research 9 (1961); Erlang, 1917, for M/M/c; Allen, "Probability, Statistics
and Queueing Theory" (1990), for G/G/c; Reiser and Lavenberg, "Mean-Value
Analysis of Closed Multichain Queuing Networks", Journal of the ACM 27
(1980), for closed loops.
"""

from math import inf, log
from typing import NamedTuple


def little(rate, seconds):
    """How many are inside on average: ``rate`` (1/s) × ``seconds`` inside.

    True of any system and any order of service, if what comes in also
    leaves. Over a window it holds when nobody is inside at both ends.
    """
    return rate * seconds


class Queue(NamedTuple):
    """An open queue in the long run."""

    load: float  # part of the connections that are in use; 1 and above: grows
    waiting: float  # part of the requests that wait
    wait: float  # seconds, on average; inf where the queue grows for ever

    def quantile(self, part):
        """The wait (s) that ``part`` (0 to 1) of the requests do not exceed.

        Exact for M/M/c, whose waits, if any, are exponential.
        """
        if self.load >= 1:
            return inf
        if 1 - part >= self.waiting:
            return 0.0
        return self.wait / self.waiting * log(self.waiting / (1 - part))


def mmc(rate, hold, connections, variation=1.0):
    """The Queue of ``rate`` (1/s) on so many connections, held ``hold`` s.

    Requests come at random, independent of one another (Poisson), and wait
    as long as it takes. ``variation`` is the squared coefficient of
    variation of the holds: 1 for exponential ones, where the formula is
    exact; 0 for equal ones, and others, by Allen and Cunneen's
    approximation.
    """
    offered = rate * hold
    if offered >= connections:
        return Queue(offered / connections, 1.0, inf)
    blocked = 1.0  # Erlang B, by its recurrence
    for number in range(1, connections + 1):
        blocked = offered * blocked / (number + offered * blocked)
    load = offered / connections
    waiting = blocked / (1 - load * (1 - blocked))  # Erlang C
    mean = waiting * hold / (connections - offered)
    return Queue(load, waiting, mean * (1 + variation) / 2)


class ClosedLoop(NamedTuple):
    """Users who ask again when they have been served, in the long run."""

    rate: float  # requests served per second, of all users
    wait: float  # seconds, on average


def mva(users, hold, connections, pause=0.0):
    """The ClosedLoop of so many users on so many connections.

    Each holds one for ``hold`` s and pauses ``pause`` s, both on average.
    Exact for exponential holds that are served first come first served. The
    rate is at most ``connections / hold`` and ``users / (pause + hold)``.
    Fails where turns are unfair: it knows no user who starves.
    """
    # The chance of each number of requests inside, with one user less.
    inside = [1.0] + [0.0] * users
    for crowd in range(1, users + 1):
        served = [hold / min(number, connections)
                  for number in range(1, crowd + 1)]
        stay = sum(number * seconds * inside[number - 1]
                   for number, seconds in enumerate(served, 1))
        rate = crowd / (pause + stay)
        chances = [rate * seconds * inside[number]
                   for number, seconds in enumerate(served)]
        inside[1:crowd + 1] = chances
        inside[0] = max(1 - sum(chances), 0.0)
    return ClosedLoop(rate, stay - hold)
