"""Each exception of the table is raised for real, and known in every form."""

import asyncio
import gc
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import psycopg
import pytest
import sqlalchemy
from conftest import ROOT, need
from sqlalchemy import (
    ForeignKey,
    create_engine,
    delete,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    raiseload,
    relationship,
    sessionmaker,
)
from sqlalchemy.pool import NullPool, QueuePool

from labsupport.authoring import notebooks as authoring
from labsupport.authoring.rules import anchors
from labsupport.databases import mysql, postgres, sqlite
from labsupport.schema import Album, Artist, Track, seed
from labsupport.servers import ServerError
from labsupport.teaching.explain import RULES, explain

ONE = text("SELECT 1")


# --- what raises: async functions of an engine -----------------------------

async def lazy_load(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        return artist.albums


async def expired(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        await session.commit()
        return artist.name


async def deferred(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        return artist.biography


async def detached(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
    return artist.albums


async def not_unique(engine):
    async with AsyncSession(engine) as session:
        joined = select(Artist).options(joinedload(Artist.albums))
        return (await session.scalars(joined)).all()


async def locked_beside_a_join(engine):
    async with AsyncSession(engine) as session:
        joined = select(Artist).options(joinedload(Artist.albums))
        await session.scalars(joined.with_for_update())


async def streamed_with_a_join(engine):
    async with AsyncSession(engine) as session:
        joined = select(Artist).options(joinedload(Artist.albums))
        await session.stream(joined.execution_options(yield_per=2))


async def forbidden(engine):
    async with AsyncSession(engine) as session:
        strict = select(Artist).options(raiseload("*"))
        return (await session.scalars(strict)).first().albums


async def one_session_two_tasks(engine):
    await engine.dispose()
    async with AsyncSession(engine) as session:
        answers = await asyncio.gather(
            session.execute(ONE), session.execute(ONE),
            return_exceptions=True)
    raise answers[1]


async def closed_in_mid_work(engine):
    await engine.dispose()

    async def fails():
        await asyncio.sleep(0)
        raise LookupError

    task = None
    session = AsyncSession(engine)
    try:
        async with session:
            task = asyncio.ensure_future(session.execute(ONE))
            await asyncio.gather(task, fails())
    finally:
        await asyncio.wait([task])
        await session.close()


async def commit_beside_execute(engine):
    async with AsyncSession(engine) as session:
        await session.execute(ONE)
        answers = await asyncio.gather(
            session.execute(text("SELECT pg_sleep(0.1)")), session.commit(),
            return_exceptions=True)
    raise next(one for one in answers if isinstance(one, Exception))


async def stranger(engine):
    try:
        await commit_beside_execute(engine)
    except SQLAlchemyError:
        pass
    async with AsyncSession(engine) as session:
        await session.execute(ONE)


async def commit_in_a_block(engine):
    async with AsyncSession(engine) as session, session.begin():
        await session.commit()
        await session.execute(ONE)


async def begin_after_a_statement(engine):
    async with AsyncSession(engine) as session:
        await session.execute(ONE)
        async with session.begin():
            pass


async def after_a_timeout(engine):
    async with AsyncSession(engine) as session:
        await session.execute(ONE)
        try:
            async with asyncio.timeout(0.05):
                await session.execute(text("SELECT pg_sleep(5)"))
        except TimeoutError:
            pass
        await session.execute(ONE)


async def after_a_failed_flush(engine):
    async with AsyncSession(engine) as session:
        session.add(Artist(id=1, name="there already"))
        try:
            await session.flush()
        except SQLAlchemyError:
            pass
        await session.execute(ONE)


async def after_a_refused_flush(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        session.add(Artist(name="not stored yet"))
        try:
            artist.albums
        except SQLAlchemyError:
            pass
        await session.execute(ONE)


async def after_an_error(engine):
    async with engine.connect() as connection:
        try:
            await connection.execute(text("SELECT 1 / 0"))
        except SQLAlchemyError:
            pass
        await connection.execute(ONE)


async def two_sessions(engine):
    async with AsyncSession(engine) as one, AsyncSession(engine) as other:
        other.add(await one.get(Artist, 1))


async def too_early(engine):
    async with AsyncSession(engine) as session:
        session.add(Track(title="Half", seconds=1))
        await session.scalar(select(Album).limit(1))


async def pool_is_out(engine):
    small = create_async_engine(engine.url, pool_size=1, max_overflow=0,
                                pool_timeout=0.05)
    try:
        async with small.connect(), small.connect():
            pass
    finally:
        await small.dispose()


async def another_loop(engine):
    async with engine.connect() as connection:
        await connection.execute(ONE)
    # This loop waits meanwhile: if it read what the other one has asked for,
    # two threads would be inside asyncpg's connection, and that may crash.
    with ThreadPoolExecutor() as other:
        other.submit(asyncio.run, use(engine)).result()


async def use(engine):
    async with engine.connect() as connection:
        await connection.execute(ONE)


async def nested_run(engine):
    coroutine = use(engine)
    try:
        asyncio.run(coroutine)
    finally:
        coroutine.close()


async def with_sync_url(engine):
    create_async_engine("sqlite:///x.db")


async def with_postgres_url(engine):
    create_async_engine("postgres://u@h/d")


async def with_no_driver(engine):
    create_async_engine("mysql://u@h/d")


async def with_sslmode(engine):
    await use(create_async_engine(
        engine.url.update_query_dict({"sslmode": "require"})))


async def with_queue_pool(engine):
    create_async_engine(engine.url, poolclass=QueuePool)


async def with_wrong_password(engine):
    await use(create_async_engine(engine.url.set(password="wrong")))


async def with_wrong_database(engine):
    await use(create_async_engine(engine.url.set(database="nowhere")))


async def with_wrong_port(engine):
    await use(create_async_engine(engine.url.set(port=1)))


async def terminated(engine):
    async with engine.connect() as connection:
        await connection.execute(text(
            "SELECT pg_terminate_backend(pg_backend_pid())"))
        await connection.execute(ONE)


async def terminated_in_between(engine):
    """Between question and answer: sooner or later."""
    ending = create_async_engine(engine.url)

    async def work():
        while True:
            try:
                await use(engine)
            except DBAPIError as error:
                if "cannot switch to state" in str(error):
                    raise
            except asyncpg.InterfaceError:  # ended while it connected
                pass

    async with asyncio.timeout(60), ending.connect() as connection:
        working = asyncio.gather(*(work() for _ in range(5)))
        while not working.done():
            await connection.execute(text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "datname = current_database() AND pid <> pg_backend_pid()"))
            await connection.rollback()
    await ending.dispose()
    await working


async def forgotten_await(engine):
    async with AsyncSession(engine) as session:
        pending = session.execute(ONE)
        try:
            pending.scalars()
        finally:
            pending.close()


async def create_all(engine):
    Artist.metadata.create_all(engine)


async def create_all_sync(engine):
    await engine.dispose()
    Artist.metadata.create_all(engine.sync_engine)


async def sync_engine(engine):
    create_engine(engine.url).connect()


async def inspect_engine(engine):
    inspect(engine)


async def query(engine):
    async with AsyncSession(engine) as session:
        session.query(Artist)


async def plain_with(engine):
    with engine:
        pass


async def changed_table(engine):
    async with engine.connect() as one, engine.connect() as other:
        await one.execute(text("CREATE TABLE IF NOT EXISTS t (a int)"))
        await one.commit()
        for _ in range(7):  # psycopg prepares what comes again
            await one.execute(text("SELECT * FROM t"))
            await one.commit()
        await other.execute(text("ALTER TABLE t ADD b int"))
        await other.commit()
        try:
            await one.execute(text("SELECT * FROM t"))
        finally:
            await one.rollback()
            await other.execute(text("DROP TABLE t"))
            await other.commit()


async def prepared_twice(engine):
    async with engine.connect() as connection:
        for _ in range(2):
            await connection.execute(text("PREPARE mine AS SELECT 1"))


async def many_arguments(engine):
    async with engine.connect() as connection:
        await connection.execute(
            select(Track.id).where(Track.id.in_(range(70_000))))


async def text_for_a_number(engine):
    async with engine.connect() as connection:
        await connection.execute(
            text("SELECT * FROM track WHERE id = :id"), {"id": "1"})


async def two_commands(engine):
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1; SELECT 2"))


async def deadlock(engine):
    both = asyncio.Barrier(2)

    async def move(first, second):
        async with engine.begin() as connection:
            for number in (first, second):
                await connection.execute(text(
                    f"UPDATE album SET stock = 1 WHERE id = {number}"))
                if number == first:
                    await both.wait()

    answers = await asyncio.gather(move(1, 2), move(2, 1),
                                   return_exceptions=True)
    raise next(filter(None, answers))


async def serialization(engine):
    serial = engine.execution_options(isolation_level="SERIALIZABLE")
    change = text("UPDATE album SET stock = stock + 1 WHERE id = 1")
    async with serial.connect() as one, serial.connect() as other:
        await one.execute(text("SELECT * FROM album"))
        await other.execute(change)
        await other.commit()
        await one.execute(change)


async def lock_timeout(engine):
    async with engine.connect() as one, engine.connect() as other:
        await one.execute(text("SELECT * FROM album FOR UPDATE"))
        await other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        await other.execute(text("SELECT * FROM album FOR UPDATE"))


async def statement_timeout(engine):
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 50"))
        await connection.execute(text("SELECT pg_sleep(5)"))


async def dropped_type(engine):
    async with engine.connect() as connection:
        for number in range(12):
            if number in (0, 8):  # psycopg has prepared by then
                for sql in ("DROP TYPE IF EXISTS mood",
                            "CREATE TYPE mood AS ENUM ('good')"):
                    await connection.execute(text(sql))
            await connection.execute(text("SELECT CAST(:it AS mood)"),
                                     {"it": "good"})
            await connection.commit()


async def cancelled(engine):
    async with engine.connect() as connection:
        await connection.execute(text(
            "SELECT pg_cancel_backend(pg_backend_pid())"))


async def not_begun(engine):
    async with AsyncSession(engine, autobegin=False) as session:
        await session.execute(ONE)


async def two_writers(engine):
    impatient = create_async_engine(engine.url,
                                    connect_args={"timeout": 0.05})
    write = text("UPDATE album SET stock = 1")
    try:
        async with impatient.connect() as one, impatient.connect() as other:
            await one.execute(write)
            await other.execute(write)
    finally:
        await impatient.dispose()


async def no_table(engine):
    memory = create_async_engine("sqlite+aiosqlite://")
    try:
        async with memory.connect() as connection:
            await connection.execute(text("SELECT * FROM album"))
    finally:
        await memory.dispose()


async def stream_after_commit(engine):
    async with AsyncSession(engine) as session:
        rows = await session.stream(
            text("SELECT generate_series(1, 999)"),
            execution_options={"yield_per": 10})
        await anext(rows)
        await session.commit()
        async for _ in rows:
            pass


async def double_colon(engine):
    async with engine.connect() as connection:
        await connection.execute(
            text("SELECT :x::integer"), {"x": 1})


async def untyped(engine):
    async with engine.connect() as connection:
        await connection.execute(
            text("SELECT 1 WHERE :x IS NULL"), {"x": None})


async def stale(engine):
    class Base(DeclarativeBase):
        pass

    class Versioned(Base):
        __table__ = Album.__table__
        __mapper_args__ = {"version_id_col": Album.__table__.c.stock}

    async with AsyncSession(engine) as session:
        album = await session.get(Versioned, 1)
        async with engine.begin() as connection:
            await connection.execute(text(
                "UPDATE album SET stock = stock + 1 WHERE id = 1"))
        album.title = "Mine"
        await session.flush()


async def response_model(engine):
    from pydantic import BaseModel, ConfigDict

    class AlbumOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        title: str

    class ArtistOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        albums: list[AlbumOut]

    async with AsyncSession(engine) as session:
        ArtistOut.model_validate(await session.get(Artist, 1))


async def dynamic(engine):
    class Base(DeclarativeBase):
        pass

    class A(Base):
        __tablename__ = "artist"
        id: Mapped[int] = mapped_column(primary_key=True)
        albums = relationship("B", lazy="dynamic")

    class B(Base):
        __tablename__ = "album"
        id: Mapped[int] = mapped_column(primary_key=True)
        artist_id: Mapped[int] = mapped_column(ForeignKey("artist.id"))

    async with AsyncSession(engine) as session:
        list((await session.get(A, 1)).albums)


async def append(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        artist.albums.append(Album(title="Mine"))


async def replace(engine):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        artist.albums = []


async def gone(session):
    """An Artist of the session whose row is deleted."""
    artist = Artist(name="Gone")
    session.add(artist)
    await session.flush()
    table = Artist.__table__
    await session.execute(delete(table).where(table.c.id == artist.id))
    return artist


async def deleted(engine):
    async with AsyncSession(engine) as session:
        artist = await gone(session)
        session.expire(artist)
        await session.run_sync(lambda _: artist.name)


async def refreshed_in_vain(engine):
    async with AsyncSession(engine) as session:
        await session.refresh(await gone(session))


async def awaited_result(engine):
    async with AsyncSession(engine) as session:
        result = await session.execute(select(Artist))
        await result


async def plain_session(engine):
    async with sessionmaker(engine)():
        pass


async def some_session():
    yield "a session"


async def called_generator(engine):
    await some_session().execute(ONE)


async def decorated_generator(engine):
    await asynccontextmanager(some_session)().execute(ONE)


async def name_is_a_number(engine):
    async with AsyncSession(engine) as session:
        await session.scalar(select(Artist.id).where(Artist.name == 5))


async def with_tls(engine):
    word = {"asyncpg": "ssl", "psycopg": "sslmode"}[engine.dialect.driver]
    wanted = create_async_engine(engine.url, connect_args={word: "require"})
    await wanted.connect()


async def loop_of_a_thread(engine):
    await asyncio.to_thread(lambda: asyncio.get_event_loop())


async def begin_a_connection_twice(engine):
    async with engine.connect() as connection:
        await connection.execute(ONE)
        await connection.begin()


async def run_until_complete(engine):
    coroutine = use(engine)
    try:
        asyncio.get_running_loop().run_until_complete(coroutine)
    finally:
        coroutine.close()


async def loop_over_a_coroutine(engine):
    async with AsyncSession(engine) as session:
        pending = session.scalars(ONE)
        try:
            list(pending)
        finally:
            pending.close()


async def never_started(engine):
    await engine.connect().execute(ONE)


async def nobody_of_that_name(engine):
    await use(create_async_engine(engine.url.set(host="nobody.invalid")))


async def with_no_oracle(engine):
    create_async_engine("oracle+oracledb_async://u@h")


async def pool_timeout(engine):
    from sqlalchemy.exc import PoolTimeout  # noqa: F401


async def too_many(engine):
    many = create_async_engine(engine.url, poolclass=NullPool)
    async with AsyncExitStack() as opened:
        while True:  # until the server refuses: a hundred, as a rule
            await opened.enter_async_context(many.connect())


async def commit_beside_sleep(engine):
    async with AsyncSession(engine) as session:
        await session.execute(ONE)
        slow = asyncio.ensure_future(session.execute(text("SELECT SLEEP(.2)")))
        try:
            await asyncio.gather(slow, session.commit())
        finally:
            await asyncio.wait([slow])


PG, SQLITE = ("asyncpg", "psycopg"), ("aiosqlite",)
ALL = (*PG, *SQLITE)
CASES = [
    ("lazy-load", lazy_load, ALL), ("expired", expired, ALL),
    ("expired", deferred, ALL), ("detached", detached, ALL),
    ("unique", not_unique, ALL), ("raiseload", forbidden, ALL),
    ("lock-of-a-join", locked_beside_a_join, PG),
    ("stream-of-a-join", streamed_with_a_join, ALL),
    ("provisioning", one_session_two_tasks, ALL),
    ("illegal-state", closed_in_mid_work, PG),
    ("operation-in-progress", commit_beside_execute, ("asyncpg",)),
    ("poisoned", stranger, ("asyncpg",)),
    ("closed-in-context", commit_in_a_block, ALL),
    ("already-begun", begin_after_a_statement, ALL),
    ("reconnect", after_a_timeout, PG),
    ("failed-flush", after_a_failed_flush, ALL),
    ("refused-flush", after_a_refused_flush, ALL),
    ("failed-transaction", after_an_error, PG),
    ("other-session", two_sessions, SQLITE), ("autoflush", too_early, ALL),
    ("pool-limit", pool_is_out, ALL), ("different-loop", another_loop,
                                       ("asyncpg",)),
    ("asyncio-run", nested_run, SQLITE), ("sync-driver", with_sync_url,
                                          SQLITE),
    ("postgres-url", with_postgres_url, SQLITE),
    ("no-driver", with_no_driver, SQLITE),
    ("sslmode", with_sslmode, ("asyncpg",)),
    ("pool-class", with_queue_pool, SQLITE),
    ("password", with_wrong_password, PG),
    ("no-database", with_wrong_database, PG),
    ("refused", with_wrong_port, PG), ("closed-by-server", terminated, PG),
    ("closed-by-server", terminated_in_between, ("asyncpg",)),
    ("coroutine-attribute", forgotten_await, SQLITE),
    ("create-all", create_all, SQLITE), ("sync-call", create_all_sync, PG),
    ("sync-call", sync_engine, ("asyncpg",)),  # psycopg is for both worlds
    ("inspect-engine", inspect_engine, SQLITE),
    ("session-query", query, SQLITE), ("with-without-async", plain_with,
                                       SQLITE),
    ("stale-plan", changed_table, PG),
    ("prepared-name", prepared_twice, PG),
    ("dropped-type", dropped_type, PG),
    ("cancelled-statement", cancelled, PG),
    ("no-autobegin", not_begun, ALL),
    ("too-many-arguments", many_arguments, PG),
    ("strict-types", text_for_a_number, ("asyncpg",)),
    ("multiple-commands", two_commands, ("asyncpg",)),
    ("deadlock", deadlock, PG), ("serialization", serialization, PG),
    ("lock-timeout", lock_timeout, PG),
    ("statement-timeout", statement_timeout, PG),
    ("locked", two_writers, SQLITE), ("memory", no_table, SQLITE),
    ("cursor-gone", stream_after_commit, PG),
    ("double-colon", double_colon, PG), ("stale-data", stale, ALL),
    ("untyped-parameter", untyped, PG),
    ("serialiser", response_model, ALL), ("dynamic", dynamic, ALL),
    ("append", append, ALL), ("replace", replace, ALL),
    ("deleted-row", deleted, ALL), ("deleted-row", refreshed_in_vain, ALL),
    ("no-operator", name_is_a_number, PG), ("no-tls", with_tls, PG),
    ("no-loop-in-thread", loop_of_a_thread, SQLITE),
    ("synchronous-session", awaited_result, ALL),
    ("synchronous-session", plain_session, SQLITE),
    ("generator-as-session", called_generator, SQLITE),
    ("generator-as-session", decorated_generator, SQLITE),
    ("already-begun", begin_a_connection_twice, ALL),
    ("asyncio-run", run_until_complete, SQLITE),
    ("coroutine-attribute", loop_over_a_coroutine, SQLITE),
    ("not-started", never_started, SQLITE),
    ("unknown-host", nobody_of_that_name, PG),
    ("no-driver", with_no_oracle, SQLITE),
    ("too-many-clients", too_many, ("asyncpg",)),
    ("pool-timeout-import", pool_timeout, SQLITE),
]
# Nobody can raise these here: the text is that of a tracker.
QUOTED = {
    "flushing": "sqlalchemy.exc.InvalidRequestError: Session is already "
                "flushing",
    "out-of-sync": "asyncmy.errors.OperationalError: (2014, 'Command Out of "
                   "Sync')",
    "proactor": "psycopg.InterfaceError: Psycopg cannot use the "
                "'ProactorEventLoop' to run in async mode.",
    "loop-closed": 'Traceback (most recent call last):\n  File "/venv/lib/'
                   'python3.11/site-packages/aiomysql/connection.py", line 1,'
                   " in __del__\n    self.close()\nRuntimeError: Event loop "
                   "is closed",
    "missing-greenlet": "sqlalchemy.exc.MissingGreenlet: greenlet_spawn has "
                        "not been called; can't call await_only() here.",
}
# FastAPI's response model reads for you: no frame is yours.
FASTAPI = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/uvicorn/protocols/http/h11_impl.py"\
, line 403, in run_asgi
    result = await app(
  File "/venv/lib/python3.11/site-packages/fastapi/routing.py", line 215, in \
serialize_response
    raise ResponseValidationError(
fastapi.exceptions.ResponseValidationError: 1 validation error:
  {'type': 'get_attribute_error', 'loc': ('response', 'albums'), 'msg': \
"Error extracting attribute: MissingGreenlet: greenlet_spawn has not been \
called; can't call await_only() here."}
"""
UNKNOWN = [
    "ValueError: too many values to unpack (expected 2)",
    "KeyError: 'albums'", "ZeroDivisionError: division by zero",
    "TypeError: 'NoneType' object is not subscriptable",
    "AttributeError: 'Artist' object has no attribute 'nmae'",
    "NameError: name 'sesion' is not defined",
    "ModuleNotFoundError: No module named 'numpy'",
    "ImportError: cannot import name 'foo' from 'bar'",
    "FileNotFoundError: [Errno 2] No such file or directory: 'x'",
    "sqlalchemy.exc.NoResultFound: No row was found when one was required",
    "sqlalchemy.exc.MultipleResultsFound: Multiple rows were found",
    "sqlalchemy.exc.CompileError: Unconsumed column names: nmae",
    "sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedColumn) "
    'column "nmae" does not exist',
    "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such "
    "column: nmae",
    "sqlalchemy.exc.IntegrityError: (sqlite3.IntegrityError) UNIQUE "
    "constraint failed: artist.id",
    "httpx.ConnectError: All connection attempts failed",
    "ConnectionRefusedError: [Errno 111] Connect call failed "
    "('127.0.0.1', 8000)",
    "RuntimeError: Event loop is closed",  # of whom, is not said
    "asyncio.exceptions.TimeoutError", "RecursionError: maximum recursion "
    "depth exceeded", "pydantic_core.ValidationError: 1 validation error "
    "for ArtistOut\nname\n  Field required",
    "all is well, and no traceback at all", "",
]
FORMS = {
    "bare": lambda error: error,
    "pasted": lambda error: "".join(traceback.format_exception(error)),
    "log": lambda error: "".join(
        f"2026-01-01 10:00:00 web | {line}\n" for line in "".join(
            traceback.format_exception(error)).splitlines()),
    "group": lambda error: ExceptionGroup("of a TaskGroup", [error]),
    "pasted group": lambda error: "".join(traceback.format_exception(
        ExceptionGroup("of a TaskGroup", [error]))),
    "wrapped": lambda error: _wrapped(error),
}


def _wrapped(error):
    try:
        raise RuntimeError("the page cannot be shown") from error
    except RuntimeError as outer:
        return outer


@pytest.fixture(scope="module")
def runner():
    """A loop, and the engines of this file's databases on it."""
    with asyncio.Runner() as runner:
        async def begin():
            pg, lite = await postgres(), await sqlite()
            engines = {"asyncpg": pg.asyncpg, "psycopg": pg.psycopg,
                       "aiosqlite": lite.aiosqlite}
            for url in (pg.asyncpg, lite.aiosqlite):
                engine = create_async_engine(url)
                await seed(engine)
                await engine.dispose()
            return engines, (pg, lite)

        urls, databases = runner.run(begin())
        yield runner, urls

        async def end():
            for one in databases:
                await one.drop(force=True)

        runner.run(end())


@pytest.fixture
def buried():
    """Frees what an exception held, while its warnings are ignored.

    That a driver's coroutine was never awaited is said when it is freed:
    later it would stand below another test.
    """
    yield
    gc.collect()


def raised_by(scene, url):
    async def run():
        engine = create_async_engine(url)
        try:
            await scene(engine)
        except Exception as error:
            return error
        finally:
            await engine.dispose()

    return run()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("buried")
@pytest.mark.parametrize("rule, scene, driver", [
    pytest.param(rule, scene, driver, id=f"{scene.__name__}-{driver}")
    for rule, scene, drivers in CASES for driver in drivers])
def test_it_is_known_in_every_form(runner, rule, scene, driver):
    loop, urls = runner
    error = loop.run(raised_by(scene, urls[driver]))
    assert error is not None, "nothing was raised"
    for name, form in FORMS.items():
        found = explain(form(error))
        assert found is not None, (name, repr(error))
        assert found.rule.id == rule, (name, repr(error))
    line = explain(error).line
    assert "test_explain.py" in line and "site-packages" not in line


MY = {"append": append, "unique": not_unique, "deleted-row": deleted,
      "lazy-load": lazy_load, "expired": expired, "detached": detached,
      "provisioning": one_session_two_tasks, "pool-limit": pool_is_out,
      "password": with_wrong_password, "no-database": with_wrong_database,
      "refused": with_wrong_port, "deadlock": deadlock}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("buried")
def test_mysql_s_drivers(runner):
    loop, _ = runner

    async def all_of_them():
        my = await mysql()
        engine = create_async_engine(my.aiomysql)
        await seed(engine)
        await engine.dispose()
        found = {}
        for driver in ("aiomysql", "asyncmy"):
            alone = {"readexactly": commit_beside_sleep} \
                if driver == "aiomysql" else {}  # asyncmy waits for ever
            for rule, scene in (MY | alone).items():
                error = await raised_by(scene, getattr(my, driver))
                known = explain(error)
                found[driver, rule] = known and known.rule.id
        await my.drop(force=True)
        return found

    try:
        found = loop.run(all_of_them())
    except ServerError as missing:
        need(False, str(missing))
    assert found == {(driver, rule): rule for driver, rule in found}


@pytest.mark.parametrize("rule", QUOTED)
def test_what_can_only_be_quoted(rule):
    assert explain(QUOTED[rule]).rule.id == rule


IN_A_PROCESS = {
    "no-greenlet": """
import asyncio, sys
sys.modules["greenlet"] = None
from sqlalchemy.ext.asyncio import create_async_engine
async def main():
    await create_async_engine("sqlite+aiosqlite://").connect()
asyncio.run(main())
""",
    "never-awaited": "async def titles(): pass\ntitles()",
    "swallowed": """
import asyncio
from sqlalchemy.ext.asyncio import create_async_engine
async def main():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        try:  # as a template does, or a serialiser
            connection.sync_connection.exec_driver_sql("SELECT 1")
        except Exception:
            pass
asyncio.run(main())
""",
    "leak": """
import asyncio, gc
from sqlalchemy.ext.asyncio import create_async_engine
async def main():
    await create_async_engine("sqlite+aiosqlite://").connect()
    gc.collect()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("rule", IN_A_PROCESS)
def test_what_takes_a_process_of_its_own(rule):
    done = subprocess.run([sys.executable, "-c", IN_A_PROCESS[rule]],
                          capture_output=True, text=True, timeout=60)
    if rule == "swallowed" and sqlalchemy.__version__.startswith("2.0"):
        assert done.stderr == ""  # it closes what it does not await
    else:
        assert explain(done.stderr).rule.id == rule, done.stderr


def test_windows_own_trouble_is_worded_as_in_psycopg():
    source = Path(psycopg.__file__).with_name("connection_async.py")
    assert "Psycopg cannot use the 'ProactorEventLoop'" in source.read_text()


def test_a_response_model_of_fastapi():
    found = explain(FASTAPI)
    assert (found.rule.id, found.line) == ("serialiser", "")


@pytest.mark.parametrize("words", UNKNOWN)
def test_it_says_that_it_does_not_know(words):
    assert explain(words) is None


def test_each_rule_is_shown():
    shown = {rule for rule, *_ in CASES} | set(QUOTED) \
        | set(IN_A_PROCESS) | {"readexactly"}  # of MariaDB, above
    assert shown == {rule.id for rule in RULES}
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_each_rule_leads_to_a_heading():
    for rule in RULES:
        file, _, anchor = rule.see.partition("#")
        headings = anchors(authoring.read(authoring.NOTEBOOKS / file))
        assert anchor in headings, rule.id


def run_command(text):
    return subprocess.run(
        [sys.executable, "-m", "labsupport.teaching.explain"], input=text,
        capture_output=True, text=True, cwd=ROOT)


def test_the_command():
    known = run_command(QUOTED["missing-greenlet"])
    assert known.returncode == 0
    assert "08_missing_greenlet.ipynb#" in known.stdout
    unknown = run_command("ValueError: no")
    assert unknown.returncode == 1
    assert unknown.stdout.startswith("I do not know this one.")
    nothing = run_command("\n")
    assert nothing.returncode == 2 and "explain <" in nothing.stdout


def test_a_mistake_in_a_notebook_gets_a_card(mini):
    path = mini("%load_ext labsupport\nimport asyncio",
                "asyncio.run(asyncio.sleep(0))", "1 / 0",
                "%unload_ext labsupport", "asyncio.run(asyncio.sleep(0))")
    cells = authoring.read(path).cells
    cards = [[output.data for output in cell.outputs if "data" in output]
             for cell in cells]
    assert [len(found) for found in cards] == [0, 1, 0, 0, 0]
    card = cards[1][0]
    assert "a loop is running already" in card["text/plain"].lower()
    assert 'href="00_start_here.ipynb#1.-A' in card["text/html"]
    assert [output.output_type for output in cells[1].outputs][0] == "error"
