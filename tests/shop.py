"""An engine on a fresh database, for the tests of what observes engines."""

import asyncio
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres, sqlite
from labsupport.schema import seed


@asynccontextmanager
async def engine_on(driver, **options):
    """An engine on a fresh database; both are gone afterwards."""
    db = await (sqlite() if driver == "aiosqlite" else postgres())
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
