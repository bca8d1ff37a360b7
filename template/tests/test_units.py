"""The unit of work: when it is run again, when not, and what it stores."""

from contextlib import suppress
from dataclasses import replace

import pytest
import pytest_asyncio
from asyncpg import InterfaceError
from shop.database import ATTEMPTS, conflicts, in_unit, limited, make_engine
from shop.models import Album, Artist
from shop.settings import Settings
from sqlalchemy import event, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker

ON_SQLITE = Settings().database_url.startswith("sqlite")
STOCK = 10
SELL = update(Album).values(stock=Album.stock - 1)
END = "SELECT pg_terminate_backend(pg_backend_pid())"


async def outcome(maker, work, **options):
    """The DBAPIError of a unit, or None."""
    try:
        await in_unit(maker, work, **options)
    except DBAPIError as error:
        return error


@pytest_asyncio.fixture
async def impatient(settings):
    """A function of timeouts (ms): an engine beside that of the shop."""
    engines = []

    def made(**timeouts):
        engines.append(make_engine(replace(settings, **timeouts)))
        return engines[-1]

    yield made
    for engine in engines:
        await engine.dispose()


@pytest.mark.parametrize("times", [0, 2, ATTEMPTS - 1, ATTEMPTS])
async def test_a_unit_that_is_overtaken(engine, stored, impatient, times):
    """It is run again. On SQLite who has begun is not overtaken."""
    rival = impatient(lock_timeout=100)
    async with stored.begin() as session:
        session.add(Album(title="", stock=STOCK, artist=Artist(name="")))
    sessions, refused = set(), []

    async def work(session):
        sessions.add(session)
        await session.scalar(select(Album.stock))  # what it sees from now on
        if len(sessions) <= times:
            try:
                async with rival.begin() as connection:
                    await connection.execute(SELL)
            except DBAPIError as error:
                refused.append(error)
        await session.execute(SELL)

    failed = await outcome(async_sessionmaker(engine.execution_options(
        isolation_level="SERIALIZABLE")), work)
    async with stored() as session:
        sold = STOCK - await session.scalar(select(Album.stock))
    if ON_SQLITE:
        assert (failed, len(sessions), sold) == (None, 1, 1)
        assert [*map(limited, refused)] == [True] * min(times, 1)
    else:
        assert (failed is None) or conflicts(failed)
        assert len(sessions) == min(times + 1, ATTEMPTS)
        assert sold == times + (failed is None)
        assert refused == [] and (failed is None) == (times < ATTEMPTS)


def cut(session):
    """End its connection from below, as a server that restarts does."""
    adapted = session.connection().connection.dbapi_connection
    with suppress(Exception):  # it is told, too
        adapted.run_async(
            lambda own: own.close() if ON_SQLITE else own.execute(END))


# (At a commit aiosqlite does not tell that its connection is gone.)
@pytest.mark.parametrize("when, stores, again", [
    ("work", True, True), ("work", False, True),
    *([] if ON_SQLITE else [("commit", True, False)])])
async def test_a_connection_that_is_lost(stored, when, stores, again):
    sessions = set()

    async def work(session):
        sessions.add(session)
        session.add(Artist(name="once"))
        if when == "commit":
            event.listen(session.sync_session, "before_commit", cut)
        elif len(sessions) == 1:
            await session.run_sync(cut)
        await session.flush()

    failed = await outcome(stored, work, stores=stores)
    async with stored() as session:
        count = await session.scalar(select(func.count(Artist.id)))
    assert len(sessions) == 1 + again
    assert again or (failed.connection_invalidated and not limited(failed))
    assert count == (stores and again)


def hang_up(connection):
    connection.run_async(lambda driver: driver.close())


def end(connection):
    connection.cursor().execute(END)


# (A file is not cut.)
@pytest.mark.parametrize("cut_it", [hang_up, end])
@pytest.mark.parametrize("times", [0] if ON_SQLITE else [1, ATTEMPTS])
async def test_a_connection_that_is_cut_while_it_connects(
        impatient, cut_it, times):
    own, connects = impatient(), []

    def connecting(connection, _record):
        connects.append(connection)
        if len(connects) <= times:
            cut_it(connection)

    # Before the dialect prepares the connection.
    event.listen(own.sync_engine, "connect", connecting, insert=True)

    async def work(session):
        await session.execute(text("SELECT 1"))

    try:
        await in_unit(async_sessionmaker(own), work)
    except (DBAPIError, InterfaceError):
        assert times == ATTEMPTS
    assert len(connects) == min(times + 1, ATTEMPTS)


@pytest.mark.parametrize("limit, code", [
    ("lock_timeout", "SQLITE_BUSY")] if ON_SQLITE else [
    ("lock_timeout", "55P03"), ("statement_timeout", "57014")])
async def test_a_limit_is_told_from_an_error(stored, impatient, limit, code):
    sessions = set()

    async def work(session):
        sessions.add(session)
        session.add(Artist(name="one"))

    async with stored() as first:
        first.add(Artist(name="one"))  # whether it stays is not yet known
        await first.flush()
        failed = await outcome(
            async_sessionmaker(impatient(**{limit: 100})), work)
    assert code in (getattr(failed.orig, "sqlstate", None),
                    getattr(failed.orig, "sqlite_errorname", None))
    assert limited(failed) and not conflicts(failed)
    assert len(sessions) == 1


async def test_an_error_is_neither(stored):
    sessions = set()

    async def work(session):
        sessions.add(session)
        await session.execute(text("SELECT 1 FROM nowhere"))

    failed = await outcome(stored, work)
    assert not limited(failed) and not conflicts(failed)
    assert len(sessions) == 1
