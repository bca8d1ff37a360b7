"""The switch trace: one await, followed; nobody else disturbed."""

import asyncio
import gc
import re

import greenlet
import pytest
from shop import in_shop
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from labsupport.drawing.sequence import Step, sequence
from labsupport.instruments.switches import trace_switches
from labsupport.schema import Artist

ONE = text("SELECT 1")


def lines(trace):
    """The trace as text; 2.0's name of ``await_`` is another."""
    return [" ".join(line.replace("await_only", "await_").split())
            for line in repr(trace).splitlines()]


async def warm(engine, work):
    """The trace of ``work(connection)`` on a connection that is open."""
    async with engine.connect() as connection:
        await connection.execute(ONE)
        return await trace_switches(work(connection))


def test_one_statement_of_asyncpg():
    async def work(engine):
        return await warm(engine, lambda connection: connection.scalar(ONE))

    trace = in_shop(work, "asyncpg")
    assert lines(trace) == [
        "task await AsyncConnection.scalar",
        "task → greenlet greenlet_spawn",
        "greenlet → task await_ in AsyncAdapt_asyncpg_cursor.execute",
        "task → asyncpg PreparedStatement.fetch",
        "asyncpg → event loop wait for I/O",
        "event loop → asyncpg resume",
        "asyncpg → task return",
        "task → greenlet result",
        "greenlet → task return",
        "task return"]
    assert trace.result == 1 and trace.error is None and trace.waits == 1
    assert trace.unread == 0


@pytest.mark.parametrize("driver, wait", [
    ("psycopg", "psycopg → event loop wait for I/O"),
    ("aiosqlite", "aiosqlite → event loop wait for its thread"),
])
def test_the_lane_has_the_name_of_the_driver(driver, wait):
    async def work(engine):
        return await warm(engine, lambda connection: connection.scalar(ONE))

    trace = in_shop(work, driver)
    assert wait in lines(trace) and trace.unread == 0
    assert trace.result == 1


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "aiosqlite"])
def test_the_text_is_the_same_each_time(driver):
    async def work(engine):
        texts = set()
        for _ in range(5):
            await engine.dispose()  # each begins with a cold connection

            async def first_query():
                async with engine.connect() as connection:
                    return await connection.scalar(ONE)

            cold = await trace_switches(first_query())
            texts.add(repr(cold))
        return texts, cold.waits

    texts, waits = in_shop(work, driver)
    assert len(texts) == 1 and waits > 1
    assert max(map(len, texts.pop().splitlines())) <= 79


def test_an_identity_map_hit_never_reaches_the_loop():
    async def work(engine):
        async with AsyncSession(engine) as session:
            artist = await session.get(Artist, 1)
            trace = await trace_switches(session.get(Artist, 1))
            return artist is trace.result, trace

    same, trace = in_shop(work, "asyncpg")
    assert same and trace.waits == 0
    assert lines(trace)[-1] == "never reached: driver, event loop"


@pytest.mark.filterwarnings("ignore:coroutine 'Connection.cursor'")
@pytest.mark.parametrize("driver, raised", [
    ("asyncpg", "MissingGreenlet"), ("aiosqlite", "StatementError")])
def test_a_lazy_load_shows_the_missing_edge(driver, raised):
    async def work(engine):
        async with AsyncSession(engine) as session:
            artist = await session.get(Artist, 1)

            async def read_albums():
                return artist.albums

            return await trace_switches(read_albums())

    trace = in_shop(work, driver)
    with pytest.raises((MissingGreenlet, StatementError)):
        trace.result
    kinds = [step.kind for step in trace.steps]
    assert kinds == ["", "missing", "error"]
    assert trace.steps[1].label.startswith("await_")
    assert lines(trace)[-1] == "never reached: greenlet, driver, event loop"
    if type(trace.error).__name__ == raised:  # 2.0 wraps less
        assert lines(trace)[-2] == f"✗ task raise {raised}"
    trace.error = None
    gc.collect()


