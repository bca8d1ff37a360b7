"""Checks of ``09_eager_loading``."""

from random import Random

from sqlalchemy import func, select
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from ...schema import Album, Artist, Track
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop
from .refused import reading

OPTION = ("    statement = statement.options(\n"
          "        selectinload(Artist.albums).selectinload(Album.tracks))")
SEND = "    artists = (await session.scalars(statement)).all()"
ADVICE = {
    "albums": "load it with the statement.",
    "tracks": "a loader for the second level hangs on the first: "
              "selectinload(…).selectinload(…)."}


@exercise(
    "E09.1",
    hints=(
        "Two levels need two loaders, and the statement takes both.",
        "selectinload(Artist.albums) returns something that has loaders, "
        "too.",
        "statement.options(selectinload(Artist.albums)"
        ".selectinload(Album.tracks))",
    ),
    misconceptions=(
        Misconception(OPTION, "", "Artist.albums is not loaded"),
        Misconception(".selectinload(Album.tracks)", "",
                      "Album.tracks is not loaded"),
        Misconception("statement = statement.options(", "statement.options(",
                      "Artist.albums is not loaded"),
        Misconception("selectinload(Artist.albums).selectinload",
                      "joinedload(Artist.albums).joinedload", "unique()"),
        Misconception("selectinload(Artist.albums).selectinload",
                      "immediateload(Artist.albums).immediateload",
                      "three are enough"),
        Misconception(
            f"{OPTION}\n{SEND}",
            f"{SEND}\n    for artist in artists:\n"
            "        for album in await artist.awaitable_attrs.albums:\n"
            "            await album.awaitable_attrs.tracks",
            "three are enough"),
        Misconception(
            f"{OPTION}\n{SEND}",
            "    statement = (statement.join(Artist.albums)\n"
            "        .join(Album.tracks).options(contains_eager(\n"
            "            Artist.albums).contains_eager(Album.tracks)))\n"
            "    artists = (await session.scalars(statement)).unique().all()",
            "an artist without albums"),
        Misconception(
            f"{OPTION}\n{SEND}",
            "    statement = statement.options(joinedload(Artist.albums)\n"
            "        .joinedload(Album.tracks, innerjoin=True))\n"
            "    artists = (await session.scalars(statement)).unique().all()",
            "an inner join drops it"),
        Misconception(
            "", "async def catalogue(session):\n"
            "    rows = await session.execute(\n"
            "        select(Artist.name, Album.title, func.count(Track.id))\n"
            "        .join(Artist.albums).join(Album.tracks)\n"
            "        .group_by(Artist.name, Album.title))\n"
            "    names = await session.scalars(select(Artist.name))\n"
            "    found = {name: {} for name in names}\n"
            "    for name, title, number in rows:\n"
            "        found[name][title] = number\n"
            "    return found", "an inner join drops it"),
    ),
    also_right=(
        "async def catalogue(session):\n"
        "    statement = select(Artist).options(joinedload(\n"
        "        Artist.albums).selectinload(Album.tracks))\n"
        "    artists = (await session.scalars(statement)).unique().all()\n"
        "    return {artist.name: {album.title: len(album.tracks)\n"
        "                          for album in artist.albums}\n"
        "            for artist in artists}",
        "async def catalogue(session):\n"
        "    rows = await session.execute(\n"
        "        select(Artist.name, Album.title, func.count(Track.id))\n"
        "        .outerjoin(Artist.albums).outerjoin(Album.tracks)\n"
        "        .group_by(Artist.name, Album.title))\n"
        "    found = {}\n"
        "    for name, title, number in rows:\n"
        "        found.setdefault(name, {})\n"
        "        if title is not None:\n"
        "            found[name][title] = number\n"
        "    return found",
    ),
)
async def two_levels_three_statements(answer):
    async with shop() as engine, AsyncSession(engine) as session:
        session.add(Album(title="Untitled", artist_id=await session.scalar(
            select(Album.artist_id).limit(1))))  # it has no track
        await session.commit()
        right = {name: {} for name in await session.scalars(
            select(Artist.name))}
        for name, title, number in await session.execute(
                select(Artist.name, Album.title, func.count(Track.id))
                .join(Artist.albums).outerjoin(Album.tracks)
                .group_by(Artist.name, Album.title)):
            right[name][title] = number
        with observe(engine) as trace, reading(**ADVICE):
            found = await answer(session)
    if not isinstance(found, dict) or found.keys() != right.keys():
        raise NotYet("return a dictionary with each artist's name, and an "
                     "empty dictionary for an artist without albums.")
    for name, albums in right.items():
        if found[name] == {title: number for title, number in albums.items()
                           if number} != albums:
            raise NotYet(f"{name!r} has an album without tracks, and your "
                         "dictionary leaves it out: an inner join drops it.")
        if found[name] != albums:
            raise NotYet(f"{name!r} has {albums}, your dictionary says "
                         f"{found[name]!r:.60}.")
    if (sent := len(trace.queries())) > 3:
        raise NotYet(f"it sends {sent} statements for {len(right)} artists; "
                     "three are enough.")
    return "two levels, in three statements or fewer."


