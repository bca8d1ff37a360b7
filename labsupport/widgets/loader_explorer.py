"""Which loader for how much data, over which network: try it.

    explorer = await loader_explorer()
    explorer                    # in a cell of its own
    await explorer.end()        # at the end
"""

import time
from collections import Counter
from contextlib import contextmanager
from html import escape
from textwrap import shorten

from ipywidgets import (
    HTML,
    Dropdown,
    IntSlider,
    SelectionSlider,
    ToggleButtons,
    VBox,
)
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    immediateload,
    joinedload,
    selectinload,
    subqueryload,
)

from ..databases import postgres
from ..drawing.cost_bars import cost_bars
from ..drawing.figure import Figure
from ..measuring.loader_costs import (
    ROW_BY_ROW,
    WAYS,
    counted,
    grown,
    predicted,
)
from ..schema import Album, Artist, seed
from ..trace.statements import without_columns
from .pictured import Pictured
from .run_button import RunButton

LOADERS = {loader.__name__: loader for loader in (
    selectinload, joinedload, subqueryload, immediateload)}
LATENCIES = (0, 0.1, 1, 5, 20, 50)  # ms a round trip
WIDE = {"layout": {"width": "34em"}, "style": {"description_width": "9em"}}


class LoaderExplorer(Pictured, VBox):
    """Controls, the expected cost of each way, and a run drawn over it.

    The run is real: a shop of that size in a database of its own, with a
    wait at the server before each statement for the network's round trip.
    """

    def __init__(self, database, engine, widths):
        self._database, self._engine = database, engine
        self._widths = widths  # of a row: artist, album, track
        self._size, self._sent = None, {}
        self.ran = None  # what the last run has counted, by name (dict)
        self.way = Dropdown(options=WAYS, value="selectinload",
                            description="loader", **WIDE)
        self.depth = ToggleButtons(
            options=[("albums", 1), ("albums and tracks", 2)], value=2,
            description="load", style={"description_width": "9em"})
        self.artists = IntSlider(30, 1, 300, description="artists", **WIDE)
        self.albums = IntSlider(2, 1, 20, description="albums each", **WIDE)
        self.tracks = IntSlider(3, 1, 20, description="tracks each", **WIDE)
        self.latency = SelectionSlider(
            options=[(f"{ms:g} ms", ms) for ms in LATENCIES], value=1,
            description="a round trip", **WIDE)
        self.button = RunButton(self.run, self._draw,
                                "load it from the real database")
        self._picture, self._words = HTML(), HTML()
        self._controls = (self.way, self.depth, self.artists, self.albums,
                          self.tracks, self.latency)
        for control in self._controls:
            control.observe(self._moved, "value")
        super().__init__([*self._controls, self.button, self._picture,
                          self._words])
        self._draw()

    def line(self):
        """The statement as you write it (str)."""
        if self.way.value == ROW_BY_ROW:
            return "for album in await artist.awaitable_attrs.albums: …"
        second = (f".{self.way.value}(Album.tracks)"
                  if self.depth.value == 2 else "")
        unique = ("  # and .unique()" if self.way.value == "joinedload"
                  else "")
        return (f"select(Artist).options({self.way.value}(Artist.albums)"
                f"{second}){unique}")

    def figure(self):
        """The picture at the present setting: a Figure."""
        costs = {way: self._expected(way) for way in WAYS}
        text = "\n".join(
            f"  {way:<14}" + "  ".join(f"{number:g} {what}" for
                                       what, number in cost.items())
            for way, cost in costs.items())
        return Figure(
            cost_bars(costs, self.way.value, self.ran),
            f"What it costs to load {self._shop()}, a round trip of "
            f"{self.latency.value:g} ms", f"{self.line()}\n{text}")

    async def run(self):
        """Load it for real; ``ran`` has the counts afterwards (dict).

        Raises what the driver raises; ``ran`` is None then.
        """
        self.ran = None
        size = (self.artists.value, self.albums.value, self.tracks.value)
        way, depth = self.way.value, self.depth.value
        latency = self.latency.value / 1000
        if self._size != size:
            self._size = None  # until it is all there
            await seed(self._engine, grown(*size))
            self._size = size
        with counted(self._engine) as cost:
            await load(self._engine, way, depth)
        began = time.perf_counter()
        with slowed(self._engine, latency):
            await load(self._engine, way, depth)
        self.ran = {"statements": cost.statements, "rows": cost.rows,
                    "bytes": cost.bytes,
                    "ms": 1000 * (time.perf_counter() - began)}
        self._sent = Counter(shorten(without_columns(one.sql, "postgresql"),
                                     100, placeholder=" …")
                             for one in cost.sent)

    async def end(self):
        """End a run, close the connections and drop the database."""
        await self.button.end()
        await self._engine.dispose()
        await self._database.drop(force=True)

    def _expected(self, way):
        cost = predicted(way, self.artists.value, self.albums.value,
                         self.tracks.value, self.depth.value)
        return {"statements": cost.statements, "rows": cost.rows,
                "bytes": self._bytes(way, cost.rows),
                "ms": 1000 * cost.wait(self.latency.value / 1000)}

    def _bytes(self, way, rows):
        """About how much that is, from the rows of a small shop."""
        widths = self._widths[:self.depth.value + 1]
        if way == "joinedload":
            return round(rows * sum(widths))
        many, total = 1, 0
        for each, width in zip((self.artists.value, self.albums.value,
                                self.tracks.value), widths):
            many *= each
            total += many * width
        return round(total)

    def _shop(self):
        tracks = (f" of {self.tracks.value} tracks"
                  if self.depth.value == 2 else "")
        return (f"{self.artists.value} artists with {self.albums.value} "
                f"albums each{tracks}")

    def _moved(self, _change):
        self.ran = None
        self.button.stop_soon()
        self._draw()

    def _draw(self, note=""):
        drawn = self.figure()._repr_html_()
        if drawn != self._picture.value:
            self._picture.value = drawn
        sent = "".join(
            f"<li>{number} × <code>{escape(shown)}</code></li>"
            for shown, number in self._sent.items()
        ) if self.ran else ""
        self._words.value = (
            f'<div role="status" style="max-width:52em">{escape(note)}</div>'
            f"<div>to copy: <code>{escape(self.line())}</code></div>"
            f"<ul>{sent}</ul><div><small>ms: the round trips alone; bytes: "
            "about, as text. A run "
            "waits at the server before each statement, in place of a "
            "network, and adds the work of both sides.</small></div>")