def test_an_error_of_the_server():
    async def work(engine):
        return await warm(engine, lambda connection: connection.scalar(
            text("SELECT nonsense")))

    trace = in_shop(work, "asyncpg")
    assert isinstance(trace.error, DBAPIError)
    with pytest.raises(DBAPIError, match="nonsense"):
        trace.result
    told = lines(trace)
    assert told[-3:] == ["✗ task → greenlet exception",
                         "✗ greenlet → task raise",
                         "✗ task raise ProgrammingError"]


SLOW = text("SELECT pg_sleep(20)")


def test_a_timeout_goes_through():
    async def work(engine):
        with pytest.raises(TimeoutError):
            async with engine.connect() as connection, asyncio.timeout(0.1):
                await trace_switches(connection.execute(SLOW))
        assert greenlet.gettrace() is None
        async with engine.connect() as connection:  # nothing is broken
            return await connection.scalar(ONE)

    assert in_shop(work, "asyncpg") == 1


def test_a_timeout_inside_is_shown():
    async def work(engine):
        async with engine.connect() as connection:
            await connection.execute(ONE)

            async def impatient():
                async with asyncio.timeout(0.1):
                    await connection.execute(SLOW)

            return await trace_switches(impatient())

    trace = in_shop(work, "asyncpg")
    assert isinstance(trace.error, TimeoutError)
    assert "✗ event loop → asyncpg CancelledError" in lines(trace)
    assert lines(trace)[-1] == "✗ task raise TimeoutError"


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "aiosqlite"])
def test_fifty_at_once(driver):
    """Each trace shows its own await, whatever the others do meanwhile."""
    async def work(engine):
        async def one(number):
            async with engine.connect() as connection:
                await connection.execute(ONE)
                statement = text("SELECT nonsense" if number % 10 == 3
                                 else f"SELECT {number} + 0")
                work = trace_switches(connection.scalar(statement))
                if number % 10 != 7:
                    return await work
                try:
                    async with asyncio.timeout(0):
                        await work
                except TimeoutError:
                    return None

        return await asyncio.gather(*map(one, range(50)))

    traces = in_shop(work, driver)
    good = {repr(trace) for number, trace in enumerate(traces)
            if number % 10 not in (3, 7)}
    assert len(good) == 1
    for number, trace in enumerate(traces):
        if number % 10 == 3:
            assert isinstance(trace.error, DBAPIError)
        elif number % 10 == 7:
            assert trace is None
        else:
            assert trace.result == number and trace.unread == 0
    assert greenlet.gettrace() is None


def test_tracing_is_on_only_while_the_task_runs():
    async def other():
        seen = []
        for _ in range(5):
            seen.append(greenlet.gettrace())
            await asyncio.sleep(0)
        return seen

    async def patient():
        for _ in range(5):
            assert greenlet.gettrace() is not None
            await asyncio.sleep(0)

    async def go():
        return await asyncio.gather(other(), trace_switches(patient()))

    seen, trace = asyncio.run(go())
    assert seen == [None] * 5 and trace.error is None
    assert trace.waits == 5


def test_another_tracer_keeps_working_and_comes_back():
    events = []

    def tracer(kind, pair):
        events.append(kind)

    async def work(engine):
        async with engine.connect() as connection:
            await connection.execute(ONE)
            before = greenlet.settrace(tracer)
            try:
                trace = await trace_switches(trace_switches(
                    connection.scalar(ONE)))
                return trace, greenlet.gettrace() is tracer
            finally:
                greenlet.settrace(before)

    trace, restored = in_shop(work, "asyncpg")
    inner = trace.result
    assert restored and inner.result == 1
    assert len(events) == 4  # in, out by await_, back in, out
    for each in (trace, inner):
        assert sum("greenlet" in step[:2] for step in each.steps) == 4


def test_what_goes_wrong_in_the_trace_stays_there(monkeypatch):
    def broken(*_):
        raise RecursionError

    monkeypatch.setattr("labsupport.instruments.switches._asked", broken)
    monkeypatch.setattr("labsupport.instruments.switches._driver_call", broken)

    async def work(engine):
        return await warm(engine, lambda connection: connection.scalar(ONE))

    trace = in_shop(work, "asyncpg")
    assert trace.result == 1 and trace.unread == 2
    assert "could not be read: 2" in repr(trace)


