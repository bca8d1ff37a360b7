"""The real pool, request by request, and when its users stop."""

import asyncio
from math import inf

import pytest

from labsupport.databases import postgres
from labsupport.faults import connection_limit
from labsupport.measuring.forecast import schedule
from labsupport.measuring.pool_run import (
    FAILED,
    SERVED,
    TIMED_OUT,
    OneEach,
    Pool,
    User,
)
from labsupport.measuring.process import LoadError
from labsupport.measuring.real_run import RealRun, real_run
from labsupport.measuring.simulation import simulate


def on_postgres(work):
    async def go():
        db = await postgres()
        try:
            return await work(db)
        finally:
            await db.drop()

    return asyncio.run(go())


def test_it_goes_as_the_simulated_one_does():
    pool, crowd = Pool(2, 1, 0.5), schedule(30, 3, .15, 3)
    grown = []
    run = on_postgres(lambda db: real_run(
        db.asyncpg, pool, crowd,
        hear=lambda run: grown.append(len(run.came))))
    expected = simulate(pool, crowd)
    assert run.came == expected.came and run.users == expected.users
    assert sorted(grown) == grown and len({*grown}) > 5
    assert {*run.outcomes} == {*expected.outcomes} == {SERVED, TIMED_OUT}
    same = sum(one == other for one, other
               in zip(run.outcomes, expected.outcomes))
    assert same > .7 * len(crowd.times) or run.cpu_is_the_limit(.15)
    # In the order of things, and the connections at any moment.
    for came, chosen, got, left in zip(run.came, run.chosen, run.got,
                                       run.left):
        assert came < left < inf
        assert (chosen is None) == (got is None)
        assert chosen is None or came <= chosen <= got <= left
    assert max(run.at(at / 50).live for at in range(300)) == 3
    # The one beyond the size is closed when it comes back and nobody waits.
    assert len(run.opened) - len(run.closed) == 2
    assert [name for _, name in run.opened] == [*range(len(run.opened))]


def test_users_come_back_until_it_is_time():
    users = [User(0, [.02] * 100, pause=.01), User(.1, [.02] * 100)]
    run = on_postgres(lambda db: real_run(
        db.asyncpg, Pool(1, 0), users, until=.5))
    assert {*run.users} == {0, 1} and 5 < len(run.came) < 30
    assert max(run.came) < .5 <= max(run.left)
    run = simulate(Pool(1, 0), users, until=.5)
    assert {*run.users} == {0, 1} and 20 < len(run.came) < 30
    assert max(run.came) < .5 <= max(run.left)


def test_what_fails_is_told_and_the_others_go_on():
    async def work(db):
        async with connection_limit(db, 2):
            return await real_run(db.asyncpg, Pool(3, 0), OneEach(
                [.1, .6, 1.1, 3], [2, 1.5, .3, .1]))

    run = on_postgres(work)
    assert run.outcomes == [SERVED, SERVED, FAILED, SERVED]
    (why,) = run.failures
    assert "too many connections for database" in why
    assert run.got[2] is None and run.chosen[2] is not None


def test_a_database_that_is_not_there():
    async def work(db):
        await real_run(db.asyncpg.set(database="nowhere"), Pool(),
                       OneEach([0], [.01]))

    with pytest.raises(LoadError, match='"nowhere" does not exist'):
        on_postgres(work)


def test_the_limit_is_the_cpu_when_requests_begin_late():
    run = RealRun()
    run.cpu, run.late = .1, type("", (), {"p95": .03})
    assert run.cpu_is_the_limit(.1) and not run.cpu_is_the_limit(.2)
    run.cpu = .8
    assert run.cpu_is_the_limit(.2)
