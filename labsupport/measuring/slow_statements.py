"""A statement that takes its time, and what its server does meanwhile.

    async with engine_for(url) as engine, engine.connect() as connection:
        server = await server_side(connection)
        task = asyncio.create_task(connection.execute(long_query(url)))
        await server.works()
        task.cancel()
        await asyncio.wait([task])
    await server.after_cancel()  # "query stopped", or what else became of it
"""

import asyncio
import time
from contextlib import asynccontextmanager

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

SLEEP = {"postgresql": "SELECT pg_sleep({})", "mysql": "SELECT sleep({})",
         "sqlite": "SELECT sleep({})"}
# Seconds. Nobody can stop SQLite's, so it is short.
LONG = {"postgresql": 9, "mysql": 9, "sqlite": 0.5}
ME = {"postgresql": "SELECT pg_backend_pid()",
      "mysql": "SELECT connection_id()"}
KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}
SEEN = {"postgresql": "SELECT state FROM pg_stat_activity WHERE pid = {}",
        "mysql": "SELECT command FROM information_schema.processlist"
                 " WHERE id = {}"}
BUSY = ["active", "Query"]  # PostgreSQL's word and MySQL's
AT_REST = ["idle", "idle in transaction", "idle in transaction (aborted)",
           "Sleep", None]  # None: it has gone
PATIENCE = 9000  # looks at the server, some thousand a second
AFTERWARDS = 300  # looks that a cancelled query has to stop


@asynccontextmanager
async def engine_for(url, **options):
    """An AsyncEngine, disposed of at the end; SQLite learns to sleep."""
    engine = create_async_engine(url, **options)
    if engine.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _teach_to_sleep)
    try:
        yield engine
    finally:
        await engine.dispose()


def sleep(url, seconds):
    """A statement that takes ``seconds`` on the database of ``url``."""
    return text(SLEEP[url.get_backend_name()].format(seconds))


def long_query(url):
    """A statement that takes longer than its task will wait."""
    return sleep(url, LONG[url.get_backend_name()])


async def server_side(connection):
    """An open AsyncConnection, made by ``engine_for``, as its server sees it.

    A ServerSide, or a ThreadSide with SQLite.
    """
    url = connection.engine.url
    if url.get_backend_name() == "sqlite":
        return ThreadSide((await connection.get_raw_connection()).info["naps"])
    number = await connection.scalar(text(ME[url.get_backend_name()]))
    return ServerSide(url, number)


class ServerSide:
    """A connection by its number, seen through another connection."""

    def __init__(self, url, number):
        self._url, self._number = url, number

    async def works(self):
        """Wait until the server works for it."""
        await self._is_seen(BUSY, PATIENCE)

    async def after_cancel(self):
        """Whether the query ends with its task (str); if not, kill it."""
        if await self._is_seen(AT_REST, AFTERWARDS):
            return "query stopped"
        await self.kill()
        return "query runs on"

    async def kill(self):
        """Kill it, and wait until the server has let go."""
        async with self._observed() as run:
            await run(KILL)
        await self._is_seen([None], PATIENCE)

    async def _is_seen(self, states, looks):
        async with self._observed() as run:
            for _ in range(looks):
                if (await run(SEEN)).scalar() in states:
                    return True
        return False

    @asynccontextmanager
    async def _observed(self):
        async with engine_for(self._url, isolation_level="AUTOCOMMIT") \
                as engine, engine.connect() as connection:
            yield lambda sql: connection.execute(text(
                sql[self._url.get_backend_name()].format(self._number)))


class ThreadSide:
    """What aiosqlite's thread does: which naps have begun, and are over."""

    def __init__(self, naps):
        self._naps = naps
        naps.clear()

    async def works(self):
        """Wait until the statement is under way."""
        while not self._naps:
            await asyncio.sleep(0.01)

    async def after_cancel(self):
        """Whether the task has waited for the end of its statement (str)."""
        return "cancel waits" if "over" in self._naps else "query stopped"


def _teach_to_sleep(connection, record):
    naps = record.info["naps"] = []

    def nap(seconds):
        naps.append("begun")
        time.sleep(seconds)
        naps.append("over")

    connection.run_async(
        lambda driver: driver.create_function("sleep", 1, nap))
