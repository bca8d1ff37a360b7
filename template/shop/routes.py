"""What the shop does."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from .database import in_unit
from .models import Album, Artist

routes = APIRouter()


class AlbumIn(BaseModel):
    title: str = Field(min_length=1)
    artist: str = Field(min_length=1)
    stock: int = Field(ge=0)


class AlbumOut(BaseModel):
    """Columns alone: reading it loads nothing."""

    id: int
    title: str
    artist: str
    stock: int

    @classmethod
    def of(cls, album):
        return cls(id=album.id, title=album.title, stock=album.stock,
                   artist=album.artist.name)


async def unit(request: Request):
    """Runs a function of a session as a unit: see ``in_unit``."""
    maker, waiting = request.app.state.maker, request.app.state.waiting

    async def run(work, **options):
        async def counted(session):
            with waiting.track_inprogress():
                try:
                    await session.connection()
                except TimeoutError as error:  # of asyncpg
                    raise ConnectionError("the server is silent") from error
            return await work(session)

        return await in_unit(maker, counted, **options)

    return run


# A unit is committed when it returns, so before the response begins.
Unit = Annotated[Callable, Depends(unit)]


@routes.get("/albums")
async def albums(unit: Unit) -> list[AlbumOut]:
    async def work(session):
        found = await session.scalars(
            select(Album).options(joinedload(Album.artist, innerjoin=True))
            .order_by(Album.id).limit(100))
        return [AlbumOut.of(album) for album in found]

    return await unit(work, stores=False)


@routes.post("/albums", status_code=201)
async def add(new: AlbumIn, unit: Unit) -> AlbumOut:
    async def work(session):
        artist = await session.scalar(
            select(Artist).where(Artist.name == new.artist))
        artist = artist or Artist(name=new.artist)
        album = Album(title=new.title, stock=new.stock, artist=artist)
        session.add(album)
        await session.flush()  # it has its id
        return AlbumOut.of(album)

    return await unit(work)


@routes.post("/albums/{number}/sell")
async def sell(number: int, unit: Unit) -> dict[str, int]:
    async def work(session):
        # One statement: two at once cannot both sell the last one.
        return await session.scalar(
            update(Album).where(Album.id == number, Album.stock > 0)
            .values(stock=Album.stock - 1).returning(Album.stock))

    left = await unit(work)
    if left is None:
        raise HTTPException(409, "it is sold out, or there is none")
    return {"left": left}
