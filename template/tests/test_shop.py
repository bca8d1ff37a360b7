"""What the shop does."""

import pytest
import pytest_asyncio
from httpx import ASGITransport, AsyncClient
from shop.database import in_unit
from shop.models import Album, Artist
from sqlalchemy import text

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


# Each INSERT of an album adds a row that refers to nothing. The database
# finds out at the commit.
REFUSED = """CREATE TABLE refused (album INTEGER
             REFERENCES album DEFERRABLE INITIALLY DEFERRED)"""
ADDING = {
    "postgresql": """CREATE RULE refuse AS ON INSERT TO album
                     DO ALSO INSERT INTO refused VALUES (0)""",
    "sqlite": """CREATE TRIGGER refuse AFTER INSERT ON album
                 BEGIN INSERT INTO refused VALUES (0); END"""}
NO_MORE = {"postgresql": "DROP RULE refuse ON album",
           "sqlite": "DROP TRIGGER refuse"}


@pytest_asyncio.fixture
async def refused_commits(engine):
    backend = engine.dialect.name
    async with engine.begin() as connection:
        for statement in (REFUSED, ADDING[backend]):
            await connection.execute(text(statement))
    yield
    async with engine.begin() as connection:
        for statement in (NO_MORE[backend], "DROP TABLE refused"):
            await connection.execute(text(statement))


async def test_a_commit_that_fails_is_no_201(
        application, stored, refused_commits):
    silent = ASGITransport(application, raise_app_exceptions=False)
    async with AsyncClient(transport=silent, base_url="http://t") as outside:
        answer = await outside.post("/albums", json=ALBUM)
        left = await outside.get("/albums")
    assert (answer.status_code, left.json()) == (500, [])
