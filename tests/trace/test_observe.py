"""A trace as a whole: it nests, mixes with no other, and repeats its text."""

import asyncio

import pytest
from observing import ONE, run
from shop import engine_on
from sqlalchemy import text

from labsupport.trace.observe import observe
from labsupport.trace.spans import CONNECTING, EXECUTING, WAITING


def test_two_engines_nested_traces_and_an_exception_do_not_mix():
    async def go():
        async with engine_on("aiosqlite") as one, \
                engine_on("asyncpg") as other:
            with pytest.raises(ZeroDivisionError):
                with observe(one) as outer, observe(other) as stranger:
                    async with one.connect() as connection:
                        await connection.execute(text("SELECT 1"))
                        with observe(one) as inner:
                            await connection.execute(text("SELECT 2"))
                        await connection.execute(text("SELECT 3"))
                    async with other.connect() as connection:
                        await connection.execute(text("SELECT 4"))
                    1 / 0
            async with one.connect() as connection:  # nobody listens now
                await connection.execute(text("SELECT 5"))
            return [[query.sql for query in trace.queries()]
                    for trace in (outer, inner, stranger)]

    assert run(go()) == [["SELECT 1", "SELECT 2", "SELECT 3"], ["SELECT 2"],
                         ["SELECT 4"]]


def test_only_tasks_and_connections_have_lanes():
    async def go():
        async with engine_on("aiosqlite") as engine:
            with observe(engine) as trace:
                pass
            with pytest.raises(ValueError, match="not 'thread'"):
                trace.timeline(by="thread")
            return trace

    trace = run(go())
    assert repr(trace.timeline()) == "nothing happened"
    assert repr(trace.holders()) == "nobody holds a connection"


def test_text_is_the_same_and_pictures_name_the_same():
    async def go():
        async with engine_on("asyncpg", pool_size=2,
                             max_overflow=0) as engine:
            async def work():
                async with engine.connect() as connection:
                    await connection.execute(text("SELECT pg_sleep(0.02)"))

            with observe(engine) as trace:
                await asyncio.gather(*(work() for _ in range(5)))
            return trace

    traces = [run(go()) for _ in range(3)]
    for view in ("timeline", "pool", "queries", "holders"):
        shown = [getattr(trace, view)() for trace in traces]
        assert len({repr(one) for one in shown}) == 1, view
    picture = traces[0].timeline()
    for state in (WAITING, CONNECTING, EXECUTING):
        assert state in repr(picture) and f">{state}<" in picture.svg
    assert "ms" not in repr(picture) and ">ms<" in picture.svg
    assert "task 5" in repr(picture) and "task 5" in picture.svg


def test_tasks_of_one_name_are_kept_apart():
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=0) as engine:
            async def work():
                async with engine.connect() as connection:
                    await connection.execute(ONE)

            with observe(engine) as trace:
                await asyncio.gather(*(
                    asyncio.create_task(work(), name="worker")
                    for _ in range(3)))
            return trace

    trace = run(go())
    assert trace.counts()["had to wait"] == 2
    assert [row.split("  ")[0] for row in repr(trace.timeline()).splitlines()
            ] == ["worker", "worker (2)", "worker (3)"]
