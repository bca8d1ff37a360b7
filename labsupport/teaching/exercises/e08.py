"""Checks of ``08_missing_greenlet``."""

from sqlalchemy import func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from ...schema import Album, Artist
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop


@exercise(
    "E08.1",
    hints=(
        "The statement itself can say what to load with it.",
        "statement.options(…) takes a loader option.",
        "selectinload(Artist.albums) loads the albums of all artists in "
        "one more SELECT.",
    ),
    misconceptions=(
        Misconception(
            "statement = statement.options(selectinload(Artist.albums))",
            "pass", "MissingGreenlet"),
        Misconception("selectinload(Artist.albums)",
                      "__import__('sqlalchemy').orm.joinedload(Artist.albums)",
                      "unique()"),
        Misconception(
            "statement = statement.options(selectinload(Artist.albums))\n"
            "    artists = (await session.scalars(statement)).all()",
            "artists = (await session.scalars(statement)).all()\n"
            "    for artist in artists:\n"
            "        await artist.awaitable_attrs.albums",
            "4 statements"),
    ),
)
async def albums_per_artist(answer):
    async with shop() as engine, AsyncSession(engine) as session:
        with observe(engine) as trace:
            counts = await answer(session)
    if counts != {"Nina Bell": 2, "The Harbour Five": 3, "Otis Marlow": 1}:
        raise NotYet(f"the counts are {counts!r}.")
    sent = len(trace.queries())
    if sent > 2:
        raise NotYet(f"it sends {sent} statements, and one more for "
                     "each artist in the shop; two are enough.")
    return "all artists and all albums in two statements."


@exercise(
    "E08.2",
    hints=(
        "The database writes updated_at; Python does not know the value.",
        "After the flush the attribute is expired. Load that one column.",
        'await session.refresh(album, ["updated_at"])',
    ),
    misconceptions=(
        Misconception('    await session.refresh(album, ["updated_at"])',
                      "    pass", "MissingGreenlet"),
        Misconception('    await session.refresh(album, ["updated_at"])',
                      "    await session.commit()", "MissingGreenlet"),
        Misconception("album.stock -= 1", "pass", "not written"),
    ),
)
async def sell_one(answer):
    async with shop() as engine, AsyncSession(engine) as session:
        with observe(engine) as trace:
            moment = await answer(session, 1)
        stored = (await session.execute(
            select(Album.stock, Album.updated_at).where(Album.id == 1))).one()
    if not any(query.sql.startswith("UPDATE") for query in trace.queries()):
        raise NotYet("the new stock is not written before updated_at is read.")
    if moment != stored.updated_at or stored.stock != 2:
        raise NotYet(f"the row holds {stored}, you return {moment!r}.")
    return "the value is the database's own."


@exercise(
    "E08.3",
    hints=(
        "An append needs the whole list. What does the other side need?",
        "Album has an attribute artist, and the artist is in your hands.",
        "session.add(Album(title=title, artist=artist))",
    ),
    misconceptions=(
        Misconception("session.add(Album(title=title, artist=artist))",
                      "artist.albums.append(Album(title=title))",
                      "MissingGreenlet"),
        Misconception("session.add(Album(title=title, artist=artist))",
                      '(await artist.awaitable_attrs.albums).append('
                      'Album(title=title))', "loads the albums"),
        Misconception("session.add(Album(title=title, artist=artist))",
                      "Album(title=title, artist_id=artist.id)",
                      "no such album"),
    ),
)
async def add_album(answer):
    async with shop() as engine:
        async with AsyncSession(engine) as session:
            artist = await session.get(Artist, 1)
            with observe(engine) as trace:
                await answer(session, artist, "Third Window")
                await session.commit()
        async with AsyncSession(engine) as session:
            number = await session.scalar(
                select(func.count()).where(Album.title == "Third Window",
                                           Album.artist_id == 1))
    if trace.queries().selects:
        raise NotYet("it loads the albums first; with 10,000 of them you "
                     "would wait for all.")
    if number != 1:
        raise NotYet("after the commit there is no such album.")
    return "one INSERT, and nothing loaded."


@exercise(
    "E08.4",
    hints=(
        "Two things have to be true when the session is closed: the albums "
        "are loaded, and nothing has been expired.",
        "async_sessionmaker takes an option that switches the expiry at "
        "commit off.",
        "session.get takes options=[…], as a statement does.",
    ),
    misconceptions=(
        Misconception("async_sessionmaker(engine, expire_on_commit=False)",
                      "async_sessionmaker(engine)", "DetachedInstanceError"),
        Misconception(", options=[selectinload(Artist.albums)]", "",
                      "DetachedInstanceError"),
        Misconception("    async with Session.begin() as session:\n"
                      "        return await",
                      "    session = Session()\n    if True:\n"
                      "        return await", "checked out"),
    ),
)
async def fetch_artist(answer):
    async with shop() as engine:
        artist = await answer(engine, 1)
        if not inspect(artist).detached:
            raise NotYet("the session is still open and its connection "
                         "checked out; leave it before you return.")
        read = artist.name, [album.title for album in artist.albums]
    if read != ("Nina Bell", ["Blue Hour", "Second Light"]):
        raise NotYet(f"the artist reads as {read!r}.")
    return "name and albums can be read when the session is long closed."
