"""Libraries with one change, each for a claim that has to notice it.

The kernel that runs a claim imports this module. A change is a function that
returns a context manager; what patches a class of SQLAlchemy, of a driver or
of asyncio is undone at its end.
"""

import asyncio
import contextlib
import gc
import threading
import time
from unittest import mock

import asyncpg
import psycopg
from sqlalchemy import event, exc
from sqlalchemy.dialects.mysql.aiomysql import MySQLDialect_aiomysql
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    PGDialect_asyncpg,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection, Engine, Result
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext import asyncio as extension
from sqlalchemy.ext.asyncio import (
    AsyncAttrs,
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
)
from sqlalchemy.ext.asyncio.session import AsyncSessionTransaction
from sqlalchemy.orm import Session, selectinload, strategies
from sqlalchemy.orm.base import ATTR_EMPTY
from sqlalchemy.orm.context import _ORMSelectCompileState
from sqlalchemy.pool import (
    AsyncAdaptedQueuePool,
    NullPool,
    Pool,
    QueuePool,
    SingletonThreadPool,
    StaticPool,
)
from sqlalchemy.util import concurrency
from sqlalchemy.util.queue import AsyncAdaptedQueue

from labsupport.schema import Artist

patch = mock.patch.object


def fresh_rows():
    """A session that reads again what it has read."""
    plain = AsyncSession.scalars

    def scalars(session, statement, *rest, **options):
        return plain(session, statement.execution_options(
            populate_existing=True), *rest, **options)
    return patch(AsyncSession, "scalars", scalars)


def queueing_session():
    """A session that lets one task in at a time."""
    plain, lock = AsyncSession.scalar, asyncio.Lock()

    async def scalar(session, *rest, **options):
        async with lock:
            return await plain(session, *rest, **options)
    return patch(AsyncSession, "scalar", scalar)


def final_flush():
    """A flush that commits."""
    return patch(AsyncSession, "flush", AsyncSession.commit)


def albums_come_along():
    """get() loads the collection, too."""
    plain = AsyncSession.get

    def get(session, model, key, **options):
        return plain(session, model, key,
                     options=[selectinload(Artist.albums)], **options)
    return patch(AsyncSession, "get", get)


def core_as_coroutine(call=None, answer=None):
    """A Core that talks to asyncpg itself, without a greenlet.

    ``call`` (async, or None: at once) is how it calls the listeners;
    ``answer``, if given, is known without asking anybody.
    """
    plain = AsyncConnection.execute

    async def scalar(connection, statement, *_, **__):
        inner = connection.sync_connection
        for listener in inner.dispatch.before_cursor_execute:
            rest = inner, None, str(statement), (), None, False
            if call:
                await call(listener, *rest)
            else:
                listener(*rest)
        driver = inner.connection.driver_connection
        if not answer and isinstance(driver, asyncpg.Connection):
            return await driver.fetchval(str(statement))
        return answer or (await plain(connection, statement)).scalar()
    return mock.patch.multiple(AsyncConnection, scalar=scalar, execute=scalar)


def option(name, changed):
    """Pools have another value of an option: what ``changed`` makes of it."""
    return patch(Pool, name, property(
        lambda pool: changed(vars(pool)[name]),
        lambda pool, value: vars(pool).__setitem__(name, value)), create=True)


def awaited_rows():
    async def all_rows(result):
        return result._allrows()
    return patch(Result, "all", all_rows)


@contextlib.contextmanager
def engine_that_connects():
    """create_async_engine() connects, if somebody listens there."""
    plain, opened = AsyncEngine.__init__, []

    def init(engine, inner):
        plain(engine, inner)
        with contextlib.suppress(psycopg.Error):
            opened.append(psycopg.connect(inner.url.set(
                drivername="postgresql", query={}).render_as_string(False)))
    with patch(AsyncEngine, "__init__", init):
        yield
    for connection in opened:
        connection.close()


def commit_at_close():
    """A connection that commits what nobody has committed."""
    plain = AsyncConnection.close

    async def close(connection):
        await connection.commit()
        await plain(connection)
    return patch(AsyncConnection, "close", close)