def test_an_answer_in_pieces_is_one_wait():
    source = """
import asyncio
async def fetch(pieces):
    for _ in range(pieces):
        await asyncio.sleep(0)
"""
    driver = {"__name__": "driver.core"}
    exec(compile(source, "/site-packages/driver/core.py", "exec"), driver)

    async def fetch_twice(pieces):
        await driver["fetch"](pieces)
        await driver["fetch"](pieces)

    short, long = (asyncio.run(trace_switches(fetch_twice(pieces)))
                   for pieces in (1, 5))
    assert repr(short) == repr(long) and long.waits == 2
    assert lines(long)[1:5] == [
        "task → driver fetch", "driver → event loop wait for I/O",
        "event loop → driver resume", "driver → task return"]


@pytest.mark.parametrize("what", [AsyncSession.execute, ONE, 7, None])
def test_what_cannot_be_awaited(what):
    with pytest.raises(TypeError, match="something to await"):
        asyncio.run(trace_switches(what))


def test_a_task_runs_on_its_own():
    async def go():
        task = asyncio.create_task(asyncio.sleep(0))
        with pytest.raises(TypeError, match="this is Task"):
            await trace_switches(task)
        await task

    asyncio.run(go())


def test_the_picture_says_what_is_never_reached():
    figure = sequence(["a", "b", "c"], [
        Step("a", "b", "call <it>"), Step("b", "a", "try", "missing"),
        Step("b", "b", "note", "error")], "A & B")
    assert figure.alt == "A & B; never reached: c"
    assert "call &lt;it>" in figure.svg or "call &lt;it&gt;" in figure.svg
    assert figure.svg.count("never reached") == 1
    assert figure.text.splitlines()[1].split() == [
        "✗", "b", "→", "a", "try"]


async def others():
    while True:
        await asyncio.sleep(0)


def test_another_task_has_its_turn_while_this_one_waits():
    async def work(engine):
        async with engine.connect() as connection:
            await connection.execute(ONE)
            return [await trace_switches(connection.scalar(ONE), others())
                    for _ in range(5)]

    alike = {tuple(lines(trace)) for trace in in_shop(work, "asyncpg")}
    (one,) = alike
    wait = one.index("asyncpg → event loop wait for I/O")
    assert one[wait + 1:wait + 3] == ("event loop → others runs meanwhile",
                                      "event loop → asyncpg resume")
    assert sum("others" in line for line in one) == 1


def test_where_nothing_waits_no_other_task_has_a_turn():
    async def go():
        running = len(asyncio.all_tasks())
        trace = await trace_switches(nothing(), others())
        return trace, len(asyncio.all_tasks()) - running

    async def nothing():
        return 7

    trace, left = asyncio.run(go())
    assert trace.result == 7 and left == 0
    assert lines(trace)[-1] \
        == "never reached: greenlet, driver, event loop, others"


async def fails():
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def ends():
    await asyncio.sleep(0)


def test_how_the_other_task_ends():
    """Its error is not lost; that it ends early does no harm."""
    async def go(other):
        return (await trace_switches(asyncio.sleep(0.02, 5), other)).result

    assert asyncio.run(go(ends())) == 5
    with pytest.raises(ZeroDivisionError):
        asyncio.run(go(fails()))


def test_no_lane_runs_through_the_words():
    """Over several lanes, they stand in the first gap."""
    lanes = ["greenlet", "task", "driver", "event loop"]
    svg = sequence(lanes, [Step("task", "event loop", "wait in sleep")],
                   "title").svg
    driver = float(re.search(r'x="([\d.]+)"[^>]*>driver<', svg)[1])
    words = float(re.search(r'x="([\d.]+)"[^>]*>wait in sleep<', svg)[1])
    assert words + 6.4 * len("wait in sleep") / 2 < driver
