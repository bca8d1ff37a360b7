"""A rollback is drawn where the server's own log has one, and nowhere else."""

import asyncio
import re
from contextlib import suppress
from itertools import product

import pytest
from observing import ALL_DRIVERS, DRIVERS, ONE, run
from shop import engine_on
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from labsupport.servers import mariadb, postgres
from labsupport.trace.observe import observe
from labsupport.trace.spans import Fold

ADMINS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+aiomysql"}
SERVED = [driver for driver in ALL_DRIVERS if driver != "aiosqlite"]


async def nothing(engine):
    async with engine.connect():
        pass


async def a_session(engine):
    async with AsyncSession(engine) as session:
        await session.execute(ONE)


async def a_connection(engine):
    async with engine.connect() as connection:
        await connection.execute(ONE)


async def committed(engine):
    async with engine.begin() as connection:
        await connection.execute(ONE)


async def closed_under_a_statement(engine):
    """Before asyncpg has begun it, there is nothing to roll back."""
    async with AsyncSession(engine) as session:
        child = asyncio.create_task(session.execute(
            text("SELECT pg_sleep(0.1)")))
        await asyncio.sleep(0)
        with suppress(exc.IllegalStateChangeError):  # so 2.0.46 refuses it
            await session.close()
        await child


async def logged(engine, work):
    """How often the server was told ROLLBACK (int) while ``work`` ran."""
    name = engine.dialect.name
    if name == "postgresql":
        server = postgres.running()
        on, off = (f'ALTER DATABASE "{engine.url.database}" SET '
                   f"log_statement = '{what}'"
                   for what in ("all", "none"))
    else:
        server = mariadb.running()
        on = "SET GLOBAL general_log_file = 'told.log', GLOBAL general_log = 1"
        off = "SET GLOBAL general_log = 0"
    admin = create_async_engine(server.admin.set(drivername=ADMINS[name]),
                                poolclass=NullPool,
                                isolation_level="AUTOCOMMIT")

    async def tell(sql):
        async with admin.connect() as connection:
            await connection.execute(text(sql))

    await tell(on)
    await engine.dispose()
    async with engine.connect():  # the dialect's look at the server
        pass
    log = server.kept.directory / (
        "server.log" if name == "postgresql" else "data/told.log")

    def told():
        words = log.read_text(errors="replace").upper()
        return len(re.findall(r"\bROLLBACK;?$", words, re.MULTILINE))

    before = told()
    with observe(engine) as trace:
        await work(engine)
    await tell(off)
    return told() - before, trace


@pytest.mark.parametrize("driver, work", [
    *product(SERVED, [nothing, a_session, a_connection, committed]),
    *product(DRIVERS, [closed_under_a_statement])])
def test_as_many_as_the_server_was_told(driver, work):
    async def go():
        async with engine_on(driver, pool_size=1, max_overflow=0) as engine:
            number, trace = await logged(engine, work)
            marks = Fold(trace.events, "task", trace.seconds).marks
            return number, [mark.kind for mark in marks].count("rollback"), \
                trace

    number, drawn, trace = run(go())
    assert drawn == number, trace.timeline()


@pytest.mark.parametrize("work", [nothing, a_session, committed])
def test_psycopg_that_gives_way_to_others_sends_nothing(work, monkeypatch):
    monkeypatch.setattr("psycopg.waiting.MAX_BUSY_TIME", 0)
    test_as_many_as_the_server_was_told("psycopg", work)
