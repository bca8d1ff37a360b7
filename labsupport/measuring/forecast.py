"""What the simulation says of a pool, and what happens: on one schedule.

    five, ten = await forecast(db.asyncpg, [Pool(5, 0), Pool(10, 0)],
                               rate=40, seconds=8, hold=0.1)
    five.predicted, five.measured      # Latency of each, in seconds
    five.cpu_is_the_limit              # then the pool is not, and it fails

Both have the same arrivals and the same list of holds: chance cancels out,
which in a short run is most of the difference between a formula and a run.
What a request costs beyond its hold belongs to the machine, to the driver
and to the hour: it is measured meanwhile, where nobody waits for a pool.
"""

import asyncio
import math
from dataclasses import dataclass
from random import Random
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from .load import Latency, OpenLoop, open_loop
from .load_process import arrivals
from .pool_run import TIMED_OUT, OneEach, Pool, Run
from .real_run import BUSY, LATE
from .simulation import simulate

PILOT = 2  # seconds
NEW, NEW_RATE = 1, 10  # seconds, and a second, of new connections
MOST = 50  # connections of a pool with room for all, as the server has few
SEED = 1_000  # of a pilot


@dataclass(frozen=True)
class Forecast:
    """A run of the real pool, beside the simulated one.

    ``pool`` has the ``connect`` that was found; ``hold`` is what was asked
    for, ``overhead`` how many seconds more a connection was out meanwhile,
    where there was room for all.
    """

    pool: Pool
    hold: float
    overhead: float
    run: Run
    load: OpenLoop

    @property
    def predicted(self):
        """Latency (s) of each request, by the simulation."""
        return Latency(self.run.latencies)

    @property
    def measured(self):
        """Latency (s) of each request, from when it was due."""
        return self.load.intended

    @property
    def timeouts(self):
        """How many gave up: (predicted, measured)."""
        return (self.run.count(TIMED_OUT),
                self.load.failures["TimeoutError"])

    def error(self, part):
        """Predicted to measured quantile ``part`` (0 to 1), less 1."""
        return (self.predicted.quantile(part)
                / self.measured.quantile(part) - 1)

    @property
    def late(self):
        """Seconds, 95th percentile, from when a request was due to its start.

        Nothing but the event loop lies between, and the CPU that it needs.
        """
        return Latency(
            began - due for due, began, _ in self.load.times).p95

    @property
    def cpu_is_the_limit(self):
        """Whether requests waited for CPU, not for the pool alone."""
        return self.load.cpu >= BUSY or self.late >= LATE * self.hold

    def __repr__(self):
        lines = [f"{'':<10}{'predicted':>10}{'measured':>10}"]
        lines += [f"p{part:<9.0%}".replace("%", " ")
                  + f"{self.predicted.quantile(part) * 1000:>7.0f} ms"
                  f"{self.measured.quantile(part) * 1000:>7.0f} ms"
                  for part in (.5, .95, .99)]
        lines.append("{:<10}{:>10}{:>10}".format("timeouts", *self.timeouts))
        if self.cpu_is_the_limit:
            lines.append("The CPU is the limit, not the pool alone: the client"
                         f" used {self.load.cpu:.0%} of its core, and every "
                         f"20th request began {self.late * 1000:.0f} ms late "
                         "or more.")
        return "\n".join(lines)


def schedule(rate, seconds, hold, seed):
    """Arrivals (Poisson) and holds (exponential): OneEach, by ``seed``."""
    times = list(arrivals(rate, seconds, True, seed))
    chance = Random(f"holds {seed}")
    return OneEach(times, [chance.expovariate(1 / hold) for _ in times])


def _sleeper(holds, options, new=False):
    """A candidate: its operations sleep in PostgreSQL, a hold each."""
    async def sleeper(url):
        engine = create_async_engine(
            url, **({"poolclass": NullPool} if new else options))
        ahead = iter(holds)

        async def sleep():
            hold = next(ahead)
            async with engine.connect() as connection:
                await connection.execute(select(func.pg_sleep(hold)))

        async def operation():
            await steps.pop() if steps else await sleep()

        async def warm_up():
            async with engine.connect() as connection:
                await connection.execute(select(func.pg_sleep(0)))
            await engine.dispose()  # empty, as the simulated pool is

        steps = [warm_up()]
        yield operation
        await engine.dispose()

    return sleeper


async def _beyond_the_hold(url, crowd, rate, seconds, seed, **how):
    """Median seconds of the operations, less what they slept."""
    run = await open_loop(_sleeper(crowd.holds, **how), url, rate=rate,
                          seconds=seconds, seed=seed)
    return median(ended - due - hold for (due, _, ended), hold
                  in zip(sorted(run.times), crowd.holds))


async def _costs(url, rate, hold, seconds, seed):
    room = min(8 + 2 * math.ceil(rate * hold), MOST)  # nobody should wait
    known, new = await asyncio.gather(
        _beyond_the_hold(
            url, schedule(rate, seconds, hold, seed), rate, seconds, seed,
            options={"pool_size": room, "max_overflow": 0}),
        _beyond_the_hold(
            url, schedule(NEW_RATE, NEW, hold, SEED), NEW_RATE, NEW, SEED,
            options={}, new=True))
    return known, max(new - known, 0.0)


async def overheads(url, rate, hold):
    """Seconds per request beyond the hold, and per connect: (float, float).

    From two pilots: one with room for all at the same rate, one that opens
    a connection each time.
    """
    return await _costs(url, rate, hold, PILOT, SEED)


async def forecast(url, pools, *, rate, seconds, hold, seed=1):
    """Simulate and run each of ``pools`` on one schedule; list of Forecast.

    ``url`` is of PostgreSQL. Requests come at random, ``rate`` a second,
    and sleep in the database for ``hold`` s on average. All run at the same
    time, and the two pilots of ``overheads`` beside them: so each has the
    machine that the others have. Pre-ping is not calibrated. Raises as
    ``open_loop`` does.
    """
    crowd = schedule(rate, seconds, hold, seed)
    (overhead, connect), *loads = await asyncio.gather(
        _costs(url, rate, hold, seconds, seed),
        *(open_loop(_sleeper(crowd.holds, pool.options), url, rate=rate,
                    seconds=seconds, seed=seed) for pool in pools))
    longer = OneEach(crowd.times, [each + overhead for each in crowd.holds])
    return [Forecast(pool, hold, overhead, simulate(pool, longer), load)
            for pool, load in zip(
                (pool.connecting_in(connect) for pool in pools), loads)]
