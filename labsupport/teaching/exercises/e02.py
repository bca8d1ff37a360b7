"""Checks of ``02_event_loop_and_greenlet``."""

import asyncio
import re
from contextlib import contextmanager, suppress
from inspect import iscoroutine
from itertools import pairwise
from random import randrange

from sqlalchemy import create_engine, func, insert, select

from ...databases import postgres
from ...instruments.lag_meter import lag_meter
from ...schema import Artist
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop

QUESTIONS = 4  # that are heard before the artist comes
PATIENCE = 6  # seconds: on a busy machine they may take longer
SLEEP = "await asyncio.sleep(0.3)"
IN_THE_BLOCK = """async def wait_for_artist(engine, name):
    found = select(Artist.id).where(Artist.name == name)
    async with engine.connect() as connection:
        while (artist_id := await connection.scalar(found)) is None:
            await connection.rollback()
            await asyncio.sleep(0.3)
    return artist_id"""


@exercise(
    "E02.1",
    hints=(
        "Between two questions nothing has to be done. Who else could use "
        "the time?",
        "time.sleep keeps the thread. Which sleep is awaited?",
        "await asyncio.sleep(0.3)",
    ),
    misconceptions=(
        Misconception(SLEEP, "time.sleep(0.3)", "blocks the event loop"),
        Misconception(SLEEP, "await time.sleep(0.3)", "use asyncio.sleep"),
        Misconception(SLEEP, "asyncio.sleep(0.3)", "at once"),
        Misconception(SLEEP, "pass", "at once"),
        Misconception(SLEEP, "await asyncio.sleep(1)", "a second"),
        Misconception(SLEEP, "await asyncio.sleep(300)", "it asks once"),
        Misconception(SLEEP, "return 4", "nobody has that name yet"),
        Misconception("", IN_THE_BLOCK, "holds its connection"),
    ),
    also_right=(
        """async def wait_for_artist(engine, name):
    found = select(Artist.id).where(Artist.name == name)
    while True:
        async with engine.connect() as connection:
            artist_id = await connection.scalar(found)
        if artist_id is not None:
            return artist_id
        await asyncio.to_thread(time.sleep, 1 / 3)""",
        """async def wait_for_artist(engine, name):
    Session = async_sessionmaker(engine)
    while True:
        async with Session.begin() as session:
            artist = await session.scalar(
                select(Artist).where(Artist.name == name))
            if artist:
                return artist.id
        await asyncio.sleep(0.25)""",
    ),
)
async def wait_for_artist(answer):
    name = f"Somebody {randrange(10**6)}"
    async with shop() as engine:
        with observe(engine) as trace, lag_meter() as lag:
            waiting = asyncio.create_task(answer(engine, name))
            try:
                await _hear_its_questions(waiting, trace)
                # Before the artist comes: an answer that blocks the loop, or
                # lets nobody else have the database, would keep us for long.
                _is_free(lag, "await a sleep that leaves the loop to the "
                         "others")
                _judge_the_pauses(trace.events)
                async with engine.begin() as connection:
                    added = await connection.execute(
                        insert(Artist).values(name=name, biography=""))
                artist_id = await waiting
            finally:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
    if artist_id != added.inserted_primary_key[0]:
        raise NotYet(f"the artist has the id {added.inserted_primary_key[0]}"
                     f"; you return {artist_id!r}.")
    return "it waits, and everybody else can go on."


