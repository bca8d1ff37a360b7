"""What is sent is told: statements, fetches, commits, and their errors."""

import asyncio
import gc
import warnings

import pytest
from observing import ALL_DRIVERS, DRIVERS, ONE, run, words
from shop import engine_on
from sqlalchemy import event, exc, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from labsupport.schema import Artist, seed
from labsupport.trace.observe import observe


@pytest.mark.parametrize("driver", [*DRIVERS, "aiosqlite"])
def test_fetches_of_a_server_side_cursor_are_executing(driver):
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    rows = await connection.stream(
                        select(Artist.id).execution_options(yield_per=2))
                    ids = [row.id async for row in rows]
            return ids, trace

    ids, trace = run(go())
    assert ids == [1, 2, 3]
    fetches = sum(one.kind == "fetch" for one in trace.events)
    assert fetches >= 2
    assert trace.counts()["statements"] == 1


def test_a_commit_and_a_fetch_that_fail_are_errors():
    async def go():
        async with engine_on("psycopg") as engine:
            async with engine.begin() as connection:
                for sql in ("CREATE TABLE a (id int PRIMARY KEY)",
                            "CREATE TABLE b (a int REFERENCES a DEFERRABLE "
                            "INITIALLY DEFERRED)"):
                    await connection.execute(text(sql))
            with observe(engine) as trace:
                with pytest.raises(exc.IntegrityError):
                    async with engine.begin() as connection:
                        await connection.execute(
                            text("INSERT INTO b VALUES (1)"))
                with pytest.raises(exc.DataError):
                    async with engine.connect() as connection:
                        rows = await connection.stream(text(
                            "SELECT 1 / (3 - n) FROM generate_series(1, 5) n"))
                        async for _ in rows:
                            pass
            return trace

    assert run(go()).counts()["errors"] == 2


def test_methods_are_called_as_the_reader_calls_them():
    """By keyword, and with a connection that is no pool's."""
    async def go():
        async with engine_on("aiosqlite") as engine:
            @event.listens_for(engine.sync_engine, "reset")
            def reset(dbapi_connection, record, state):
                engine.dialect.do_rollback(dbapi_connection)

            @event.listens_for(engine.sync_engine, "do_execute")
            def execute(cursor, statement, parameters, context):
                engine.dialect.do_execute(
                    cursor, statement, parameters, context=context)
                return True

            with observe(engine) as trace:
                async with engine.connect() as connection:
                    assert await connection.scalar(ONE) == 1
            return trace.counts()

    counts = run(go())
    assert counts["statements"] == 1 and "invalidated" not in counts


@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_a_lazy_load_that_is_refused_sends_nothing(driver):
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            with observe(engine) as trace:
                async with AsyncSession(engine) as session:
                    artist = await session.get(Artist, 1)
                    with pytest.raises((exc.MissingGreenlet,
                                        exc.StatementError)):
                        artist.albums
            gc.collect()
            return trace

    with warnings.catch_warnings():  # of the driver's: lesson 08 has them
        warnings.simplefilter("ignore", RuntimeWarning)
        trace = asyncio.run(go())
    counts = trace.counts()
    assert counts["statements"] == trace.queries().selects == 1
    assert "errors" not in counts
    assert "error" not in words(trace)


def test_a_connection_that_is_refused_is_not_opened():
    async def go():
        async with engine_on("asyncpg") as engine:
            with observe(engine) as trace:
                with pytest.raises(exc.MissingGreenlet):
                    engine.sync_engine.connect()
            gc.collect()
            return trace

    with warnings.catch_warnings():  # of the driver's
        warnings.simplefilter("ignore", RuntimeWarning)
        counts = asyncio.run(go()).counts()
    assert (counts["connections opened"], counts["failed"]) == (0, 1)


@pytest.mark.parametrize("driver, after_reading", [
    ("asyncmy", "in transaction"), ("aiomysql", "")])
def test_what_drivers_of_mariadb_hear_of_a_transaction(driver, after_reading):
    """The server has one since the SELECT; aiomysql hears at the INSERT."""
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(select(Artist.id))
                    begun = await connection.scalar(
                        text("SELECT @@in_transaction"))
                    await connection.execute(insert(Artist).values(
                        name="Ada", biography=""))
            return begun, [one.detail for one in trace.events
                           if one.kind == "executed"]

    assert run(go()) == (1, [after_reading, after_reading, "in transaction"])
