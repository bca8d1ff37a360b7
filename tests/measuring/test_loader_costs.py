"""What a loader costs is counted at the driver, and drawn."""

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from labsupport.databases import postgres, sqlite
from labsupport.measuring.loader_costs import Cost, counted, grown, growth
from labsupport.schema import Album, Artist, seed


@pytest.mark.parametrize("database, driver", [
    (postgres, "asyncpg"), (postgres, "psycopg"), (sqlite, "aiosqlite")])
def test_statements_and_rows_are_those_of_the_driver(database, driver):
    async def count():
        here = await database()
        engine = create_async_engine(getattr(here, driver))
        await seed(engine, grown(4, albums=3, tracks=2))
        costs = []
        for option in (joinedload(Artist.albums).joinedload(Album.tracks),
                       selectinload(Artist.albums)):
            async with AsyncSession(engine) as session:
                with counted(engine) as cost:
                    statement = select(Artist).options(option)
                    (await session.scalars(statement)).unique().all()
            costs.append(cost)
        async with engine.connect() as connection:
            with counted(engine) as cost:
                pass
            await connection.execute(text("SELECT 1"))  # no longer counted
        await engine.dispose()
        await here.drop()
        return [*costs, cost]

    assert asyncio.run(count()) == [Cost(1, 24), Cost(2, 4 + 12), Cost(0, 0)]


def test_the_wait_is_a_round_trip_for_each_statement():
    assert Cost(statements=30, rows=9).wait(0.05) == 1.5


def test_the_curves_and_their_text():
    measured = {"one": {1: Cost(1, 6), 10: Cost(1, 60)},
                "each": {1: Cost(4, 9), 10: Cost(31, 90)}}
    figure = growth(measured, latencies=(0.001, 0.01))
    assert figure.svg.count("<polyline") == 3 * 2 + 2
    assert "each                    31  310" in figure.text
    assert "rows, by artists: 1, 10" in figure.text
