"""E00.3: how many SELECTs a page sends."""

from random import randint

from sqlalchemy import func, insert, select

from ...schema import Artist
from . import Misconception, NotYet, exercise, shop


@exercise(
    "E00.3",
    hints=(
        "observe sees what is sent while its block is open. Who has to run "
        "in there?",
        "with observe(engine) as trace: await page(engine)",
        "trace.queries().selects",
    ),
    misconceptions=(
        Misconception("await page(engine)", "page(engine)",
                      "page has not run"),
        Misconception("trace.queries().selects", "len(trace.queries())",
                      "counts the INSERT, too"),
        Misconception(".selects", "", "you return Queries"),
        Misconception("    return trace", "    trace", "you return None"),
        Misconception("await page(engine)",
                      "await page(engine)\n        await page(engine)",
                      "page has run 2 times"),
        Misconception("", """\
async def selects_of(page, engine):
    await page(engine)
    with observe(engine) as trace:
        pass
    return trace.queries().selects""", "inside the block of observe"),
        Misconception("", """\
async def selects_of(page, engine):
    return 3""", "page has not run"),
    ),
    also_right=(
        """\
async def selects_of(page, engine):
    with observe(engine) as trace:
        await page(engine)
        return sum(query.select for query in trace.queries())""",
        """\
async def selects_of(page, engine):
    from sqlalchemy import event
    sent = []

    def note(_connection, _cursor, statement, *_):
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await page(engine)
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    return len([one for one in sent if one.startswith("SELECT")])""",
    ),
)
async def count_selects(answer):
    selects, runs = randint(4, 9), []

    async def page(engine):
        runs.append(engine)
        async with engine.begin() as connection:
            await connection.execute(insert(Artist).values(
                name="Ada Quist", biography=""))
            for _ in range(selects):
                await connection.scalar(select(func.count(Artist.id)))

    page.__qualname__ = "page"  # as Python names it in a complaint
    async with shop() as engine:
        number = await answer(page, engine)
    if not runs:
        raise NotYet("page has not run: call it with the engine, and write "
                     "'await' before the call.")
    if len(runs) > 1:
        raise NotYet(f"page has run {len(runs)} times: once is enough.")
    if not isinstance(number, int):
        raise NotYet(f"you return {_what(number)}: return the number, "
                     "trace.queries().selects.")
    if number == selects + 1:
        raise NotYet(f"you count {number}, and that counts the INSERT, too: "
                     "take queries().selects.")
    if number != selects:
        raise NotYet(f"you count {number}, and page has sent {selects} "
                     "SELECTs: run it inside the block of observe.")
    return f"{selects} SELECTs, and one INSERT that is none."


def _what(thing):
    return "None" if thing is None else type(thing).__name__
