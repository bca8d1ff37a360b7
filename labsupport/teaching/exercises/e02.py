"""Checks of ``02_event_loop_and_greenlet``."""

import asyncio
from itertools import pairwise

from sqlalchemy import create_engine, insert, text

from ...databases import postgres
from ...instruments.lag_meter import lag_meter
from ...schema import Artist
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop


@exercise(
    "E02.1",
    hints=(
        "Between two questions nothing has to be done. Who else could use "
        "the time?",
        "time.sleep keeps the thread. Which sleep is awaited?",
        "await asyncio.sleep(0.3)",
    ),
    misconceptions=(
        Misconception("await asyncio.sleep(0.3)",
                      "__import__('time').sleep(0.3)",
                      "blocks the event loop"),
        Misconception("await asyncio.sleep(0.3)", "asyncio.sleep(0.3)",
                      "at once"),
        Misconception("await asyncio.sleep(0.3)", "pass", "at once"),
        Misconception("await asyncio.sleep(0.3)",
                      "await asyncio.to_thread(asyncio.sleep, 0.3)",
                      "at once"),
    ),
)
async def wait_for_artist(answer):
    async with shop() as engine:
        with observe(engine) as trace, lag_meter() as lag:
            waiting = asyncio.create_task(answer(engine, "Ada Quist"))
            try:
                while len(trace.queries()) < 2 and not waiting.done():
                    await asyncio.sleep(0.002)
                if not waiting.done():
                    async with engine.begin() as connection:
                        await connection.execute(insert(Artist), [
                            {"name": "Ada Quist", "biography": ""}])
                artist_id = await waiting
            finally:
                waiting.cancel()
    _is_free(lag)
    if _pause(trace.events) < 0.1:
        raise NotYet("it asks again at once, and keeps the server busy.")
    if artist_id != 4:
        raise NotYet(f"the artist has the id 4; you return {artist_id!r}.")
    return "it waits, and everybody else can go on."


def _pause(events):
    """The longest time without an event between the first two questions."""
    kinds = [event.kind for event in events]
    if kinds.count("execute") < 2:
        return 0.0
    first = kinds.index("executed")
    second = kinds.index("execute", first)
    return max(later.at - event.at for event, later
               in pairwise(events[first:second + 1]))


def _is_free(lag):
    if lag.blockers:
        raise NotYet(f"it blocks the event loop: {lag.blockers[0].line}")


@exercise(
    "E02.2",
    hints=(
        "slow_report is a plain function with a synchronous engine. It has "
        "no place where it could let the event loop go on.",
        "Give it a thread of its own, and await the thread.",
        "return await asyncio.to_thread(slow_report, sync_engine)",
    ),
    misconceptions=(
        Misconception("await asyncio.to_thread(slow_report, sync_engine)",
                      "slow_report(sync_engine)", "blocks the event loop"),
        Misconception("await asyncio.to_thread(slow_report, sync_engine)",
                      "await greenlet_spawn(slow_report, sync_engine)",
                      "blocks the event loop"),
        Misconception("await asyncio.to_thread(slow_report, sync_engine)",
                      "await asyncio.to_thread(slow_report(sync_engine))",
                      "not callable"),
        Misconception("await asyncio.to_thread(slow_report, sync_engine)",
                      "asyncio.create_task(asyncio.to_thread("
                      "slow_report, sync_engine))", "Task"),
    ),
)
async def dashboard(answer):
    db = await postgres()
    sync_engine = create_engine(db.psycopg)
    try:
        with lag_meter() as lag:
            count = await answer(sync_engine)
        if isinstance(count, asyncio.Task):
            await count
            raise NotYet("you return a Task, and nobody has the number.")
    finally:
        await asyncio.to_thread(sync_engine.dispose)
        await db.drop(force=True)
    _is_free(lag)
    if count != 1:
        raise NotYet(f"the report says 1; you return {count!r}.")
    return "the report runs, and the loop goes on."


@exercise(
    "E02.3",
    hints=(
        "A connection of asyncpg belongs to the loop that opened it. What "
        "hands it to another loop?",
        "The pool keeps it. One class of pool keeps nothing.",
        "create_async_engine(url, poolclass=NullPool)",
    ),
    misconceptions=(
        Misconception("create_async_engine(url, poolclass=NullPool)",
                      "create_async_engine(url)", "attached to a different"),
        Misconception("create_async_engine(url, poolclass=NullPool)",
                      "create_async_engine(url, pool_pre_ping=True)",
                      "attached to a different"),
        Misconception("create_async_engine(url, poolclass=NullPool)",
                      "create_async_engine(url.set(drivername="
                      "'postgresql+psycopg'))", "asyncpg"),
    ),
)
async def engine_for_many_loops(answer):
    db = await postgres()
    try:
        engine = answer(db.asyncpg)
        if engine.dialect.driver != "asyncpg":
            raise NotYet("it works by chance of the driver: stay with "
                         "asyncpg.")
        numbers = await _ask_from_many_loops(engine)
    except RuntimeError as error:
        if "different loop" not in str(error):
            raise
        raise NotYet("the second loop gets a connection of the first: "
                     "'attached to a different loop'.") from None
    finally:
        await db.drop(force=True)
    if numbers != {17}:
        raise NotYet(f"the server says 17, you get {numbers}.")
    return "each loop opens its own connection."


async def _ask_from_many_loops(engine):
    """What the server says to three loops in a thread, and to this one."""
    async def ask():
        async with engine.connect() as connection:
            return await connection.scalar(text("SELECT 17"))

    def in_loops_of_their_own():
        return {asyncio.run(ask()) for _ in range(3)}

    try:
        # One after the other: two loops at a time can crash the driver.
        return {*await asyncio.to_thread(in_loops_of_their_own), await ask()}
    finally:
        # Nobody can close a connection whose loop has ended.
        await engine.dispose(close=False)
