"""Situations of a pool: what they are there to show, and their numbers."""

import pytest

from labsupport.measuring.pool_run import TIMED_OUT
from labsupport.measuring.real_run import RealRun
from labsupport.measuring.scenario import (
    BURST,
    CLIENTS,
    PRESETS,
    Costs,
    Scenario,
    summary,
)


def told(name):
    scenario = PRESETS[name]
    return summary(scenario.simulated(), scenario.seconds)


def test_each_preset_shows_what_it_is_named_after():
    defaults, knee = told("the defaults"), told("the knee")
    assert defaults["timed out"] == knee["timed out"] == "0"
    assert float(knee["wait, p95 (ms)"]) > 5 * float(
        defaults["wait, p95 (ms)"])
    assert int(told("too small")["timed out"]) > 50
    assert int(told("impatient")["timed out"]) > 50
    # Nearly each request that is not the first opens a connection.
    assert int(told("overflow that connects")["connects"]) > 300
    assert told("overflow that connects")["most connections"] == "10"
    assert float(told("a slow server")["wait, p95 (ms)"]) > 2000
    assert int(told("all ask again")["timed out"]) > 1000


def test_lifo_lets_the_connections_beyond_the_need_grow_old():
    lifo = PRESETS["after a burst, LIFO"]
    fifo = lifo._replace(pool_use_lifo=False)

    def used_late(scenario):
        run = scenario.simulated()
        return sum(at > 10 for at, _ in run.opened)

    # First in, first out, each is used in turn, is too old, and is replaced.
    assert used_late(fifo) > used_late(lifo) > 0


def test_a_burst_is_a_second_at_ten_times_the_rate():
    scenario = Scenario(who=BURST, rate=20)
    times = scenario.users().times
    within = sum(5 <= at < 6 for at in times)
    assert 150 < within < 250 and times == sorted(times)
    assert sum(7 <= at < 8 for at in times) < 50


def test_the_same_users_come_at_each_call_and_stay_longer_if_asked():
    scenario = Scenario(rate=100)
    once, again = scenario.users(), scenario.users(0.5)
    assert once.times == again.times
    assert again.holds == [one + 0.5 for one in once.holds]
    slow = scenario._replace(speed=.5).users()
    assert slow.holds == pytest.approx([2 * one for one in once.holds])


def test_clients_stop_when_it_is_time():
    scenario = Scenario(who=CLIENTS, clients=50, hold=.01, max_overflow=30)
    run = scenario.simulated()
    assert scenario.seconds < 2 and max(run.came) < scenario.seconds
    assert len(run.came) < 6000
    assert {*run.users} == {*range(50)}


@pytest.mark.parametrize("rate, seconds", [(1, 20), (150, 20), (200, 15)])
def test_a_run_has_a_few_thousand_requests(rate, seconds):
    assert Scenario(rate=rate).seconds == seconds


def test_what_a_machine_costs_is_in_the_run():
    scenario = Scenario(pool_pre_ping=True)
    run = scenario.simulated(Costs(request=.03, connect=.5))
    assert min(got - chosen for got, chosen in zip(run.got, run.chosen)
               ) == pytest.approx(.01)
    assert run.got[0] - run.chosen[0] == .5


@pytest.mark.parametrize("name", PRESETS)
def test_the_history_counts_as_each_moment_does(name):
    run = PRESETS[name].simulated()
    history = run.history()
    for second, waiting, live in history[::61]:
        state = run.at(second)
        assert (waiting, live) == (len(state.waiting), state.live)
    assert [one[0] for one in history] == sorted({one[0] for one in history})


def test_the_numbers_of_a_run_that_has_hardly_begun():
    run = RealRun()
    assert summary(run, 20)["wait, p95 (ms)"] == "–"
    run.hear([["came", 0, .1], ["chosen", 0, .1]])
    assert summary(run, 20)["connects"] == "0"
    run.hear([["opened", 0, .2], ["got", 0, .2], ["came", 1, .3],
              [TIMED_OUT, 1, .4]])
    found = summary(run, 20)
    assert found["wait, p95 (ms)"] == "100" and found["timed out"] == "1"
    assert run.history() == [(.2, 0, 1), (.3, 1, 1), (.4, 0, 1)]