EVERY_TRACK = (
    "async def long_tracks(session, seconds):\n"
    "    statement = select(Album).options(selectinload(Album.tracks))\n"
    "    albums = (await session.scalars(statement)).all()\n")
TITLES = ("    return {album.title: [track.title for track in album.tracks]\n"
          "            for album in albums}")
PART = "    part = Album.tracks.and_(Track.seconds > seconds)"
LOAD = "    statement = select(Album).options(selectinload(part))"


@exercise(
    "E09.2",
    hints=(
        "Which choose albums, and which choose tracks: WHERE, or the loader?",
        "A relationship in a loader takes conditions.",
        "selectinload(Album.tracks.and_(Track.seconds > seconds))",
    ),
    misconceptions=(
        Misconception(PART, "    part = Album.tracks", "longer than"),
        Misconception(
            f"{PART}\n{LOAD}",
            "    statement = (select(Album).join(Album.tracks)\n"
            "        .where(Track.seconds > seconds).distinct()\n"
            "        .options(selectinload(Album.tracks)))",
            "without a long track"),
        Misconception("Track.seconds > seconds", "Track.seconds >= seconds",
                      "longer than"),
        Misconception("Track.seconds > seconds", "Track.seconds > 200",
                      "longer than"),
        Misconception("options(selectinload(part))",
                      "options(immediateload(part))", "longer than"),
        Misconception(
            "", f"{EVERY_TRACK}"
            "    for album in albums:\n"
            "        album.tracks = [track for track in album.tracks\n"
            "                        if track.seconds > seconds]\n"
            f"{TITLES}", "lose their album"),
        Misconception(
            "", f"{EVERY_TRACK}"
            "    for album in albums:\n"
            "        for track in list(album.tracks):\n"
            "            if track.seconds <= seconds:\n"
            "                album.tracks.remove(track)\n"
            f"{TITLES}", "lose their album"),
    ),
    also_right=(
        f"{EVERY_TRACK}"
        "    return {album.title: [track.title for track in album.tracks\n"
        "                          if track.seconds > seconds]\n"
        "            for album in albums}",
        "async def long_tracks(session, seconds):\n"
        "    part = Album.tracks.and_(Track.seconds > seconds)\n"
        "    statement = select(Album).outerjoin(part).options(\n"
        "        contains_eager(Album.tracks))\n"
        "    albums = (await session.scalars(statement)).unique().all()\n"
        f"{TITLES}",
    ),
)
async def the_long_ones_only(answer):
    random = Random()
    async with shop() as engine, AsyncSession(engine) as session:
        for track in await session.scalars(select(Track)):
            track.seconds = random.randint(120, 420)
        await session.commit()
        tracks = (await session.execute(
            select(Album.title, Track.title, Track.seconds)
            .join(Track.album).order_by(Track.seconds))).all()
        # One is exactly that long; some albums have none that is longer.
        limit = tracks[len(tracks) * 3 // 4].seconds
        right = {album: set() for album, _, _ in tracks}
        for album, title, seconds in tracks:
            if seconds > limit:
                right[album].add(title)
        with observe(engine) as trace, reading(tracks=ADVICE["albums"]):
            found = await answer(session, limit)
        changed = session.dirty or session.deleted
    if changed:
        raise NotYet("it changes the collection: with the next flush the "
                     "short tracks lose their album. Filter in the loader, "
                     "or into a list of your own.")
    if not isinstance(found, dict) or found.keys() != right.keys():
        raise NotYet("return a dictionary with the title of each album; one "
                     "without a long track has an empty list.")
    for album, titles in right.items():
        if set(found[album]) != titles or len(found[album]) != len(titles):
            raise NotYet(
                f"of {album!r}, {len(titles)} tracks are longer than {limit} "
                f"seconds; your list has {len(found[album])}.")
    if (sent := len(trace.queries())) > 2:
        raise NotYet(f"it sends {sent} statements; two are enough.")
    return "each album is there, with its long tracks alone."


@exercise(
    "E09.3",
    hints=(
        "One option loads, another forbids; a statement takes both.",
        "raiseload takes a relationship, or a star for all the others.",
        'select(Artist).options(selectinload(Artist.albums), raiseload("*"))',
    ),
    misconceptions=(
        Misconception(', raiseload("*")', "", "is still tried"),
        Misconception('raiseload("*")', "raiseload(Artist.albums)",
                      "conflict"),
        Misconception("selectinload(Artist.albums), ", "",
                      "albums are refused, too"),
        Misconception('raiseload("*")',
                      "selectinload(Artist.albums).selectinload(Album.tracks)",
                      "the tracks are loaded"),
        Misconception("selectinload(Artist.albums),",
                      'immediateload(Artist.albums).raiseload("*"),',
                      "two are enough"),
        Misconception("selectinload(Artist", "immediateload(Artist",
                      "is still tried"),
        Misconception("selectinload(Artist", "joinedload(Artist", "unique()"),
        Misconception("select(Artist)", "select(Artist).join(Artist.albums)",
                      "every artist once"),
        Misconception(', raiseload("*")', ".noload(Album.tracks)",
                      "look empty"),
        Misconception("", "async def albums_alone(session):\n"
                      "    return await session.scalars(select(Artist))",
                      "a ScalarResult"),
        Misconception("", "async def albums_alone(session):\n"
                      "    found = await session.execute(select(Artist))\n"
                      "    return found.all()",
                      "not rows"),
    ),
    also_right=(
        "async def albums_alone(session):\n"
        "    found = await session.scalars(select(Artist).options(\n"
        "        selectinload(Artist.albums).raiseload(Album.tracks)))\n"
        "    return list(found)",
        "async def albums_alone(session):\n"
        "    found = await session.scalars(select(Artist).options(\n"
        "        joinedload(Artist.albums), raiseload('*', sql_only=True)))\n"
        "    return found.unique().all()",
    ),
)
async def nothing_else(answer):
    async with shop() as engine, AsyncSession(engine) as session:
        right = sorted(await session.scalars(select(Artist.name)))
        with observe(engine) as trace:
            found = await answer(session)
        if not isinstance(found, (list, tuple)):
            raise NotYet("return every artist once, as a list; you return "
                         f"a {type(found).__name__}.")
        if not all(isinstance(one, Artist) for one in found):
            raise NotYet("return artists, and not rows: session.scalars.")
        if sorted(artist.name for artist in found) != right:
            raise NotYet("return every artist once, as a list.")
        try:
            with reading(albums=ADVICE["albums"]):
                albums = [album for one in found for album in one.albums]
        except InvalidRequestError:
            raise NotYet("the albums are refused, too: an option has "
                         "to load them.") from None
        try:
            tracks = [album.tracks for album in albums]
        except (MissingGreenlet, StatementError):
            raise NotYet("the load of an album's tracks is still tried, and "
                         "ends in MissingGreenlet: forbid it.") from None
        except InvalidRequestError:
            pass  # as it shall be
        else:
            raise NotYet("the tracks are loaded, and nobody wants them."
                         if any(tracks) else "the tracks can be read, and "
                         "look empty: forbid it with raiseload.")
    if (sent := len(trace.queries())) > 2:
        raise NotYet(f"it sends {sent} statements for {len(right)} artists; "
                     "two are enough.")
    return "the albums are there, and what is below them is refused."
