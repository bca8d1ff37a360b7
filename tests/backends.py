"""Who is connected to a database, as its server sees it."""

import asyncio


async def backends(database, where="true"):
    """How many connections a PostgresDatabase has (int), that are so."""
    async with database.administered() as run:
        (found,), = await run(
            "SELECT count(*) FROM pg_stat_activity "
            f"WHERE datname = $1 AND {where}", database.asyncpg.database)
    return found


async def until(condition):
    """Wait until an async ``condition()`` holds; TimeoutError after 30 s."""
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(.02)
