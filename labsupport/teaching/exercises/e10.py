"""Checks of ``10_web_applications``."""

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, params
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...databases import postgres
from ...schema import Artist
from ...web import serve
from . import Misconception, NotYet, exercise, shop

RETURN = "    return Depends(one_unit, scope=\"function\")"
DEPENDENCY = """def session_of(Session):
    async def one_unit():
{}    return Depends(one_unit, scope="function")"""


def unit(*lines):
    """The source of an answer whose dependency has these ``lines``."""
    return DEPENDENCY.format("".join(f"        {line}\n" for line in lines))


@exercise(
    "E10.1",
    hints=(
        "When does FastAPI run what stands behind the yield?",
        "Depends has a scope: of the request, or of the function.",
        'return Depends(one_unit, scope="function")',
    ),
    misconceptions=(
        Misconception(RETURN, "    return Depends(one_unit)",
                      "before the commit"),
        Misconception(RETURN, '    return Depends(one_unit, scope="function",'
                      " use_cache=False)", "two sessions"),
        Misconception("", unit(
            "async with Session() as session:",
            "    yield session"), "nothing is stored"),
        Misconception("", unit(
            "async with Session() as session:",
            "    try:",
            "        yield session",
            "    finally:",
            "        await session.commit()"), "has raised"),
        Misconception("", unit(
            "session = Session()",
            "yield session",
            "await session.commit()"), "still checked out"),
        Misconception(RETURN, "    return one_unit", "Depends("),
        Misconception(RETURN, '    return Depends(one_unit(), scope='
                      '"function")', "not its call"),
        Misconception("", unit(
            "async with Session.begin() as session:",
            "    yield session").replace(
                "    async def", "    @asynccontextmanager\n    async def"),
            "not an async iterator"),
    ),
    also_right=(
        unit("async with Session.begin() as session:",
             "    yield session").replace(
                 RETURN, '    return Annotated[AsyncSession, Depends('
                 'one_unit, scope="function")]'),
        unit("async with Session.begin() as session:",
             "    yield session"),
        unit("session = Session()",
             "try:",
             "    yield session",
             "    await session.commit()",
             "except BaseException:",
             "    await session.rollback()",
             "    raise",
             "finally:",
             "    await session.close()"),
    ),
)
async def a_service_that_answers_before_it_commits(answer):
    order = []
    async with shop(postgres, "asyncpg") as engine:
        given = answer(async_sessionmaker(engine))
        given = getattr(given, "__metadata__", [given])[-1]  # of Annotated
        if not isinstance(given, params.Depends):
            raise NotYet("session_of returns what gives an endpoint its "
                         "session: Depends(…).")
        if not callable(given.dependency):
            raise NotYet("Depends wants the function, and not its call.")
        event.listen(engine.sync_engine, "commit",
                     lambda connection: order.append("commit"))
        async with serve(_told(_artists(given), order)) as site:
            name = secrets.token_hex(4)
            code = (await site.post(f"/artists/{name}")).status_code
            if code != 201 or not await _there(engine, name):
                raise NotYet(f"the client has {code}, and nothing is stored."
                             + "".join(f" It raises {error}."
                                       for error in site.errors[-1:]))
            if order.index("answer") < order.index("commit"):
                raise NotYet("the client has its answer before the commit.")
            bad = secrets.token_hex(4)
            await site.post(f"/artists/{bad}?fail=true")
            if await _there(engine, bad):
                raise NotYet("an endpoint that has raised leaves its row.")
            if engine.pool.checkedout():
                raise NotYet("after a request that failed its connection is "
                             "still checked out: close the session.")
            if not (await site.get("/one")).json():
                raise NotYet("two dependencies of a request have two "
                             "sessions, and two connections.")
            await _refuse_commits(engine)
            code = (await site.post("/artists/late")).status_code
            if code != 500:
                raise NotYet(f"a commit fails, and the client has {code}.")
    return "committed first, answered afterwards, one session a request."


def _artists(given):
    """An application whose endpoints depend on what is ``given``."""
    Db = Annotated[AsyncSession, given]
    app = FastAPI()

    async def other(session: Db):
        return session

    @app.post("/artists/{name}", status_code=201)
    async def create(name: str, session: Db, fail: bool = False):
        session.add(Artist(name=name))
        await session.flush()
        if fail:
            raise LookupError(name)

    @app.get("/one")
    async def one(session: Db, another: Annotated[AsyncSession,
                                                  Depends(other)]):
        return session is another

    return app


