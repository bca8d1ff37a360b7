"""The record shop."""

import asyncio
from random import Random

import pytest
from shop import engine_on, in_shop
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from labsupport.schema import (
    CATALOGUE,
    PATIENCE,
    Album,
    Artist,
    invented,
    seed,
)


def test_the_shop_is_as_documented():
    async def work(engine):
        async with AsyncSession(engine) as session:
            return (await session.execute(text(
                "SELECT (SELECT count(*) FROM artist), (SELECT count(*) FROM "
                "album), (SELECT count(*) FROM track), "
                "(SELECT count(*) FROM track_playlist)"))).one()

    assert tuple(in_shop(work, "aiosqlite")) == (3, 6, 17, 6)
    assert "Three artists, six albums, seventeen tracks" in seed.__doc__
    assert len(CATALOGUE) == 3



@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg"])
def test_a_shop_can_be_seeded_again(driver):
    async def work(engine):
        async with AsyncSession(engine) as session:
            session.add(Album(title="Third Window", artist_id=1))
            await session.commit()
        await seed(engine)
        async with AsyncSession(engine) as session:
            albums = (await session.scalars(select(Album))).all()
            return sorted(album.id for album in albums)

    assert in_shop(work, driver) == [1, 2, 3, 4, 5, 6]


def test_seeding_does_not_wait_for_ever(monkeypatch):
    async def work(engine):
        async with engine.begin() as connection:
            await connection.execute(select(Artist.id))
            with pytest.raises(DBAPIError, match="lock timeout"):
                await seed(engine)

    monkeypatch.setitem(PATIENCE, "postgresql",
                        "SET LOCAL lock_timeout = '100ms'")
    in_shop(work, "asyncpg")


def test_an_invented_shop_is_another_each_time():
    shops = [invented(Random(number)) for number in range(50)]
    assert len({tuple(shop) for shop in shops}) == 50
    for shop in shops:
        titles = [title for albums in shop.values() for title in albums]
        assert len(set(titles)) == len(titles)
        assert {} in shop.values()  # an INNER JOIN loses somebody
        assert any(shop.values())

    async def work():
        async with engine_on("aiosqlite") as engine:
            for shop in shops[:3]:
                await seed(engine, shop)
                async with AsyncSession(engine) as session:
                    names = await session.scalars(
                        select(Artist.name).order_by(Artist.id))
                    assert names.all() == list(shop)

    asyncio.run(work())
