"""The explorer says beforehand what a run then counts."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import wait
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import sqlite
from labsupport.measuring.loader_costs import WAYS, counted, grown, predicted
from labsupport.schema import seed
from labsupport.widgets.loader_explorer import load, loader_explorer


@pytest.fixture(scope="module")
def lite():
    with asyncio.Runner() as runner:
        database = runner.run(sqlite())
        yield runner, create_async_engine(database.aiosqlite)
        runner.run(database.drop(force=True))


@settings(max_examples=25, deadline=None)
@given(way=st.sampled_from(WAYS), depth=st.sampled_from([1, 2]),
       artists=st.integers(1, 12), albums=st.integers(1, 4),
       tracks=st.integers(1, 3))
def test_any_size_costs_what_is_predicted(lite, way, depth, artists, albums,
                                          tracks):
    runner, engine = lite

    async def measured():
        await seed(engine, grown(artists, albums, tracks))
        with counted(engine) as cost:
            await load(engine, way, depth)
        await engine.dispose()
        return cost

    assert runner.run(measured()) == predicted(way, artists, albums, tracks,
                                               depth)


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
        await explorer._task
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
        explorer._begin()
        explorer._begin()  # twice at once: the second is refused
        again = explorer._words.value
        await explorer._task
        failed = explorer._words.value
        await explorer._engine.dispose()
        explorer._engine = working
        explorer._begin()
        await explorer._task
        return again, failed, explorer._words.value

    again, failed, well = explored(scene)
    assert "It runs already." in again
    assert "It failed." in failed and "nowhere" in failed
    assert "It has run." in well


def test_who_moves_meanwhile_is_told():
    async def scene(explorer):
        explorer._begin()
        await asyncio.sleep(0)
        explorer.artists.value += 1
        await explorer._task
        return explorer.ran, explorer._words.value

    ran, words = explored(scene)
    assert ran is None and "You moved meanwhile" in words


def test_it_leaves_nothing_and_stands_still_without_a_kernel():
    async def scene(explorer):
        explorer._begin()
        await asyncio.sleep(0)
        return explorer._task, explorer._repr_mimebundle_()

    task, bundle = explored(scene)
    assert task.done()
    assert bundle["text/html"].startswith("<img alt=")
    assert "selectinload  3 statements  270 rows" in bundle["text/plain"]
    wait(lambda: task.cancelled() or task.done(), "it runs on")
