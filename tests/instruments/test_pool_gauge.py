"""The gauge shows what the pool believes and what the server sees."""

import asyncio

import pytest
from observing import DRIVERS, ONE, kill, run, until
from shop import engine_on

from labsupport.instruments.pool_gauge import pool_gauge


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_gauge_shows_both_sides(driver):
    async def go():
        async with engine_on(driver, pool_size=2, max_overflow=1) as engine:
            gauge = pool_gauge(engine)
            gate = asyncio.Event()

            async def work():
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await gate.wait()

            tasks = [asyncio.create_task(work()) for _ in range(5)]
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
