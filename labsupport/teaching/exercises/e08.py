"""Checks of ``08_missing_greenlet``."""

from random import Random

from sqlalchemy import func, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from ...databases import postgres
from ...schema import Album, Artist
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop
from .refused import reading

# Neither Python's clock nor now() can be the answer.
OTHER_CLOCK = (
    "CREATE FUNCTION other_clock() RETURNS trigger LANGUAGE plpgsql AS $$ "
    "BEGIN NEW.updated_at = now() + interval '7 days'; RETURN NEW; END $$",
    "CREATE TRIGGER other_clock BEFORE UPDATE ON album "
    "FOR EACH ROW EXECUTE FUNCTION other_clock()",
)


def _last_with_albums():
    """A statement: the artist with the highest id who has albums."""
    return (select(Artist).join(Artist.albums).limit(1)
            .order_by(Artist.id.desc()))


OPTION = "statement = statement.options(selectinload(Artist.albums))"
SEND = "artists = (await session.scalars(statement)).all()"


@exercise(
    "E08.1",
    hints=(
        "The statement itself can say what to load with it.",
        "statement.options(…) takes a loader option and returns a new "
        "statement.",
        "selectinload(Artist.albums) loads the albums of all artists in "
        "one more SELECT.",
    ),
    misconceptions=(
        Misconception(OPTION, "pass", "Artist.albums is not loaded"),
        Misconception(OPTION, OPTION.partition("= ")[2],
                      "returns a new statement"),
        Misconception(
            OPTION, "from sqlalchemy.orm import joinedload\n    "
            + OPTION.replace("selectinload", "joinedload"), "unique()"),
        Misconception(
            f"{OPTION}\n    {SEND}",
            f"{SEND}\n    for artist in artists:\n"
            "        await artist.awaitable_attrs.albums",
            "two are enough"),
        Misconception(
            f"{OPTION}\n    {SEND}",
            "from sqlalchemy.orm import contains_eager\n"
            "    statement = statement.join(Artist.albums).options(\n"
            "        contains_eager(Artist.albums))\n"
            "    artists = (await session.scalars(statement)).unique().all()",
            "an artist without albums counts 0"),
    ),
    also_right=(
        "async def albums_per_artist(session):\n"
        "    from sqlalchemy.orm import joinedload\n"
        "    statement = select(Artist).options(joinedload(Artist.albums))\n"
        "    artists = (await session.scalars(statement)).unique().all()\n"
        "    return {one.name: len(one.albums) for one in artists}",
        "async def albums_per_artist(session):\n"
        "    from sqlalchemy import func\n"
        "    statement = (select(Artist.name, func.count(Album.id))\n"
        "        .outerjoin(Artist.albums).group_by(Artist.name))\n"
        "    return dict((await session.execute(statement)).all())",
    ),
)
async def albums_per_artist(answer):
    async with shop() as engine, AsyncSession(engine) as session:
        right = dict((await session.execute(
            select(Artist.name, func.count(Album.id))
            .outerjoin(Artist.albums).group_by(Artist.name))).all())
        with observe(engine) as trace, reading(
                albums="load it with the statement, and send the statement "
                "that .options() gives you: it returns a new statement."):
            counts = await answer(session)
    if not isinstance(counts, dict) or counts.keys() - right.keys():
        raise NotYet("return a dictionary; its keys are the artists' names.")
    for name, number in right.items():
        if counts.get(name) != number:
            raise NotYet(f"{name!r} has {number} albums, your dictionary "
                         f"says {counts.get(name)}; an artist without albums "
                         "counts 0, and an inner JOIN leaves it out.")
    sent = len(trace.queries())
    if sent > 2:
        raise NotYet(f"it sends {sent} statements for {len(right)} artists; "
                     "with selectinload in the statement two are enough.")
    return "all artists and all albums, in two statements or fewer."


FLUSH = "    await session.flush()"
REFRESH = '    await session.refresh(album, ["updated_at"])'


