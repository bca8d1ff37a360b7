"""The lag meter names the lines that block the loop, and only these."""

import asyncio
import os
import selectors
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from labsupport.databases import postgres
from labsupport.drawing.looks import VERMILION
from labsupport.instruments.lag_meter import (
    BEAT,
    BLOCKED,
    Lag,
    _Meter,
    heartbeats,
    lag_meter,
)
from labsupport.schema import Artist, seed

BLOCK = 2 * BLOCKED
STEPS = [BEAT] * round(BLOCK / BEAT)  # a stop of the process swallows but one


def measure(work):
    """The Lag of ``await work()`` in a loop of its own."""
    async def go():
        with lag_meter() as lag:
            await work()
        return lag

    return asyncio.run(go())


async def nap():
    any(map(time.sleep, STEPS))


async def count():
    until = time.process_time() + BLOCK
    while time.process_time() < until:
        pass


async def two_lines():
    any(map(time.sleep, STEPS))
    any(map(time.sleep, STEPS + []))


async def keeps_the_interpreter():
    return sum(range(60_000_000))


NAPS = "SELECT nap(value) FROM json_each(?)"


async def sqlite_in_the_loop():
    connection = sqlite3.connect(":memory:")
    connection.create_function("nap", 1, time.sleep)
    connection.execute(NAPS, [str(STEPS)]).fetchall()
    connection.close()


@pytest.mark.parametrize("work, lines", [
    (nap, ["any(map(time.sleep, STEPS))  in nap"]),
    (two_lines, ["any(map(time.sleep, STEPS))  in two_lines",
                 "any(map(time.sleep, STEPS + []))  in two_lines"]),
    (sqlite_in_the_loop,
     ["connection.execute(NAPS, [str(STEPS)]).fetchall()  "
      "in sqlite_in_the_loop"]),
])
def test_the_line_is_named(work, lines):
    lag = measure(work)
    assert list(map(str, lag.blockers)) == lines
    assert repr(lag) == "\n  ".join(["blocked the event loop:", *lines])
    assert lag.longest > BLOCKED


def test_c_code_that_keeps_the_interpreter_is_not_lost():
    """It is found when it lets go, and the line can be a later one."""
    assert len(measure(keeps_the_interpreter).blockers) == 1


def test_a_loop_of_several_lines_is_not_lost():
    assert [blocker.function for blocker in measure(count).blockers] \
        == ["count"]


def test_two_tasks_that_block_in_one_turn():
    lag = measure(lambda: asyncio.gather(nap(), count(), nap()))
    assert [blocker.function for blocker in lag.blockers] == ["nap", "count"]


@pytest.mark.parametrize("work", [
    lambda: asyncio.sleep(BLOCK),
    lambda: asyncio.to_thread(time.sleep, BLOCK),
    lambda: asyncio.gather(*(asyncio.sleep(BLOCK) for _ in range(50))),
])
def test_a_loop_that_waits_is_not_blocked(work):
    assert repr(measure(work)) == "nothing blocked the event loop"


async def many_short():
    for _ in range(20):
        time.sleep(BLOCKED / 8)
        await asyncio.sleep(0)


def test_many_short_turns_are_no_stall():
    assert measure(many_short).blockers == []


async def stops():
    await asyncio.sleep(2 * BEAT)
    os.kill(os.getpid(), signal.SIGSTOP)
    any(map(time.sleep, STEPS[:8]))  # not long, but long enough for a look


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"),
                    reason="no clock tells a stop from a line that blocks")
@pytest.mark.parametrize("before, found", [
    ("", "[]"),
    ("del time.pthread_getcpuclockid", "['stops']"),  # as on macOS
])
def test_a_stop_of_the_process_is_no_finding(before, found):
    code = f"import time; {before}\n" \
           "from test_lag import measure, stops\n" \
           "print([one.function for one in measure(stops).blockers])"
    with subprocess.Popen([sys.executable, "-c", code], text=True,
                          cwd=Path(__file__).parent,
                          stdout=subprocess.PIPE) as child:
        os.waitpid(child.pid, os.WUNTRACED)  # until it has stopped
        time.sleep(1)
        child.send_signal(signal.SIGCONT)
        assert child.communicate()[0].strip() == found


