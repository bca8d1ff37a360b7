"""The anatomy of an engine: what its pool holds, and what fits."""

import re

import pytest
from shop import in_shop
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from labsupport.instruments.engine_anatomy import engine_anatomy


def test_anatomy_counts_the_pool():
    async def work(engine):
        before = repr(engine_anatomy(engine))
        async with engine.connect():
            return before, engine_anatomy(engine)

    before, during = in_shop(work, "aiosqlite")
    assert "0 checked out, 1 idle" in before
    assert "1 checked out, 0 idle" in repr(during)
    assert during.alt in during._repr_html_() and "<svg" in during.svg


def test_anatomy_of_a_pool_without_places():
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    assert "StaticPool (one connection or none kept)" in repr(
        engine_anatomy(engine))



@pytest.mark.parametrize("size, overflow, places, words", [
    (5, 10, 15, "5, and 10 overflow"),
    (5, -1, 5, "5, and overflow without a limit"),
    (20, 40, 60, "20, and 40 overflow"),
    (200, 100, 108, "200, and 100 overflow"),
    (0, 10, 0, "0, and overflow without a limit"),  # 0: no limit
])
def test_anatomy_of_large_and_unlimited_pools(size, overflow, places, words):
    engine = create_async_engine("sqlite+aiosqlite:///x.db", pool_size=size,
                                 max_overflow=overflow)
    drawn = engine_anatomy(engine)
    assert f"places   {words}" in repr(drawn)
    width, height = map(int, re.search(
        r'width="(\d+)" height="(\d+)"', drawn.svg).groups())
    squares = re.findall(r'<rect x="(\d+)" y="(\d+)" width="16"', drawn.svg)
    assert len(squares) == places
    for x, y in squares:
        assert int(x) + 16 <= width and int(y) + 16 <= height
    assert ("more" in drawn.svg) == (places != size + overflow)
