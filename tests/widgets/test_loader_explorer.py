"""The explorer says beforehand what a run then counts."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres, sqlite
from labsupport.measuring.loader_costs import WAYS, counted, grown, predicted
from labsupport.schema import seed
from labsupport.widgets.loader_explorer import load, loader_explorer


@pytest.fixture(scope="module", params=[postgres, sqlite])
def shop(request):
    with asyncio.Runner() as runner:
        database = runner.run(request.param())
        url = database.asyncpg if request.param is postgres \
            else database.aiosqlite
        yield runner, create_async_engine(url)
        runner.run(database.drop(force=True))


def measured(shop, way, size, depth):
    runner, engine = shop

    async def run():
        await seed(engine, grown(*size))
        with counted(engine) as cost:
            await load(engine, way, depth)
        await engine.dispose()
        return cost

    return runner.run(run())


@settings(max_examples=20, deadline=None)
@given(way=st.sampled_from(WAYS), depth=st.sampled_from([1, 2]),
       size=st.tuples(st.integers(1, 12), st.integers(1, 4),
                      st.integers(1, 3)))
def test_any_size_costs_what_is_predicted(shop, way, depth, size):
    assert measured(shop, way, size, depth) == predicted(way, *size, depth)


def test_so_do_more_parents_than_one_statement_takes(shop):
    size = 260, 2, 1  # 260 artists in one lot, 520 albums in two
    cost = measured(shop, "selectinload", size, 2)
    assert cost == predicted("selectinload", *size, 2)
    assert cost.statements == 1 + 1 + 2


def test_many_parents_are_asked_for_in_lots():
    assert predicted("selectinload", 500, 1, depth=1).statements == 2
    assert predicted("selectinload", 501, 1, depth=1).statements == 3


def explored(scene):
    async def run():
        explorer = await loader_explorer()
        try:
            return await scene(explorer)
        finally:
            await explorer.end()

    return asyncio.run(run())


def test_a_run_is_drawn_over_what_was_expected():
    async def scene(explorer):
        explorer.artists.value, explorer.way.value = 5, "joinedload"
        expected = explorer._expected("joinedload")
        explorer.button.click()
        await asyncio.sleep(0)  # the callback hops to this loop
        await explorer.button.task
        return expected, explorer.ran, explorer

    expected, ran, explorer = explored(scene)
    for what in ("statements", "rows"):
        assert ran[what] == expected[what]
    assert ran["bytes"] == pytest.approx(expected["bytes"], rel=.3)
    assert ran["ms"] > expected["ms"]
    assert "orange mark: your run, 1 statements" in explorer.figure().svg
    assert "1 × <code>SELECT" in explorer._words.value


def test_each_control_redraws_and_takes_the_old_run_away():
    async def scene(explorer):
        await explorer.run()
        seen = [explorer._picture.value]
        for control, value in ((explorer.artists, 31), (explorer.albums, 4),
                               (explorer.tracks, 5), (explorer.depth, 1),
                               (explorer.latency, 50),
                               (explorer.way, "row by row")):
            control.value = value
            assert explorer.ran is None
            seen.append(explorer._picture.value)
        return seen, explorer.line(), repr(explorer)

    seen, line, text = explored(scene)
    assert len(set(seen)) == len(seen)
    assert "awaitable_attrs" in line and line in text
    assert "row by row    32 statements" in text


def test_what_goes_wrong_is_told_and_the_next_run_works():
    async def scene(explorer):
        working = explorer._engine
        explorer._engine = create_async_engine(
            working.url.set(database="nowhere"))
        explorer.button.press()
        await explorer.button.task
        failed = explorer._words.value
        await explorer._engine.dispose()
        explorer._engine = working
        explorer.button.press()
        await explorer.button.task
        return failed, explorer._words.value

    failed, well = explored(scene)
    assert "It failed." in failed and "nowhere" in failed
    assert "It has run." in well


@pytest.mark.parametrize("disturb", [
    lambda explorer: explorer.button.click(),
    lambda explorer: setattr(explorer.artists, "value", 31)])
def test_a_second_press_or_a_move_stops_the_run(disturb):
    async def scene(explorer):
        explorer.way.value, explorer.latency.value = "row by row", 50
        explorer.button.press()
        await asyncio.sleep(0)
        during = explorer.button.description, explorer._words.value
        disturb(explorer)
        await explorer.button.task  # 91 statements of 50 ms would take 5 s
        return during, explorer.button.description, explorer

    during, after, explorer = explored(scene)
    assert during[0] == "Stop" and "It runs …" in during[1]
    assert after == "Run" and explorer.ran is None
    assert "It was stopped." in explorer._words.value


def test_a_callback_on_another_thread_runs_on_the_cell_s_loop():
    async def scene(explorer):
        await asyncio.to_thread(explorer.button.click)
        await asyncio.sleep(0)
        await explorer.button.task
        return explorer.ran

    assert explored(scene)["statements"] == 3


def test_two_at_once():
    async def scene(one):
        other = await loader_explorer()
        try:
            other.way.value = "joinedload"
            await asyncio.gather(one.run(), other.run())
            return one.ran["statements"], other.ran["statements"]
        finally:
            await other.end()

    assert explored(scene) == (3, 1)


def test_it_leaves_nothing_and_stands_still_without_a_kernel():
    async def scene(explorer):
        explorer.button.press()
        await asyncio.sleep(0)
        return explorer.button.task, explorer._repr_mimebundle_()

    task, bundle = explored(scene)
    assert task.done()
    assert bundle["text/html"].startswith("<img alt=")
    assert "selectinload  3 statements  270 rows" in bundle["text/plain"]
