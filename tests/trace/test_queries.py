"""Which statements were sent, why, and by which line."""

import subprocess
import sys

import pytest
from conftest import ROOT
from observing import ALL_DRIVERS, run
from shop import engine_on, in_shop
from sqlalchemy import ForeignKey, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    selectin_polymorphic,
    selectinload,
)

from labsupport.schema import Album, Artist
from labsupport.trace.observe import observe


class Base(DeclarativeBase):
    pass


class Shop(Base):
    __tablename__ = "shop"
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list["Item"]] = relationship()


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int]
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": 0}


class Record(Item):
    __tablename__ = "record"
    id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    minutes: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": 1}


class Book(Item):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    pages: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": 2,
                       "polymorphic_load": "selectin"}


@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_the_rest_of_a_hierarchy_is_an_eager_load(driver):
    """Whoever asks for it; and what you ask for yourself is yours."""
    async def go():
        async with engine_on(driver) as engine:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with AsyncSession(engine) as session:
                session.add(Shop(id=1, items=[Record(minutes=40),
                                              Book(pages=300)]))
                await session.commit()
            eager = selectin_polymorphic(Item, [Record])
            traces = {}
            for name, ask in {
                "select": lambda session: session.execute(
                    select(Item).options(eager)),
                "below a relationship": lambda session: session.execute(
                    select(Shop).options(
                        selectinload(Shop.items).options(eager))),
                "get": lambda session: session.get(Record, 1),
                "query": lambda session: session.run_sync(
                    lambda sync: sync.query(Shop).all()),
            }.items():
                with observe(engine) as traces[name]:
                    async with AsyncSession(engine) as session:
                        await ask(session)
            return {name: [query.origin for query in trace.queries()]
                    for name, trace in traces.items()}

    found = run(go())
    assert found["select"] == ["your statement", "eager load of Record",
                               "eager load of Book"]
    assert found["below a relationship"][:2] == [
        "your statement", "eager load of Shop.items"]
    assert all(origin.startswith("eager load of ")
               for origin in found["below a relationship"][1:])
    assert found["get"] == found["query"] == ["your statement"]


def test_texts_that_select_count():
    async def go():
        async with engine_on("asyncpg") as engine:
            with observe(engine) as trace:
                async with engine.connect() as connection:
                    await connection.execute(text(
                        "-- a comment\nselect 1 AS \"a FROM b\"\nFROM now()"))
                    await connection.exec_driver_sql(
                        "WITH x AS (SELECT 1) SELECT * FROM x")
                    await connection.execute(text("CREATE TABLE t (a int)"))
            return trace.queries()

    queries = run(go())
    assert queries.selects == 2 and len(queries) == 3
    assert queries[0].short == "-- a comment select … FROM now()"
    assert [query.select for query in queries] == [True, True, False]


SCRIPT = """
import asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from labsupport import observe

async def main():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        with observe(engine) as trace:
            await asyncio.create_task(connection.execute(text("SELECT 1")))
            await connection.execute(text("SELECT 2"))
    await engine.dispose()
    print([str(query.line or "") for query in trace.queries()])

asyncio.run(main())
"""


def test_what_began_the_event_loop_sends_nothing(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    assert done.stdout == (
        "['', 'await connection.execute(text(\"SELECT 2\"))']\n")


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
