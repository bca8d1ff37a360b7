"""What a lane goes through: cancelled, shared, replaced."""

import asyncio
import gc
import warnings
from contextlib import asynccontextmanager

import pytest
from observing import DRIVERS, ONE, kill, run, until, words
from shop import engine_on
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from labsupport.trace.observe import observe
from labsupport.trace.spans import CLOSING, EXECUTING, IN_TRANSACTION


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_cancelled_statement_costs_the_connection(driver):
    async def go():
        async with engine_on(driver) as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await connection.execute(
                                text("SELECT pg_sleep(9)"))
                async with engine.connect() as connection:
                    await connection.execute(ONE)
            return trace

    trace = run(go())
    assert words(trace)[:5] == ["connecting", "executing ×2", "error",
                                "invalidated", "connecting"]
    assert trace.counts()["invalidated"] == 1
    assert trace.counts()["connections opened"] == 2
    assert trace.holders() == []


def test_a_connection_that_another_task_uses():
    async def go():
        async with engine_on("psycopg") as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await asyncio.create_task(connection.execute(ONE),
                                              name="guest")
            return trace

    assert words(run(go()), "guest") == ["executing", "shared"]


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_session_that_is_closed_under_a_statement(driver, pause):
    """It goes on to its end, and somebody else has meddled."""
    async def go():
        async with engine_on(driver, pool_size=1, max_overflow=0) as engine:
            with observe(engine) as trace:
                session = AsyncSession(engine)
                child = asyncio.create_task(
                    session.execute(text("SELECT pg_sleep(0.3)")),
                    name="child")
                await until(lambda: trace.counts()["statements"])
                if pause:
                    await asyncio.sleep(0.1)
                closing = asyncio.create_task(session.close())
                await asyncio.gather(child, closing, return_exceptions=True)
            ended = [one.at for one in trace.events
                     if one.kind == "executed"][-1]
            out = engine.pool.checkedout()
            del session, child, closing
            with warnings.catch_warnings():  # asyncpg's is lost for good
                warnings.simplefilter("ignore", exc.SAWarning)
                gc.collect()
            return trace, ended, out

    trace, ended, out = run(go())
    told = words(trace, "child")
    assert "executing" in told and "shared" in told
    span = [span for span in trace.spans() if span.state == EXECUTING][0]
    assert span.end == ended
    assert trace.counts()["still checked out"] == out


def test_the_one_who_holds_does_so_while_a_guest_executes():
    async def go():
        async with engine_on("psycopg") as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await asyncio.create_task(
                        connection.execute(text("SELECT pg_sleep(0.05)")),
                        name="guest")
            return trace

    trace = run(go())
    guest, = [span for span in trace.spans() if span.lane == "guest"]
    assert [span for span in trace.spans() if span.lane == "main"
            and span.start <= guest.start and guest.end <= span.end
            and span.state == IN_TRANSACTION]


# A network that swallows what is sent

@asynccontextmanager
async def swallowing(url):
    """A URL through a proxy, and a set; once that has an item, nothing passes.
    """
    frozen, tasks = set(), set()

    async def pipe(reader, writer):
        try:
            while data := await reader.read(65536):
                if not frozen:
                    writer.write(data)
        finally:  # from Python 3.12 on the server waits for this
            writer.close()

    async def serve(reader, writer):
        there, back = await asyncio.open_connection(url.host, url.port)
        tasks.update(asyncio.create_task(pipe(*pair)) for pair in (
            (reader, back), (there, writer)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield url.set(port=server.sockets[0].getsockname()[1]), frozen
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_what_is_closed_after_a_ping_is_not_connecting():
    async def go():
        async with engine_on("asyncpg") as engine, \
                swallowing(engine.url) as (url, frozen):
            other = create_async_engine(
                url, pool_pre_ping=True, connect_args={"command_timeout": 0.3})
            async with other.connect():
                pass
            frozen.add(True)
            with observe(other) as trace:
                with pytest.raises(TimeoutError):
                    await other.connect()
            await other.dispose()
            return trace

    trace = run(go())
    assert words(trace) == ["pre-ping", "invalidated", "failed"]
    assert trace.counts()["connections opened"] == 0
    closing, = [span for span in trace.spans() if span.state == CLOSING]
    assert closing.end - closing.start > 0.2  # where the time has gone


@pytest.mark.parametrize("known", [False, True])
def test_a_ping_that_fails_is_told_alike(known):
    """Whether the trace has seen the connection before or not."""
    async def go():
        async with engine_on("psycopg", pool_pre_ping=True) as engine:
            async with engine.connect():
                pass
            with observe(engine) as trace:
                if known:
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
                await kill(engine)
                async with engine.connect() as connection:
                    await connection.execute(ONE)
            return trace

    assert words(run(go()))[-7:] == [
        "pre-ping", "invalidated", "connecting", "executing",
        "idle in transaction", "rollback", "returned"]
