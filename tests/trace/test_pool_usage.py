"""How many connections there are: at most, at the end, at every step."""

import asyncio

import pytest
from observing import ALL_DRIVERS, DRIVERS, ONE, run, until
from shop import engine_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import NullPool, StaticPool

from labsupport.instruments.pool_gauge import pool_gauge
from labsupport.trace.observe import observe
from labsupport.trace.pool_usage import limits
from labsupport.trace.spans import IN_POOL


@pytest.mark.parametrize("driver", DRIVERS)
def test_fifty_tasks_in_a_group(driver):
    async def go():
        async with engine_on(driver, pool_size=5, max_overflow=5) as engine:
            async def work():
                async with AsyncSession(engine) as session:
                    await session.execute(ONE)

            with observe(engine) as trace:
                async with asyncio.TaskGroup() as group:
                    for _ in range(50):
                        group.create_task(work())
            return trace

    trace = run(go())
    counts = trace.counts()
    assert counts["requests"] == counts["statements"] == 50
    assert counts["most at once"] == 10 and counts["of these overflow"] == 5
    assert len(repr(trace.timeline()).splitlines()) == 50
    assert counts["had to wait"] == 40


def test_a_connection_that_is_thrown_away_is_gone():
    """The pool checks its empty place in; that is no connection."""
    async def go():
        async with engine_on("psycopg") as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await connection.invalidate()
            return trace

    trace = run(go())
    assert IN_POOL not in {span.state for span in trace.spans("connection")
                           if span.turns}
    assert trace.usage()[-1][1:] == (0, 0, 0, 0, 0)


def test_pools_of_other_classes():
    async def go(pool):
        async with engine_on("asyncpg", poolclass=pool) as engine:
            with observe(engine) as trace:
                for _ in range(3):
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
            return trace

    opened = {pool: run(go(pool)).counts()["connections opened"]
              for pool in (NullPool, StaticPool)}
    assert opened == {NullPool: 3, StaticPool: 1}
    assert "pool_size" not in run(go(NullPool)).pool().svg


@pytest.mark.parametrize("driver", ALL_DRIVERS)
@pytest.mark.parametrize("how", ["invalidate", "detach"])
def test_an_empty_place_in_the_pool_is_no_connection(driver, how):
    async def go():
        async with engine_on(driver, pool_size=1, max_overflow=0) as engine:
            async with engine.connect() as connection:
                if how == "invalidate":
                    await connection.invalidate()
                else:
                    await connection.run_sync(lambda sync: sync.detach())
            assert engine.pool.checkedin() == 1  # so says the pool
            assert limits(engine.pool).idle == 0
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
            return trace.counts()

    counts = run(go())
    assert counts["most at once"] == counts["connections opened"] == 1
    assert counts["of these overflow"] == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_pools_that_were_disposed_of_are_no_overflow(driver):
    async def go():
        async with engine_on(driver, pool_size=2, max_overflow=0) as engine:
            with observe(engine) as trace:
                async with engine.connect(), engine.connect():
                    for _ in range(3):
                        await engine.dispose(close=False)
                        async with engine.connect() as connection:
                            await connection.execute(ONE)
                        now = trace.usage()[-1]
                        assert (now.out, now.idle) == (2, 1)
                after = trace.usage()[-1]
                # What came back to a pool that is no more is not idle in it.
                assert (after.out, after.idle) == (0, 1)
            return trace.counts()

    counts = run(go())
    assert counts["of these overflow"] == 0
    assert counts["most at once"] == 3
    assert counts["connections opened"] == 5


def test_a_request_from_before_the_trace_is_served_in_it():
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=0) as engine:
            first = await engine.connect()
            late = asyncio.ensure_future(engine.connect())
            await asyncio.sleep(0)
            with observe(engine) as trace:
                await first.close()
                second = await late
                during = trace.usage()[-1]
                await second.close()
                after = trace.usage()[-1]
            return during, after, trace.counts()["most at once"]

    during, after, most = run(go())
    assert (during.out, during.idle) == (1, 0)
    assert (after.out, after.idle, most) == (0, 1, 1)


def test_a_connection_in_the_making_when_the_trace_begins():
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=0) as engine:
            early = asyncio.ensure_future(engine.connect())
            await until(lambda: engine.pool.checkedout())
            with observe(engine) as trace:
                connection = await early
                during = trace.usage()[-1].out
                await connection.close()
            return during, trace.counts()

    during, counts = run(go())
    assert (during, counts["most at once"]) == (1, 1)
    assert counts["still checked out"] == 0


@pytest.mark.parametrize("end", ["close", "invalidate"])
def test_who_waits_for_a_pool_that_is_disposed_of_gets_its_place(end):
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=0) as engine:
            gauge = pool_gauge(engine)
            with observe(engine) as trace:
                first = await engine.connect()
                late = asyncio.ensure_future(engine.connect())
                await until(lambda: trace.usage()[-1].waiting)
                await engine.dispose()
                async with engine.connect():
                    await getattr(first, end)()
                    second = await late
                    during = trace.usage()[-1], gauge.pool()
                    await second.close()
                after = trace.usage()[-1], gauge.pool()
            await gauge.stop()
            return during, after, trace.counts()

    during, after, counts = run(go())
    assert (during[0].out, during[1]["checked out"]) == (2, 1)
    assert (after[0].out, after[0].idle, after[1]["idle"]) == (0, 1, 1)
    assert counts["of these overflow"] == 0
