"""Work counts for the task that waits for it."""

import asyncio

import pytest
from observing import DRIVERS, run, words
from shop import engine_on
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

from labsupport.schema import Artist, seed
from labsupport.trace.observe import observe


@pytest.mark.parametrize("driver", [*DRIVERS, "aiosqlite"])
def test_sessions_savepoints_and_their_commit_count_for_their_task(driver):
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            with observe(engine) as trace:
                async with async_sessionmaker(engine).begin() as session:
                    await session.scalar(select(Artist.id))
                    async with session.begin_nested():
                        session.add(Artist(name="Ada", biography=""))
            return trace

    trace = run(go())
    sql = [query.sql.split()[0] for query in trace.queries()]
    assert sql == ["SELECT", "SAVEPOINT", "INSERT", "RELEASE"]
    assert {one.task for one in trace.events} == {"main"}
    assert "commit" in words(trace) and words(trace)[-1] == "returned"


@pytest.mark.parametrize("driver", [*DRIVERS, "aiosqlite"])
def test_a_session_that_only_writes_counts_for_its_task(driver):
    """Its first statement is sent by SQLAlchemy's task, at the exit."""
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            maker = async_sessionmaker(engine)

            async def add(name):
                async with maker.begin() as session:
                    session.add(Artist(name=name, biography=""))

            with observe(engine) as trace:
                await add("Ada")
                for name in "ab":
                    await asyncio.create_task(add(name), name=name)
            return trace

    trace = run(go())
    assert list(dict.fromkeys(one.task for one in trace.events)) == [
        "main", "a", "b"]
