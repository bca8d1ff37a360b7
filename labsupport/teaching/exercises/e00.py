"""Checks of ``00_start_here``."""

import asyncio
import inspect
import re
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import ObjectNotExecutableError

from ...schema import Album, Artist, Track
from . import Misconception, NotYet, exercise, shop
from .e00_counting import count_selects  # noqa: F401  it is E00.3

PATIENCE = 1  # seconds that a query waits for the others


@exercise(
    "E00.1",
    hints=(
        "Calling execute() makes a coroutine. Who runs it?",
        "result = await connection.execute(…)",
    ),
    misconceptions=(
        Misconception("result = await connection", "result = connection",
                      "write 'await' before"),
        Misconception("await connection.execute(statement)",
                      "asyncio.run(connection.execute(statement))",
                      "write 'await' in place of asyncio.run"),
        Misconception("await connection.execute", "await connection.scalar",
                      "scalar() gives the number itself"),
        Misconception("return result.scalar_one", "return await "
                      "result.scalar_one", "take out the 'await'"),
        Misconception("execute(statement)", "execute(str(statement))",
                      "wrap the SQL in text()"),
        Misconception("await connection.execute(statement)",
                      "asyncio.get_running_loop().run_until_complete("
                      "connection.execute(statement))", "write 'await'"),
        Misconception("FROM album", "FROM artist", "SELECT from album"),
        Misconception("    return result.scalar_one()", "    return result",
                      "return result.scalar_one()"),
        Misconception("    return result.scalar_one()",
                      "    return result.one()", "return result.scalar_one()"),
        Misconception("    return result.scalar_one()", "    return 6",
                      "you count 6"),
    ),
    also_right=(
        "async def count_albums(connection):\n"
        "    return await connection.scalar(\n"
        "        text('SELECT count(*) FROM album'))",
        "async def count_albums(connection):\n"
        "    result = await connection.execute(text('SELECT id FROM album'))\n"
        "    return len(result.all())",
        "async def count_albums(connection):\n"
        "    from sqlalchemy import func, select\n"
        "    from labsupport.schema import Album\n"
        "    statement = select(func.count()).select_from(Album)\n"
        "    return (await connection.execute(statement)).scalar()",
    ),
)
async def count_rows(answer):
    async with _big_shop() as (engine, (artists, albums, tracks)):
        async with engine.connect() as connection:
            try:
                number = await answer(connection)
            except ObjectNotExecutableError as error:
                raise NotYet("a plain string is no statement: wrap the SQL "
                             "in text().") from error
            except (AttributeError, RuntimeError, TypeError) as error:
                if advice := _advice(str(error)):
                    raise NotYet(advice) from error
                raise
    if not isinstance(number, int):
        raise NotYet(f"you return a {type(number).__name__}; the number is "
                     "in its only row: return result.scalar_one().")
    if number != albums:
        raise NotYet(f"you count {number}; the shop of this check has "
                     f"{artists} artists, {albums} albums and {tracks} "
                     "tracks: SELECT from album.")
    return f"{albums} albums, in a shop that you have not seen."


def _advice(problem):
    """What to do about the message of an error (str), or None."""
    if "'coroutine' object" in problem:
        return ("a coroutine was made and nobody awaits it: write 'await' "
                "before connection.execute().")
    if "asyncio.run()" in problem:
        return "a loop is running: write 'await' in place of asyncio.run."
    if "already running" in problem:
        return "a loop is running: write 'await' before connection.execute()."
    if re.search("'await' expression|can't be awaited", problem):
        return "the row is here: take out the 'await' that reads it."
    if "'int' object has no attribute" in problem:
        return ("scalar() gives the number itself: return that, or take "
                "execute(), whose result has scalar_one().")
    return None


