"""Tests of a shop's code, under the guard: test_planned_loads runs them.

A test whose name does not end in ``fine`` loads in the line marked *bad*.
"""

import asyncio
import json
import os

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    immediateload,
    joinedload,
    raiseload,
    selectinload,
    subqueryload,
)

from labsupport.schema import Album, Artist

URLS = json.loads(os.environ["URLS"])
ARTISTS = select(Artist)


def scenario(work):
    """A test on both databases, with the guard."""
    @pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg"])
    def test(planned_loads, driver):
        async def main():
            engine = create_async_engine(URLS[driver])
            try:
                await work(engine, planned_loads)
            finally:
                await engine.dispose()

        asyncio.run(main())
    return test


@scenario
async def test_row_by_row(engine, allowed):
    async with AsyncSession(engine) as session:
        for artist in (await session.scalars(ARTISTS)).all():
            await artist.awaitable_attrs.albums  # bad


@scenario
async def test_one_level_below(engine, allowed):
    planned = ARTISTS.options(selectinload(Artist.albums))
    async with AsyncSession(engine) as session:
        for artist in (await session.scalars(planned)).all():
            for album in artist.albums:
                await album.awaitable_attrs.tracks  # bad


@scenario
async def test_many_to_one(engine, allowed):
    async with AsyncSession(engine) as session:
        for album in (await session.scalars(select(Album))).all():
            await album.awaitable_attrs.artist  # bad


@scenario
async def test_without_await(engine, allowed):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        try:
            artist.albums  # bad
        except SQLAlchemyError:
            pass  # as a serialiser does


@scenario
async def test_one_load_in_run_sync_is_fine(engine, allowed):
    """For the guard: it cannot tell that load from a planned one."""
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        await session.run_sync(lambda _session: artist.albums)


@scenario
async def test_in_run_sync(engine, allowed):
    def old(session):
        for artist in session.scalars(ARTISTS):
            artist.albums  # bad

    async with AsyncSession(engine) as session:
        await session.run_sync(old)


@scenario
async def test_immediateload(engine, allowed):
    planned = ARTISTS.options(immediateload(Artist.albums))
    async with AsyncSession(engine) as session:
        await session.scalars(planned)  # bad


@scenario
async def test_get_in_a_loop(engine, allowed):
    async with AsyncSession(engine) as session:
        for number in (1, 2, 3):
            await session.get(Album, number)  # bad


@scenario
async def test_select_in_a_loop(engine, allowed):
    async with AsyncSession(engine) as session:
        for number in (1, 2, 3):
            await session.scalars(  # bad
                select(Album).where(Album.artist_id == number))


@scenario
async def test_refresh_in_a_loop(engine, allowed):
    async with AsyncSession(engine) as session:
        for artist in (await session.scalars(ARTISTS)).all():
            await session.refresh(artist)  # bad


@scenario
async def test_planned_fine(engine, allowed):
    for loader in (selectinload, joinedload, subqueryload):
        both = loader(Artist.albums).options(loader(Album.tracks))
        async with AsyncSession(engine) as session:
            found = await session.scalars(
                ARTISTS.options(both, raiseload("*")))
            for artist in found.unique():
                [album.tracks for album in artist.albums]


@scenario
async def test_many_lots_fine(engine, allowed):
    async with AsyncSession(engine) as session:
        session.add_all([Artist(name="", biography="")
                         for _ in range(1_600)])
        await session.flush()
        session.expunge_all()
        await session.scalars(ARTISTS.options(selectinload(Artist.albums)))


@scenario
async def test_one_object_fine(engine, allowed):
    async with AsyncSession(engine) as session:
        artist = await session.get(Artist, 1)
        await artist.awaitable_attrs.albums
        await session.refresh(artist, ["albums"])
        await session.refresh(artist)


@scenario
async def test_a_session_each_fine(engine, allowed):
    async def request():
        async with AsyncSession(engine) as session:
            artist = await session.get(Artist, 1)
            await artist.awaitable_attrs.albums

    await asyncio.gather(*(request() for _ in range(3)))
    for _ in range(3):
        await request()


@scenario
async def test_what_is_no_load_fine(engine, allowed):
    async with AsyncSession(engine) as session:
        for _ in range(3):
            await session.execute(text("SELECT 1"))
            await session.execute(select(Artist.__table__))
            await session.execute(insert(Artist), [
                {"name": "", "biography": ""}])
            session.add(Artist(name="", biography=""))
            await session.flush()


@scenario
async def test_allowed_fine(engine, allowed):
    allowed.update({"Artist.albums", "Artist"})
    async with AsyncSession(engine) as session:
        for number in (1, 2, 3):
            artist = await session.get(Artist, number)
            await artist.awaitable_attrs.albums


@scenario
async def test_another_is_allowed(engine, allowed):
    allowed.add("Album.tracks")
    async with AsyncSession(engine) as session:
        for artist in (await session.scalars(ARTISTS)).all():
            await artist.awaitable_attrs.albums  # bad
