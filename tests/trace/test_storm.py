"""Fifty tasks that wait, fail and are cancelled, watched from the server."""

import asyncio
import random
import threading
import time
from collections import Counter

import psycopg
import pytest
from observing import DRIVERS, run
from shop import engine_on
from sqlalchemy import text

from labsupport.trace.observe import observe
from labsupport.trace.spans import (
    CHECKED_OUT,
    CONNECTING,
    ENDING,
    EXECUTING,
    IN_POOL,
    IN_TRANSACTION,
)


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

    async def note(connection):
        raw = await connection.get_raw_connection()
        driver_connection = raw.driver_connection
        pids[raw.info["labsupport_label"]] = (
            driver_connection.get_server_pid() if driver == "asyncpg"
            else driver_connection.info.backend_pid)

    async def work(engine):
        await asyncio.sleep(rng.random() * 0.5)
        async with engine.connect() as connection:
            await note(connection)
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
            tasks = [asyncio.create_task(work(engine))
                     for _ in range(50)]
            for task in rng.sample(tasks, 8):
                await asyncio.sleep(rng.random() * 0.1)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # One statement is long enough for a watcher that is held up.
            async with engine.connect() as connection:
                await note(connection)
                await connection.execute(text("SELECT pg_sleep(0.3)"))
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