async def _hear_its_questions(waiting, trace):
    """Until it has asked a few times, or long enough; NotYet if it ends."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while len(trace.queries()) < QUESTIONS and not waiting.done():
                await asyncio.sleep(0.02)
    if waiting.done():
        with _awaits_what_waits("asyncio.sleep"):
            answer = await waiting
        raise NotYet(f"it returns {answer!r}, and nobody has that name yet: "
                     "go on asking.")


@contextmanager
def _awaits_what_waits(cure):
    """NotYet, with the cure, where what a plain function gives is awaited."""
    try:
        yield
    except TypeError as error:
        if re.search("'await' expression|can't be awaited", str(error)):
            raise NotYet("it awaits the value of a plain function, which has "
                         f"blocked the event loop: use {cure}.") from error
        raise


def _judge_the_pauses(events):
    """NotYet unless it pauses rightly between two questions."""
    executes = [number for number, event in enumerate(events)
                if event.kind == "execute"]
    pauses = []
    for first, second in pairwise(executes):
        if "checkin" not in [event.kind for event in events[first:second]]:
            raise NotYet("it holds its connection while it sleeps: leave the "
                         "block of engine.connect() first.")
        pauses.append(max(later.at - event.at for event, later
                          in pairwise(events[first:second + 1])))
    if not pauses:
        raise NotYet(f"in {PATIENCE} seconds it asks once: about three times "
                     "a second is wanted, so sleep for 0.3.")
    shortest = min(pauses)  # a busy machine makes a pause longer
    if shortest < 0.15:
        raise NotYet("it asks again at once, and keeps the server busy: "
                     "await a sleep between two questions.")
    if shortest > 0.6:
        raise NotYet(f"it asks once in {shortest:.1f} seconds: about three "
                     "times a second is wanted, so sleep for 0.3.")


def _is_free(lag, cure):
    if lag.blockers:
        raise NotYet(f"it blocks the event loop: {cure} (your line: "
                     f"{lag.blockers[0].line}).")


THREAD = "await asyncio.to_thread(slow_report, sync_engine)"
REPORT = """REPORT = text("SELECT count(*) FROM artist, pg_sleep(0.4)")


def slow_report(sync_engine):
    with sync_engine.connect() as connection:
        return connection.scalar(REPORT)


async def dashboard(sync_engine):
    """


@exercise(
    "E02.2",
    hints=(
        "slow_report is a plain function with a synchronous engine. It has "
        "no place where it could let the event loop go on.",
        "Give it a thread of its own, and await the thread.",
        "return await asyncio.to_thread(slow_report, sync_engine)",
    ),
    misconceptions=(
        Misconception(THREAD, "slow_report(sync_engine)",
                      "blocks the event loop"),
        Misconception(THREAD, "await slow_report(sync_engine)",
                      "use asyncio.to_thread"),
        Misconception(THREAD, "await greenlet_spawn(slow_report, "
                      "sync_engine)", "blocks the event loop"),
        Misconception(THREAD, "await asyncio.to_thread(slow_report("
                      "sync_engine))", "without calling it"),
        Misconception(THREAD, "asyncio.create_task(asyncio.to_thread("
                      "slow_report, sync_engine))", "return a Task"),
        Misconception(THREAD, "asyncio.to_thread(slow_report, sync_engine)",
                      "return a coroutine"),
        Misconception(THREAD, "await asyncio.to_thread(slow_report)",
                      "missing 1 required positional argument"),
        Misconception("return " + THREAD, THREAD, "you return None"),
        Misconception(THREAD, "3", "nobody has asked"),
    ),
    also_right=(
        REPORT + "loop = asyncio.get_running_loop()\n"
        "    return await loop.run_in_executor(None, slow_report, "
        "sync_engine)",
        REPORT + "return await asyncio.to_thread("
        "lambda: slow_report(sync_engine))",
    ),
)
async def dashboard(answer):
    async with shop(postgres, "psycopg") as engine:
        async with engine.connect() as connection:
            artists = await connection.scalar(select(func.count(Artist.id)))
        sync_engine = create_engine(engine.url)
        try:
            with (observe(sync_engine) as trace, lag_meter() as lag,
                  _awaits_what_waits("asyncio.to_thread")):
                count = await answer(sync_engine)
            await _is_the_number(count)
        except TypeError as error:
            if "not callable" not in str(error):
                raise
            raise NotYet("the thread gets what the report has returned: name "
                         "the function without calling it, and its argument "
                         "after it.") from None
        finally:
            await asyncio.to_thread(sync_engine.dispose)
    _is_free(lag, "give the report a thread, with asyncio.to_thread")
    if not trace.queries():
        raise NotYet(f"you return {count!r}, and nobody has asked the "
                     "database: call slow_report.")
    if count != artists:
        raise NotYet(f"the report says {artists}; you return {count!r}.")
    return "the report runs, and the loop goes on."


async def _is_the_number(count):
    """NotYet if it is still to be awaited; then it is, and nothing stays."""
    if isinstance(count, asyncio.Future) or iscoroutine(count):
        await count
        raise NotYet(f"you return a {type(count).__name__}, and nobody has "
                     "the number: await it.")
