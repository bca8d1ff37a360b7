"""What the shop does."""

import pytest
from httpx import ASGITransport, AsyncClient
from shop.database import in_unit
from shop.models import Album, Artist
from sqlalchemy.ext.asyncio import AsyncSession

ALBUM = {"title": "Low Tide", "artist": "The Harbour Five", "stock": 1}


async def test_an_album_is_added_and_shown(client):
    added = await client.post("/albums", json=ALBUM)
    assert added.status_code == 201
    assert (await client.get("/albums")).json() == [added.json()]


async def test_the_test_before_has_left_no_row(client):
    assert (await client.get("/albums")).json() == []


async def test_the_last_one_is_sold_once(client):
    number = (await client.post("/albums", json=ALBUM)).json()["id"]
    path = f"/albums/{number}/sell"
    assert (await client.post(path)).json() == {"left": 0}
    assert (await client.post(path)).status_code == 409


async def test_a_second_album_has_the_same_artist(client):
    for title in ("Low Tide", "Night Boat"):
        answer = await client.post("/albums", json=ALBUM | {"title": title})
        assert answer.status_code == 201
    assert len((await client.get("/albums")).json()) == 2


async def test_an_album_without_a_title_is_refused(client):
    answer = await client.post("/albums", json=ALBUM | {"title": ""})
    assert answer.status_code == 422


async def test_a_unit_that_fails_leaves_what_was_there(client, application):
    async def fails(session):
        session.add(Album(title="never", artist=Artist(name="never")))
        await session.flush()
        raise LookupError

    added = await client.post("/albums", json=ALBUM)
    with pytest.raises(LookupError):
        await in_unit(application.state.maker, fails)
    assert (await client.get("/albums")).json() == [added.json()]


async def test_a_commit_that_fails_is_no_201(
        client, application, monkeypatch):
    async def refused(_session):
        raise LookupError("at the commit")

    monkeypatch.setattr(AsyncSession, "commit", refused)
    silent = ASGITransport(application, raise_app_exceptions=False)
    async with AsyncClient(transport=silent, base_url="http://t") as outside:
        answer = await outside.post("/albums", json=ALBUM)
    assert answer.status_code == 500