async def loader_explorer():
    """A LoaderExplorer on a PostgreSQL database of its own.

    Raises ServerError. Await its ``end()`` at the end.
    """
    database = await postgres()
    engine = create_async_engine(database.asyncpg)
    await seed(engine, grown(3))
    with counted(engine) as cost:
        await load(engine, "selectinload", 2)
    return LoaderExplorer(database, engine, [
        one.bytes / one.rows for one in cost.sent])


async def load(engine, way, depth):
    """All artists of a shop, and what is below them, one of WAYS."""
    statement = select(Artist)
    if loader := LOADERS.get(way):
        option = loader(Artist.albums)
        if depth == 2:
            option = getattr(option, way)(Album.tracks)
        statement = statement.options(option)
    async with AsyncSession(engine) as session:
        artists = (await session.scalars(statement)).unique().all()
        if way == ROW_BY_ROW:
            for artist in artists:
                for album in await artist.awaitable_attrs.albums:
                    if depth == 2:
                        await album.awaitable_attrs.tracks


@contextmanager
def slowed(engine, seconds):
    """A round trip before each statement of an AsyncEngine on PostgreSQL.

    The server waits, so that it is the same for every way of loading.
    """
    def wait(connection, *_):
        cursor = connection.connection.cursor()
        cursor.execute(f"SELECT pg_sleep({seconds:f})")
        cursor.close()

    event.listen(engine.sync_engine, "before_cursor_execute", wait)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", wait)
