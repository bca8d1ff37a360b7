"""A trace is one honest account: held against others, and under stress."""

import asyncio
import gc
import random
import threading
import time
import warnings
from collections import Counter
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest
from shop import engine_on
from sqlalchemy import event, exc, select, text
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import NullPool, StaticPool

from labsupport.instruments.pool_gauge import pool_gauge
from labsupport.schema import Artist, seed
from labsupport.trace.observe import observe
from labsupport.trace.pool_usage import limits, usage
from labsupport.trace.spans import (
    CHECKED_OUT,
    CONNECTING,
    ENDING,
    EXECUTING,
    IN_POOL,
    IN_TRANSACTION,
    PINGING,
    WAITING,
)

DRIVERS = ("asyncpg", "psycopg")
ONE = text("SELECT 1")


def run(coroutine):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return asyncio.run(coroutine)


def words(trace, lane="main"):
    """What a lane went through, as the text of the timeline tells it."""
    for row in repr(trace.timeline()).splitlines():
        if row.startswith(lane + "  "):
            return row.removeprefix(lane).strip().split(" → ")
    return []


async def until(condition):
    """Wait for a condition; the suite's time limit is the only clock."""
    while not condition():
        await asyncio.sleep(0.002)


# the scripted scene, told by the tasks themselves

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
                         pool_timeout=60) as engine:
        diary, gate = Diary(engine), asyncio.Event()

        def begin(work, name, *arguments):
            return asyncio.create_task(work(name, *arguments), name=name)

        with observe(engine) as trace:
            tasks = [begin(diary.leaks, "leak")]
            tasks += [begin(diary.works, name, gate) for name in "ab"]
            await until(lambda: len(diary.held) == 3)
            late = begin(diary.works, "late")
            engine.pool._timeout = 0.1  # "late" alone has no patience
            with pytest.raises(exc.TimeoutError):
                await late
            engine.pool._timeout = 60
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


# the storm, watched from the server

class Watcher(threading.Thread):
    """Samples pg_stat_activity, from a thread with a connection of its own.

    A sample: when it was asked and answered (perf_counter, s), and for each
    process of the server its state and when that began (perf_counter, s).
    """

    ASK = ("SELECT pid, state, extract(epoch FROM state_change)::float8 "
           "FROM pg_stat_activity WHERE datname = current_database() "
           "AND pid <> pg_backend_pid() AND state IS NOT NULL")

    def __init__(self, url):
        super().__init__()
        self.samples, self._ended = [], threading.Event()
        self._dsn = url.set(
            drivername="postgresql", query={}).render_as_string(False)

    def run(self):
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._ended.wait(0.004):
                before = time.perf_counter()
                rows = connection.execute(self.ASK).fetchall()
                after = time.perf_counter()
                clock = time.time() - after
                self.samples.append((before, after, {
                    pid: (state, since - clock)
                    for pid, state, since in rows}))

    def stop(self):
        self._ended.set()
        self.join()


async def storm(driver, seed_):
    """50 tasks that wait, fail and are cancelled at random."""
    rng = random.Random(seed_)
    pids = {}

    async def work(engine, admin):
        await asyncio.sleep(rng.random() * 0.5)
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver_connection = raw.driver_connection
            pids[raw.info["labsupport_label"]] = (
                driver_connection.get_server_pid() if driver == "asyncpg"
                else driver_connection.info.backend_pid)
            for _ in range(rng.randint(1, 3)):
                await connection.execute(
                    text(f"SELECT pg_sleep({rng.random() * 0.03})"))
                await asyncio.sleep(rng.random() * 0.03)
            if rng.random() < 0.2:
                await connection.execute(text("SELECT 1 / 0"))
            elif rng.random() < 0.5:
                await connection.commit()
                await asyncio.sleep(rng.random() * 0.02)

    async with engine_on(driver, pool_size=4, max_overflow=2,
                         pool_timeout=0.4) as engine:
        watcher = Watcher(engine.url)
        with observe(engine) as trace:
            watcher.start()
            tasks = [asyncio.create_task(work(engine, None))
                     for _ in range(50)]
            for task in rng.sample(tasks, 8):
                await asyncio.sleep(rng.random() * 0.1)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            watcher.stop()
            assert trace.holders() == [] and engine.pool.checkedout() == 0
    names = {raw.connection: named.connection
             for raw, named in zip(trace._events, trace.events)}
    return trace, {names[label]: pid for label, pid in pids.items()}, \
        watcher.samples


