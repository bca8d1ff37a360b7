"""Wrappers come and go, and keep nothing alive."""

import gc
import warnings
import weakref

import pytest
from observing import DRIVERS, ONE, run
from shop import engine_on

from labsupport.instruments.pool_gauge import pool_gauge
from labsupport.trace.observe import observe
from labsupport.trace.wrapping import Wrapping


def test_the_wrappers_go_and_the_listeners_stay_once():
    async def go():
        async with engine_on("aiosqlite") as engine:
            async with engine.connect():  # the dialect looks at it
                pass
            before = {*vars(engine.dialect)}, {*vars(engine.pool)}
            for _ in range(3):
                with observe(engine) as trace:
                    assert "do_execute" in vars(engine.dialect)
                    async with engine.connect():
                        pass
            assert {*vars(engine.dialect)} - before[0] == {
                "labsupport_hooks"}
            assert "connect" not in vars(engine.dialect.loaded_dbapi)
            assert {*vars(engine.pool)} <= before[1] | {"dispatch"}
            return [one.kind for one in trace.events]

    assert run(go()) == ["request", "checkout", "rollback", "ended",
                         "checkin"]


def test_another_tool_on_the_same_methods():
    """What it had put there comes back; nothing is counted twice."""
    async def go():
        async with engine_on("aiosqlite") as engine:
            dialect, calls = engine.dialect, []
            original = dialect.do_execute

            def theirs(*arguments):
                calls.append(1)
                return original(*arguments)

            dialect.do_execute = theirs
            with observe(engine):
                late = dialect.do_execute
                dialect.do_execute = lambda *words: late(*words)
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
            del dialect.do_execute
            dialect.do_execute = theirs
            with observe(engine):
                pass
            return trace.counts()["statements"], len(calls), \
                dialect.do_execute is theirs

    assert run(go()) == (1, 1, True)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_trace_keeps_no_pool_alive(driver):
    """Seen or unseen, the server has the same connections afterwards."""
    async def left(engine):
        pools = []
        for _ in range(3):
            async with engine.connect() as connection:
                await connection.execute(ONE)
            pools.append(weakref.ref(engine.pool))
            await engine.dispose(close=False)
        gc.collect()
        return [pool() for pool in pools]

    async def go():
        async with engine_on(driver, pool_size=2, max_overflow=0) as engine:
            with warnings.catch_warnings():  # asyncpg says what it drops
                warnings.simplefilter("ignore", ResourceWarning)
                plain = await left(engine)
                with observe(engine):
                    observed = await left(engine)
                gauge = pool_gauge(engine)
                gauged = await left(engine)
                await gauge.stop()
            return plain, observed, gauged

    assert run(go()) == ([None] * 3,) * 3


def test_an_owner_that_is_gone_is_passed_over():
    class Owner:
        def name(self):
            return "mine"

    kept, gone, wrapping = Owner(), Owner(), Wrapping()
    for owner in (kept, gone):
        wrapping.wrap(owner, "name", lambda method: lambda: method() + "!")
    assert kept.name() == gone.name() == "mine!"
    del gone, owner
    wrapping.unwrap()
    assert kept.name() == "mine" and vars(kept) == {} and not wrapping
