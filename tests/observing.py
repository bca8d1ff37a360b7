"""What the tests of traces and gauges do again and again."""

import asyncio
import warnings

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

DRIVERS = ("asyncpg", "psycopg")  # of PostgreSQL, which can be asked
ALL_DRIVERS = (*DRIVERS, "aiosqlite", "aiomysql", "asyncmy")
ONE = text("SELECT 1")


def run(coroutine):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return asyncio.run(coroutine)


def words(trace, lane="main"):
    """What a lane went through, as the text of the timeline tells it."""
    for row in repr(trace.timeline()).splitlines():
        if row.startswith(lane + "  "):
            return row.removeprefix(lane).strip().split(" → ")
    return []


async def until(condition):
    """Wait for a condition; the suite's time limit is the only clock."""
    while not condition():
        await asyncio.sleep(0.002)


async def kill(engine):
    """End all other connections to the database, from outside."""
    killer = create_async_engine(engine.url, poolclass=NullPool)
    async with killer.connect() as connection:
        await connection.execute(text(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"))
