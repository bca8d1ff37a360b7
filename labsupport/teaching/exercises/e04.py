"""Checks of ``04_connection_pool``."""

import gc
from inspect import iscoroutine
from random import choice

from sqlalchemy import func, select, table, text
from sqlalchemy.exc import DBAPIError, TimeoutError

from ...databases import postgres
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop

BLOCK = ("    async with engine.connect() as connection:\n"
         "        return await connection.scalar(statement)")
BY_HAND = """    connection = await engine.connect()
    number = await connection.scalar(statement)
    await connection.close()
    return number"""
COUNT_ROWS = """async def count_rows(engine, table):
    statement = text(f"SELECT count(*) FROM {table}")
"""


@exercise(
    "E04.1",
    hints=(
        "Which ways lead out of a function, besides its last line?",
        "async with engine.connect() as connection: gives it back on all of "
        "them.",
        "Return from inside the block: return await "
        "connection.scalar(statement)",
    ),
    misconceptions=(
        Misconception(BLOCK, BY_HAND, "when the statement fails"),
        Misconception(BLOCK, BY_HAND.replace(
            "    await connection.close()\n", ""), "not given back"),
        Misconception("return await connection.scalar(statement)",
                      "return (await connection.execute(statement)).all()",
                      "scalar()"),
        Misconception("return await", "return", "'return await'"),
        Misconception(BLOCK, BLOCK.replace(
            "        return await connection.scalar(statement)",
            "        try:\n"
            "            return await connection.scalar(statement)\n"
            "        except Exception:\n"
            "            return 0"), "does not hear"),
        Misconception(BLOCK, "    return 6", "not asked"),
    ),
    also_right=(
        COUNT_ROWS + """    connection = await engine.connect()
    try:
        return await connection.scalar(statement)
    finally:
        await connection.close()""",
        COUNT_ROWS + """    async with engine.begin() as connection:
        result = await connection.execute(statement)
        return result.scalar_one()""",
    ),
)
async def count_rows(answer):
    async with shop(postgres, "asyncpg") as engine:
        for name in ("album", "track"):
            async with engine.connect() as connection:
                rows = await connection.scalar(
                    select(func.count()).select_from(table(name)))
            with observe(engine) as trace:
                number = await answer(engine, name)
                _given_back(engine, trace, "at the end")
            if iscoroutine(number):
                number.close()
                raise NotYet("you return a coroutine: write 'return await'.")
            if not trace.queries():
                raise NotYet(f"you return {number!r}, and the engine is not "
                             "asked.")
            if number != rows:
                raise NotYet(f"the table has {rows} rows and you return "
                             f"{number!r}: scalar() gives the number.")
        with observe(engine) as trace:
            try:
                await answer(engine, "no_such_table")
            except DBAPIError:
                pass
            else:
                raise NotYet("the statement fails and the caller does not "
                             "hear of it: let the error pass.")
            _given_back(engine, trace, "when the statement fails")
    return "the connection comes back, with a result and without."


def _given_back(engine, trace, when):
    """NotYet if a place is taken, or was left to the collector."""
    gc.collect()  # now, and not below another cell
    lost = any(event.kind == "detach" for event in trace.events)
    if lost or engine.pool.checkedout():
        raise NotYet(f"the connection is not given back {when}: work with it "
                     "in a block, async with engine.connect().")


JOBS = 12
PLACES = "places = asyncio.Semaphore(engine.pool.size())"
GATHER = "return await asyncio.gather(*(one(job) for job in jobs))"
INSIDE = ("        async with places:\n"
          "            async with engine.connect() as connection:\n"
          "                return await job(connection)")


@exercise(
    "E04.2",
    hints=(
        "Twelve tasks may start at once. How many may go on to the pool?",
        "asyncio.Semaphore(n) lets n tasks into its block; engine.pool.size() "
        "is the n.",
        "async with places: first, then async with engine.connect() inside.",
    ),
    misconceptions=(
        Misconception(PLACES, "places = asyncio.Semaphore(1)", "1 at a time"),
        Misconception(PLACES, "places = asyncio.Semaphore(3)",
                      "engine.pool.size()"),
        Misconception(INSIDE, """\
        async with engine.connect() as connection:
            async with places:
                return await job(connection)""", "the pool ran out"),
        Misconception("return await job", "await job", "result"),
        Misconception("", """async def run_jobs(engine, jobs):
    async with engine.connect() as connection:
        return await asyncio.gather(*(job(connection) for job in jobs))""",
                      "share a connection"),
        Misconception(GATHER,
                      "return [await done for done in asyncio.as_completed("
                      "[one(job) for job in jobs])]",
                      "in the order of the jobs"),
    ),
    also_right=(
        """async def run_jobs(engine, jobs):
    async def one(job):
        async with engine.connect() as connection:
            return await job(connection)

    results, size = [], engine.pool.size()
    for first in range(0, len(jobs), size):
        results += await asyncio.gather(
            *(one(job) for job in jobs[first:first + size]))
    return results""",
        """async def run_jobs(engine, jobs):
    places = asyncio.Semaphore(engine.pool.size())

    async def one(job):
        async with places, engine.begin() as connection:
            return await job(connection)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job)) for job in jobs]
    return [task.result() for task in tasks]""",
    ),
)
async def run_jobs(answer):
    size = choice([2, 4])
    async with shop(postgres, "asyncpg", pool_size=size, max_overflow=0,
                    pool_timeout=0.2) as engine:
        desk = _Desk()
        try:
            with observe(engine) as trace:
                results = await answer(engine, [desk.job(number) for number
                                                in range(JOBS)])
        except TimeoutError:
            raise NotYet("the pool ran out: too many tasks ask it at a time. "
                         "Let no more go on to it than engine.pool.size(): "
                         "the others wait at a semaphore.") from None
    if desk.shared:
        raise NotYet("several jobs share a connection at the same time: give "
                     "each its own.")
    if results != [f"result {number}" for number in range(JOBS)]:
        raise NotYet("return the list of the results, in the order of the "
                     f"jobs; you return {results!r}.")
    if desk.most != size:
        raise NotYet(f"{desk.most} at a time: the pool has {size} places, "
                     "and engine.pool.size() says so.")
    if waited := trace.counts()["had to wait"]:
        raise NotYet(f"{waited} tasks wait for the pool: let no more go on "
                     "to it than engine.pool.size().")
    return "as many at a time as there are places; nobody waits for the pool."


class _Desk:
    """Hands out jobs, and sees how many run, on which connections."""

    def __init__(self):
        self.working, self.most, self.shared = [], 0, False

    def job(self, number):
        async def work(connection):
            if connection in self.working:
                self.shared = True
            self.working.append(connection)
            self.most = max(self.most, len(self.working))
            try:
                # The first takes longer, so that the order is put to a test.
                await connection.execute(text("SELECT pg_sleep(:seconds)"),
                                         {"seconds": 0.1 if number else 0.2})
            finally:
                self.working.remove(connection)
            return f"result {number}"

        return work
