"""Seen or unseen, the same work leaves the same connections on the server."""

import asyncio
import gc
import time
import warnings
from contextlib import nullcontext

import pytest
from observing import DRIVERS, ONE
from shop import engine_on
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from labsupport.trace.observe import observe


async def leak(engine):
    connection = await engine.connect()
    await connection.execute(ONE)


async def dispose_without_closing(engine):
    async with engine.connect() as held:
        await held.execute(ONE)
        for _ in range(3):
            async with engine.connect() as connection:
                await connection.execute(ONE)
            await engine.dispose(close=False)


async def detach_and_drop(engine):
    connection = await engine.connect()
    await connection.run_sync(lambda sync: sync.detach())
    await connection.execute(ONE)


async def leave_a_stream(engine):
    connection = await engine.connect()
    rows = await connection.stream(text("SELECT generate_series(1, 1000)"))
    await rows.fetchone()


async def cancel(engine):
    async with engine.connect() as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.execute(text("SELECT pg_sleep(9)"))


async def overflow(engine):
    async def work():
        async with engine.connect() as connection:
            await connection.execute(ONE)

    await asyncio.gather(*(work() for _ in range(4)))


SCENARIOS = {leak: 0, dispose_without_closing: 0, detach_and_drop: 0,
             leave_a_stream: 0, cancel: 0, overflow: 2}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("scenario", SCENARIOS,
                         ids=lambda scenario: scenario.__name__)
def test_an_observer_leaves_nothing_behind(driver, scenario):
    async def left(url, around):
        """Connections on the server when the work is done, and collected."""
        engine = create_async_engine(url, pool_size=2)
        observer = create_async_engine(url, poolclass=NullPool)
        async with observer.connect() as connection:
            with around(engine):
                await scenario(engine)
                deadline = time.monotonic() + 5  # it takes a moment to go
                while time.monotonic() < deadline:
                    gc.collect()
                    found = await connection.scalar(text(
                        "SELECT count(*) FROM pg_stat_activity WHERE "
                        "datname = current_database() AND state IS NOT NULL "
                        "AND application_name <> 'lab gauge' "
                        "AND pid <> pg_backend_pid()"))
                    await connection.rollback()
                    if found == SCENARIOS[scenario]:
                        break
                    await asyncio.sleep(0.01)
        await engine.dispose()
        return found

    async def go():
        async with engine_on(driver) as engine:
            return [await left(engine.url, around)
                    for around in (lambda engine: nullcontext(), observe)]

    with warnings.catch_warnings():  # of what is leaked
        warnings.simplefilter("ignore")
        assert asyncio.run(go()) == [SCENARIOS[scenario]] * 2
