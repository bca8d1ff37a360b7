"""What goes wrong on the server of PostgreSQL, on purpose.

Each fault concerns one fresh database, but for ``restart``. What a fault sets
holds for sessions that begin in its block. At the end the setting is as it
was, and those sessions are terminated, as they would keep it.
"""

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress

import asyncpg

from ..databases.postgresql import PostgresDatabase
from ..servers import ServerError

TERMINATE = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000))
    FROM pg_stat_activity
    WHERE datname = $1 AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND backend_start >= $2::text::timestamptz
"""
SETTING = """
    SELECT split_part(setting, '=', 2)
    FROM pg_db_role_setting, unnest(setconfig) AS setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = $1)
    AND setrole = 0 AND setting LIKE $2 || '=%'
"""


async def terminate_backends(database):
    """End all sessions in ``database``; returns how many (int)."""
    async with _administered(database) as run:
        return await _terminate(run, database)


@asynccontextmanager
async def idle_session_timeout(database, ms):
    """A session that is idle for ``ms`` (outside a transaction) is ended."""
    async with _setting(database, "idle_session_timeout", f"{int(ms)}"):
        yield


@asynccontextmanager
async def read_only(database):
    """A session may only read, as on a replica after a failover.

    Those that are open are terminated, as a failover does.
    """
    async with _setting(database, "default_transaction_read_only", "on"):
        await terminate_backends(database)
        yield


@asynccontextmanager
async def connection_limit(database, connections):
    """At most so many ``connections`` (int); who has one keeps it.

    A superuser is not bound.
    """
    _check(database)
    name = database.asyncpg.database
    limit = f'ALTER DATABASE "{name}" CONNECTION LIMIT '
    async with _administered(database) as run:
        (before,), = await run(
            "SELECT datconnlimit FROM pg_database WHERE datname = $1", name)
    async with _changed(database, f"{limit}{int(connections)}",
                        f"{limit}{before}"):
        yield


@asynccontextmanager
async def locked(database, table):
    """Another session holds ``table``: each query of it waits for the end.

    Raises ServerError if the table stays in use for 5 s.
    """
    _check(database)
    # Not the URL for asyncpg: PostgreSQL's own name for an option is needed.
    async with database.connected(database.psycopg) as run:
        await run("SET application_name = 'labsupport: locked'")
        await run("SET lock_timeout = '5s'")
        await run("BEGIN")
        try:
            await run(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        except asyncpg.LockNotAvailableError:
            raise ServerError(
                f"The table {table} is in use by another transaction: end "
                "that first.") from None
        try:
            yield
        finally:
            await _surely(_rollback(run))


async def restart(database):
    """Crash this kernel's own server, which recovers; wait until it has.

    One of its processes is killed, as by the system when memory is short.
    PostgreSQL then ends all sessions, in each database, and starts anew.
    Raises ServerError on a shared server.
    """
    _check(database)
    if database.is_shared:
        raise ServerError(
            f"A shared server is not restarted: unset {database.SHARED} and "
            "take a fresh database.")
    async with database.administered() as run:
        (victim,), = await run("SELECT pg_backend_pid()")
        async with database.administered() as witness:
            os.kill(victim, getattr(signal, "SIGKILL", signal.SIGTERM))
            with suppress(asyncpg.PostgresError, OSError):
                await witness("SELECT pg_sleep(60)")  # until it is ended
    async with asyncio.timeout(60):
        while not await _answers(database):
            await asyncio.sleep(0.01)


async def _answers(database):
    """Whether the server takes sessions (bool)."""
    try:
        async with database.administered():
            return True
    except ServerError:  # it recovers
        return False


async def _rollback(run):
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await run("ROLLBACK")  # unless somebody has ended the session


async def _terminate(run, database, since="-infinity"):
    (ended,), = await run(TERMINATE, database.asyncpg.database, since)
    return ended


@asynccontextmanager
async def _setting(database, name, value):
    """A setting of ``database``, for the sessions that begin in the block."""
    at = database.asyncpg.database
    async with _administered(database) as run:
        before = await run(SETTING, at, name)
        (since,), = await run("SELECT clock_timestamp()::text")
    change = f'ALTER DATABASE "{at}" SET {name} = '
    undo = f"{change}'{before[0][0]}'" if before \
        else f'ALTER DATABASE "{at}" RESET {name}'
    try:
        async with _changed(database, f"{change}'{value}'", undo):
            yield
    finally:
        await _surely(_end_since(database, since))


async def _end_since(database, since):
    async with _administered(database) as run:
        await _terminate(run, database, since)


@asynccontextmanager
async def _changed(database, change, undo):
    """Two statements: one before the block, one after it."""
    try:
        await _run(database, change)
        yield
    finally:
        await _surely(_run(database, undo))


async def _run(database, statement):
    async with _administered(database) as run:
        return await run(statement)


async def _surely(coroutine):
    """Await it to its end, however often that is cancelled."""
    task, cancelled = asyncio.ensure_future(coroutine), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled
    task.result()


@asynccontextmanager
async def _administered(database):
    """``database.administered()``; what may not be done is a ServerError."""
    _check(database)
    async with database.administered() as run:
        try:
            yield run
        except asyncpg.InsufficientPrivilegeError as error:
            raise ServerError(
                f"The role in {database.SHARED} may not do this ({error}): "
                "unset the variable and take a fresh database.") from None


def _check(database):
    if not isinstance(database, PostgresDatabase):
        raise ServerError("This fault is one of PostgreSQL: take the database "
                          "that postgres() gave you.")