def disagreements(trace, pids, samples, shift=0.0):
    """(how often the two accounts were compared, where they disagree).

    A sample is compared with the span that covers all of it. While a
    statement is on its way to the server or back, the server is a moment
    behind or ahead; its own ``state_change`` tells which. How long that
    moment is depends on the machine, so it is counted.
    """
    spans = {}
    for span in trace.spans(by="connection"):
        spans.setdefault(pids.get(span.connection), []).append(span)
    compared, wrong = Counter(), []
    for before, after, states in samples:
        before, after = (at - trace._began + shift for at in (before, after))
        for pid, (state, since) in states.items():
            for span in spans.get(pid, ()):
                if span.start <= before and after <= span.end:
                    compared[span.state] += 1
                    since -= trace._began
                    if span.state == EXECUTING and since < span.start \
                            and state.startswith("idle"):
                        compared["on its way"] += 1
                    elif not agree(span, state, since):
                        wrong.append((span, state, since, before))
    return compared, wrong


def agree(span, state, since):
    if span.state == EXECUTING:
        answered = since >= span.start and state.startswith("idle")
        return state == "active" or answered
    if span.state == IN_TRANSACTION:
        return state.startswith("idle in transaction")
    if span.state in (CHECKED_OUT, IN_POOL):
        return state == "idle"
    return span.state in (ENDING, CONNECTING)


@pytest.mark.parametrize("seed_", range(10))
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_account_agrees_with_the_server(driver, seed_):
    trace, pids, samples = run(storm(driver, seed_))
    compared, wrong = disagreements(trace, pids, samples)
    assert wrong == []
    assert {EXECUTING, IN_TRANSACTION} <= set(compared)
    assert compared.total() > 50
    counts = Counter(one.kind for one in trace.events)
    assert counts["request"] == sum(counts[kind] for kind in (
        "checkout", "timeout", "cancelled", "failed"))
    lanes = {}
    for span in trace.spans():
        assert span.end >= span.start
        assert span.start >= lanes.get(span.lane, 0.0), "spans overlap"
        lanes[span.lane] = span.end


def test_a_wrong_account_would_disagree():
    """Fifty milliseconds late, and many of the states are wrong."""
    trace, pids, samples = run(storm("asyncpg", 0))
    compared, wrong = disagreements(trace, pids, samples, shift=0.05)
    assert len(wrong) > compared.total() / 20


# one thing at a time

@pytest.mark.parametrize("driver", DRIVERS)
def test_fifty_tasks_in_a_group(driver):
    async def go():
        async with engine_on(driver, pool_size=5, max_overflow=5) as engine:
            async def work():
                async with AsyncSession(engine) as session:
                    await session.execute(ONE)

            with observe(engine) as trace:
                async with asyncio.TaskGroup() as group:
                    for _ in range(50):
                        group.create_task(work())
            return trace

    trace = run(go())
    counts = trace.counts()
    assert counts["requests"] == counts["statements"] == 50
    assert counts["most at once"] == 10 and counts["of these overflow"] == 5
    assert len(repr(trace.timeline()).splitlines()) == 50
    assert counts["had to wait"] == 40


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


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_cancelled_statement_costs_the_connection(driver):
    async def go():
        async with engine_on(driver) as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await connection.execute(
                                text("SELECT pg_sleep(9)"))
                async with engine.connect() as connection:
                    await connection.execute(ONE)
            return trace

    trace = run(go())
    assert words(trace)[:5] == ["connecting", "executing ×2", "error",
                                "invalidated", "connecting"]
    assert trace.counts()["invalidated"] == 1
    assert trace.counts()["connections opened"] == 2
    assert trace.holders() == []


def test_a_connection_that_is_thrown_away_is_gone():
    """The pool checks its empty place in; that is no connection."""
    async def go():
        async with engine_on("psycopg") as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await connection.invalidate()
            return trace

    trace = run(go())
    assert IN_POOL not in {span.state for span in trace.spans("connection")
                           if span.turns}
    assert usage(trace.events, limits(NullPool(None)))[-1][1:] == (0, 0, 0, 0)


