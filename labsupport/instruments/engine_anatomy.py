"""What an AsyncEngine is made of, drawn from the engine itself."""

from ..drawing.figure import Figure
from ..drawing.looks import BLUE, GREY
from ..drawing.svg import arrow, box, picture, text
from ..trace.sqlalchemy_private import most_overflow

SLOT, GAP, TOP, BOX = 16, 6, 44, 176


def engine_anatomy(engine):
    """A Figure of an AsyncEngine: URL → dialect → driver → pool.

    A square of the pool is a place for a connection: empty (white), idle
    (grey, marked i) or checked out (blue, marked c); dashed squares are
    overflow.
    """
    dialect, pool = engine.dialect, engine.pool
    parts = [("URL", engine.url.drivername, engine.url.get_backend_name()),
             ("dialect", type(dialect).__name__,
              f"is_async={dialect.is_async}"),
             ("driver", dialect.driver, "imported"),
             ("pool", type(pool).__name__, _counts(pool))]
    words = "\n".join(f"{part:<8} {name} ({detail})"
                      for part, name, detail in parts)
    if _sized(pool):
        words += f"\nplaces   {_places(pool)}"
    shapes = []
    width = len(parts) * (BOX + 30) + 30
    for number, (part, name, detail) in enumerate(parts):
        x = 20 + number * (BOX + 30)
        if number:
            shapes.append(arrow(x - 28, TOP + 30, x - 2))
        shapes += [text(x, TOP - 14, part, kind="head"),
                   box(x, TOP, BOX, 60),
                   text(x + 8, TOP + 25, name[:24]),
                   text(x + 8, TOP + 45, detail[:26], kind="small")]
    shapes += _slots(pool, 20)
    return Figure(picture(width, TOP + 130, *shapes),
                  "Engine: " + " → ".join(name for _, name, _ in parts)
                  + f"; {_counts(pool)}", words)


def _sized(pool):
    return hasattr(pool, "checkedin") and hasattr(pool, "size")


def _counts(pool):
    if not _sized(pool):
        return "one connection or none kept"
    return f"{pool.checkedout()} checked out, {pool.checkedin()} idle"


def _overflow(pool):
    return max(most_overflow(pool), 0)


def _places(pool):
    return f"{pool.size()}, and {_overflow(pool)} overflow"


def _slots(pool, x):
    """The pool's places, from the left: in use, idle, empty, overflow."""
    if not _sized(pool):
        return []
    size, out, idle = pool.size(), pool.checkedout(), pool.checkedin()
    shapes = [text(x, TOP + 88, f"places in the pool: {_places(pool)}",
                   kind="small")]
    for number in range(size + _overflow(pool)):
        colour, mark = (
            (BLUE, "c") if number < out else
            (GREY, "i") if number < out + idle else ("none", ""))
        left = x + number * (SLOT + GAP)
        shapes.append(box(left, TOP + 96, SLOT, SLOT, colour=colour,
                          dashed=number >= size))
        if mark:
            shapes.append(f'<text x="{left + SLOT / 2}" y="{TOP + 108}" '
                          'text-anchor="middle" style="fill:#fff">'
                          f"{mark}</text>")
    return shapes
