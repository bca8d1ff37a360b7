"""What SQLAlchemy costs over each driver, in CPU time of the client.

    python3 -m labsupport bench sqlalchemy_overhead

One user reads one artist by its primary key: with the driver alone in
autocommit, with the driver in a transaction as SQLAlchemy makes one, with
Core, and with the ORM. Ratios hold for a database on the same machine and
this small statement; more rows or a farther server make them smaller.
"""

import asyncio

import aiosqlite
import asyncpg
import psycopg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from labsupport import databases
from labsupport.databases import postgres, sqlite
from labsupport.measuring.comparison import compare
from labsupport.schema import Artist, seed

SECONDS = 12
SQL = "SELECT id, name, biography FROM artist WHERE id = "


async def raw_asyncpg(url, transaction=False):
    connection = await asyncpg.connect(
        **url.translate_connect_args(username="user"))

    async def operation():
        if transaction:
            await connection.execute("BEGIN")
        await connection.fetch(SQL + "$1", 1)
        if transaction:
            await connection.execute("ROLLBACK")

    yield operation
    await connection.close()


async def raw_psycopg(url, transaction=False):
    connection = await psycopg.AsyncConnection.connect(
        **url.translate_connect_args(username="user", database="dbname"),
        autocommit=not transaction)

    async def operation():
        cursor = await connection.execute(SQL + "%s", (1,))
        await cursor.fetchall()
        if transaction:
            await connection.rollback()

    yield operation
    await connection.close()


async def raw_aiosqlite(url, transaction=False):
    connection = await aiosqlite.connect(url.database, isolation_level=None)

    async def operation():
        if transaction:
            await connection.execute("BEGIN")
        await connection.execute_fetchall(SQL + "?", (1,))
        if transaction:
            await connection.rollback()

    yield operation
    await connection.close()


async def raw_mysql(url, transaction=False):
    from importlib import import_module

    driver = import_module(url.get_driver_name())
    connection = await driver.connect(
        **url.translate_connect_args(username="user", database="db"),
        autocommit=not transaction)

    async def operation():
        async with connection.cursor() as cursor:
            await cursor.execute(SQL + "%s", (1,))
            await cursor.fetchall()
        if transaction:
            await connection.rollback()

    yield operation
    connection.close()


async def core(url):
    engine = create_async_engine(url)
    statement = select(Artist.__table__).where(Artist.__table__.c.id == 1)

    async def operation():
        async with engine.connect() as connection:
            (await connection.execute(statement)).all()

    yield operation
    await engine.dispose()


async def orm(url):
    engine = create_async_engine(url)
    new_session = async_sessionmaker(engine)

    async def operation():
        async with new_session() as session:
            await session.get(Artist, 1)

    yield operation
    await engine.dispose()


def in_transaction(raw):
    """The raw candidate whose ``transaction`` is True."""
    async def candidate(url):
        async for operation in raw(url, True):
            yield operation

    return candidate


async def main():
    raws = {"asyncpg": raw_asyncpg, "psycopg": raw_psycopg,
            "aiosqlite": raw_aiosqlite, "aiomysql": raw_mysql,
            "asyncmy": raw_mysql}
    makers = [postgres, sqlite]
    if hasattr(databases, "mysql"):
        makers.append(databases.mysql)
    print("CPU per operation over the driver alone, median [95 % interval]")
    print(f"{'':<11}{'transaction':<23}{'Core':<23}{'ORM':<23}"
          "Core over transaction")
    for make in makers:
        db = await make()
        for driver in [name for name in raws if hasattr(db, name)]:
            url = getattr(db, driver)
            if driver in ("asyncpg", "aiosqlite", "aiomysql"):  # new tables
                engine = create_async_engine(url)
                await seed(engine)
                await engine.dispose()
            raw = raws[driver]
            result = await compare(
                {"raw": (raw, url), "transaction": (in_transaction(raw), url),
                 "core": (core, url), "orm": (orm, url)},
                seconds=SECONDS, concurrency=1)
            cells = [result.ratio(name, "raw")
                     for name in ("transaction", "core", "orm")]
            cells.append(result.ratio("core", "transaction"))
            print(f"{driver:<11}" + "".join(
                f"{cell.median:5.2f} [{cell.low:.2f} to {cell.high:.2f}]"
                .ljust(23) for cell in cells), flush=True)
        await db.drop()


if __name__ == "__main__":
    asyncio.run(main())