async def kill(engine):
    """End all other connections to the database, from outside."""
    killer = create_async_engine(engine.url, poolclass=NullPool)
    async with killer.connect() as connection:
        await connection.execute(text(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("pre_ping", [False, True])
def test_a_killed_connection(driver, pre_ping):
    async def go():
        async with engine_on(driver, pool_pre_ping=pre_ping) as engine:
            async with engine.connect() as connection:
                await connection.execute(ONE)
            await kill(engine)
            with observe(engine) as trace:
                try:
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
                except exc.DBAPIError as error:
                    assert error.connection_invalidated and not pre_ping
                else:
                    assert pre_ping
            assert engine.pool.checkedout() == 0
            return trace

    trace = run(go())
    counts = trace.counts()
    assert counts["invalidated"] == 1 and trace.holders() == []
    if pre_ping:
        assert counts["pre-pings"] == 1 and "errors" not in counts
        assert counts["connections opened"] == 1
        assert PINGING in {span.state for span in trace.spans()} \
            or driver == "asyncpg"  # which knows without asking
    else:
        assert counts["errors"] == 1 and counts["connections opened"] == 0


@pytest.mark.parametrize("driver", [*DRIVERS, "aiosqlite"])
def test_fetches_of_a_server_side_cursor_are_executing(driver):
    async def go():
        async with engine_on(driver) as engine:
            await seed(engine)
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    rows = await connection.stream(
                        select(Artist.id).execution_options(yield_per=2))
                    ids = [row.id async for row in rows]
            return ids, trace

    ids, trace = run(go())
    assert ids == [1, 2, 3]
    fetches = sum(one.kind == "fetch" for one in trace.events)
    assert fetches >= 2
    assert trace.counts()["statements"] == 1


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


def test_the_wrappers_go_and_the_listeners_stay_once():
    async def go():
        async with engine_on("aiosqlite") as engine:
            before = {*vars(engine.dialect)}, {*vars(engine.pool)}
            for _ in range(3):
                with observe(engine):
                    assert "do_execute" in vars(engine.dialect)
            assert {*vars(engine.dialect)} - before[0] == {
                "labsupport_hooks", "loaded_dbapi"}  # SQLAlchemy's memo
            assert "connect" not in vars(engine.dialect.loaded_dbapi)
            assert {*vars(engine.pool)} <= before[1] | {"dispatch"}
            return len(engine.pool.dispatch.checkin)

    assert run(go()) == 1


def test_a_disposed_engine_is_still_observed():
    async def go():
        async with engine_on("asyncpg") as engine:
            with observe(engine) as trace:
                for _ in range(2):
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
                    await engine.dispose()
            with observe(engine) as later:
                async with engine.connect():
                    pass
            return trace, later

    trace, later = run(go())
    assert trace.counts()["connections opened"] == 2
    assert [mark for mark in repr(trace.timeline(by="connection")).split(", ")
            if "closed" in mark] == ["closed: 2\nstates: connecting"]
    assert later.counts()["requests"] == 1


def test_pools_of_other_classes():
    async def go(pool):
        async with engine_on("asyncpg", poolclass=pool) as engine:
            with observe(engine) as trace:
                for _ in range(3):
                    async with engine.connect() as connection:
                        await connection.execute(ONE)
            return trace

    opened = {pool: run(go(pool)).counts()["connections opened"]
              for pool in (NullPool, StaticPool)}
    assert opened == {NullPool: 3, StaticPool: 1}
    assert "pool_size" not in run(go(NullPool)).pool().svg


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


def test_a_connection_that_another_task_uses():
    async def go():
        async with engine_on("psycopg") as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await asyncio.create_task(connection.execute(ONE),
                                              name="guest")
            return trace

    assert words(run(go()), "guest") == ["executing", "shared"]


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


def test_a_commit_and_a_fetch_that_fail_are_errors():
    async def go():
        async with engine_on("psycopg") as engine:
            async with engine.begin() as connection:
                for sql in ("CREATE TABLE a (id int PRIMARY KEY)",
                            "CREATE TABLE b (a int REFERENCES a DEFERRABLE "
                            "INITIALLY DEFERRED)"):
                    await connection.execute(text(sql))
            with observe(engine) as trace:
                with pytest.raises(exc.IntegrityError):
                    async with engine.begin() as connection:
                        await connection.execute(
                            text("INSERT INTO b VALUES (1)"))
                with pytest.raises(exc.DataError):
                    async with engine.connect() as connection:
                        rows = await connection.stream(text(
                            "SELECT 1 / (3 - n) FROM generate_series(1, 5) n"))
                        async for _ in rows:
                            pass
            return trace

    assert run(go()).counts()["errors"] == 2


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


def test_overflow_that_is_closed_invents_no_task():
    async def go():
        async with engine_on("asyncpg", pool_size=1,
                             max_overflow=2) as engine:
            async def work():
                async with engine.connect() as connection:
                    await connection.execute(ONE)

            with observe(engine) as trace:
                for _ in range(2):
                    await asyncio.gather(*(work() for _ in range(3)))
            return trace

    assert [row.split("  ")[0] for row in repr(
        run(go()).timeline()).splitlines()] == [
            f"task {number}" for number in range(1, 7)]


def test_a_creator_of_ones_own_connects_too():
    async def go():
        async with engine_on("asyncpg") as engine:
            url = engine.url

            async def creator():
                return await asyncpg.connect(
                    user=url.username, password=url.password, host=url.host,
                    port=url.port, database=url.database)

            own = create_async_engine("postgresql+asyncpg://",
                                      async_creator=creator)
            with observe(own) as trace:
                async with own.connect() as connection:
                    await connection.execute(ONE)
            await own.dispose()
            return trace

    trace = run(go())
    assert trace.counts()["connections opened"] == 1
    assert words(trace)[:2] == ["connecting", "executing"]


def test_methods_are_called_as_the_reader_calls_them():
    """By keyword, and with a connection that is no pool's."""
    async def go():
        async with engine_on("aiosqlite") as engine:
            @event.listens_for(engine.sync_engine, "reset")
            def reset(dbapi_connection, record, state):
                engine.dialect.do_rollback(dbapi_connection)

            @event.listens_for(engine.sync_engine, "do_execute")
            def execute(cursor, statement, parameters, context):
                engine.dialect.do_execute(
                    cursor, statement, parameters, context=context)
                return True

            with observe(engine) as trace:
                async with engine.connect() as connection:
                    assert await connection.scalar(ONE) == 1
            return trace.counts()

    counts = run(go())
    assert counts["statements"] == 1 and "invalidated" not in counts


def test_a_server_refuses():
    async def go():
        from labsupport.servers.starting import free_port

        async with engine_on("asyncpg") as engine:
            nobody = create_async_engine(engine.url.set(port=free_port()))
            with observe(nobody) as trace:
                with pytest.raises(OSError):
                    await nobody.connect()
            return trace

    assert words(run(go())) == ["connecting", "failed"]


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


# the gauge

@pytest.mark.parametrize("driver", DRIVERS)
def test_the_gauge_shows_both_sides(driver):
    async def go():
        async with engine_on(driver, pool_size=2, max_overflow=1) as engine:
            gauge = pool_gauge(engine)
            gate = asyncio.Event()

            async def work():
                async with engine.connect() as connection:
                    await connection.execute(ONE)
                    await gate.wait()

            tasks = [asyncio.create_task(work()) for _ in range(5)]
            await until(lambda: gauge.pool()["waiting"] == 2
                        and "3 idle in transaction" in gauge.value)
            assert gauge.pool() == {"checked out": 3, "connecting": 0,
                                    "idle": 0, "waiting": 2}
            assert await gauge.server() == {"idle in transaction": 3}
            assert "3 live, overflow 1" in gauge.value
            gate.set()
            await asyncio.gather(*tasks)
            await gauge.stop()
            return gauge

    gauge = run(go())
    assert repr(gauge) == (
        "gauge of a pool of 2, at most 3 connections in all")
    assert gauge._hooks.counters == [] and not gauge._hooks._requests
    assert "2 idle" in gauge.value and "0 waiting" in gauge.value
    assert gauge._repr_mimebundle_()["text/plain"] == repr(gauge)


def test_the_gauge_survives_a_server_that_is_gone():
    async def go():
        async with engine_on("asyncpg") as engine:
            gauge = pool_gauge(engine)
            await until(lambda: gauge.asked)
            await kill(engine)
            async with engine.connect():
                before = gauge.asked
                await until(lambda: "1 checked out" in gauge.value)
                await until(lambda: gauge.asked > before)
            await gauge.stop()

    run(go())


def test_the_gauge_of_a_database_that_cannot_be_asked():
    async def go():
        async with engine_on("aiosqlite") as engine:
            gauge = pool_gauge(engine)
            await asyncio.sleep(0)
            seen = await gauge.server()
            await gauge.stop()
            return seen, gauge.value

    seen, value = run(go())
    assert seen == {} and "the server" not in value and "the pool" in value
