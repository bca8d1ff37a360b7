"""The account agrees with others at every step, whatever is done.

Hypothesis chooses what is done to two engines: the first makes tasks wait,
the second pings and has no patience. After each step, when all is quiet, the
traces and the gauges are held against an account of the test's own, made
from plain events, and that against the server's.

In the suite the storm is short and always the same. For other weather:
``STORM=long python3 -m labsupport test -n 0 tests/trace/test_every_step.py``
"""

import asyncio
import gc
import itertools
import os
import time
import warnings
from collections import Counter

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, exc, text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres
from labsupport.instruments.pool_gauge import pool_gauge
from labsupport.trace.observe import observe

settings.register_profile(
    "short", deadline=None, database=None, derandomize=True, max_examples=6,
    stateful_step_count=30, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck))
settings.register_profile(
    "long", settings.get_profile("short"), derandomize=False,
    max_examples=200, stateful_step_count=60,
    phases=[Phase.generate, Phase.shrink])

ONE, LONG = text("SELECT 1"), text("SELECT pg_sleep(60)")
SIZE, OVERFLOW = 2, 1
QUIET = 20  # seconds after which something that should be quiet never will be


class Account:
    """What plain events tell of one engine: independent of the trace."""

    def __init__(self, engine):
        self.engine, self.generation = engine, 0
        self.kinds = Counter()
        self.pids = {}  # id of a connection → its process in the server
        self.place = {}  # pid → "out", "idle", "apart" or "left"
        self.owner = {}  # pid → generation of the pool it belongs to
        sync = engine.sync_engine
        for name in ("connect", "checkout", "checkin", "close", "detach",
                     "close_detached", "invalidate"):
            event.listen(sync, name, getattr(self, f"_{name}"))
        event.listen(sync, "before_cursor_execute", self._statement)
        event.listen(sync, "engine_disposed", self._disposed)

    def generation_here(self):
        """Of the pool that the running task has asked."""
        return getattr(asyncio.current_task(), "generation", self.generation)

    def _statement(self, *_):
        self.kinds["statements"] += 1

    def _connect(self, connection, record):
        driver = record.driver_connection
        self.pids[id(connection)] = (
            driver.get_server_pid() if hasattr(driver, "get_server_pid")
            else driver.info.backend_pid)
        self.kinds["connections opened"] += 1

    def _checkout(self, connection, _record, _proxy):
        pid = self.pids[id(connection)]
        self.place[pid], self.owner[pid] = "out", self.generation_here()

    def _checkin(self, connection, _record):
        if connection is not None:
            pid = self.pids[id(connection)]
            self.place[pid] = ("idle" if self.owner[pid] == self.generation
                               else "left")

    def _close(self, connection, _record):
        pid = self.pids.pop(id(connection))
        self.place.pop(pid, None)

    def _detach(self, connection, _record):
        self.place[self.pids[id(connection)]] = "apart"

    def _close_detached(self, connection):
        self.place.pop(self.pids.pop(id(connection)))

    def _invalidate(self, _connection, _record, _error):
        self.kinds["invalidated"] += 1

    def _disposed(self, _engine):
        self.generation += 1
        for pid, place in self.place.items():
            if place == "idle":
                self.place[pid] = "left"

    def where(self, place, generation=None):
        """The pids (set) in a place, of one pool or of all."""
        return {pid for pid, here in self.place.items() if here == place
                and generation in (None, self.owner[pid])}


