"""The engine, with limits; and the unit of work that is run again."""

import asyncio
import random

import asyncpg
from sqlalchemy import event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

# Serialization failure, deadlock: nothing was stored, and a second attempt
# may well succeed. Not lock_not_available: somebody is slow there.
AGAIN = {"40001", "40P01"}
# lock_timeout, statement_timeout, too many connections, a server that starts;
# and SQLite's, when another process writes.
LIMITS = {"55P03", "57014", "53300", "57P03", "SQLITE_BUSY"}
# No connection any more, an administrator's end: of a connect, SQLAlchemy does
# not say that it is invalidated.
ENDED = {"08003", "57P01"}
ATTEMPTS = 5
PRAGMAS = ("foreign_keys = ON", "journal_mode = WAL")


def make_engine(settings):
    """The one AsyncEngine of a process, for Settings."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, settings)
    return create_async_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout / 1000,
        pool_pre_ping=True,
        hide_parameters=True,  # no customer's data in a log
        connect_args=_arguments(url.get_driver_name(), settings))


def _arguments(driver, settings):
    on_server = {
        "lock_timeout": str(settings.lock_timeout),
        "statement_timeout": str(settings.statement_timeout),
        "idle_in_transaction_session_timeout": str(
            2 * settings.statement_timeout),
    }
    patience = settings.statement_timeout / 1000
    if driver == "psycopg":
        return {
            "application_name": "shop",
            "connect_timeout": max(2, round(patience)),
            "options": " ".join(f"-c {name}={value}"
                                for name, value in on_server.items()),
            # For a server that says nothing any more.
            "tcp_user_timeout": 2 * settings.statement_timeout}
    return {
        "timeout": patience,
        "command_timeout": 2 * patience,  # for such a server
        "server_settings": {"application_name": "shop", **on_server}}


def _sqlite(url, settings):
    # One writes at a time anyway: so they wait in the pool, in their order.
    engine = create_async_engine(
        url, pool_size=1, max_overflow=0,
        pool_timeout=settings.pool_timeout / 1000, hide_parameters=True,
        connect_args={"timeout": settings.lock_timeout / 1000})

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection, _record):
        connection.isolation_level = None  # we begin, and not the driver
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection):
        # A COMMIT that fails leaves its transaction open: end it.
        connection.connection.rollback()
        # The lock first: who reads and then writes is not refused half-way.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


async def in_unit(maker, work, *, stores=True):
    """What ``await work(session)`` returns, in a transaction of its own.

    It is committed when this returns, unless it ``stores`` nothing. If it
    conflicts with another, or the connection is lost before the commit,
    ``work`` runs again in another session. A connection that is lost *at*
    the commit raises: whether it was stored is not known.
    """
    for attempt in range(1, ATTEMPTS + 1):
        committing = False
        try:
            async with maker() as session:
                found = await work(session)
                if stores:
                    await session.flush()
                    committing = True
                    await session.commit()
                return found
        except asyncpg.InterfaceError:  # cut while it connects: a bare error
            if committing or attempt == ATTEMPTS:
                raise
        except DBAPIError as error:
            lost = (error.connection_invalidated
                    or _code(error) in ENDED) and not committing
            if attempt == ATTEMPTS or not (lost or conflicts(error)):
                raise
        await asyncio.sleep(random.uniform(0, .02 * 2 ** attempt))


def conflicts(error):
    """Whether a DBAPIError says: another was first, ask again (bool)."""
    return _code(error) in AGAIN


def limited(error):
    """Whether a DBAPIError says: a limit of the server is reached (bool).

    Or that there is no server: psycopg raises an error without a code then,
    and asyncpg a ConnectionError. (One that was there and is lost is neither:
    "come again" would be wrong, for the work may be stored.)
    """
    return _code(error) in LIMITS or (
        isinstance(error, OperationalError) and not _code(error)
        and not error.connection_invalidated)


def _code(error):
    own = error.orig
    return getattr(own, "sqlstate", None) or getattr(
        own, "sqlite_errorname", None)
