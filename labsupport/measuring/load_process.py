"""The load generator: the process that ``load`` starts, and what it measures.

    python -m labsupport.measuring.load_process < job

takes one line of JSON and writes some (``process``).
"""

import asyncio
import gc
import importlib
import linecache
import random
import re
import sys
import time
from contextlib import asynccontextmanager

from sqlalchemy import make_url

from ..notebook.stacks import your_line
from .process import Failure, answer

# Seconds. Below a scheduler's time slice: most slices run undisturbed. On a
# busy machine the median of 8 s is four times as steady as with 50 ms.
SLICE = 0.005
WARM_UP = 0.2  # seconds a candidate, and at least
WARM_UP_EACH = 8  # operations a user: psycopg prepares the sixth time
PAUSE = 0.1  # seconds between two words about the progress
LEAST = 7  # rounds, however slow they are: fewer than six say nothing
SEED = 1  # of the order of the slices


class Entrant:
    """A candidate that is open: its engine, its connections, its loop."""

    def __init__(self, job, runners):
        self.name = job["name"]
        file, source = f"candidate {self.name}", job["source"]
        linecache.cache[file] = (len(source), None,
                                 source.splitlines(True), file)
        name = job["event_loop"]
        if name not in runners:
            # psycopg cannot use the other loop that Windows has.
            runners[name] = asyncio.Runner(
                loop_factory=asyncio.SelectorEventLoop if name == "asyncio"
                else importlib.import_module(name).new_event_loop)
        self._runner = runners[name]
        names = {"__name__": "candidate"}
        try:
            exec(compile(source, file, "exec"), names)
            self._opened = asynccontextmanager(names[job["function"]])(
                make_url(job["url"]))
        except Exception as error:
            raise failure(self.name, error) from error
        self.operation = self.run(self._opened.__aenter__())

    def run(self, coroutine):
        """Run ``coroutine`` in this candidate's loop, to its end."""
        try:
            return self._runner.run(coroutine)
        except Exception as error:
            raise failure(self.name, error) from error

    def close(self):
        self.run(self._opened.__aexit__(None, None, None))


def failure(name, error):
    """The Failure that says who failed, how, and at which line."""
    message = re.sub(r"\s*\(Background on this error at: .*", "", str(error))
    line = your_line(error.__traceback__)
    return Failure(f"{name}: {type(error).__name__}: {message}"
                   + f"\nyour line: {line}" * bool(line))


async def closed_loop(operation, users, seconds, least=2):
    """CPU seconds of this process, and wall seconds, per operation.

    ``users`` tasks repeat ``operation`` for ``seconds``, each at least
    ``least`` times. A user's rate counts until the user's own last operation
    has ended, so that a slow operation does not pay for the others' idle end
    of the slice.
    """
    clock = time.perf_counter
    begin = clock()
    end = begin + seconds

    async def user():
        done = 0
        while True:
            await operation()
            done += 1
            if (now := clock()) >= end and done >= least:
                return done, now - begin

    cpu = time.process_time()
    rates = await asyncio.gather(*(user() for _ in range(users)))
    cpu = time.process_time() - cpu
    return (cpu / sum(done for done, _ in rates),
            1 / sum(done / spent for done, spent in rates))


def rounds(job, entrants, tell):
    """Slices of all ``entrants``, shuffled anew in each round.

    A row per round, in the order of ``entrants``: [CPU s, wall s] per
    operation. At least ``LEAST`` rounds.
    """
    chance = random.Random(SEED)
    rows, order = [], list(range(len(entrants)))
    begin, told = time.monotonic(), -PAUSE
    while (spent := time.monotonic() - begin) < job["seconds"] \
            or len(rows) < LEAST:
        if spent > told + PAUSE:
            tell(percent=min(99, int(100 * spent / job["seconds"])))
            told = spent
        chance.shuffle(order)
        row = [None] * len(entrants)
        for number in order:
            entrant = entrants[number]
            row[number] = entrant.run(
                closed_loop(entrant.operation, job["users"], SLICE))
        rows.append(row)
        gc.collect()  # between the slices, as it is off within
    return rows


def arrivals(rate, seconds, poisson, seed):
    """When operations are due: seconds from the beginning, one by one."""
    chance = random.Random(seed)
    due = 0.0
    while True:
        due += chance.expovariate(rate) if poisson else 1 / rate
        if due >= seconds:
            return
        yield due


async def scheduled(operation, job, tell):
    """Rows, and the CPU time of this process per second of wall time.

    A row per operation: [due s, started s, ended s, failure or None].
    """
    rows, clock = [], time.perf_counter
    free = asyncio.Semaphore(job["users"] or sys.maxsize)
    begin, cpu = clock(), time.process_time()

    async def one(due):
        started, failure = clock() - begin, None
        try:
            await operation()
        except (Exception, asyncio.CancelledError) as error:
            failure = type(error).__name__  # nobody but itself cancels it
        rows.append((due, started, clock() - begin, failure))
        free.release()

    async def report():
        while True:
            spent = (clock() - begin) / job["seconds"]
            tell(percent=min(99, int(100 * spent)))
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        reporter = asyncio.create_task(report())
        for due in arrivals(job["rate"], job["seconds"], job["poisson"],
                            job["seed"]):
            # Also when it is late: the operations have to begin.
            await asyncio.sleep(max(begin + due - clock(), 0))
            await free.acquire()
            group.create_task(one(due))
    reporter.cancel()
    return rows, (time.process_time() - cpu) / (clock() - begin)


def work(job, tell):
    """Open the candidates, warm them up, measure, close them."""
    runners = {}
    entrants = [Entrant(one, runners) for one in job["candidates"]]
    for entrant in entrants:
        entrant.run(entrant.operation() if job["loop"] == "open" else
                    closed_loop(entrant.operation, job["users"], WARM_UP,
                                WARM_UP_EACH))
    # The collector is the largest disturbance; what lives now stays.
    gc.collect()
    gc.freeze()
    gc.disable()
    if job["loop"] == "open":
        (only,) = entrants
        found = only.run(scheduled(only.operation, job, tell))
    else:
        found = rounds(job, entrants, tell)
    for entrant in entrants:
        entrant.close()
    return found


if __name__ == "__main__":
    answer(work)
