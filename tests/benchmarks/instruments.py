"""What an instrument costs: 50 tasks of point selects, on and off in turn.

CPU per statement of this process, as a ratio to an engine that nobody has
ever observed: median and quartiles of many short slices, in random order.
The floor is what SQLAlchemy itself takes for the events that an instrument
made of listeners alone would need: listeners that do nothing.
"""

import asyncio
import gc
import random
import time
from contextlib import asynccontextmanager
from statistics import median, quantiles

from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres
from labsupport.instruments.pool_gauge import pool_gauge
from labsupport.schema import Artist, seed
from labsupport.trace.observe import observe

ROUNDS, TASKS, STATEMENTS = 50, 50, 10
EVENTS = ("checkout", "checkin", "close", "detach", "invalidate", "begin",
          "commit", "rollback", "before_cursor_execute",
          "after_cursor_execute", "handle_error", "do_connect")


def floor(engine):
    for name in EVENTS:
        event.listen(engine.sync_engine, name, lambda *_, **__: None)


def closed_trace(engine):
    with observe(engine):
        pass


async def one_slice(engine):
    """CPU and wall time (s) per statement of one slice."""
    async def work(number):
        statement = select(Artist.name).where(Artist.id == number % 3 + 1)
        for _ in range(STATEMENTS):
            async with engine.connect() as connection:
                await connection.execute(statement)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work(number) for number in range(TASKS)))
    operations = TASKS * STATEMENTS
    return ((time.process_time() - cpu) / operations,
            (time.perf_counter() - wall) / operations)


@asynccontextmanager
async def nothing(engine):
    yield


@asynccontextmanager
async def trace(engine):
    with observe(engine):
        yield


CANDIDATES = {  # name → (what is done to its engine once, what is on)
    "never observed": (None, nothing),
    "never observed, again": (None, nothing),
    "floor: bare listeners": (floor, nothing),
    "no trace open": (closed_trace, nothing),
    "observe": (None, trace),
    "gauge": (pool_gauge, nothing),  # lives on, and moves, all the time
}


async def idle(seconds=3):
    """CPU time (s) that a second takes in which nothing is asked for."""
    began = time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - began) / seconds


async def measure(db):
    """Name → slices [(cpu, wall)], in random order; CPU (s/s) of a gauge."""
    engines, slices = {}, {name: [] for name in CANDIDATES}
    shown, quiet = [], await idle()
    for name, (prepare, _) in CANDIDATES.items():
        engines[name] = create_async_engine(db.asyncpg, pool_size=8,
                                            max_overflow=0)
        if prepare:
            shown.append(prepare(engines[name]))
        await one_slice(engines[name])  # connections, caches
    moving = await idle() - quiet
    gc.collect()
    gc.freeze()
    gc.disable()
    for _ in range(ROUNDS):
        for name in random.sample(list(CANDIDATES), len(CANDIDATES)):
            async with CANDIDATES[name][1](engines[name]):
                gc.collect()
                slices[name].append(await one_slice(engines[name]))
    await shown[-1].stop()
    for engine in engines.values():
        await engine.dispose()
    return slices, moving


def ratios(slices, name, base, which):
    """Median and quartiles of the ratios of paired slices."""
    pairs = [one[which] / other[which] for one, other
             in zip(slices[name], slices[base])]
    low, _, high = quantiles(pairs, n=4)
    return f"{median(pairs):5.2f} [{low:.2f}–{high:.2f}]"


async def main():
    db = await postgres()
    engine = create_async_engine(db.asyncpg)
    await seed(engine)
    await engine.dispose()
    slices, moving = await measure(db)
    print(f"{'CPU per statement':<24}{'to never observed':<22}to the floor")
    for name in CANDIDATES:
        print(f"{name:<24}{ratios(slices, name, 'never observed', 0):<22}"
              f"{ratios(slices, name, 'floor: bare listeners', 0)}")
    print(f"\n{'time per statement':<24}to never observed")
    for name in CANDIDATES:
        print(f"{name:<24}{ratios(slices, name, 'never observed', 1)}")
    print(f"\na gauge that moves takes {moving:.1%} of one CPU")
    await db.drop()


if __name__ == "__main__":
    asyncio.run(main())
