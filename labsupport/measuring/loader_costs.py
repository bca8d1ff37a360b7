"""What a way of loading costs: statements and rows, counted at the driver.

    with counted(engine) as cost:
        await session.scalars(select(Artist).options(…))
    cost.statements, cost.rows
"""

from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import event

from ..drawing.cost_chart import cost_chart
from ..drawing.figure import Figure


@dataclass
class Cost:
    """``statements`` sent, and ``rows`` that came back for them (ints)."""

    statements: int = 0
    rows: int = 0

    def wait(self, latency):
        """Seconds of the network alone: a round trip of ``latency`` each.

        A lower bound: rows have to be sent and read, too.
        """
        return self.statements * latency


@contextmanager
def counted(engine):
    """Count what SELECTs through an AsyncEngine cost; gives the Cost.

    Rows are counted by sending each statement once more, inside a
    ``SELECT count(*)``: drivers do not agree on what they tell of them.
    """
    cost = Cost()

    def count(connection, _cursor, statement, parameters, _context, _many):
        cost.statements += 1
        again = connection.connection.cursor()
        again.execute(f"SELECT count(*) FROM ({statement}) AS sent",
                      parameters)
        cost.rows += again.fetchone()[0]
        again.close()

    event.listen(engine.sync_engine, "after_cursor_execute", count)
    try:
        yield cost
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", count)


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
