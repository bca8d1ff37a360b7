"""Who holds a connection, and whose nobody has seen."""

import gc

import pytest
from observing import ONE, run, words
from shop import engine_on
from sqlalchemy import exc

from labsupport.trace.observe import observe


def test_a_leak_that_is_collected_is_no_longer_held():
    async def go():
        async with engine_on("asyncpg") as engine:
            with observe(engine) as trace:
                connection = await engine.connect()
                await connection.execute(ONE)
                assert [one.task for one in trace.holders()] == ["main"]
                with pytest.warns(exc.SAWarning, match="garbage collector"):
                    del connection
                    gc.collect()
                assert trace.holders() == []
            return trace

    assert words(run(go()))[-1] == "detached"


def test_what_was_out_before_the_trace():
    async def go():
        async with engine_on("asyncpg") as engine:
            early = await engine.connect()
            with observe(engine) as trace:
                late = await engine.connect()
                during = trace.holders()
                await early.close()
                after = trace.holders()
                await late.close()
            return during, after, trace.counts()["still checked out"]

    during, after, out = run(go())
    assert "earlier" not in repr(after)
    assert (len(during), during.earlier) == (1, 1)
    assert "1 checked out before the trace began" in repr(during)
    assert (len(after), after.earlier, out) == (1, 0, 0)