class Worker:
    """A task that holds a connection and does what it is told, in turn."""

    def __init__(self, account, name):
        self.account, self.name = account, name
        self.phase, self.connection = "asking", None
        self.error, self.apart = None, None  # its pid, if detached
        self.inbox = asyncio.Queue()
        self.task = asyncio.create_task(self._work(), name=name)
        self.generation = self.task.generation = account.generation

    async def _work(self):
        try:
            self.connection = await self.account.engine.connect()
        except BaseException as error:
            self.phase, self.error = "refused", error
            raise
        try:
            while True:
                self.phase = "ready"
                order, done = await self.inbox.get()
                self.phase = "busy"
                try:
                    await order(self.connection)
                except (exc.SQLAlchemyError, OSError) as error:
                    done.set_result(error)
                    break
                done.set_result(None)
        finally:
            self.phase = "leaving"
            try:
                await self.connection.close()
            except (exc.SQLAlchemyError, OSError):
                pass
            self.phase, self.connection = "gone", None

    def told(self, order):
        done = asyncio.get_running_loop().create_future()
        self.inbox.put_nowait((order, done))
        return done


class Storm(RuleBasedStateMachine):
    driver, database, server = None, None, None

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.numbers = itertools.count(1)
        self.workers, self.traces = [], []
        self.runner.run(self._begin())

    async def _begin(self):
        url = getattr(self.database, self.driver)
        self.accounts = [Account(create_async_engine(
            url, pool_size=SIZE, max_overflow=OVERFLOW, **options))
            for options in ({"pool_timeout": 600}, {
                "pool_timeout": 0.02, "pool_pre_ping": True})]
        self.gauges = [pool_gauge(account.engine)
                       for account in self.accounts]
        for account in self.accounts:
            self._observe(account)

    def _observe(self, account):
        manager = observe(account.engine)
        asking = [worker for worker in self.workers
                  if worker.account is account and worker.phase == "asking"]
        # What is out of a pool that was disposed of, nobody can know.
        former = account.where("out") - account.where(
            "out", account.generation)
        self.traces.append((account, manager, manager.__enter__(),
                            account.kinds.copy(), Counter(), asking, former))

    def note(self, account, kind):
        """The test knows how a request ends: count it for each trace."""
        for whose, _, _, _, ends, *_ in self.traces:
            if whose is account:
                ends[kind] += 1

    # what is done

    accounts_ = st.integers(0, 1)
    choice = st.integers(0, 50)

    def ready(self):
        return [worker for worker in self.workers if worker.phase == "ready"]

    def pooled(self):
        return [worker for worker in self.ready() if not worker.apart]

    def asking(self):
        return [worker for worker in self.workers if worker.phase == "asking"]

    @rule(number=accounts_)
    def ask(self, number):
        """Sometimes to be served, sometimes to wait, sometimes in vain."""
        account = self.accounts[number]

        async def go():
            worker = Worker(account, f"worker {next(self.numbers)}")
            self.workers.append(worker)
            self.note(account, "requests")
            await self._quiet()
            if isinstance(worker.error, exc.TimeoutError):
                self.note(account, "timeouts")
            else:
                assert worker.error is None

        self.runner.run(go())

    def _order(self, choice, order):
        async def go():
            ready = self.ready()
            await ready[choice % len(ready)].told(order)
            await self._quiet()

        self.runner.run(go())

    @precondition(ready)
    @rule(choice=choice, how=st.sampled_from(["plain", "commit", "rollback",
                                              "wrong", "autocommit"]))
    def statement(self, choice, how):
        async def order(connection):
            if how == "autocommit":
                if connection.in_transaction():
                    await connection.rollback()
                await connection.execution_options(
                    isolation_level="AUTOCOMMIT")
            await connection.execute(
                text("SELECT 1 / 0") if how == "wrong" else ONE)
            if how in ("commit", "rollback"):
                await getattr(connection, how)()

        self._order(choice, order)

    @precondition(ready)
    @rule(choice=choice)
    def stream(self, choice):
        """Begin to read rows from the server, and leave the rest there."""
        async def order(connection):
            rows = await connection.stream(
                text("SELECT generate_series(1, 50)"))
            await rows.fetchmany(3)
            await rows.close()

        self._order(choice, order)

    @precondition(ready)
    @rule(choice=choice)
    def give_back(self, choice):
        async def go():
            ready = self.ready()
            worker = ready[choice % len(ready)]
            worker.task.cancel()
            await asyncio.wait([worker.task])
            await self._quiet()

        self.runner.run(go())

    @precondition(ready)
    @rule(choice=choice)
    def invalidate(self, choice):
        async def order(connection):
            await connection.invalidate()

        async def go():
            ready = self.ready()
            worker = ready[choice % len(ready)]
            if worker.apart:  # SQLAlchemy drops it without closing it
                worker.account.place[worker.apart] = "left"
            await worker.told(order)
            worker.task.cancel()
            await asyncio.wait([worker.task])
            await self._quiet()

        self.runner.run(go())

    @precondition(pooled)
    @rule(choice=choice)
    def detach(self, choice):
        pooled = self.pooled()
        worker = pooled[choice % len(pooled)]

        async def order(connection):
            raw = await connection.get_raw_connection()
            worker.apart = worker.account.pids[id(raw.dbapi_connection)]
            raw.detach()

        async def go():
            await worker.told(order)
            await self._quiet()

        self.runner.run(go())

    @precondition(pooled)
    @rule(choice=choice, how=st.sampled_from(["cancel", "kill", "close",
                                              "invalidate"]))
    def end_a_long_statement(self, choice, how):
        """By the task itself, by the server, or under the task's feet."""
        async def order(connection):
            await connection.execute(LONG)

        async def go():
            pooled = self.pooled()
            worker = pooled[choice % len(pooled)]
            raw = await worker.connection.get_raw_connection()
            pid = worker.account.pids[id(raw.dbapi_connection)]
            done = worker.told(order)
            await self._until(lambda: self._server().get(pid) == "active",
                              self._server)
            if how == "cancel":
                worker.task.cancel()
            elif how == "kill":
                self.server.execute(f"SELECT pg_terminate_backend({pid})")
            elif how == "close":
                closing = asyncio.create_task(worker.connection.close())
                await asyncio.wait([closing], timeout=0.05)
                worker.task.cancel()
                await asyncio.wait([closing])
                closing.exception()
            else:
                await worker.connection.invalidate()
                worker.task.cancel()
            await asyncio.wait([worker.task])
            done.cancel()
            if pid not in worker.account.place:
                # The server may sleep on, and not notice who has left.
                self.server.execute(f"SELECT pg_terminate_backend({pid})")
            await self._quiet()

        self.runner.run(go())

    @precondition(asking)
    @rule(choice=choice)
    def cancel_what_waits(self, choice):
        async def go():
            waiting = self.asking()
            worker = waiting[choice % len(waiting)]
            worker.task.cancel()
            await asyncio.wait([worker.task])
            self.note(worker.account, "cancelled")
            await self._quiet()

        self.runner.run(go())

    @rule(number=accounts_, close=st.booleans())
    def dispose(self, number, close):
        async def go():
            await self.accounts[number].engine.dispose(close=close)
            await self._quiet()

        self.runner.run(go())

    @rule(number=accounts_)
    def kill_what_is_idle(self, number):
        """The second engine pings; the first has to find out."""
        account = self.accounts[number]
        for pid in account.where("idle"):
            self.server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
            account.place[pid] = "idle, dead"

    @rule(number=accounts_)
    def observe(self, number):
        self._observe(self.accounts[number])

    @precondition(lambda self: len(self.traces) > 2)
    @rule(choice=choice)
    def stop_observing(self, choice):
        _, manager, *_ = self.traces.pop(choice % len(self.traces))
        manager.__exit__(None, None, None)

    # what must hold

    def _server(self):
        """pid → state (dict): what the server sees of this test."""
        return dict(self.server.execute(
            "SELECT pid, state FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid() AND "
            "state IS NOT NULL AND application_name <> 'lab gauge'"
        ).fetchall())

    async def _until(self, condition, what):
        deadline = time.monotonic() + QUIET
        while not condition():
            assert time.monotonic() < deadline, what()
            await asyncio.sleep(0.001)

    async def _quiet(self):
        """Wait until nobody does anything, and who asks cannot be served."""
        def full(worker):
            return len(worker.account.where("out", worker.generation)) \
                >= SIZE + OVERFLOW

        await self._until(lambda: all(
            worker.phase in ("ready", "gone", "refused")
            or worker.phase == "asking" and full(worker)
            for worker in self.workers), lambda: [
                (worker.name, worker.phase) for worker in self.workers])
        for worker in self.workers:
            if worker.task.done() and not worker.task.cancelled():
                worker.task.exception()
        self.workers = [worker for worker in self.workers
                        if not worker.task.done()]

    def waiting(self, account, since=()):
        return [worker for worker in self.workers
                if worker.account is account and worker.phase == "asking"
                and worker not in since]

    @invariant()
    def the_accounts_agree(self):
        for account, _, trace, before, ends, asking, former in self.traces:
            found, now = trace.counts(), trace.usage()[-1]
            since = account.kinds - before
            for name in ("statements", "connections opened"):
                assert found[name] == since[name], name
            for name in ("invalidated",):
                assert found.get(name, 0) == since[name], name
            for name in ("requests", "timeouts", "cancelled"):
                assert found.get(name, 0) == ends[name], name
            out = account.where("out") - former
            idle = account.where("idle") | account.where("idle, dead")
            assert found["still checked out"] == now.out == len(out)
            assert (now.idle, now.connecting) == (len(idle), 0)
            assert now.waiting == len(self.waiting(account, asking))
            held = trace.holders()
            assert len(held) + held.earlier == len(out)
        for account, gauge in zip(self.accounts, self.gauges):
            mine = account.generation
            assert gauge.pool() == {
                "checked out": len(account.where("out", mine)),
                "connecting": 0,
                "idle": len(account.where("idle", mine)
                            | account.where("idle, dead", mine)),
                "waiting": len([worker for worker in self.waiting(account)
                                if worker.generation == mine])}

    @invariant()
    def the_server_agrees(self):
        """What a pool has left may live on, but only as long as that pool."""
        def lives(*places):
            return set().union(*(account.where(place)
                                 for account in self.accounts
                                 for place in places))

        def agrees():
            seen = {*self._server()}
            sure = lives("out", "idle", "apart")
            return sure <= seen <= sure | lives("left")

        self.runner.run(self._until(agrees, lambda: (
            self._server(), [account.place for account in self.accounts])))

    def teardown(self):
        async def go():
            for worker in self.workers:
                worker.task.cancel()
            await asyncio.gather(*(worker.task for worker in self.workers),
                                 return_exceptions=True)
            for _, manager, *_ in self.traces:
                manager.__exit__(None, None, None)
            for gauge in self.gauges:
                await gauge.stop()
            for account in self.accounts:
                await account.engine.dispose()
            self.workers.clear()
            self.traces.clear()

            def empty():
                gc.collect()
                return not self._server()

            await self._until(empty, self._server)

        try:
            self.runner.run(go())
        finally:
            self.runner.close()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_the_accounts_agree_at_every_step(driver):
    database = asyncio.run(postgres())
    dsn = getattr(database, driver).set(
        drivername="postgresql", query={}).render_as_string(False)
    try:
        with psycopg.connect(dsn, autocommit=True) as server, \
                warnings.catch_warnings():
            gc.collect()
            gc.freeze()  # of what is there already, nothing is in question
            warnings.simplefilter("ignore", exc.SAWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            machine = type("Machine", (Storm,), {
                "driver": driver, "database": database, "server": server})
            run_state_machine_as_test(machine, settings=settings.get_profile(
                os.environ.get("STORM", "short")))
    finally:
        gc.unfreeze()
        asyncio.run(database.drop(force=True))
