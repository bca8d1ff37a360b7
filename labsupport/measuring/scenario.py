"""A pool, who comes to it, and how long they stay: simulated, or run.

    knee = PRESETS["the knee"]
    knee.simulated(), await knee.real(db.asyncpg)     # a Run of each
"""

from math import inf
from random import Random
from typing import NamedTuple

from .forecast import schedule
from .load import Latency
from .pool_run import FAILED, SERVED, TIMED_OUT, OneEach, Pool, User
from .real_run import real_run
from .simulation import simulate

AT_RANDOM, BURST, CLIENTS = (
    "requests at random", "with a burst", "clients that ask again")
WHO = AT_RANDOM, BURST, CLIENTS
SECONDS, REQUESTS = 20, 3000  # of a run, at most
TIMES, PART = 10, 1 / 4  # a burst: so many times the rate, for a second,
#                          after this part of the run


class Costs(NamedTuple):
    """Seconds that a request takes beyond its hold, and a connect.

    These are common ones; ``overheads`` in forecast.py measures yours.
    """

    request: float = 0.002
    connect: float = 0.03


class Scenario(NamedTuple):
    """Options of the engine, as SQLAlchemy names them, and the users.

    ``rate`` is in requests a second, and for clients that ask again there
    are ``clients`` instead. ``hold`` is in seconds, on average. A server of
    ``speed`` 0.5 takes twice as long.
    """

    pool_size: int = 5
    max_overflow: int = 10
    pool_timeout: float = 30
    pool_recycle: float = -1
    pool_pre_ping: bool = False
    pool_use_lifo: bool = False
    who: str = AT_RANDOM
    rate: float = 40
    clients: int = 20
    hold: float = 0.1
    speed: float = 1

    @property
    def most(self):
        """How many connections the pool may have."""
        return self.pool_size + self.max_overflow

    @property
    def seconds(self):
        """How long a run is: so that a few thousand requests come."""
        rate = self.rate
        if self.who == CLIENTS:
            rate = min(self.clients, self.most) / self.hold * self.speed
        return float(max(1, min(SECONDS, REQUESTS // rate)))

    @property
    def until(self):
        """When nobody asks any more: clients would go on."""
        return self.seconds if self.who == CLIENTS else inf

    def pool(self, costs=Costs()):
        """The Pool, on a machine with these costs."""
        # A ping is one of the round trips of a request: BEGIN, the query,
        # ROLLBACK.
        return Pool(*self[:6], connect=costs.connect, ping=costs.request / 3)

    def users(self, overhead=0.0):
        """Who comes: OneEach or a list of User, the same at each call.

        Each hold is longer by ``overhead`` (s).
        """
        hold = self.hold / self.speed
        if self.who == CLIENTS:
            enough, chance = int(2 * self.seconds / hold) + 20, Random(1)
            return [User(client / 1000, [
                chance.expovariate(1 / hold) + overhead
                for _ in range(enough)]) for client in range(self.clients)]
        crowd = schedule(self.rate, self.seconds, hold, seed=1)
        both = list(zip(crowd.times, crowd.holds))
        if self.who == BURST:
            more = schedule((TIMES - 1) * self.rate, 1.0, hold, seed=2)
            both = sorted(both + [(PART * self.seconds + at, one)
                                  for at, one in zip(more.times, more.holds)])
        return OneEach([at for at, _ in both],
                       [one + overhead for _, one in both])

    def simulated(self, costs=Costs()):
        """The Run that is to be expected."""
        return simulate(self.pool(costs), self.users(costs.request),
                        self.until)

    async def real(self, url, hear=lambda run: None):
        """The RealRun on the database of ``url``; see ``real_run``."""
        return await real_run(url, self.pool(), self.users(), self.until,
                              hear)


PRESETS = {
    "the defaults": Scenario(),
    "the knee": Scenario(max_overflow=0, rate=45),
    "too small": Scenario(max_overflow=0, rate=60, pool_timeout=2),
    "overflow that connects": Scenario(
        pool_size=1, max_overflow=9, rate=60, hold=0.05),
    "impatient": Scenario(max_overflow=0, rate=48, pool_timeout=0.1),
    "a burst": Scenario(who=BURST, rate=20, pool_timeout=2),
    "after a burst, LIFO": Scenario(
        pool_size=20, max_overflow=0, rate=20, who=BURST,
        pool_use_lifo=True, pool_recycle=2),
    "all ask again": Scenario(pool_size=3, max_overflow=0, clients=30,
                              pool_timeout=0.25, who=CLIENTS),
    "a slow server": Scenario(max_overflow=0, rate=30, speed=0.5),
}


def summary(run, seconds):
    """What is counted → text (dict), of a Run of so many ``seconds``."""
    waits = Latency(run.waits)
    live = [live for _second, _waiting, live in run.history()]
    return {
        "served a second": f"{run.count(SERVED) / seconds:.1f}",
        "timed out": f"{run.count(TIMED_OUT)}",
        "failed": f"{run.count(FAILED)}",
        **{f"wait, p{part} (ms)":
           f"{waits.quantile(part / 100) * 1000:.0f}" if waits else "–"
           for part in (50, 95, 99)},
        "most connections": f"{max(live, default=0)}",
        "connects": f"{len(run.opened)}",
    }
