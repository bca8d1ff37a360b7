"""The server misbehaves, and then is as before."""

import asyncio
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest
from backends import backends
from observing import DRIVERS, run
from shop import engine_on
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport import faults
from labsupport.databases import postgres, sqlite
from labsupport.environment import release_series
from labsupport.faults import server
from labsupport.schema import seed
from labsupport.servers import ServerError

COUNT = text("SELECT count(*) FROM album")
SELL = text("UPDATE album SET stock = stock WHERE id = 1")


@asynccontextmanager
async def shop(driver="asyncpg"):
    """A seeded database, and an engine on it."""
    db = await postgres()
    engine = create_async_engine(getattr(db, driver))
    await seed(engine)
    try:
        yield db, engine
    finally:
        await engine.dispose()
        await db.drop()


async def do(engine, statement=COUNT):
    async with engine.begin() as connection:
        return (await connection.execute(statement)).rowcount


async def facts(db):
    """What a fault may have left in the catalogue or among the sessions."""
    async with db.administered() as sql:
        return await sql(
            "SELECT datconnlimit, (SELECT count(*) FROM pg_db_role_setting "
            "WHERE setdatabase = d.oid) FROM pg_database d "
            "WHERE datname = $1", db.asyncpg.database), \
            await db.connections()


@pytest.mark.parametrize("driver", DRIVERS)
def test_terminated_sessions_are_gone_when_it_returns(driver):
    async def work():
        async with shop(driver) as (db, engine):
            async with engine.connect(), engine.connect():
                assert await faults.terminate_backends(db) == 2
                assert await db.connections() == 0
            assert await faults.terminate_backends(db) == 0
            await engine.dispose()
            assert await do(engine) == 1

    run(work())


