"""Whether a task that waits for a database will ever end."""

import asyncio
import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

# A task never ends if its server is at rest in so many looks in a row, with
# turns of the event loop between them: then there is no answer to wait for.
# Nobody can ask SQLite: there only the looks count.
TURN, TURNS = 0.05, 5
LOOKS = {"postgresql": 2, "mysql": 2, "sqlite": 10}
LATE = 0.5  # s: on a machine so busy that a look takes longer, none counts
PATIENCE = 100  # looks at a server that is not at rest: it waits for a lock
AT_REST = {  # every connection of ours, for a while
    "postgresql": "SELECT count(*) = 0 FROM pg_stat_activity"
                  " WHERE datname = current_database()"
                  " AND pid <> pg_backend_pid() AND (state = 'active' OR"
                  " clock_timestamp() - state_change < interval '0.5 s')",
    "mysql": "SELECT count(*) = 0 FROM information_schema.processlist"
             " WHERE db = database() AND id <> connection_id()"
             " AND (command <> 'Sleep' OR time < 1)",
}


async def ends(task, url, database):
    """Wait until ``task`` has ended; False if it never will.

    ``database`` is what it waits for, and ``url`` how to ask its server.
    """
    backend = url.get_backend_name()
    resting = 0
    for _ in range(PATIENCE):
        began = time.monotonic()
        for _ in range(TURNS):
            await asyncio.wait([task], timeout=TURN)
            if task.done():
                return True
        await database.connections()  # while it is held up, nothing counts
        if not await _at_rest(url):
            resting = 0
        elif time.monotonic() - began < LATE:
            resting += 1
        if resting == LOOKS[backend]:
            return False
    return False


async def _at_rest(url):
    """Whether a server works on nothing; SQLite has none that could work."""
    sql = AT_REST.get(url.get_backend_name())
    if sql is None:
        return True
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return bool(await connection.scalar(text(sql)))
    finally:
        await engine.dispose()
