"""A refused read is told by the name of its attribute."""

import asyncio

import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession

from labsupport.schema import Artist
from labsupport.teaching.exercises import NotYet, shop
from labsupport.teaching.exercises.refused import reading

# What the refused read was about to await, as in a lesson.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'Connection.cursor'")


def told(read, **advice):
    """What is said of ``read(artist)``: the session open, and closed."""
    async def both():
        async with shop() as engine:
            async with AsyncSession(engine) as session:
                artist = await session.get(Artist, 1)
                with pytest.raises(NotYet) as while_open, reading(**advice):
                    read(artist)
            assert inspect(artist).detached
            with pytest.raises(NotYet) as when_closed, reading(**advice):
                read(artist)
        return str(while_open.value), str(when_closed.value)

    return asyncio.run(both())


def test_the_attribute_your_line_and_the_advice():
    for said in told(lambda artist: artist.albums, albums="load the list."):
        assert said == ("Artist.albums is not loaded when your line reads it "
                        '(for said in told(lambda artist: artist.albums, '
                        'albums="load the list."):): load the list.')


def test_an_attribute_that_no_advice_is_for():
    for said in told(lambda artist: artist.biography, albums="no."):
        assert said.startswith("Artist.biography is not loaded")
        assert said.endswith("load it before, with an await.")


@pytest.mark.parametrize("error", [NotYet("no."), ValueError("no.")])
def test_another_error_goes_on(error):
    with pytest.raises(type(error), match="^no.$"), reading(albums="load."):
        raise error
