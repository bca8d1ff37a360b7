"""Checks of ``04_connection_pool``."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ...databases import postgres
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop

KILL = text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()")


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
        Misconception(
            "    async with engine.connect() as connection:\n"
            "        return await connection.scalar(statement)",
            "    connection = await engine.connect()\n"
            "    number = await connection.scalar(statement)\n"
            "    await connection.close()\n"
            "    return number", "fails"),
        Misconception(
            "    async with engine.connect() as connection:\n"
            "        return await connection.scalar(statement)",
            "    connection = await engine.connect()\n"
            "    return await connection.scalar(statement)", "held by"),
        Misconception("return await connection.scalar(statement)",
                      "return (await connection.execute(statement)).all()",
                      "6 albums"),
        Misconception(
            "    async with engine.connect() as connection:\n"
            "        return await connection.scalar(statement)",
            "    async with engine.connect() as connection:\n"
            "        try:\n"
            "            return await connection.scalar(statement)\n"
            "        except Exception:\n"
            "            return 0", "does not hear"),
    ),
)
async def count_rows(answer):
    async with shop() as engine:
        with observe(engine) as trace:
            for table, rows in (("album", 6), ("track", 17)):
                number = await answer(engine, table)
                _held(trace)
                if number != rows:
                    raise NotYet(f"there are {rows} {table}s and you return "
                                 f"{number!r}.")
            if not trace.counts()["requests"]:
                raise NotYet("the engine is not asked.")
            try:
                await answer(engine, "no_such_table")
            except DBAPIError:
                pass
            else:
                raise NotYet("the statement fails and the caller does not "
                             "hear of it.")
            _held(trace, " when the statement fails")
    return "the connection comes back, with a result and without."


def _held(trace, when=""):
    """NotYet if a connection is held, or was left to the collector."""
    for one in trace.holders():
        raise NotYet(f"the connection is still held by «{one.task}»{when}.")
    if any(event.kind == "detach" for event in trace.events):
        raise NotYet(f"nobody gives the connection back{when}: the garbage "
                     "collector throws it away.")


@exercise(
    "E04.2",
    hints=(
        "Twelve tasks may start at once. How many may go on to the pool?",
        "asyncio.Semaphore(n) lets n tasks into its block; engine.pool.size() "
        "is the n.",
        "async with places: first, then async with engine.connect() inside.",
    ),
    misconceptions=(
        Misconception("        async with places:\n"
                      "            async with engine.connect()",
                      "        if True:\n"
                      "            async with engine.connect()",
                      "the pool ran out"),
        Misconception("asyncio.Semaphore(engine.pool.size())",
                      "asyncio.Semaphore(1)", "at once"),
        Misconception("        async with places:\n"
                      "            async with engine.connect() as connection:",
                      "        async with engine.connect() as connection:\n"
                      "            async with places:", "the pool ran out"),
    ),
)
async def run_jobs(answer):
    db = await postgres()
    engine = create_async_engine(db.asyncpg, pool_size=3, max_overflow=0,
                                 pool_timeout=0.2)

    running, peak, done = 0, 0, []

    def job(number):
        async def work(connection):
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            try:
                await connection.execute(text("SELECT pg_sleep(0.1)"))
            finally:
                running -= 1
            done.append(number)
            return f"result {number}"

        return work

    try:
        with observe(engine) as trace:
            results = await answer(engine, [job(n) for n in range(12)])
        held = len(trace.holders())
    except TimeoutError:
        raise NotYet("the pool ran out: too many tasks ask it for a "
                     "connection at the same time.") from None
    finally:
        await engine.dispose()
        await db.drop(force=True)
    if sorted(done) != [*range(12)]:
        raise NotYet(f"{len(done)} of 12 jobs have run.")
    if [*results] != [f"result {n}" for n in range(12)]:
        raise NotYet(f"the results are {results!r}.")
    if held:
        raise NotYet(f"{held} connections are not given back.")
    if peak < 3:
        raise NotYet(f"{peak} at once: the pool has three places, use them "
                     "all.")
    if waited := trace.counts()["had to wait"]:
        raise NotYet(f"{waited} tasks wait for the pool, where pool_timeout "
                     "runs; let them wait in front of it.")
    return "three at a time, and nobody waits for the pool."


@exercise(
    "E04.3",
    hints=(
        "Three options: how many are kept, how many more may be opened, and "
        "what is asked at checkout.",
        "max_overflow is 10 unless you say otherwise.",
        '{"pool_size": 4, "max_overflow": 0}, and {"pool_pre_ping": True}',
    ),
    misconceptions=(
        Misconception('"pool_size": 4, "max_overflow": 0', '"pool_size": 4',
                      "more than four"),
        Misconception('"pool_pre_ping": True', '"pool_recycle": 3600',
                      "connection is closed"),
        Misconception('"pool_size": 4, "max_overflow": 0',
                      '"pool_size": 2, "max_overflow": 2', "keeps 2"),
        Misconception('"pool_size": 4, "max_overflow": 0',
                      '"pool_size": 3, "max_overflow": 0', "no four"),
        Misconception('options |= {"pool_size": 4, "max_overflow": 0}',
                      "options['poolclass'] = __import__('sqlalchemy')"
                      ".NullPool",
                      "NullPool keeps"),
    ),
)
async def night_engine(answer):
    db = await postgres()
    engine = answer(db.asyncpg)
    if not hasattr(engine.pool, "checkedin"):
        await db.drop(force=True)
        raise NotYet(f"a {type(engine.pool).__name__} keeps no four "
                     "connections.")
    engine.pool._timeout = 0  # who finds no place hears of it at once
    outside = create_async_engine(db.asyncpg, poolclass=NullPool)
    held = []
    try:
        try:
            for _ in range(5):
                held.append(await engine.connect())
        except TimeoutError:
            if len(held) < 4:
                raise NotYet("it has no four places.") from None
        else:
            raise NotYet("it opens more than four connections when a fifth "
                         "task asks.")
        while held:
            await held.pop().close()
        if (kept := engine.pool.checkedin()) != 4:
            raise NotYet(f"of four connections it keeps {kept}.")
        async with outside.connect() as connection:
            await connection.execute(KILL)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    finally:
        for connection in held:
            await connection.close()
        await engine.dispose()
        await db.drop(force=True)
    return "four connections, no more, and it survives the night."
