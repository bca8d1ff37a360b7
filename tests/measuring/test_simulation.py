"""The simulated pool is the real one: the same floats, whatever is set."""

import asyncio
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from measuring.virtual_time import VirtualLoop, real_run

from labsupport.measuring import simulation
from labsupport.measuring.load_process import arrivals
from labsupport.measuring.pool_run import (
    FAILED,
    SERVED,
    TIMED_OUT,
    OneEach,
    Pool,
    User,
)
from labsupport.measuring.queue_in_order import in_order
from labsupport.measuring.simulation import simulate

POOLS = st.builds(
    Pool,
    pool_size=st.integers(0, 4),
    max_overflow=st.sampled_from([0, 1, 2, 3, -1]),
    pool_timeout=st.sampled_from([30.0, 2.0, 0.5, 0.1, 0.0]),
    pool_recycle=st.sampled_from([-1, 1.0, 0.3, 0]),
    pool_pre_ping=st.booleans(),
    pool_use_lifo=st.booleans(),
    connect=st.sampled_from([0.2, 0.03, 0.0]),
    ping=st.sampled_from([0.0, 0.004, 0.05]),
    refused=st.sampled_from([
        frozenset(), frozenset({3, 9}), frozenset(range(0, 20, 2)),
        frozenset(range(6))]))


@st.composite
def crowds(draw):
    """Users, whose times are floats with all their digits."""
    chance = Random(draw(st.integers(0, 2 ** 32)))
    rate, comes, users = draw(st.sampled_from([2, 10, 40])), 0.0, []
    for _ in range(draw(st.integers(1, 25))):
        comes += chance.expovariate(rate)
        holds = [chance.expovariate(5)
                 for _ in range(chance.choice([1, 1, 2, 6]))]
        users.append(User(comes, holds, chance.choice(
            [0.0, 0.0, chance.random()]), chance.random() < 0.5))
    return users


def columns(run):
    """What both can know: the real pool does not say whom it has chosen."""
    return {name: getattr(run, name) for name in (
        "users", "came", "got", "left", "outcomes",
        "opened", "closed", "pings")}


def same(pool, users):
    """Fails unless both say the same, to the last bit."""
    users = list(users)
    assert columns(simulate(pool, users)) == columns(real_run(pool, users))


def property_of(examples, *phases):
    """The property test, with so many examples."""
    return settings(
        max_examples=examples, deadline=None, database=None,
        derandomize=True, phases=phases or tuple(Phase),
        suppress_health_check=[HealthCheck.too_slow],
    )(given(POOLS, crowds())(same))


test_any_pool_and_any_crowd = property_of(1000)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(POOLS, crowds(), st.integers(1, 8))
def test_the_short_way_for_those_who_ask_once(pool, users, busy):
    pool = pool._replace(pool_recycle=-1, refused=frozenset())
    users = OneEach([user.comes for user in users],
                    [user.holds[0] * busy for user in users])
    short = in_order(pool, users)
    assert vars(short) == vars(simulate(pool, list(users)))
    assert columns(short) == columns(real_run(pool, list(users)))


def test_the_short_way_leaves_what_it_cannot_decide():
    users = OneEach([0.0, 1.0], [1.0, 1.0])  # one comes as the other leaves
    assert in_order(Pool(1, 0), users) is None
    assert in_order(Pool(2, 0), users) is None
    assert in_order(Pool(pool_recycle=1), users) is None
    assert in_order(Pool(refused=frozenset({0})), users) is None
    for pool in Pool(1, 0), Pool(2, 0):
        assert simulate(pool, users).waits == [0.0, 0.0]
        same(pool, list(users))


# What the property would notice: rules of the queue, left out.

def without_the_end_of_the_line(self, number):
    if self.idle:
        self.take(number)
    else:
        self.line.appendleft(number)


def with_a_wake_for_a_freed_place(self, number, outcome, at_once):
    if outcome == FAILED and self.line and self.overflow < self.most:
        woken = self.line.popleft()
        self.add(woken)
    END(self, number, outcome, at_once)


def with_age_from_after_the_connect(self, record):
    age = self.now - record.started - self.pool.connect
    return -1 < self.pool.pool_recycle < age


def with_a_deadline_that_is_final(self, number):
    if self.run.chosen[number] is None:
        self.line.remove(number)
        self.end(number, TIMED_OUT, at_once=True)


