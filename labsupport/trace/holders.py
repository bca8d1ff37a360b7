"""The leak finder: who holds each checked-out connection, and since when."""

from typing import NamedTuple

from ..drawing.figure import Figure
from ..drawing.looks import SKY
from ..drawing.svg import bar, picture, text
from ..notebook.stacks import Line
from .rows import Rows

WIDTH, LEFT, ROW = 760, 16, 46


class Holder(NamedTuple):
    """A connection that is checked out: by whom, how long (s), and where."""

    connection: str
    task: str
    seconds: float
    line: Line | None


class Holders(Rows):
    """The Holders of one moment, the longest first.

    ``earlier`` counts the connections that were checked out before the
    trace began: nobody has seen by whom.
    """

    def __init__(self, rows, earlier):
        super().__init__(rows)
        self.earlier = earlier

    def __repr__(self):
        rows = [f"{one.connection}  {one.task}  {one.line or ''}".rstrip()
                for one in self]
        if self.earlier:
            rows.append(f"{self.earlier} checked out before the trace began")
        return "\n".join(rows) or "nobody holds a connection"

    def _repr_html_(self):
        scale = (WIDTH - 2 * LEFT - 60) / max(
            (one.seconds for one in self), default=1)
        shapes = [] if self else [text(LEFT, 26, repr(self))]
        for row, one in enumerate(self):
            y = 10 + row * ROW
            shapes += [
                text(LEFT, y + 14, f"{one.connection} · {one.task} · "
                                   f"{str(one.line or '')[:80]}"),
                bar(LEFT, y + 20, one.seconds * scale, 14, colour=SKY),
                text(LEFT + one.seconds * scale + 6, y + 31,
                     f"{one.seconds:.2f} s", kind="small")]
        svg = picture(WIDTH, max(len(self), 1) * ROW + 14, *shapes)
        return Figure(svg, f"Connections that are held: {len(self)}",
                      repr(self))._repr_html_()


def holders(events, now, out):
    """The Holders at second ``now`` of a trace.

    Takes its events and how many connections (int) are out by then.
    """
    held = {}
    for event in events:
        if event.kind == "checkout":
            held[event.connection] = Holder(
                event.connection, event.task, now - event.at, event.line)
        elif event.kind in ("checkin", "close", "detach"):
            held.pop(event.connection, None)
    return Holders(sorted(held.values(), key=lambda one: -one.seconds),
                   out - len(held))
