"""The gauge shows what the pool believes and what the server sees."""

import asyncio

import asyncpg
import psycopg
import pytest
from observing import DRIVERS, ONE, kill, run, until
from shop import engine_on
from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.instruments.pool_gauge import pool_gauge
from labsupport.trace.observe import observe


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_gauge_shows_both_sides(driver):
    async def go():
        async with engine_on(driver, pool_size=2, max_overflow=1) as engine:
            gauge = pool_gauge(engine)
            gate, executed = asyncio.Event(), []

            async def work():
                async with engine.connect() as connection:
                    executed.append(await connection.execute(ONE))
                    await gate.wait()

            tasks = [asyncio.create_task(work()) for _ in range(5)]
            # between BEGIN and its statement, too, a connection is idle in
            # a transaction
            await until(lambda: len(executed) == 3)
            await until(lambda: gauge.pool()["waiting"] == 2
                        and "3 idle in transaction" in gauge.value)
            assert gauge.pool() == {"checked out": 3, "connecting": 0,
                                    "idle": 0, "waiting": 2}
            assert await gauge.server() == {"idle in transaction": 3}
            assert "3 live, overflow 1" in gauge.value
            gate.set()
            await asyncio.gather(*tasks)
            await gauge.stop()
            return gauge

    gauge = run(go())
    assert repr(gauge) == (
        "gauge of a pool of 2, at most 3 connections in all")
    assert gauge._hooks.counters == [] and not gauge._hooks._requests
    assert "2 idle" in gauge.value and "0 waiting" in gauge.value
    assert gauge._repr_mimebundle_()["text/plain"] == repr(gauge)


def test_the_gauge_survives_a_server_that_is_gone():
    async def go():
        async with engine_on("asyncpg") as engine:
            gauge = pool_gauge(engine)
            await until(lambda: gauge.asked)
            await kill(engine)
            async with engine.connect():
                before = gauge.asked
                await until(lambda: "1 checked out" in gauge.value)
                await until(lambda: gauge.asked > before)
            await gauge.stop()

    run(go())


def test_the_gauge_of_a_database_that_cannot_be_asked():
    async def go():
        async with engine_on("aiosqlite") as engine:
            gauge = pool_gauge(engine)
            await asyncio.sleep(0)
            seen = await gauge.server()
            await gauge.stop()
            return seen, gauge.value

    seen, value = run(go())
    assert seen == {} and "the server" not in value and "the pool" in value


async def through(engine, how):
    """An engine that reaches the same server in a way its URL cannot tell."""
    url = engine.url
    nowhere = URL.create(url.drivername)
    if how == "connect_args":
        database = "database" if url.drivername.endswith("asyncpg") \
            else "dbname"
        return create_async_engine(nowhere, connect_args={
            "host": url.host, "port": url.port, "user": url.username,
            "password": url.password, database: url.database})
    if how == "async_creator":
        async def creator():
            plain = url.set(drivername="postgresql", query={})
            dsn = plain.render_as_string(False)
            if url.drivername.endswith("asyncpg"):
                return await asyncpg.connect(dsn, ssl=False)
            return await psycopg.AsyncConnection.connect(dsn)

        return create_async_engine(nowhere, async_creator=creator)
    other = create_async_engine(url.set(password="wrong"))

    @event.listens_for(other.sync_engine, "do_connect")
    def connect(dialect, record, arguments, options):
        options["password"] = url.password

    return other


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("how", ["connect_args", "async_creator",
                                 "do_connect"])
def test_the_gauge_asks_where_the_engine_connects(driver, how):
    async def go():
        async with engine_on(driver) as engine:
            other = await through(engine, how)
            async with other.connect() as connection:
                await connection.execute(ONE)
                gauge = pool_gauge(other)
                with observe(other) as trace:
                    assert await gauge.server() == {"idle in transaction": 1}
                    await until(lambda: "the server" in gauge.value)
                    await gauge.stop()
            await other.dispose()
            return trace

    assert run(go()).events[:1] == []  # the gauge's connection is its own


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_gauge_asks_again_when_the_server_has_room(driver):
    async def go():
        async with engine_on(driver) as engine:
            tried = []

            @event.listens_for(engine.sync_engine, "do_connect")
            def connect(*_):
                tried.append(1)

            await full(engine.url, True)
            gauge = pool_gauge(engine)
            with pytest.raises(Exception, match="connect"):
                await gauge.server()
            await until(lambda: len(tried) > 2)  # twice in vain, by itself
            assert gauge.asked == 0
            await full(engine.url, False)
            await until(lambda: gauge.asked)
            await gauge.stop()
            return gauge

    assert "stopped" in run(go()).value


async def full(url, yes):
    """Allow the database no connection more, or as many as before."""
    connection = await asyncpg.connect(
        url.set(drivername="postgresql", query={}, database="postgres")
        .render_as_string(False), ssl=False)
    await connection.execute(f'ALTER DATABASE "{url.database}" '
                             f"CONNECTION LIMIT {0 if yes else -1}")
    await connection.close()


def test_a_stopped_gauge_shows_one_moment():
    """Both sides are asked once more, and it says that it stands still."""
    async def go():
        async with engine_on("asyncpg", pool_size=3) as engine:
            gauge = pool_gauge(engine)
            await until(lambda: gauge.asked)
            async with engine.connect() as one, engine.connect() as two:
                await one.execute(ONE)
                await two.execute(ONE)
                before = gauge.asked
                await gauge.stop()
                assert gauge.asked > before
                left = await gauge.server()  # and nothing of it stays open
                assert left == {"idle in transaction": 2}
            return gauge.value

    value = run(go())
    assert "2 checked out" in value and "2 idle in transaction" in value
    assert "stopped" in value


def test_a_place_without_a_connection_is_not_idle():
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=0) as engine:
            gauge = pool_gauge(engine)
            async with engine.connect() as connection:
                await connection.invalidate()
            await gauge.stop()
            return gauge

    gauge = run(go())
    assert gauge.pool()["idle"] == 0
    assert "0 idle" in gauge.value and "0 live" in gauge.value
