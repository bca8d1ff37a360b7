"""Load from a process of its own, so that the kernel does not disturb it.

A candidate is an async generator, written in the notebook: it takes the URL,
prepares, yields the operation, and tidies up.

    async def core(url):
        engine = create_async_engine(url)

        async def operation():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

        yield operation
        await engine.dispose()

Its source is sent to ``python -m labsupport.measuring.load_process``, with
the imports that it uses. In a *closed loop* users repeat the operation
without a pause (``compare`` in comparison.py); in an *open loop* operations
are due by a schedule, whether or not the ones before have ended:

    run = await open_loop(core, db.asyncpg, rate=50, seconds=6)
    run.intended.p99, run.actual.p99

One process a call (``process``).
"""

import inspect
import math
from collections import Counter
from typing import NamedTuple

from sqlalchemy import make_url

from ..drawing.figure import Figure
from ..drawing.latency_chart import latency_chart
from ..notebook.progress import progress
from ..notebook.sources import program
from .process import found_by

MOST = 100_000  # operations of a run: both processes keep each one's times
LONGEST = 3600  # seconds of a run


class Candidate(NamedTuple):
    """What runs in the load process: a tuple of this order will do."""

    function: object  # async generator function: url → operation
    url: object  # URL or str
    event_loop: str = "asyncio"  # or another module, such as uvloop

    def job(self, name):
        """The candidate as JSON can carry it. Raises TypeError."""
        if not inspect.isasyncgenfunction(self.function):
            raise TypeError(f"{name}: a candidate is an async generator, "
                            "which yields its operation.")
        return {"name": name, "source": program(self.function),
                "function": self.function.__name__,
                "url": make_url(self.url).render_as_string(False),
                "event_loop": self.event_loop}


class Latency(list):
    """Seconds from a start to the end of each operation; it sorts them.

    All are kept: an append costs 0.06 µs and the quantiles are exact, while
    a record of hdrhistogram costs 2 µs, paid by what is measured. A run of
    minutes at thousands a second would be the case for it.
    """

    def __init__(self, seconds):
        super().__init__(sorted(seconds))

    def quantile(self, part):
        """The latency (s) that ``part`` (0 to 1) of them do not exceed."""
        return self[max(math.ceil(part * len(self)) - 1, 0)]

    p50 = property(lambda self: self.quantile(.50))
    p95 = property(lambda self: self.quantile(.95))
    p99 = property(lambda self: self.quantile(.99))


class OpenLoop:
    """What an open loop saw: ``intended`` and ``actual`` (Latency).

    ``intended`` counts from when an operation was due, as its user does;
    ``actual`` from when it began, which leaves out the wait for that
    (coordinated omission). ``failures`` counts exceptions by type name;
    ``times`` has (due, began, ended) in seconds from the beginning. ``cpu``
    is the part of one core that the load process used meanwhile.
    """

    def __init__(self, rows, cpu):
        self.cpu = cpu
        self.times = [(due, began, ended) for due, began, ended, _ in rows]
        self.failures = Counter(name for *_, name in rows if name)
        self.intended = Latency(
            ended - due for due, _, ended in self.times)
        self.actual = Latency(
            ended - began for _, began, ended in self.times)

    def __repr__(self):
        failed = sum(self.failures.values())
        return (f"{len(self.times)} operations came due, {failed} failed\n"
                "latency: from the intended start, and from the actual one")

    def _repr_html_(self):
        return Figure(latency_chart(self.intended, self.actual),
                      "Latency by percentile: " + repr(self), repr(self)
                      )._repr_html_()


async def open_loop(function, url, *, rate, seconds, users=None,
                    poisson=True, seed=1):
    """Offer ``rate`` operations per second for ``seconds``; an OpenLoop.

    Takes a candidate and its URL. Operations are due at the times of a
    Poisson process (``seed`` repeats it) or, without ``poisson``, at equal
    distances. ``users`` is how many may be under way at once (None: any
    number); with few of them an operation starts later than intended.
    Exceptions of an operation are counted. Raises LoadError if the first
    one, before the schedule begins, fails, and ValueError for a number that
    is out of range or when nothing comes due.
    """
    in_range("rate", rate, MOST)
    in_range("seconds", seconds, LONGEST)
    in_range("rate × seconds", rate * seconds, MOST)
    if users is not None:
        in_range("users", users, MOST, whole=True)
    rows, cpu = await in_process(
        {"loop": "open", "rate": rate, "seconds": seconds, "users": users,
         "poisson": poisson, "seed": seed, "candidates": [
             Candidate(function, url).job(function.__name__)]},
        f"{rate:g} operations a second by schedule")
    if not rows:
        raise ValueError(f"Nothing came due in {seconds} s at a rate of "
                         f"{rate}: take more seconds, or a higher rate.")
    return OpenLoop(rows, cpu)


def in_range(name, given, most, whole=False):
    """Raises ValueError unless 0 < ``given`` <= ``most``."""
    kinds = int if whole else (int, float)
    if not isinstance(given, kinds) or not 0 < given <= most:
        raise ValueError(f"{name} is {given!r}: take a "
                         + ("whole " if whole else "")
                         + f"number above 0 and not above {most}.")


async def in_process(job, words):
    """Run ``job`` (dict) in a load process and return what it found.

    Shows ``words`` and a percentage as progress. Raises LoadError. When the
    cell is interrupted, the process is gone before the next one runs.
    """
    with progress(words) as say:
        return await found_by(
            "labsupport.measuring.load_process", job,
            lambda percent: say(f"{words}: {percent} %"))
