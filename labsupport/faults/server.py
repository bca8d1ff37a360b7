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

PATIENCE = 5  # seconds, for a lock
TERMINATE = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000))
    FROM pg_stat_activity
    WHERE datname = $1 AND pid <> pg_backend_pid()
    AND usesysid IS NOT NULL AND leader_pid IS NULL  -- a client's
    -- When another role's began is not told.
    AND coalesce(backend_start, 'infinity') >= $2::text::timestamptz
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
    async with _owner(database) as run:
        await run("BEGIN")
        await _exclusively(run, table)
        try:
            yield
        finally:
            await _surely(_rollback(run))


@asynccontextmanager
async def slow_query(database, table, ms):
    """Each query that reads rows of ``table`` works ``ms`` longer.

    Not an INSERT. A transaction that still uses the table 5 s after the end
    of the block is terminated. Raises ServerError if the table is in use for
    5 s at the beginning, or if your role is one that no policy binds.
    """
    there = False
    try:
        async with _owner(database) as run:
            await _bound_by_policies(run, database)
            await run("BEGIN")
            await _exclusively(run, table)
            # Its subquery runs once a query.
            await run(f'CREATE POLICY slow_query ON "{table}" USING '
                      f"((SELECT pg_sleep({ms / 1000:f})::text) IS NOT NULL) "
                      "WITH CHECK (true)")
            await run(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY, '
                      "FORCE ROW LEVEL SECURITY")
            there = True  # from here on nobody knows, if this is cancelled
            await run("COMMIT")
        yield
    finally:
        if there:
            await _surely(_quick_again(database, table))


async def _bound_by_policies(run, database):
    (free,), = await run("SELECT rolsuper OR rolbypassrls FROM pg_roles "
                         "WHERE rolname = current_user")
    if free:
        raise ServerError(
            f"The role in {database.SHARED} is bound by no policy, which is "
            "what makes a query slow: name an ordinary role there.")


async def _quick_again(database, table):
    async with _owner(database) as run:
        await run("BEGIN")
        try:
            await _exclusively(run, table)
        except ServerError:
            await run("ROLLBACK")
            await _terminate(run, database)
            await run("BEGIN")
        await run(f'DROP POLICY IF EXISTS slow_query ON "{table}"')
        await run(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY, '
                  "DISABLE ROW LEVEL SECURITY")
        await run("COMMIT")


async def _exclusively(run, table):
    try:
        await run(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
    except asyncpg.LockNotAvailableError:
        raise ServerError(f"The table {table} is in use by another "
                          "transaction: end that first.") from None


@asynccontextmanager
async def _owner(database):
    """A session of the role that owns the tables; it waits 5 s for a lock."""
    _check(database)
    # Not the URL for asyncpg: the options have PostgreSQL's own names here.
    async with database.connected(database.psycopg) as run:
        await run("SET application_name = 'labsupport.faults'")
        await run(f"SET lock_timeout = '{PATIENCE}s'")
        yield run


async def restart(database):
    """Crash this kernel's own server, which recovers; wait until it has.

    One of its processes is killed, as by the system when memory is short.
    PostgreSQL then ends all sessions, in each database, and starts anew.
    What was committed before the call is kept.
    Raises ServerError on a shared server.
    """
    _check(database)
    if database.is_shared:
        raise ServerError(
            f"A shared server is not restarted: unset {database.SHARED} and "
            "take a fresh database.")
    async with database.administered() as run:
        # This server runs with synchronous_commit off: without this, what
        # was committed lately would be lost.
        await run("CHECKPOINT")
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
    _check(database)
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
