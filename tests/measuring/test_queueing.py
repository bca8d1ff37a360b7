"""The formulas: right in the long run, within their bounds, and failing."""

from math import inf
from random import Random
from statistics import mean

import pytest

from labsupport.measuring.load_process import arrivals
from labsupport.measuring.pool_run import TIMED_OUT, OneEach, Pool, User
from labsupport.measuring.queueing import little, mmc, mva
from labsupport.measuring.simulation import simulate


def offered(rate, seconds, hold, seed):
    """An open loop, with exponential holds."""
    chance = Random(seed + 1000)
    times = list(arrivals(rate, seconds, True, seed))
    return OneEach(times, [chance.expovariate(1 / hold) for _ in times])


@pytest.mark.parametrize("connections, load", [(1, .5), (5, .8), (10, .7)])
def test_the_long_run_agrees(connections, load):
    rate, hold = load * connections / 0.05, 0.05
    run = simulate(Pool(connections, 0, 1e9),
                   offered(rate, 100_000 / rate, hold, 1))
    said = mmc(rate, hold, connections)
    assert said.load == pytest.approx(load)
    assert mean(run.waits) == pytest.approx(said.wait, rel=.1)
    assert mean(wait > 0 for wait in run.waits) == pytest.approx(
        said.waiting, rel=.1)
    assert sorted(run.waits)[int(.95 * len(run.waits))] == pytest.approx(
        said.quantile(.95), rel=.1, abs=1e-4)


def test_equal_holds_halve_the_wait():
    times = list(arrivals(80, 1000, True, 1))
    run = simulate(Pool(5, 0), OneEach(times, [.05] * len(times)))
    assert mean(run.waits) == pytest.approx(mmc(80, .05, 5, 0).wait, rel=.15)
    assert mmc(80, .05, 5, 0).wait == mmc(80, .05, 5).wait / 2


def test_known_values():
    assert mmc(1, .5, 1) == (.5, .5, .5)  # M/M/1: ρ/(1-ρ) × S
    assert mmc(2, .5, 2).waiting == pytest.approx(1 / 3)  # Erlang C(2, 1)
    assert mva(1, .1, 5) == (10, 0)
    assert mva(3, .1, 1, 0.0) == pytest.approx((10, .2))


def test_little_holds_in_any_run_that_begins_and_ends_empty():
    crowd = offered(150, 5, .05, 3)
    run = simulate(Pool(5, 2, .2), crowd)
    end = max(run.left)
    steps = sorted([(came, 1) for came in run.came]
                   + [(left, -1) for left in run.left])
    inside = area = last = 0
    for at, change in steps:
        area += inside * (at - last)
        inside, last = inside + change, at
    assert area / end == pytest.approx(
        little(len(run.came) / end, mean(run.latencies)))


def test_a_short_run_is_far_from_the_formula():
    said = mmc(95, .1, 10).wait
    short = [mean(simulate(Pool(10, 0), offered(95, 8, .1, seed)).waits)
             for seed in range(20)]
    assert sum(abs(wait / said - 1) > .25 for wait in short) > 10


def test_overload_with_timeouts_is_none_of_its_business():
    assert mmc(150, .1, 10).wait == inf == mmc(150, .1, 10).quantile(.5)
    run = simulate(Pool(10, 0, .5), offered(150, 60, .1, 1))
    assert max(run.waits) <= .5
    # What is too much goes: 1 - 1/load, the fluid limit.
    assert run.count(TIMED_OUT) / len(run.came) == pytest.approx(1/3, rel=.1)


def closed(explicit, pool_timeout=1e9):
    chance = Random(1)
    users = [User(number / 1000, [chance.expovariate(20)
                                  for _ in range(2000)], explicit=explicit)
             for number in range(20)]
    return simulate(Pool(5, 0, pool_timeout), users)


def test_mva_agrees_with_a_fair_closed_loop():
    run = closed(explicit=False)
    said = mva(20, .05, 5)
    assert len(run.came) / max(run.left) == pytest.approx(said.rate, rel=.05)
    assert mean(run.waits) == pytest.approx(said.wait, rel=.05)
    assert mva(20, .05, 5, 1.0).rate <= min(5 / .05, 20 / 1.05)


def test_mva_knows_nothing_of_those_who_starve():
    run = closed(explicit=True)
    said = mva(20, .05, 5)
    early = [run.got[number] is not None and run.got[number] < 50
             for number, _ in enumerate(run.came)]
    served = {run.users[number] for number, yes in enumerate(early) if yes}
    assert served == set(range(5))  # fifteen of twenty have nothing
    assert said.wait > .1  # which, on average, would be everybody's wait
