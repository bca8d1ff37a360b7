"""Checks of ``00_start_here``."""

import asyncio
import inspect

from sqlalchemy import event

from . import Misconception, NotYet, exercise, shop


@exercise(
    "E00.1",
    hints=(
        "Calling execute() makes a coroutine. Who runs it?",
        "result = await connection.execute(…)",
    ),
    misconceptions=(
        Misconception("result = await connection", "result = connection",
                      "coroutine"),
        Misconception("FROM album", "FROM artist", "17 tracks"),
        Misconception("    return result.scalar_one()", "    return result",
                      "the result itself"),
    ),
)
async def count_rows(answer):
    async with shop() as engine:
        async with engine.connect() as connection:
            try:
                number = await answer(connection)
            except AttributeError as error:
                if "coroutine" in str(error):
                    raise NotYet("a coroutine was made and never awaited: "
                                 "put await before the call.") from None
                raise
    if not isinstance(number, int):
        raise NotYet("you return the result itself; the number is in its "
                     "only row.")
    if number != 6:
        raise NotYet(f"you count {number}; there are 3 artists, 6 albums "
                     "and 17 tracks.")
    return "six albums."


@exercise(
    "E00.2",
    hints=(
        "Three coroutines, run at the same time, each with a connection of "
        "its own.",
        "await asyncio.gather(a(), b(), c()) returns a list of the results.",
        "asyncio.gather(*(count(engine, table) for table in TABLES))",
    ),
    misconceptions=(
        Misconception(
            "await asyncio.gather(\n"
            "        *(count_one(engine, table) for table in TABLES))",
            "[await count_one(engine, table) for table in TABLES]",
            "one after the other"),
        Misconception(
            "await asyncio.gather(\n"
            "        *(count_one(engine, table) for table in TABLES))",
            "[count_one(engine, table) for table in TABLES]", "coroutine"),
        Misconception("await asyncio.gather", "asyncio.gather",
                      "put await before it"),
    ),
)
async def count_together(answer):
    async with shop() as engine:
        held = most = 0
        all_out = asyncio.Event()

        @event.listens_for(engine.sync_engine, "checkout")
        def out(connection, *_):
            nonlocal held, most
            held += 1
            most = max(most, held)
            if held == 3:
                all_out.set()
            # Wait for the others: a quick query would be over before they
            # have begun, and look as if it had run alone.
            connection.run_async(lambda _: _at_most(all_out.wait(), 2))

        @event.listens_for(engine.sync_engine, "checkin")
        def back(*_):
            nonlocal held
            held -= 1

        counts = await answer(engine)
        if inspect.isawaitable(counts):
            raise NotYet("nobody waits for gather itself: put await before "
                         "it.")
        for one in counts:
            if inspect.iscoroutine(one):
                one.close()
    if any(inspect.iscoroutine(one) for one in counts):
        raise NotYet("the list holds coroutines; nobody has run them.")
    if list(counts) != [3, 6, 17]:
        raise NotYet(f"the counts are {counts!r}.")
    if most < 3:
        raise NotYet("the queries run one after the other: at most "
                     f"{most} connection was checked out at a time.")
    return "three connections at once, three answers."


async def _at_most(waiting, seconds):
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        pass