def test_only_the_sessions_of_this_database_are_terminated():
    async def work():
        async with shop() as (db, engine), engine_on("asyncpg") as other:
            assert await do(other, text("SELECT 1")) == 1
            assert await faults.terminate_backends(db) == 1
            assert await do(other, text("SELECT 1")) == 1

    run(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_read_only(driver):
    kind = {"asyncpg": DBAPIError, "psycopg": InternalError}[driver]

    async def work():
        async with shop(driver) as (db, engine):
            async with faults.read_only(db):
                assert await db.connections() == 0, "a failover cuts them"
                await engine.dispose()
                assert await do(engine) == 1
                with pytest.raises(kind, match="read-only transaction"):
                    await do(engine, SELL)
            assert await db.connections() == 0, "none stays read-only"
            await engine.dispose()
            assert await do(engine, SELL) == 1

    run(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_idle_session_timeout(driver):
    async def work():
        async with shop(driver) as (db, engine):
            assert await db.connections() == 1  # began before: not concerned
            late = create_async_engine(getattr(db, driver))
            async with faults.idle_session_timeout(db, 50):
                await do(late)
                async with asyncio.timeout(10):
                    while await db.connections() > 1:
                        await asyncio.sleep(0.01)
                with pytest.raises(DBAPIError):
                    await do(late)
            assert await do(engine) == 1
            await late.dispose()

    run(work())


# What asyncpg raises while it connects SQLAlchemy 2.0 does not wrap.
TOO_MANY = {"psycopg": OperationalError,
            "asyncpg": asyncpg.TooManyConnectionsError
            if release_series() == "2.0" else DBAPIError}


@pytest.mark.parametrize("driver", DRIVERS)
def test_connection_limit(driver):
    async def work():
        async with shop(driver) as (db, engine):
            async with engine.connect():
                async with faults.connection_limit(db, 1):
                    with pytest.raises(TOO_MANY[driver],
                                       match="too many connections"):
                        await do(engine)
                    async with faults.connection_limit(db, 2):
                        assert await do(engine) == 1
                    await engine.dispose()
                assert await do(engine) == 1

    run(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_locked_table_makes_a_query_wait(driver):
    async def work():
        async with shop(driver) as (db, engine):
            async with faults.locked(db, "album"):
                task = asyncio.create_task(do(engine))
                async with asyncio.timeout(10):
                    while not await backends(db, "wait_event_type = 'Lock'"):
                        await asyncio.sleep(0.01)
                assert await do(engine, text("SELECT 1 FROM artist "
                                             "WHERE id = 1")) == 1
                assert not task.done()
            assert await task == 1

    run(work())


def test_a_locker_that_is_terminated_has_let_go():
    async def work():
        async with shop() as (db, engine):
            async with faults.locked(db, "album"):
                await faults.terminate_backends(db)
                await engine.dispose()
                assert await do(engine) == 1

    run(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_slow_query_works_longer_once(driver):
    async def work():
        async with shop(driver) as (db, engine):
            async def seconds(statement):
                began = time.perf_counter()
                assert await do(engine, statement) == 1
                return time.perf_counter() - began

            async with faults.slow_query(db, "album", 100):
                assert await seconds(COUNT) >= 0.1
                assert await seconds(SELL) >= 0.1
                count = text("SELECT count(*) FROM artist")
                assert min([await seconds(count) for _ in range(9)]) < 0.1
            assert min([await seconds(COUNT) for _ in range(9)]) < 0.1

    run(work())


def test_restart_ends_all_sessions_and_keeps_the_data():
    async def work():
        async with shop() as (db, engine), shop("psycopg") as (_, other):
            assert await do(engine, SELL) == 1
            await faults.restart(db)
            for each in (engine, other):
                with pytest.raises(DBAPIError):
                    await do(each)
                assert await do(each) == 1, "reconnected"
                async with each.connect() as connection:
                    assert await connection.scalar(COUNT) == 6

    run(work())


FAULTS = [lambda db: faults.read_only(db),
          lambda db: faults.idle_session_timeout(db, 60_000),
          lambda db: faults.connection_limit(db, 5),
          lambda db: faults.locked(db, "album"),
          lambda db: faults.slow_query(db, "album", 1)]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_every_fault_is_undone_whatever_happens(kind):
    async def work():
        async with shop() as (db, engine):
            await engine.dispose()
            await db.unused()
            before = await facts(db)
            for fault in FAULTS:
                with pytest.raises(kind):
                    async with fault(db):
                        raise kind
                await db.unused()
                assert await facts(db) == before
                assert await do(engine, SELL) == 1
                await engine.dispose()
                await db.unused()

    run(work())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cancelled_fault_is_undone(fault):
    """Also when it is cancelled again and again, or while it begins."""
    async def cancelled(db, turns):
        begun = asyncio.Event()

        async def waits():
            async with fault(db):
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(waits())
        if turns is None:
            await begun.wait()
        else:
            await asyncio.sleep(turns / 1000)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()

    async def work():
        async with shop() as (db, engine):
            await engine.dispose()
            await db.unused()
            before = await facts(db)
            for milliseconds in (0, 2, 5, 8, 12, 20, None):
                await cancelled(db, milliseconds)
                await db.unused()
                assert await facts(db) == before
            async with asyncio.timeout(5):
                assert await do(engine, SELL) == 1

    run(work())


def test_a_setting_that_was_there_comes_back():
    async def work():
        async with shop() as (db, engine):
            async with faults.idle_session_timeout(db, 50_000):
                async with faults.idle_session_timeout(db, 40_000):
                    await engine.dispose()
                    assert await shown(engine) == "40s"
                await engine.dispose()
                assert await shown(engine) == "50s"
            await engine.dispose()
            assert await shown(engine) == "0"

    async def shown(engine):
        async with engine.connect() as connection:
            return await connection.scalar(text("SHOW idle_session_timeout"))

    run(work())


def test_what_a_table_in_use_leads_to(monkeypatch):
    """At the beginning a sentence; at the end its user is terminated."""
    monkeypatch.setattr(server, "PATIENCE", 0.1)

    async def work():
        async with shop() as (db, engine), engine.connect() as connection:
            async with faults.slow_query(db, "album", 1):
                await connection.execute(COUNT)
            assert await db.connections() == 0
            await connection.invalidate()
            await connection.rollback()
            await connection.execute(COUNT)
            with pytest.raises(ServerError, match="album is in use"):
                async with faults.locked(db, "album"):
                    raise AssertionError

    run(work())


def test_other_databases_are_refused():
    async def work():
        file = await sqlite()
        for fault in (faults.terminate_backends, faults.restart):
            with pytest.raises(ServerError, match="of PostgreSQL"):
                await fault(file)
        for fault in FAULTS:
            with pytest.raises(ServerError, match="of PostgreSQL"):
                async with fault(file):
                    raise AssertionError
        await file.drop()

    run(work())


def test_what_the_role_of_a_shared_server_may_not_do(shared):
    _, _, sql = shared

    async def work():
        async with shop() as (db, engine):
            for fault in FAULTS:
                async with fault(db):
                    pass
            await engine.dispose()
            await db.unused()
            assert await do(engine) == 1
            with pytest.raises(ServerError, match="is not restarted"):
                await faults.restart(db)
            assert await do(engine) == 1
            assert await faults.terminate_backends(db) == 1

            name = db.asyncpg.database
            await asyncio.to_thread(
                sql, f'GRANT CONNECT ON DATABASE "{name}" TO bert')
            bert = create_async_engine(
                db.asyncpg.set(username="bert", password="b"))
            async with bert.connect():
                with pytest.raises(ServerError, match="may not do this"):
                    await faults.terminate_backends(db)
            await bert.dispose()

            await asyncio.to_thread(sql, "ALTER ROLE anna SUPERUSER")
            with pytest.raises(ServerError, match="bound by no policy"):
                async with faults.slow_query(db, "album", 1):
                    raise AssertionError

    run(work())
