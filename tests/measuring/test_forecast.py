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
            return await forecast(db.asyncpg, [Pool(2, 1, 0.5)], rate=40,
                                  seconds=3, hold=.1)
        finally:
            await db.drop()

    (found,) = asyncio.run(go())
    said, seen = found.timeouts
    assert len(found.predicted) == len(found.measured)
    assert 0 < found.overhead < .05 and 0 < found.pool.connect < .5
    # It is near, or says why not: on a busy machine.
    near = abs(said - seen) < seen / 2 and abs(found.error(.5)) < .25
    assert seen > 5 and (near or found.cpu_is_the_limit)
    # Another pool would have been another forecast.
    crowd = schedule(40, 3, .1, 1)
    wide = Latency(simulate(Pool(10, 0), crowd).latencies)
    assert wide.p50 < found.measured.p50 / 2


async def burns(url):
    async def operation():
        end = time.process_time() + .01
        while time.process_time() < end:
            pass

    yield operation


async def idles(url):
    async def operation():
        await asyncio.sleep(.05)

    yield operation


@pytest.mark.parametrize("candidate, least, most", [
    (burns, .45, .75), (idles, 0, .3)])
def test_the_load_says_what_part_of_a_core_it_used(candidate, least, most):
    load = asyncio.run(open_loop(candidate, NOWHERE, rate=100, seconds=.5,
                                 poisson=False))
    # In CPU seconds: a busy machine makes the run longer, and the part less.
    spent = load.cpu * max(ended for *_, ended in load.times)
    assert least <= spent <= most


@pytest.mark.parametrize("cpu, late, limit", [
    (.5, .01, False), (.9, .01, True), (.5, .05, True)])
def test_when_the_cpu_is_the_limit_the_forecast_says_so(cpu, late, limit):
    crowd = OneEach([0.0, 1.0], [.1, .3])
    load = OpenLoop([(0, late, .2, None), (1, 1 + late, 1.3, None)], cpu)
    found = Forecast(Pool(), .2, 0.0, simulate(Pool(), crowd), load)
    assert found.late == pytest.approx(late)
    assert found.cpu_is_the_limit == limit
    assert ("The CPU is the limit" in repr(found)) == limit
    assert found.error(.5) == pytest.approx(-.5)
    assert found.error(1) == pytest.approx(0)


def test_one_schedule_whoever_asks():
    one, other = schedule(50, 2, .1, 1), schedule(50, 2, .1, 1)
    assert vars(one) == vars(other) != vars(schedule(50, 2, .1, 2))
