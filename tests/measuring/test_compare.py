"""compare: what it says of costs that are known, and of real candidates."""

import asyncio
import math
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import sqlite
from labsupport.measuring.comparison import (
    Comparison,
    Ratio,
    compare,
    interval,
)

ROUNDS, BLOCKS = 150, 100


def made_up(seed, costs, *, noise=.1, drift=0, biased=None):
    """A Comparison of costs with noise; a drift that all share, or a bias.

    ``costs``: name → cost; ``biased``: name → factor of its second entry.
    """
    chance = Random(seed)
    rows = []
    for number in range(ROUNDS):
        common = math.exp(drift * math.sin(number / 9))
        row = [cost * common * factor * math.exp(chance.gauss(0, noise))
               for factors in ({}, biased or {})
               for name, cost in costs.items()
               for factor in [factors.get(name, 1)]]
        rows.append([(cost, cost) for cost in row])
    return Comparison(costs, rows)


def verdicts(costs, **options):
    return [made_up(seed, costs, **options).verdict("a", "b")
            for seed in range(BLOCKS)]


# the statistic

def test_the_same_twice_has_no_winner():
    said = verdicts({"a": 1, "b": 1})
    assert not {"less", "more"} & set(said)
    assert said.count("tie") > BLOCKS * .8


def test_a_tenth_is_found():
    said = verdicts({"a": 1, "b": 1.1})
    assert said.count("less") >= BLOCKS * .95
    assert "more" not in said


def test_a_drift_that_all_share_cancels():
    assert verdicts({"a": 1, "b": 1.1}, drift=.5).count("less") \
        >= BLOCKS * .95
    assert not {"less", "more"} & set(verdicts({"a": 1, "b": 1}, drift=.5))


def test_noise_ends_in_no_verdict():
    said = verdicts({"a": 1, "b": 1.1}, noise=1)
    assert said.count("no verdict") > BLOCKS * .9


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_control_that_strays_widens_the_margin(name):
    calm = made_up(1, {"a": 1, "b": 1.2})
    strayed = made_up(1, {"a": 1, "b": 1.2}, biased={name: 1.5})
    assert calm.verdict("a", "b") == "less"
    assert strayed.ratio("a", "b").margin > .4
    assert strayed.verdict("a", "b") not in ("less", "more")


def test_a_verdict_needs_the_whole_interval():
    assert Ratio(1.2, 1.05, 1.3, .04).verdict == "more"
    assert Ratio(1.2, 1.03, 1.3, .04).verdict == "no verdict"
    assert Ratio(.8, .7, .95, .04).verdict == "less"
    assert Ratio(1, .97, 1.03, .04).verdict == "tie"
    assert Ratio(1, .95, 1.03, .04).verdict == "no verdict"
    assert Ratio(1, .85, 1.15, .30).verdict == "no verdict"


def test_the_interval_covers_the_median():
    chance = Random(4)
    hits = 0
    for _ in range(400):
        low, high = interval([chance.gauss(0, 1) for _ in range(60)])
        hits += low <= 0 <= high
    assert .94 <= hits / 400 <= .99


def test_the_interval_by_hand():
    # Ten coins: 2 · (1 + 10) / 1024 = 2 %, one more would be 11 %.
    assert interval(range(10)) == (1, 8)
    assert interval(range(5)) == (0, math.inf)  # 2 / 32 is above 5 %


def test_a_few_rounds_say_nothing():
    few = Comparison("ab", [[(1, 1), (9, 9), (1, 1), (9, 9)]] * 3)
    assert few.verdict("a", "b") == "no verdict"
    assert repr(few).endswith("a, b (no verdict)")
    assert "data:image" in few._repr_html_()


def test_one_candidate_is_no_comparison():
    with pytest.raises(ValueError, match="two candidates"):
        asyncio.run(compare({"once": (once, "sqlite://")}))


@pytest.mark.parametrize("given", [
    {"seconds": 0}, {"seconds": -1}, {"seconds": float("nan")},
    {"seconds": 3601}, {"concurrency": 0}, {"concurrency": 2.5},
    {"concurrency": 10**9}])
def test_numbers_out_of_range_are_named(given):
    two = {name: (once, "sqlite://") for name in ("one", "two")}
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"{name} is {value}: take a "):
        asyncio.run(compare(two, **given))


# what it shows

def test_groups_are_ordered_only_where_each_pair_has_a_verdict():
    result = made_up(1, {"orm": 3, "core": 2, "again": 2.005, "raw": 1},
                     noise=.02)
    assert result.groups() == [["raw"], ["core", "again"], ["orm"]]
    assert repr(result) == ("CPU per operation, the least first\n"
                            "  1. raw\n"
                            "  2. core, again (a tie)\n"
                            "  3. orm")


def test_the_text_is_the_same_in_each_run():
    costs = {"orm": 3, "core": 2, "raw": 1}
    texts = {repr(made_up(seed, costs)) for seed in range(20)}
    assert len(texts) == 1


def test_the_picture_has_the_numbers_and_its_frame_has_none():
    result = made_up(1, {"a": 1, "b": 1.5})
    html = result._repr_html_()
    around = html.partition('src="')[0] + html.partition('">\n')[2]
    assert f"{result.ratio('b', 'a').median:.2f}" in html
    assert "." not in around.replace("1.", "").replace("2.", "")


# real candidates

async def once(url):
    engine = create_async_engine(url)

    async def operation():
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    yield operation
    await engine.dispose()


async def twice(url):
    engine = create_async_engine(url)

    async def operation():
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            await connection.execute(text("SELECT 2"))
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 3"))
            await connection.execute(text("SELECT 4"))

    yield operation
    await engine.dispose()


def test_twice_the_work_costs_more():
    async def go():
        db = await sqlite()
        try:
            return await compare({"twice": (twice, db.aiosqlite),
                                  "once": (once, db.aiosqlite)},
                                 seconds=2, concurrency=1)
        finally:
            await db.drop()

    result = asyncio.run(go())
    assert repr(result).endswith("  1. once\n  2. twice")
    assert result.ratio("twice", "once").low > 1.2
    assert len(result.cpu["once"]) == len(result.wall["twice"]) > 6
    assert result.ratio("twice", "once", "wall").median > 1