@contextlib.contextmanager
def refusal_at_run_time():
    """InvalidRequestError is a RuntimeError."""
    error = exc.InvalidRequestError
    bases, error.__bases__ = error.__bases__, (
        exc.SQLAlchemyError, RuntimeError)
    yield
    error.__bases__ = bases


def slow_hand_over():
    """A greenlet that takes two milliseconds to begin."""
    plain = concurrency._AsyncIoGreenlet.__init__

    def init(self, *rest):
        time.sleep(0.002)
        plain(self, *rest)
    return patch(concurrency._AsyncIoGreenlet, "__init__", init)


def connecting_twice():
    """A NullPool that opens two connections, and closes one."""
    plain = NullPool._do_get

    def get(pool):
        pool._create_connection().close()
        return plain(pool)
    return patch(NullPool, "_do_get", get)


def commit_after_an_error():
    plain = AsyncSessionTransaction.__aexit__

    async def leave(transaction, *_):
        await plain(transaction, None, None, None)
    return patch(AsyncSessionTransaction, "__aexit__", leave)


@contextlib.contextmanager
def limit_of_rows():
    """A statement that is not nested in another before it joins."""
    with patch(_ORMSelectCompileState, "_should_nest_selectable", False):
        forget_compiled()
        yield
    forget_compiled()


def forget_compiled():
    for each in gc.get_objects():
        if isinstance(each, Engine):
            each.clear_compiled_cache()


def queueing_attributes():
    """awaitable_attrs that load one after the other."""
    lock = asyncio.Lock()

    async def load(attributes, name):
        async with lock:
            return await concurrency.greenlet_spawn(
                getattr, attributes._instance, name)
    return patch(AsyncAttrs._AsyncAttrGetitem, "__getattr__", load)


def empty_instead_of_loaded():
    """What a lazy load would bring is empty, and nothing is asked."""
    return patch(strategies._LazyLoader, "_emit_lazyload",
                 lambda *_, **__: ATTR_EMPTY)


@contextlib.contextmanager
def nothing_loads_later():
    with empty_instead_of_loaded(), patch(
            AsyncSession, "refresh", mock.AsyncMock()):
        yield


def no_cache():
    """asyncpg prepares each statement anew."""
    plain = PGDialect_asyncpg.connect

    def connect(dialect, *rest, **options):
        return plain(dialect, *rest, **options | {
            "prepared_statement_cache_size": 0, "statement_cache_size": 0})
    return patch(PGDialect_asyncpg, "connect", connect)


def another_queue():
    other = type("OtherQueue", (AsyncAdaptedQueue,), {"_queue": None})
    return patch(AsyncAdaptedQueuePool, "_queue_class", other)


def lasting_null_pool():
    """A NullPool that keeps what comes back."""
    kept = {}
    return mock.patch.multiple(
        NullPool,
        _do_get=lambda pool: kept[pool].pop() if kept.get(pool)
        else pool._create_connection(),
        _do_return_conn=lambda pool, record:
        kept.setdefault(pool, []).append(record))


@contextlib.contextmanager
def thread_for_each_connection():
    end = threading.Event()

    def start(*_):
        threading.Thread(target=end.wait, daemon=True).start()
    event.listen(Pool, "connect", start)
    try:
        yield
    finally:
        event.remove(Pool, "connect", start)
        end.set()


def async_by_name():
    """The synchronous SQLite says that it is async, and is let in."""
    return mock.patch.multiple(
        SQLiteDialect_pysqlite, is_async=True,
        get_pool_class=classmethod(lambda cls, url: StaticPool))


def coroutine_commit():
    async def commit(connection):
        pass
    return patch(AsyncAdapt_asyncpg_connection, "commit", commit)


def another_pool():
    other = type("OtherPool", (AsyncAdaptedQueuePool,), {})
    return patch(PGDialect_asyncpg, "get_pool_class",
                 classmethod(lambda cls, url: other))


def nothing_kept():
    """A pool that closes what comes back."""
    def close(pool, record):
        record.close()
        pool._dec_overflow()
    return patch(QueuePool, "_do_return_conn", close)


def one_session_each_maker():
    plain = extension.async_sessionmaker.__call__
    made = {}
    return patch(
        extension.async_sessionmaker, "__call__", lambda maker, **options:
        made.setdefault(maker, plain(maker, **options)))


