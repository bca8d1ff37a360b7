"""What a way of loading costs: statements and rows, counted at the driver.

    with counted(engine) as cost:
        await session.scalars(select(Artist).options(…))
    cost.statements, cost.rows

And what it must cost, by arithmetic: ``predicted``.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from sqlalchemy import event

from ..drawing.cost_chart import cost_chart
from ..drawing.figure import Figure

CHUNK = 500  # parents a statement of selectinload asks for
ROW_BY_ROW = "row by row"
WAYS = (ROW_BY_ROW, "selectinload", "joinedload", "subqueryload",
        "immediateload")


class Sent(NamedTuple):
    """A statement, its rows, and how long their values are as text."""

    sql: str
    rows: int
    bytes: int


@dataclass
class Cost:
    """``statements`` sent, and ``rows`` that came back for them (ints).

    ``sent`` has a Sent for each statement, if they were counted.
    """

    statements: int = 0
    rows: int = 0
    sent: list[Sent] = field(default_factory=list, repr=False, compare=False)

    @property
    def bytes(self):
        """The values of all rows, as text (int): what is sent is about it."""
        return sum(one.bytes for one in self.sent)

    def wait(self, latency):
        """Seconds of the network alone: a round trip of ``latency`` each.

        A lower bound: rows have to be sent and read, too.
        """
        return self.statements * latency


@contextmanager
def counted(engine):
    """Count what SELECTs through an AsyncEngine cost; gives the Cost.

    Each statement is sent once more for it, and its rows are read: drivers
    do not agree on what they tell of them.
    """
    cost = Cost()

    def count(connection, _cursor, statement, parameters, _context, _many):
        again = connection.connection.cursor()
        again.execute(statement, parameters)
        rows = again.fetchall()
        again.close()
        cost.statements += 1
        cost.rows += len(rows)
        cost.sent.append(Sent(statement, len(rows), sum(
            len(str(value)) for row in rows for value in row)))

    event.listen(engine.sync_engine, "after_cursor_execute", count)
    try:
        yield cost
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", count)


def predicted(way, artists, albums=2, tracks=3, depth=2):
    """The Cost of loading a shop made by ``grown``, one of WAYS, untried.

    ``depth`` 1 loads the albums of each artist, 2 the tracks of those, too.
    All numbers are at least 1.
    """
    levels = [artists, artists * albums, artists * albums * tracks][:depth + 1]
    parents = levels[:-1]
    if way == "joinedload":
        return Cost(1, levels[-1])
    if way == "selectinload":
        return Cost(1 + sum(ceil(many / CHUNK) for many in parents),
                    sum(levels))
    if way == "subqueryload":
        return Cost(1 + depth, sum(levels))
    return Cost(1 + sum(parents), sum(levels))


def grown(artists, albums=2, tracks=3):
    """A catalogue for ``seed``: so many artists, albums each, tracks each."""
    return {f"Artist {a}": {
        f"Album {a}.{b}": [f"Track {a}.{b}.{t}" for t in range(tracks)]
        for b in range(albums)} for a in range(artists)}


def growth(measured, latencies):
    """The Costs of some ways of loading as curves: a Figure.

    ``measured``: name → number of artists → Cost. ``latencies``: seconds a
    round trip, of the network that the third curve assumes; it is drawn for
    the largest number of artists.
    """
    sizes = sorted(next(iter(measured.values())))
    panels = {
        "statements": (sizes, {name: [costs[size].statements
                                      for size in sizes]
                               for name, costs in measured.items()}),
        "rows": (sizes, {name: [costs[size].rows for size in sizes]
                         for name, costs in measured.items()}),
        "ms of network": ([1000 * latency for latency in latencies], {
            name: [1000 * costs[sizes[-1]].wait(latency)
                   for latency in latencies]
            for name, costs in measured.items()}),
    }
    under = ("artists", "artists", "ms a round trip")
    lines = [f"{what}, by {over}: {', '.join(f'{x:g}' for x in xs)}\n"
             + "\n".join(f"  {name:<24}"
                         + "  ".join(f"{y:g}" for y in ys)
                         for name, ys in curves.items())
             for over, (what, (xs, curves)) in zip(under, panels.items())]
    return Figure(cost_chart(panels, under),
                  "Statements and rows against the number of artists, and "
                  "the wait for the network against its latency, for "
                  + ", ".join(measured), "\n".join(lines))