def test_a_wait_for_the_processor_is_no_finding(monkeypatch):
    """The kernel reports it when it is over: here all time, in leaps."""
    leap = 4 * BEAT
    monkeypatch.setattr(
        _Meter, "starved", lambda _: time.perf_counter() // leap * leap)
    assert measure(nap).blockers == []


def test_a_late_beat_without_a_line_of_yours_is_no_finding():
    async def work():
        loop = asyncio.get_running_loop()
        loop.call_soon(time.sleep, BLOCK)
        await asyncio.sleep(2 * BLOCK)

    lag = measure(work)
    assert lag.longest > BLOCKED and lag.blockers == []


LIBRARY = {"time": time, "DefaultSelector": selectors.DefaultSelector}
exec(compile(f"""class Slow(DefaultSelector):
    def select(self, timeout=None):
        until = time.process_time() + {BLOCK}
        while time.process_time() < until:
            pass
        return super().select(timeout)
""", "/site-packages/slow.py", "exec"), LIBRARY)


def test_what_the_loop_does_itself_is_not_charged_to_its_caller():
    async def go():
        with lag_meter() as lag:
            await asyncio.sleep(3 * BEAT)
        return lag

    loop = asyncio.SelectorEventLoop(LIBRARY["Slow"]())
    lag = loop.run_until_complete(go())
    loop.close()
    assert lag.longest > BLOCKED and lag.blockers == []


def in_shop(work):
    """``await work(engine, url of the sync engine)`` on PostgreSQL."""
    async def go():
        db = await postgres()
        engine = create_async_engine(db.asyncpg)
        await seed(engine)
        try:
            return await work(engine, db.psycopg)
        finally:
            await engine.dispose()
            await db.drop()

    return asyncio.run(go())


def test_a_synchronous_engine_blocks_and_an_async_one_does_not():
    wait = text(f"SELECT pg_sleep({BLOCK})")

    async def work(engine, url):
        sync_engine = create_engine(url)

        def report():  # the server sleeps on while we are stopped: twice
            [connection.execute(wait) for _ in range(2)]

        with sync_engine.connect() as connection:
            with lag_meter() as blocked:
                report()
            async with engine.connect() as async_connection:
                with lag_meter() as free:
                    await asyncio.to_thread(report)
                    await async_connection.execute(wait)
        sync_engine.dispose()
        return blocked, free

    blocked, free = in_shop(work)
    assert list(map(str, blocked.blockers)) \
        == ["[connection.execute(wait) for _ in range(2)]  in report"]
    assert free.blockers == []


def test_inside_a_greenlet_the_line_that_awaits_is_named():
    async def work(engine, _url):
        async with engine.begin() as connection:
            await connection.execute(text(
                "INSERT INTO artist (name, biography) SELECT 'n', '' "
                "FROM generate_series(1, 80000)"))
        async with AsyncSession(engine) as session:
            with lag_meter() as hydration:
                (await session.scalars(select(Artist))).all()
            with lag_meter() as inside:
                await session.run_sync(lambda _: any(map(time.sleep, STEPS)))
        return hydration, inside

    hydration, inside = in_shop(work)
    assert [blocker.line for blocker in hydration.blockers] \
        == ["(await session.scalars(select(Artist))).all()"]
    assert [blocker.line for blocker in inside.blockers] \
        == ["await session.run_sync(lambda _: any(map(time.sleep, STEPS)))"]


def meters():
    return [thread.name for thread in threading.enumerate()
            if thread.name == "lag meter"]


def test_an_error_goes_through_and_the_thread_ends():
    async def go():
        with pytest.raises(ZeroDivisionError):
            with lag_meter() as lag:
                assert meters() == ["lag meter"]
                any(map(time.sleep, STEPS))
                1 / 0
        return lag

    assert [blocker.line for blocker in asyncio.run(go()).blockers] \
        == ["any(map(time.sleep, STEPS))"]
    assert meters() == []


def test_a_cancellation_goes_through_and_the_thread_ends():
    async def go():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                with lag_meter():
                    await asyncio.Event().wait()

    asyncio.run(go())
    assert meters() == []


def test_two_meters_at_a_time():
    async def go():
        with lag_meter() as outer, lag_meter() as inner:
            await nap()
        return outer.blockers == inner.blockers != []

    assert asyncio.run(go())


def test_where_no_loop_runs():
    with pytest.raises(RuntimeError, match="no running event loop"):
        with lag_meter():
            pass
    assert meters() == []


def test_the_picture_has_the_lines_as_text():
    lag = measure(nap)
    html = lag._repr_html_()
    assert 'alt="Heartbeat of the event loop over time; blocked' in html
    assert "any(map(time.sleep, STEPS))  in nap" in html
    assert "ms" not in lag.figure().text and "ms" in lag.figure().svg


def test_several_have_one_axis_and_a_row_each():
    """The gap is red, named and measured; a row without one says so."""
    lags = {"in the loop": measure(nap), "in a thread": measure(
        lambda: asyncio.to_thread(time.sleep, BLOCK))}
    figure = heartbeats(lags)
    assert figure.text.splitlines() == [
        "in the loop: blocked the event loop:",
        "  any(map(time.sleep, STEPS))  in nap",
        "in a thread: nothing blocked the event loop"]
    assert figure.svg.count(VERMILION) == figure.svg.count("no beat for") == 1
    assert figure.svg.count("nothing blocked it") == 1


def test_no_beat_at_all_can_be_drawn():
    """As of a block that ends at once, on a machine with time for it."""
    assert Lag().beats == [] and "<svg" in Lag().figure().svg
