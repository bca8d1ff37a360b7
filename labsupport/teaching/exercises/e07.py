"""Checks of ``07_async_session``."""

from random import Random

from sqlalchemy import func, select
from sqlalchemy.exc import (
    IllegalStateChangeError,
    InvalidRequestError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...databases import postgres
from ...schema import Album, Artist, Track
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop
from .e07_retry import again_by_sqlstate  # noqa: F401  it is E07.3

OWN = "        async with Session() as session:"
SEND = "            return await session.scalar(statement)"
SHARED = "the three tasks use one session: each needs a session of its own."
TOGETHER = "    numbers = await asyncio.gather(*map(number, models))"
ONE_BY_ONE = "    numbers = [await number(model) for model in models]"


@exercise(
    "E07.1",
    hints=(
        "Which session does each of the three tasks use?",
        "Session() makes a session. Three tasks need three.",
        "Inside number(): async with Session() as session: …",
    ),
    misconceptions=(
        Misconception(TOGETHER, ONE_BY_ONE, "one after the other"),
        Misconception(
            "    models = ", "    lock = asyncio.Lock()\n"
            "    inner = number\n\n"
            "    async def number(model):\n"
            "        async with lock:\n"
            "            return await inner(model)\n\n"
            "    models = ", "one after the other"),
        Misconception(SEND, "            return 3", "the shop has"),
        Misconception(
            "", "async def dashboard(Session):\n"
            "    async def number(session, model):\n"
            "        statement = select(func.count()).select_from(model)\n"
            "        return await session.scalar(statement)\n\n"
            "    models = (Artist, Album, Track)\n"
            "    async with Session() as session:\n"
            "        numbers = await asyncio.gather(\n"
            "            *(number(session, model) for model in models),\n"
            "            return_exceptions=True)\n"
            "    return {model.__name__: n\n"
            "            for model, n in zip(models, numbers)}",
            "use one session"),
        Misconception(
            "", "async def dashboard(Session):\n"
            "    models = (Artist, Album, Track)\n"
            "    async with Session() as session:\n"
            "        numbers = await asyncio.gather(*(\n"
            "            session.scalar(select(func.count(model.id)))\n"
            "            for model in models))\n"
            "    return {model.__name__: n\n"
            "            for model, n in zip(models, numbers)}",
            "use one session"),
        Misconception(OWN, "        session = Session()\n        if True:",
                      "still checked out"),
    ),
    also_right=(
        "async def dashboard(Session):\n"
        "    async def number(model):\n"
        "        async with Session.begin() as session:\n"
        "            return len((await session.scalars(\n"
        "                select(model.id))).all())\n\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        tasks = {model.__name__: group.create_task(number(model))\n"
        "                 for model in (Artist, Album, Track)}\n"
        "    return {name: task.result() for name, task in tasks.items()}",
        "async def dashboard(Session):\n"
        "    models = (Artist, Album, Track)\n"
        "    sessions = [Session() for _ in models]\n"
        "    try:\n"
        "        numbers = await asyncio.gather(*(\n"
        "            session.scalar(select(func.count()).select_from(model))\n"
        "            for session, model in zip(sessions, models)))\n"
        "    finally:\n"
        "        for session in sessions:\n"
        "            await session.close()\n"
        "    return {model.__name__: n\n"
        "            for model, n in zip(models, numbers)}",
    ),
)
async def three_numbers_at_once(answer):
    models = (Artist, Album, Track)
    async with shop(postgres, "asyncpg") as engine:
        async with AsyncSession(engine) as session:
            right = {model.__name__: await session.scalar(
                select(func.count()).select_from(model)) for model in models}
        await engine.dispose()  # the pool is empty
        with observe(engine) as trace:
            try:
                numbers = await answer(async_sessionmaker(engine))
            except (IllegalStateChangeError, InvalidRequestError):
                raise NotYet(SHARED) from None
    if isinstance(numbers, dict) and any(
            isinstance(one, Exception) for one in numbers.values()):
        raise NotYet(SHARED)
    if numbers != right:
        raise NotYet(f"the shop has {right}, your function returns "
                     f"{numbers!r:.60}.")
    # The first is back before the second asks, or all three ask at once.
    if trace.counts()["connections opened"] < len(models):
        raise NotYet("the statements run one after the other, or through "
                     "one connection: three at once need three.")
    return "three sessions, three connections, three statements at once."


SAVEPOINT = "            async with session.begin_nested():"
ADD = "                session.add(Artist(**row))"
BOTH = f"{SAVEPOINT}\n{ADD}"


@exercise(
    "E07.2",
    hints=(
        "What should be undone when a row fails, and what not?",
        "A savepoint takes back what was done since it was set.",
        "async with session.begin_nested(): and the add inside.",
    ),
    misconceptions=(
        Misconception(
            BOTH, "            session.add(Artist(**row))\n"
            "            await session.flush()", "PendingRollbackError"),
        Misconception(
            f"{BOTH}\n            taken += 1\n"
            "        except IntegrityError:\n            pass",
            "            session.add(Artist(**row))\n"
            "            await session.flush()\n            taken += 1\n"
            "        except IntegrityError:\n"
            "            await session.rollback()",
            "what the caller had added"),
        Misconception(
            BOTH, "            session.add(Artist(**row))\n"
            "            async with session.begin_nested():\n"
            "                await session.flush()", "PendingRollbackError"),
        Misconception("            taken += 1", "            pass",
                      "were free"),
        Misconception(BOTH, "            await session.merge(Artist(**row))\n"
                      "            await session.flush()",
                      "was there before"),
        Misconception("    return taken",
                      "    await session.commit()\n    return taken",
                      "the caller commits"),
    ),
    also_right=(
        "async def take_in_artists(session, rows):\n"
        "    taken = 0\n"
        "    for row in rows:\n"
        "        if await session.get(Artist, row['id']) is None:\n"
        "            session.add(Artist(**row))\n"
        "            await session.flush()\n"
        "            taken += 1\n"
        "    return taken",
        "async def take_in_artists(session, rows):\n"
        "    from sqlalchemy.dialects.postgresql import insert\n"
        "    await session.flush()\n"
        "    done = await session.scalars(\n"
        "        insert(Artist).on_conflict_do_nothing()\n"
        "        .returning(Artist.id), [*rows])\n"
        "    return len(done.all())",
        "async def take_in_artists(session, rows):\n"
        "    taken = 0\n"
        "    for row in rows:\n"
        "        savepoint = await session.begin_nested()\n"
        "        session.add(Artist(**row))\n"
        "        try:\n"
        "            await savepoint.commit()\n"
        "        except IntegrityError:\n"
        "            await savepoint.rollback()\n"
        "        else:\n"
        "            taken += 1\n"
        "    return taken",
    ),
)
async def one_duplicate_and_the_rest_stays(answer):
    random = Random()
    async with shop(postgres, "asyncpg") as engine:
        async with AsyncSession(engine) as session:
            there = dict((await session.execute(
                select(Artist.id, Artist.name))).all())
        free = random.sample(range(100, 900), 4)
        rows = [{"id": number, "name": f"Artist {number}"}
                for number in (*free, random.choice(free), *[*there][:2])]
        random.shuffle(rows)
        async with AsyncSession(engine) as session:
            session.add(Artist(id=99, name="The caller's"))
            await session.flush()
            before = session.sync_session.get_transaction()
            taken = await answer(session, [dict(row) for row in rows])
            if session.sync_session.get_transaction() is not before \
                    and await _stored(engine, free):
                raise NotYet("it commits; the caller commits, when all of "
                             "its work is done.")
            try:
                await session.commit()
            except SQLAlchemyError as error:
                raise NotYet(f"the caller's commit raises "
                             f"{type(error).__name__}.") from None
        kept = await _stored(engine, [99, *free])
        async with AsyncSession(engine) as session:
            now = dict((await session.execute(select(
                Artist.id, Artist.name).where(Artist.id.in_(there)))).all())
    if now != there:
        raise NotYet("an artist who was there before has another name now.")
    if 99 not in kept:
        raise NotYet("what the caller had added before is gone: rollback() "
                     "undoes the whole transaction, not one row.")
    if kept != {99, *free} or taken != len(free):
        raise NotYet(f"{len(free)} of the ids were free, {len(kept) - 1} are "
                     f"stored, and your function returns {taken!r}.")
    return "each row whose id was free is in, and the rest is as it was."


async def _stored(engine, ids):
    """Which of the ids (set of int) another session sees."""
    async with AsyncSession(engine) as session:
        return set(await session.scalars(
            select(Artist.id).where(Artist.id.in_(ids))))
