"""What happens to connections is told, in whatever way they are made."""

import asyncio

import asyncpg
import pytest
from observing import DRIVERS, ONE, kill, run, words
from shop import engine_on
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.trace.observe import observe
from labsupport.trace.spans import PINGING


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("pre_ping", [False, True])
def test_a_killed_connection(driver, pre_ping):
    async def go():
        async with engine_on(driver, pool_pre_ping=pre_ping) as engine:
            async with engine.connect() as connection:
                await connection.execute(ONE)
            await kill(engine)
            with observe(engine) as trace:
                try:
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
                except exc.DBAPIError as error:
                    assert error.connection_invalidated and not pre_ping
                else:
                    assert pre_ping
            assert engine.pool.checkedout() == 0
            return trace

    trace = run(go())
    counts = trace.counts()
    assert counts["invalidated"] == 1 and trace.holders() == []
    if pre_ping:
        assert counts["pre-pings"] == 1 and "errors" not in counts
        assert counts["connections opened"] == 1
        assert PINGING in {span.state for span in trace.spans()} \
            or driver == "asyncpg"  # which knows without asking
    else:
        assert counts["errors"] == 1 and counts["connections opened"] == 0


def test_a_disposed_engine_is_still_observed():
    async def go():
        async with engine_on("asyncpg") as engine:
            with observe(engine) as trace:
                for _ in range(2):
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
                    await engine.dispose()
            with observe(engine) as later:
                async with engine.connect():
                    pass
            return trace, later

    trace, later = run(go())
    assert trace.counts()["connections opened"] == 2
    assert [mark for mark in repr(trace.timeline(by="connection")).split(", ")
            if "closed" in mark] == ["closed: 2\nstates: connecting"]
    assert later.counts()["requests"] == 1


def test_a_creator_of_ones_own_connects_too():
    async def go():
        async with engine_on("asyncpg") as engine:
            url = engine.url

            async def creator():
                return await asyncpg.connect(
                    user=url.username, password=url.password, host=url.host,
                    port=url.port, database=url.database)

            own = create_async_engine("postgresql+asyncpg://",
                                      async_creator=creator)
            with observe(own) as trace:
                async with own.connect() as connection:
                    await connection.execute(ONE)
            await own.dispose()
            return trace

    trace = run(go())
    assert trace.counts()["connections opened"] == 1
    assert words(trace)[:2] == ["connecting", "executing"]


def test_a_server_refuses():
    async def go():
        from labsupport.servers.starting import free_port

        async with engine_on("asyncpg") as engine:
            nobody = create_async_engine(engine.url.set(port=free_port()))
            with observe(nobody) as trace:
                with pytest.raises(OSError):
                    await nobody.connect()
            return trace

    trace = run(go())
    assert words(trace) == ["connecting", "failed"]
    assert trace.counts()["connections opened"] == 0


def test_overflow_that_is_closed_invents_no_task():
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=2) as engine:
            async def work():
                async with engine.connect() as connection:
                    await connection.execute(ONE)

            with observe(engine) as trace:
                for _ in range(2):
                    await asyncio.gather(*(work() for _ in range(3)))
            return trace

    assert [row.split("  ")[0] for row in repr(
        run(go()).timeline()).splitlines()] == [
            f"task {number}" for number in range(1, 7)]
