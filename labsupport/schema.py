"""The record shop: the one schema of the course, and the rows in it.

    Artist 1 ── n Album 1 ── n Track n ── m Playlist
"""

from __future__ import annotations

import datetime

from sqlalchemy import (
    Column,
    ForeignKey,
    String,
    Table,
    func,
    insert,
    text,
)
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
)


class Base(AsyncAttrs, DeclarativeBase):
    """Base class of all models of the course."""

    # MySQL wants to know how long a VARCHAR can be.
    type_annotation_map = {
        str: String().with_variant(String(200), "mysql", "mariadb")}


track_playlist = Table(
    "track_playlist",
    Base.metadata,
    Column("track_id", ForeignKey("track.id"), primary_key=True),
    Column("playlist_id", ForeignKey("playlist.id"), primary_key=True),
)


class Artist(Base):
    __tablename__ = "artist"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    biography: Mapped[str] = mapped_column(default="", deferred=True)
    albums: Mapped[list[Album]] = relationship(
        back_populates="artist", order_by="Album.id")


class Album(Base):
    __tablename__ = "album"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    stock: Mapped[int] = mapped_column(default=0)
    artist_id: Mapped[int] = mapped_column(ForeignKey("artist.id"))
    updated_at: Mapped[datetime.datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now())
    artist: Mapped[Artist] = relationship(back_populates="albums")
    tracks: Mapped[list[Track]] = relationship(
        back_populates="album", order_by="Track.id")


class Track(Base):
    __tablename__ = "track"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    seconds: Mapped[int]
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"))
    album: Mapped[Album] = relationship(back_populates="tracks")
    playlists: Mapped[list[Playlist]] = relationship(
        secondary=track_playlist, back_populates="tracks",
        order_by="Playlist.id")


class Playlist(Base):
    __tablename__ = "playlist"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    tracks: Mapped[list[Track]] = relationship(
        secondary=track_playlist, back_populates="playlists",
        order_by="Track.id")


CATALOGUE = {  # artist → title of the album → titles of its tracks
    "Nina Bell": {
        "Blue Hour": ["Lantern", "Ferry", "Slow Rain"],
        "Second Light": ["Window", "Tall Grass"],
    },
    "The Harbour Five": {
        "Low Tide": ["Gull", "Rope", "Anchor", "Salt"],
        "Night Boat": ["Signal", "Deck"],
        "Winter Quay": ["Ice", "Lamp", "Home"],
    },
    "Otis Marlow": {
        "Gravel Road": ["Dust", "Mile Nine", "Porch"],
    },
}
# How long the old tables are waited for, if a transaction holds them.
PATIENCE = {"postgresql": "SET LOCAL lock_timeout = '5s'",
            "mysql": "SET SESSION lock_wait_timeout = 5"}
PLAYLISTS = {"Rainy Sunday": ["Slow Rain", "Window", "Lamp"],
             "Late Shift": ["Lantern", "Signal", "Dust"]}


def invented(random):
    """A catalogue like ``CATALOGUE`` that nobody has seen.

    Takes a random.Random. Four to seven artists with up to three albums;
    at least one artist has none. No title is there twice.
    """
    numbers = iter(random.sample(range(100, 1000), 100))
    catalogue = {}
    for artist in range(random.randint(4, 7)):
        albums = {f"Album {next(numbers)}": [
            f"Track {next(numbers)}" for _ in range(random.randint(1, 4))]
            for _ in range(random.randint(1, 3))}
        catalogue[f"Artist {next(numbers)}"] = albums
    catalogue[random.choice(list(catalogue))] = {}
    return catalogue


async def seed(engine, catalogue=CATALOGUE):
    """Create the tables of the shop in ``engine``'s database and fill them.

    Three artists, six albums, seventeen tracks, two playlists; each id
    counts from 1 in the order of ``CATALOGUE``. A shop that is there already
    is replaced, so a cell that seeds can be run again. Raises DBAPIError
    after some seconds if somebody holds the old tables in a transaction.
    """
    artists, albums, tracks = [], [], []
    for name, discography in catalogue.items():
        artists.append({"name": name, "biography": f"{name}, since 1998."})
        for title, songs in discography.items():
            albums.append({"title": title, "stock": 3,
                           "artist_id": len(artists)})
            tracks += [{"title": song, "seconds": 180 + 10 * len(song),
                        "album_id": len(albums)} for song in songs]
    number = {track["title"]: i for i, track in enumerate(tracks, 1)}
    members = [{"track_id": number[title], "playlist_id": i}
               for i, titles in enumerate(PLAYLISTS.values(), 1)
               for title in titles if title in number]
    async with engine.begin() as connection:
        if patience := PATIENCE.get(engine.dialect.name):
            await connection.execute(text(patience))
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Artist), artists)
        await connection.execute(insert(Album), albums)
        await connection.execute(insert(Track), tracks)
        await connection.execute(
            insert(Playlist), [{"name": name} for name in PLAYLISTS])
        if members:
            await connection.execute(insert(track_playlist), members)