def with_a_close_that_is_always_the_same(self, number):
    self.give_back(self.records[number])
    self.end(number, SERVED, at_once=True)


END = simulation._Simulation.end
MUTANTS = {"wake": without_the_end_of_the_line,
           "end": with_a_wake_for_a_freed_place,
           "too_old": with_age_from_after_the_connect,
           "deadline": with_a_deadline_that_is_final,
           "leave": with_a_close_that_is_always_the_same}


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_rule_left_out_is_noticed(monkeypatch, rule):
    monkeypatch.setattr(simulation._Simulation, rule, MUTANTS[rule])
    with pytest.raises((AssertionError, IndexError)):
        property_of(200, Phase.generate)()


# Peculiarities, one by one.

def test_a_freed_place_wakes_nobody():
    pool = Pool(1, 0, pool_timeout=5.0, connect=1.0,
                refused=frozenset({0}))
    users = OneEach([0.0, 0.5], [0.2, 0.2])
    run = simulate(pool, users)
    same(pool, users)
    assert run.outcomes == [FAILED, SERVED]
    # The place is free from second 1; the pool is empty until 5.5.
    assert run.left[0] == 1.0 and run.chosen[1] == 5.5 and run.got[1] == 6.5
    assert run.at(3.0) == ([1], [], [], 0)
    assert run.at(6.0) == ([], [1], [], 0)


@pytest.mark.parametrize("explicit", [True, False])
def test_close_lets_the_fast_ones_starve_the_others(explicit):
    pool = Pool(2, 0, pool_timeout=1.0)
    users = [User(number / 100, [0.1] * 20, explicit=explicit)
             for number in range(6)]
    run = simulate(pool, users)
    same(pool, users)
    first_ten = [run.users[number] for number in sorted(
        (number for number, got in enumerate(run.got) if got is not None),
        key=run.got.__getitem__)[:10]]
    assert set(first_ten) == ({0, 1} if explicit else set(range(6)))
    waited_in_vain = {run.users[number] for number, outcome
                      in enumerate(run.outcomes) if outcome == TIMED_OUT}
    assert waited_in_vain == ({2, 3, 4, 5} if explicit else set())


def test_a_connect_longer_than_recycle_is_made_twice():
    pool = Pool(pool_recycle=0, connect=0.5)
    same(pool, OneEach([0.0], [1.0]))
    run = simulate(pool, OneEach([0.0], [1.0]))
    assert run.opened == [(0.5, 0), (1.0, 1)] and run.got == [1.0]


@pytest.mark.parametrize("lifo, connects", [(True, 3), (False, 4)])
def test_lifo_lets_those_beyond_the_need_grow_old(lifo, connects):
    # Two at once, then one at a time: with LIFO the first is never asked.
    times = [0.0, 0.1, 1.0, 2.0, 3.0, 4.0]
    users = OneEach(times, [0.3] * len(times))
    pool = Pool(2, 0, pool_recycle=2.5, pool_use_lifo=lifo)
    same(pool, users)
    assert len(simulate(pool, users).opened) == connects


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(POOLS, crowds(), st.integers(0, 2 ** 32))
def test_as_many_wait_at_any_moment(pool, users, seed):
    chance = Random(seed)
    looks = sorted(chance.uniform(0, 3) for _ in range(20))
    run = simulate(pool, users)
    assert real_run(pool, users, looks).lines == [
        len(run.at(second).waiting) for second in looks]


def test_a_state_adds_up():
    due = list(arrivals(30, 10, True, 1))
    run = simulate(Pool(3, 1), OneEach(due, [0.15] * len(due)))
    for tenth in range(120):
        state = run.at(tenth / 10)
        assert len(state.served) <= state.live <= 4
        assert not state.waiting or len(state.served) == 4
        assert len(state.waiting) + len(state.served) == sum(
            came <= tenth / 10 < left
            for came, left in zip(run.came, run.left))


# The virtual loop.

def test_virtual_time_jumps_and_does_not_round():
    loop = VirtualLoop()
    begin = loop.time()
    loop.run_until_complete(asyncio.sleep(3600.1))
    assert loop.time() - begin == 3600.1
    with pytest.raises(RuntimeError, match="nothing is due"):
        loop.run_until_complete(loop.create_future())
    loop.close()
