"""An engine on a fresh database, for the tests of what observes engines."""

import asyncio
from contextlib import asynccontextmanager

from conftest import need
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import mysql, postgres, sqlite
from labsupport.schema import seed
from labsupport.servers import NotInstalled

MAKERS = {"aiosqlite": sqlite, "aiomysql": mysql, "asyncmy": mysql}


@asynccontextmanager
async def engine_on(driver, **options):
    """An engine on a fresh database; both are gone afterwards."""
    try:
        db = await MAKERS.get(driver, postgres)()
    except NotInstalled as missing:
        need(False, str(missing))
    engine = create_async_engine(getattr(db, driver), **options)
    try:
        yield engine
    finally:
        await engine.dispose()
        await db.drop(force=True)


def in_shop(work, driver):
    """``await work(engine)`` on a seeded shop, reached by ``driver``."""
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            return await work(engine)

    return asyncio.run(go())
