"""What the shop does."""

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