# Claim → a library that it has to notice.
MUTATIONS = {
    "C01": lambda: patch(AsyncEngine, "__doc__", ".. versionadded:: 2.0"),
    "C02": core_as_coroutine,
    "C04": lambda: core_as_coroutine(answer=1),
    "C05": coroutine_commit,
    "C06": awaited_rows,
    "C07": thread_for_each_connection,
    "C11": engine_that_connects,
    "C12": core_as_coroutine,
    "C13": core_as_coroutine,
    "C14": lambda: core_as_coroutine(asyncio.to_thread),
    "C15": core_as_coroutine,
    "C16": slow_hand_over,
    "C17": async_by_name,
    "C18": lambda: patch(asyncpg, "apilevel", "2.0", create=True),
    "C19": lambda: core_as_coroutine(answer=1),
    "C20": async_by_name,
    "C21": lambda: patch(SingletonThreadPool, "_is_asyncio", True),
    "C22": refusal_at_run_time,
    "C23": lambda: patch(asyncpg.cursor.Cursor, "execute", create=True),
    "C27": no_cache,
    "C29": lambda: patch(PGDialect_psycopg, "is_async", True),
    "C30": another_pool,
    "C33": thread_for_each_connection,
    "C36": another_pool,
    "C37": lambda: patch(MySQLDialect_aiomysql, "is_async", False),
    "C38": lambda: patch(
        SQLiteDialect_aiosqlite, "get_pool_class",
        classmethod(lambda cls, url: AsyncAdaptedQueuePool)),
    "C39": another_queue,
    "C40": lambda: patch(DefaultDialect, "do_rollback", lambda *_: None),
    "C41": lasting_null_pool,
    "C42": connecting_twice,
    "C46": nothing_kept,
    "C48": lambda: option("_max_overflow", lambda most: 0),
    "C50": lambda: option("_recycle", lambda seconds: -1),
    "C52": another_pool,
    "C53": lambda: patch(AsyncSession, "query", create=True),
    "C54": lambda: patch(AsyncSession, "delete", lambda *_: None),
    "C55": final_flush,
    "C56": commit_at_close,
    "C57": fresh_rows,
    "C58": commit_after_an_error,
    "C59": nothing_loads_later,
    "C60": albums_come_along,
    "C61": nothing_loads_later,
    "C62": lambda: patch(AsyncSession, "commit", mock.AsyncMock()),
    "C63": lambda: mock.patch.dict(
        Session.__init__.__kwdefaults__, expire_on_commit=False),
    "C65": nothing_kept,
    "C74": one_session_each_maker,
    "C75": lambda: patch(Connection, "scalar", lambda *_: 1),
    "C76": lambda: patch(Connection, "scalar", lambda *_: None),
    "C78": queueing_session,
    "C79": queueing_session,
    "C81": lambda: patch(
        DefaultDialect, "_do_ping_w_event", lambda *_: True),
    "C84": empty_instead_of_loaded,
    "C86": lambda: patch(exc, "PoolTimeout", create=True),
    "C87": async_by_name,
    "C88": async_by_name,
    "C89": thread_for_each_connection,
    "C91": queueing_session,
    "C94": lambda: patch(strategies._SelectInLoader, "_chunksize", 1),
    "C96": limit_of_rows,
    "C97": queueing_attributes,
}
# Claim → why it is not run with another library: what it would cost, or that
# no library could change it.
HELD = {
    **dict.fromkeys(
        ["C24", "C25", "C26", "C28", "C31", "C32", "C34", "C35"],
        "Five drivers and their servers, or the record of them: what changes "
        "one of them is a row of the matrix, which asserts every cell."),
    **dict.fromkeys(
        ["C64", "C66", "C67", "C69", "C70", "C71", "C72", "C85"],
        "Whole services on sockets: seconds for each change."),
    **dict.fromkeys(
        ["C45", "C51", "C80", "C82"],
        "Connections that die, by a fault on the way or an idle timeout: "
        "seconds for each change."),
    **dict.fromkeys(
        ["C10", "C77", "C95"],
        "A section that loads thousands of objects: seconds for each change."),
    **dict.fromkeys(
        ["C47", "C49"],
        "Three services against a server's limit: seconds for each change."),
    "C73": "What an async generator function returns is Python's grammar.",
}
