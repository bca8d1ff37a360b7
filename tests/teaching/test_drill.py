"""The drill: each illness shows itself, alone, and is healed."""

import asyncio
from random import Random

import pytest

from labsupport.databases import postgres
from labsupport.teaching import drill as machinery
from labsupport.teaching.drill import Findings, drill, findings
from labsupport.teaching.illnesses import ILLNESSES

SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
DATABASES = "SELECT count(*) FROM pg_database WHERE datname LIKE 'lab%'"


@pytest.mark.parametrize("name", ILLNESSES)
def test_an_illness_shows_and_leaves_nothing(name):
    async def look():
        database = await postgres()
        async with database.administered() as run:
            before = (await run(DATABASES))[0][0]
            found = await findings(name, Random())
            left = [(await run(sql))[0][0] for sql in (SLEEPERS, DATABASES)]
        await database.drop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return found, left == [0, before], tasks

    found, clean, tasks = asyncio.run(look())
    assert clean and not tasks
    illness = ILLNESSES[name]
    assert set(found.server) == {illness.server}
    assert set(found.holders.values()) == {illness.holders} - {""}
    assert found.out == (found.places if illness.holders else 0)


def test_no_two_illnesses_look_the_same():
    assert len({illness.signs for illness in ILLNESSES.values()}) == 7


def test_the_lot_can_be_drawn_again():
    async def twice():
        return await drill(seed=7), await drill(seed=7)

    first, second = asyncio.run(twice())
    assert first == second


def test_a_name_is_judged():
    found = Findings(2, 2, 1, {"active": 2}, {"request 1": "executes"},
                     "slow query")
    assert repr(found.name("slow query")).startswith("✓ It is the slow query")
    wrong = repr(found.name("leak"))
    assert wrong.startswith("✗ It is not the leak") and "slow" not in wrong
    with pytest.raises(KeyError, match="there are leak, nested checkout"):
        found.name("measles")


def test_an_illness_that_does_not_show_is_no_finding(monkeypatch):
    monkeypatch.setattr(machinery, "PATIENCE", 0.5)
    monkeypatch.setitem(ILLNESSES, "leak",
                        ILLNESSES["leak"]._replace(server="active"))
    with pytest.raises(TimeoutError):
        asyncio.run(findings("leak", Random()))
