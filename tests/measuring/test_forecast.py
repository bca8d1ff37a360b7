"""Simulation and run of one schedule; who is the limit."""

import asyncio
import time

import pytest

from labsupport.databases import postgres
from labsupport.measuring.forecast import Forecast, forecast, schedule
from labsupport.measuring.load import Latency, OpenLoop, open_loop
from labsupport.measuring.pool_run import OneEach, Pool
from labsupport.measuring.simulation import simulate

NOWHERE = "sqlite+aiosqlite://"


def test_a_pool_too_small_does_as_forecast():
    async def go():
        db = await postgres()
        try:
            return await forecast(db.asyncpg, Pool(2, 1, 0.5), rate=40,
                                  seconds=3, hold=.1)
        finally:
            await db.drop()

    found = asyncio.run(go())
    said, seen = found.timeouts
    assert len(found.predicted) == len(found.measured)
    assert 0 < found.overhead < .05 and 0 < found.pool.connect < .5
    assert seen > 10 and abs(said - seen) < seen / 2
    assert abs(found.error(.5)) < .25
    # Another pool would have been another forecast.
    crowd = schedule(40, 3, .1, 1)
    wide = Latency(sorted(simulate(Pool(10, 0), crowd).latencies))
    assert wide.p50 < found.measured.p50 / 2
    assert not found.cpu_is_the_limit


async def burns(url):
    async def operation():
        end = time.process_time() + .05
        while time.process_time() < end:
            pass

    yield operation


async def idles(url):
    async def operation():
        await asyncio.sleep(.05)

    yield operation


@pytest.mark.parametrize("candidate, limit", [(burns, True), (idles, False)])
def test_the_load_says_what_part_of_a_core_it_used(candidate, limit):
    load = asyncio.run(open_loop(candidate, NOWHERE, rate=100, seconds=.5,
                                 poisson=False))
    # A busy machine may take half of the core away.
    assert (load.cpu > .4) == limit


@pytest.mark.parametrize("cpu", [.5, .9])
def test_when_the_cpu_is_the_limit_the_forecast_says_so(cpu):
    crowd = OneEach([0.0, 1.0], [.1, .3])
    load = OpenLoop([(0, 0, .2, None), (1, 1, 1.3, None)], cpu)
    found = Forecast(Pool(), 0.0, simulate(Pool(), crowd), load)
    assert found.cpu_is_the_limit == (cpu == .9)
    assert ("The CPU is the limit" in repr(found)) == (cpu == .9)
    assert found.error(.5) == pytest.approx(-.5)
    assert found.error(1) == pytest.approx(0)


def test_one_schedule_whoever_asks():
    one, other = schedule(50, 2, .1, 1), schedule(50, 2, .1, 1)
    assert vars(one) == vars(other) != vars(schedule(50, 2, .1, 2))