@exercise(
    "E08.2",
    hints=(
        "The database writes updated_at; Python does not know the value.",
        "After the flush the attribute is expired. Load that one column.",
        'await session.refresh(album, ["updated_at"])',
    ),
    misconceptions=(
        Misconception(REFRESH, "", "Album.updated_at is not loaded"),
        Misconception(f"{FLUSH}\n{REFRESH}", REFRESH.replace("await ", ""),
                      "refresh() is called and never awaited"),
        Misconception(REFRESH, "    await session.commit()",
                      "Album.updated_at is not loaded"),
        Misconception(f"{FLUSH}\n{REFRESH}", "    await session."
                      "refresh(album)", "a refresh without names"),
        Misconception("album.stock -= 1", "album.stock = 2",
                      "one copy less"),
        Misconception(f"{FLUSH}\n{REFRESH}",
                      "    from datetime import datetime\n"
                      "    album.updated_at = datetime.now()\n" + FLUSH,
                      "read updated_at from the database"),
    ),
    also_right=(
        "async def sell_one(session, album_id):\n"
        "    album = await session.get(Album, album_id)\n"
        "    album.stock = Album.stock - 1\n"
        "    await session.commit()\n"
        "    await session.refresh(album)\n"
        "    return album.updated_at",
        "async def sell_one(session, album_id):\n"
        "    from sqlalchemy import update\n"
        "    return await session.scalar(\n"
        "        update(Album).where(Album.id == album_id)\n"
        "        .values(stock=Album.stock - 1)\n"
        "        .returning(Album.updated_at))",
    ),
)
async def sell_one(answer):
    stock = Random().randint(10, 99)
    async with shop(postgres, "asyncpg") as engine:
        async with engine.begin() as connection:
            await connection.execute(update(Album).values(stock=stock))
            number = await connection.scalar(select(func.max(Album.id)))
            for statement in OTHER_CLOCK:
                await connection.exec_driver_sql(statement)
        async with AsyncSession(engine) as session:
            with observe(engine) as trace, reading(
                    updated_at="the UPDATE has expired it; load it again, "
                    "with an await, before you read it."):
                moment = await answer(session, number)
            stored = (await session.execute(
                select(Album.stock, Album.updated_at)
                .where(Album.id == number))).one()
    if not any(query.sql.startswith("UPDATE") for query in trace.queries()):
        raise NotYet("no UPDATE is sent. Flush what you change; a refresh "
                     "without names, or of what you change, throws it away.")
    if stored.stock != stock - 1:
        raise NotYet(f"the row has stock {stored.stock}; it had {stock}, and "
                     "has to have one copy less.")
    if moment != stored.updated_at:
        raise NotYet(f"the row holds {stored.updated_at}, you return "
                     f"{moment}: read updated_at from the database, after "
                     "the UPDATE.")
    return "the value is the database's own."


GIVEN = """async def fetch_artist(engine, artist_id):
    Session = async_sessionmaker(engine)
    async with Session.begin() as session:
        return await session.get(Artist, artist_id)"""
LOAD = "    statement = statement.options(selectinload(Artist.albums))\n"
LEAVE = "    async with Session.begin() as session:\n        return "


@exercise(
    "E08.3",
    hints=(
        "Two things have to be true when the session is closed: the albums "
        "are loaded, and nothing has been expired.",
        "async_sessionmaker takes an option that switches the expiry at "
        "commit off.",
        "selectinload(Artist.albums), in the options of the statement, "
        "loads the albums.",
    ),
    misconceptions=(
        Misconception("", GIVEN, "Artist.name is not loaded"),
        Misconception("engine, expire_on_commit=False", "engine",
                      "expire_on_commit=False"),
        Misconception(LOAD, "", "Artist.albums is not loaded"),
        Misconception(LEAVE, "    session = Session()\n    return ",
                      "checked out"),
        Misconception(LEAVE, "    global kept\n    kept = session = Session()"
                      "\n    return ", "still open"),
        Misconception("return (await session.scalars(statement)).one()",
                      "artist = await session.get(Artist, artist_id)\n"
                      "    await artist.awaitable_attrs.albums\n"
                      "    return artist", "while the session is open"),
        Misconception("", """async def fetch_artist(engine, artist_id):
    async with async_sessionmaker(engine).begin() as session:
        artist = await session.get(
            Artist, artist_id, options=[selectinload(Artist.albums)])
        session.expunge(artist)
    return artist""", "expires the albums as well"),
        Misconception("artist_id)\n", "1)\n", "you return another artist"),
        Misconception(".one()", ".all()", "return the artist itself"),
    ),
    also_right=(
        "async def fetch_artist(engine, artist_id):\n"
        "    Session = async_sessionmaker(engine, expire_on_commit=False)\n"
        "    async with Session.begin() as session:\n"
        "        return await session.get(Artist, artist_id, options=[\n"
        "            selectinload(Artist.albums)])",
        "async def fetch_artist(engine, artist_id):\n"
        "    async with async_sessionmaker(engine).begin() as session:\n"
        "        artist = await session.get(Artist, artist_id)\n"
        "        await artist.awaitable_attrs.albums\n"
        "        session.expunge_all()\n"
        "    return artist",
    ),
)
async def fetch_artist(answer):
    async with shop() as engine:
        async with AsyncSession(engine) as session:
            wanted = await session.scalar(
                _last_with_albums().options(selectinload(Artist.albums)))
        with reading(
                name="the commit at the end of begin() expires it, unless "
                "the maker has expire_on_commit=False.",
                title="the commit expires the albums as well.",
                albums="load it while the session is open, with an option "
                "of the statement."):
            artist = await answer(engine, wanted.id)
            if not isinstance(artist, Artist):
                raise NotYet(f"you return a {type(artist).__name__}; return "
                             "the artist itself.")
            if session := inspect(artist).async_session:
                await session.close()
                raise NotYet("the session is still open and its connection "
                             "checked out; leave it before you return.")
            read = artist.name, [album.title for album in artist.albums]
    if read != (wanted.name, [album.title for album in wanted.albums]):
        raise NotYet(f"you return another artist, {artist.name}; the id was "
                     f"{wanted.id}, that is {wanted.name}.")
    return "name and albums can be read when the session is long closed."
