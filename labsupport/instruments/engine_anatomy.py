"""What an AsyncEngine is made of, drawn from the engine itself."""

from ..drawing.figure import Figure
from ..drawing.looks import CHECKED_OUT, SQUARES
from ..drawing.svg import arrow, box, picture, text
from ..trace.pool_usage import limits

SLOT, GAP, TOP, BOX = 16, 6, 44, 176
IN_ROW, PLACES = 36, 108  # places in a row, and in the picture


def engine_anatomy(engine):
    """A Figure of an AsyncEngine: URL → dialect → driver → pool.

    A square of the pool is a place for a connection: empty (white), idle
    (grey, marked i) or checked out (blue, marked c); dashed squares are
    overflow. More than 108 places are told in words.
    """
    dialect, pool = engine.dialect, engine.pool
    now = limits(pool)
    parts = [("URL", engine.url.drivername, engine.url.get_backend_name()),
             ("dialect", type(dialect).__name__,
              f"is_async={dialect.is_async}"),
             ("driver", dialect.driver, "imported"),
             ("pool", type(pool).__name__, _counts(now))]
    words = "\n".join(f"{part:<8} {name} ({detail})"
                      for part, name, detail in parts)
    if now.size is not None:
        words += f"\nplaces   {_places(now)}"
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
    bottom = TOP + 76
    if now.size is not None:
        places, bottom = _slots(now, 20)
        shapes += places
    return Figure(picture(width, bottom + 12, *shapes),
                  "Engine: " + " → ".join(name for _, name, _ in parts)
                  + f"; {_counts(now)}", words)


def _counts(now):
    if now.size is None:
        return "one connection or none kept"
    return f"{now.out} checked out, {now.idle} idle"


def _places(now):
    if now.most is None:
        return f"{now.size}, and overflow without a limit"
    return f"{now.size}, and {now.most - now.size} overflow"


def _slots(now, x):
    """The pool's places, row by row: in use, idle, empty, overflow.

    Overflow without a limit is drawn as far as it is in use.
    """
    places = max(now.size, now.out + now.idle) if now.most is None \
        else now.most
    shapes = [text(x, TOP + 88, f"places in the pool: {_places(now)}",
                   kind="small")]
    for number in range(min(places, PLACES)):
        left = x + number % IN_ROW * (SLOT + GAP)
        top = TOP + 96 + number // IN_ROW * (SLOT + GAP)
        state = (CHECKED_OUT if number < now.out else
                 "idle" if number < now.out + now.idle else None)
        colour, mark = SQUARES.get(state, ("none", ""))
        shapes.append(box(left, top, SLOT, SLOT, colour=colour,
                          dashed=number >= now.size))
        if mark:
            shapes.append(f'<text x="{left + SLOT / 2}" y="{top + 12}" '
                          'text-anchor="middle" style="fill:#fff">'
                          f"{mark}</text>")
    rows = -(-min(places, PLACES) // IN_ROW)
    bottom = TOP + 96 + rows * (SLOT + GAP)
    if places > PLACES or now.most is None:
        more = (f"… and {places - PLACES} more" if places > PLACES
                else "… and as many more as are asked for")
        shapes.append(text(x, bottom + 14, more, kind="small"))
        bottom += 20
    return shapes, bottom