def _told(app, order):
    """The ASGI ``app``; when a response begins, ``order`` (list) says so."""
    async def telling(scope, receive, send):
        async def send_and_tell(message):
            if message["type"] == "http.response.start":
                order.append("answer")
            await send(message)

        await app(scope, receive, send_and_tell)

    return telling


async def _there(engine, name):
    async with engine.connect() as connection:
        return await connection.scalar(
            select(Artist.id).where(Artist.name == name)) is not None


async def _refuse_commits(engine):
    """From now on a transaction with a new artist fails at its commit."""
    async with engine.begin() as connection:
        for statement in (
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql "
                "AS $$ BEGIN RAISE 'no'; END $$",
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON artist "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
                "EXECUTE FUNCTION refuse()"):
            await connection.execute(text(statement))


ORDERS = 5
GATHER = "    await asyncio.gather(*jobs, return_exceptions=True)"
LOST = "one order fails, and the others are lost with it."


@exercise(
    "E10.2",
    hints=(
        "Who waits for a task that no request waits for any more?",
        "asyncio.gather waits for many. What does it do when one fails?",
        "await asyncio.gather(*jobs, return_exceptions=True)",
    ),
    misconceptions=(
        Misconception(GATHER, "    pass", "are lost"),
        Misconception(GATHER, "    await asyncio.sleep(0.25)", "are lost"),
        Misconception(GATHER, "    await asyncio.sleep(2)", "at once"),
        Misconception(GATHER, "    await asyncio.wait_for(asyncio.gather("
                      "*jobs), 0.1)", "are lost"),
        Misconception(GATHER, "    for job in jobs:\n        job.cancel()",
                      "are lost"),
        Misconception(GATHER, "    await asyncio.gather(*jobs)",
                      "lost with it"),
        Misconception(GATHER, "    for job in list(jobs):\n"
                      "        await job", "lost with it"),
        Misconception(GATHER, "    await asyncio.wait(jobs)",
                      "without orders"),
    ),
    also_right=(
        "async def finish(jobs):\n"
        "    if jobs:\n"
        "        await asyncio.wait(jobs)",
        "async def finish(jobs):\n"
        "    while jobs:\n"
        "        await asyncio.wait(list(jobs))",
        "async def finish(jobs):\n"
        "    for job in list(jobs):\n"
        "        try:\n"
        "            await job\n"
        "        except Exception:\n"
        "            pass",
    ),
)
async def a_drain_that_loses_no_order(answer):
    async with shop(postgres, "asyncpg") as engine:
        names = ["slow", *(secrets.token_hex(4) for _ in range(ORDERS - 1))]
        try:
            stored = await _after_the_end(engine, answer, names)
        except TimeoutError:
            raise NotYet("the drain gives up while orders are at work: they "
                         "are lost.") from None
        if stored < ORDERS:
            raise NotYet(f"{ORDERS} orders were accepted, and "
                         f"{ORDERS - stored} are lost.")
        names = ["fails", *(secrets.token_hex(4) for _ in range(ORDERS))]
        try:
            stored = await _after_the_end(engine, answer, names)
        except LookupError:
            raise NotYet(LOST) from None
        if stored < ORDERS:
            raise NotYet(LOST)
        try:
            async with asyncio.timeout(1):
                await answer(set())
        except ValueError as error:
            raise NotYet(f"a shop without orders cannot end: {error}"
                         ) from None
        except TimeoutError:
            raise NotYet("a shop without orders does not end at once."
                         ) from None
    return "each accepted order is stored, and the failing one hindered none."


async def _after_the_end(engine, finish, names):
    """How many orders are stored when the application has ended."""
    jobs, Session = set(), async_sessionmaker(engine)
    draining = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app):
        yield
        draining.set()
        await finish(jobs)

    async def store(name):
        await draining.wait()
        if name == "fails":
            raise LookupError("there is no such album")
        async with Session.begin() as session:
            await session.execute(select(func.pg_sleep(
                0.8 if name == "slow" else 0.2)))
            session.add(Artist(name=name))

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders/{name}", status_code=202)
    async def accept(name: str):
        jobs.add(job := asyncio.create_task(store(name)))
        job.add_done_callback(jobs.discard)
        job.add_done_callback(  # nothing is said of one that fails
            lambda job: job.cancelled() or job.exception())

    try:
        async with serve(app) as site:
            for name in names:
                await site.post(f"/orders/{name}")
        async with engine.connect() as connection:
            return len((await connection.scalars(
                select(Artist.id).where(Artist.name.in_(names)))).all())
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
