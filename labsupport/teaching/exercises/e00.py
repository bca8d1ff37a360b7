"""Checks of ``00_start_here``."""

import inspect
from itertools import accumulate

from ...trace.observe import observe
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
        with observe(engine) as trace:
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
    if (most := _at_once(trace)) < 3:
        raise NotYet("the queries run one after the other: at most "
                     f"{most} connection was asked for at a time.")
    return "three connections at once, three answers."


def _at_once(trace):
    """How many connections were asked for and not yet given back, at most."""
    # Not how many were checked out: a quick query is over before the next
    # connection is open.
    steps = {"request": 1, "checkin": -1}
    return max(accumulate((steps.get(event.kind, 0) for event in trace.events),
                          initial=0))
