"""Which statements were sent, and why."""

import pytest
from shop import in_shop
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from labsupport.schema import Album, Artist
from labsupport.trace.observe import observe


def test_queries_say_why_they_were_sent():
    async def work(engine):
        async with AsyncSession(engine) as session:
            with observe(engine) as trace:
                statement = select(Artist).options(
                    selectinload(Artist.albums))
                (await session.scalars(statement)).all()
                session.expunge_all()
                album = await session.get(Album, 6)
                await session.refresh(album)
                await album.awaitable_attrs.tracks
                album.stock = 9
                await session.flush()
            await session.execute(text("SELECT 1"))  # after the recording
        return trace.queries()

    queries = in_shop(work, "aiosqlite")
    assert [query.origin for query in queries] == [
        "your statement", "eager load of Artist.albums", "your statement",
        "refresh of Album", "lazy load of Album.tracks", "write"]
    assert queries.selects == 5
    assert repr(queries).splitlines()[0] == "6 statements sent"
    assert max(map(len, repr(queries).splitlines())) <= 79
    assert "<script" not in queries._repr_html_()


def test_recordings_nest_and_do_not_mix():
    async def work(engine):
        async with engine.connect() as connection:
            with observe(engine) as outer:
                await connection.execute(text("SELECT 1"))
                with observe(engine) as inner:
                    await connection.execute(text("SELECT 2"))
                await connection.execute(text("SELECT 3"))
        return outer.queries(), inner.queries()

    outer, inner = in_shop(work, "aiosqlite")
    assert [query.sql for query in outer] == ["SELECT 1", "SELECT 2",
                                              "SELECT 3"]
    assert [query.sql for query in inner] == ["SELECT 2"]


def test_an_exception_ends_a_recording():
    async def work(engine):
        async with engine.connect() as connection:
            with pytest.raises(ZeroDivisionError):
                with observe(engine) as trace:
                    1 / 0
            await connection.execute(text("SELECT 1"))
        return trace.queries()

    assert in_shop(work, "aiosqlite") == []
