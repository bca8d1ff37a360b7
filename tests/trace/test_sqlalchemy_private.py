"""Each private name of SQLAlchemy is there, and means what we think.

A name that goes, or that means something else, breaks its test here.
"""

import ast
import asyncio
import re
from pathlib import Path

import pytest
from observing import ALL_DRIVERS, ONE, run
from shop import engine_on
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from labsupport.schema import Album, Artist, seed
from labsupport.trace import sqlalchemy_private as private

PACKAGE = Path(private.__file__).parents[1]


@pytest.mark.parametrize("kind", [QueuePool, AsyncAdaptedQueuePool])
@pytest.mark.parametrize("size, overflow, most", [
    (2, 3, 3), (2, 0, 0), (2, -1, -1), (0, 5, -1)])
def test_most_overflow(kind, size, overflow, most):
    pool = kind(lambda: None, pool_size=size, max_overflow=overflow)
    assert private.most_overflow(pool) == most


def test_entries_in_a_pool_of_asyncio():
    async def go():
        async with engine_on("aiosqlite", pool_size=3) as engine:
            async with engine.connect(), engine.connect() as two:
                assert private.entries_in(engine.pool) == []
                await two.invalidate()
                empty, = private.entries_in(engine.pool)
                assert empty.dbapi_connection is None
            entries = private.entries_in(engine.pool)
            assert len(entries) == engine.pool.checkedin() == 2
            return [entry.dbapi_connection is None for entry in entries]

    assert sorted(run(go())) == [False, True]


def test_entries_in_a_pool_of_threads():
    engine = create_engine("sqlite://", poolclass=QueuePool)
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert private.entries_in(engine.pool) == []
    entry, = private.entries_in(engine.pool)
    assert entry.dbapi_connection is raw
    engine.dispose()


def test_the_creator_connects_as_the_engine_does():
    seen = []
    engine = create_engine("sqlite://", connect_args={"timeout": 7})

    @event.listens_for(engine, "do_connect")
    def connect(dialect, record, arguments, options):
        seen.append(options["timeout"])

    private.creator_of(engine.pool)().close()
    assert seen == [7]


@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_server_side_cursors(driver):
    """And the rows of a result come from the context's cursor."""
    async def go():
        async with engine_on(driver) as engine:
            found, fetched = [], []

            @event.listens_for(engine.sync_engine, "do_execute")
            def execute(cursor, statement, parameters, context):
                context.dialect.do_execute(
                    cursor, statement, parameters, context)
                found.append(private.is_server_side(context))
                if found[-1]:
                    private.watch_cursor(context, Cursor(cursor, fetched))
                return True

            async with engine.connect() as connection:
                await connection.execute(text("SELECT 3"))
                rows = await connection.stream(text("SELECT 4"))
                assert [tuple(row) async for row in rows] == [(4,)]
            return found, fetched

    found, fetched = run(go())
    assert found[-2:] == [False, True] and True not in found[:-1]
    assert fetched


class Cursor:
    """Notes what is fetched from the cursor that it stands for."""

    def __init__(self, cursor, fetched):
        self.cursor, self.fetched = cursor, fetched

    def __getattr__(self, name):
        if name.startswith("fetch"):
            self.fetched.append(name)
        return getattr(self.cursor, name)


def test_loaders():
    """What is at the end of a path, and what loads a hierarchy is no path."""
    states = []

    def note(state):
        states.append(state)

    async def go():
        async with engine_on("aiosqlite") as engine:
            await seed(engine)
            event.listen(Session, "do_orm_execute", note)
            try:
                async with AsyncSession(engine) as session:
                    await session.execute(select(Artist).options(
                        selectinload(Artist.albums)))
                    await session.get(Album, 1)
            finally:
                event.remove(Session, "do_orm_execute", note)
            return [private.loaded_along(state.loader_strategy_path)
                    for state in states if state.is_relationship_load], [
                private.loads_subclasses(state) for state in states
                if not state.is_relationship_load]

    # What it says of a hierarchy: test_queries.
    loads, subclasses = run(go())
    assert loads == ["Artist.albums"]
    assert subclasses and not any(subclasses)


def test_the_task_in_which_begin_is_left():
    """Is SQLAlchemy's; the tasks of yours are not, whatever they run."""
    class __aexit__:
        async def go(self):
            return private.ends_session_begin(asyncio.current_task())

    async def go():
        async with engine_on("aiosqlite") as engine:
            await seed(engine)
            found = {}

            @event.listens_for(engine.sync_engine, "commit")
            def commit(connection):
                found["begin"] = private.ends_session_begin(
                    asyncio.current_task())

            @event.listens_for(engine.sync_engine, "rollback")
            def rollback(connection):
                found["yours"] = private.ends_session_begin(
                    asyncio.current_task())

            async with async_sessionmaker(engine).begin() as session:
                session.add(Artist(name="Ada", biography=""))
            session = AsyncSession(engine)
            await session.execute(ONE)
            await asyncio.create_task(session.rollback())
            await session.close()
            found["your own"] = await asyncio.create_task(__aexit__().go())
            return found

    assert run(go()) == {"begin": True, "yours": False, "your own": False}


OF_SQLALCHEMY = re.compile(
    r"\b(pool|engine|dialect|context|session|record|proxy|cursor|path|entry"
    r"|statement)\._[a-z]")


def test_private_names_stand_here_only():
    found = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")
             for node in ast.walk(ast.parse(path.read_text("utf-8")))
             if isinstance(node, ast.Attribute)
             and OF_SQLALCHEMY.search(ast.unparse(node))]
    assert set(found) <= {"trace/sqlalchemy_private.py",
                          "teaching/exercises/e04.py"}
