"""The account of a trace agrees with what the tasks say themselves."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from observing import DRIVERS, ONE, run, until, words
from shop import engine_on
from sqlalchemy import exc

from labsupport.trace.observe import observe


class Diary:
    """What each task did, written by the task."""

    def __init__(self, engine):
        self.engine, self.done, self.held = engine, {}, {}

    @asynccontextmanager
    async def connection(self, name, close=True):
        mine = self.done[name] = []
        try:
            connection = await self.engine.connect()
        except BaseException as error:
            mine.append(type(error).__name__)
            raise
        mine.append("checkout")
        self.held[name] = connection
        try:
            yield connection
        finally:
            if close:
                await connection.close()
                mine.append("returned")
                del self.held[name]

    async def works(self, name, gate=None):
        async with self.connection(name) as connection:
            await connection.execute(ONE)
            self.done[name].append("executed")
            if gate:
                await gate.wait()

    async def leaks(self, name):
        async with self.connection(name, close=False) as connection:
            await connection.execute(ONE)
            self.done[name].append("executed")


def told(trace):
    """The trace's account in the words of the diary."""
    kinds = {"checkout": "checkout", "executed": "executed",
             "checkin": "returned", "timeout": "TimeoutError",
             "cancelled": "CancelledError"}
    account = {}
    for one in trace.events:
        if one.kind in kinds:
            account.setdefault(one.task, []).append(kinds[one.kind])
    return account


async def scene(driver):
    """Pool of 3, eight tasks: one leaks, one times out, one is cancelled."""
    async with engine_on(driver, pool_size=3, max_overflow=0,
                         pool_timeout=2) as engine:
        diary, gate = Diary(engine), asyncio.Event()

        def begin(work, name, *arguments):
            return asyncio.create_task(work(name, *arguments), name=name)

        with observe(engine) as trace:
            tasks = [begin(diary.leaks, "leak")]
            tasks += [begin(diary.works, name, gate) for name in "ab"]
            await until(lambda: len(diary.held) == 3)
            late = begin(diary.works, "late")
            with pytest.raises(exc.TimeoutError):
                await late
            gone = begin(diary.works, "gone")
            tasks += [begin(diary.works, name) for name in "cde"]
            await until(lambda: trace.counts()["requests"] == 8)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            gate.set()
            await asyncio.gather(*tasks)
            found = trace.holders()
        await diary.held["leak"].close()
        return diary, trace, found


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_account_agrees_with_that_of_the_tasks(driver):
    diary, trace, held = run(scene(driver))
    assert told(trace) == diary.done
    assert [(one.task, str(one.line)) for one in held] == [
        ("leak", "connection = await self.engine.connect()")]
    assert trace.counts() == {
        "requests": 8, "had to wait": 5, "connections opened": 3,
        "most at once": 3, "of these overflow": 0, "statements": 6,
        "timeouts": 1, "cancelled": 1, "still checked out": 1}
    assert words(trace, "late") == ["waiting", "timeout"]
    assert words(trace, "gone") == ["waiting", "cancelled"]
    assert words(trace, "leak") == ["connecting", "executing",
                                    "idle in transaction"]


def test_an_account_that_misses_an_event_disagrees():
    diary, trace, _ = run(scene("asyncpg"))
    trace._events.remove(next(one for one in trace._events
                              if one.kind == "executed"))
    assert told(trace) != diary.done