@exercise(
    "E00.2",
    hints=(
        "Three coroutines, run at the same time, each with a connection of "
        "its own.",
        "await asyncio.gather(a(), b(), c()) returns a list of the results.",
        "await asyncio.gather(*(count_one(engine, table) for table in "
        "TABLES))",
    ),
    misconceptions=(
        Misconception(
            "await asyncio.gather(\n"
            "        *(count_one(engine, table) for table in TABLES))",
            "[await count_one(engine, table) for table in TABLES]",
            "at most 1 at a time"),
        Misconception(
            "await asyncio.gather(\n"
            "        *(count_one(engine, table) for table in TABLES))",
            "[count_one(engine, table) for table in TABLES]",
            "give them to asyncio.gather"),
        Misconception("await asyncio.gather", "asyncio.gather",
                      "write 'await' before it"),
        Misconception("*(count_one(engine, table) for table in TABLES)",
                      "[count_one(engine, table) for table in TABLES]",
                      "write * before the list"),
        Misconception("*(count_one(engine, table) for table in TABLES)",
                      "*[await count_one(engine, table) for table in TABLES]",
                      "leave out the 'await' inside"),
        Misconception("return await asyncio.gather", "await asyncio.gather",
                      "you return None"),
        Misconception("table in TABLES", "table in reversed(TABLES)",
                      "in the order of TABLES"),
        Misconception("", """\
async def count_all(engine):
    async with engine.connect() as connection:
        return await asyncio.gather(*(
            connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in TABLES))""", "each of the three needs its own"),
        Misconception("", """\
async def count_all(engine):
    async with (engine.connect() as a, engine.connect() as b,
                engine.connect() as c):
        return [await each.scalar(text(f"SELECT count(*) FROM {table}"))
                for each, table in zip((a, b, c), TABLES)]""",
                      "at most 1 at a time"),
    ),
    also_right=(
        """\
async def count_all(engine):
    async def count(table):
        async with engine.connect() as connection:
            return await connection.scalar(
                text(f"SELECT count(*) FROM {table}"))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(count(table)) for table in TABLES]
    return tuple(task.result() for task in tasks)""",
        """\
async def count(engine, table):
    async with engine.connect() as connection:
        result = await connection.execute(
            text(f"SELECT count(*) FROM {table}"))
        return result.scalar_one()


async def count_all(engine):
    tasks = [asyncio.create_task(count(engine, table)) for table in TABLES]
    return [await task for task in tasks]""",
    ),
)
async def count_together(answer):
    async with _big_shop() as (engine, right):
        with _meeting(engine, len(right)) as met:
            try:
                counts = await answer(engine)
            except TypeError as error:
                if "unhashable type" in str(error):
                    raise NotYet("gather takes its coroutines one by one: "
                                 "write * before the list.") from error
                if "awaitable is required" in str(error):
                    raise NotYet("gather gets what is awaited already: leave "
                                 "out the 'await' inside.") from error
                raise
            if inspect.isawaitable(counts):
                await counts
                raise NotYet("nobody waits for gather itself: write 'await' "
                             "before it.")
    if not isinstance(counts, list | tuple):
        raise NotYet(f"you return {counts!r}: return the counts as a list.")
    if coroutines := [one for one in counts if inspect.iscoroutine(one)]:
        for one in coroutines:
            one.close()
        raise NotYet("the list holds coroutines that nobody has run: give "
                     "them to asyncio.gather, and await that.")
    if list(counts) != right:
        raise NotYet(f"the counts are {counts!r}; they have to be {right!r}, "
                     "in the order of TABLES.")
    if len(met) < len(right):
        raise NotYet("the queries run one after the other, at most "
                     f"{len(met)} at a time: start all of them with "
                     "asyncio.gather.")
    if len(set(met)) < len(right):
        raise NotYet("the queries share a connection: each of the three "
                     "needs its own.")
    return "three queries at once, three answers."


@asynccontextmanager
async def _big_shop():
    """A shop in which no two tables have as many rows.

    Gives the engine, and the numbers of artists, albums and tracks.
    """
    async with shop() as engine:
        async with engine.begin() as connection:
            await connection.execute(insert(Album), [
                {"title": f"Spare {n}", "artist_id": 1} for n in range(20)])
            await connection.execute(insert(Track), [
                {"title": f"Spare {n}", "seconds": 60, "album_id": 1}
                for n in range(50)])
            counts = [await connection.scalar(
                select(func.count()).select_from(table))
                for table in (Artist, Album, Track)]
        yield engine, counts


@contextmanager
def _meeting(engine, guests):
    """Every query waits until ``guests`` of them are under way.

    Gives the connections (list) of those that were under way together: all
    that had come when the first was tired of waiting.
    """
    met, over = [], asyncio.Event()

    async def wait(_connection):
        try:
            async with asyncio.timeout(PATIENCE):
                await over.wait()
        except TimeoutError:
            over.set()

    def arrive(connection, *_):
        if over.is_set():
            return
        met.append(connection)
        if len(met) == guests:
            over.set()
        connection.connection.dbapi_connection.run_async(wait)

    event.listen(engine.sync_engine, "before_cursor_execute", arrive)
    try:
        yield met
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", arrive)
