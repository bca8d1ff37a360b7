"""Who waits for a pool and how many connections it has, over time."""

from .looks import BLUE, ORANGE
from .svg import line, picture, text

LEFT, WIDE, HIGH, GAP, TOP = 60, 780, 92, 40, 40
COLUMNS = 390  # of a curve, two pixels wide: less cannot be seen
KINDS = {"simulated": (BLUE, ""), "real": (ORANGE, "7 3")}


def pool_chart(histories, seconds, most):
    """An SVG document (str): two diagrams, one below the other.

    ``histories``: simulated, real → rows (second, waiting, live). ``most``
    connections are the pool's limit. Time goes from 0 to ``seconds``, from
    pixel ``LEFT`` to ``LEFT + WIDE``.
    """
    shapes = []
    for number, what in enumerate(("requests that wait", "connections")):
        top = TOP + number * (HIGH + GAP)
        foot = top + HIGH
        curves = {kind: _highest(rows, 1 + number, seconds)
                  for kind, rows in histories.items()}
        high = max([1, most * number, *(max(curve, default=0)
                                        for curve in curves.values())])
        shapes += [_seconds(seconds, top, foot),
                   text(LEFT, top - 10, what, kind="head"),
                   text(LEFT - 6, top + 5, f"{high}", kind="small",
                        anchor="end"),
                   text(LEFT - 6, foot + 4, "0", kind="small", anchor="end")]
        if number:
            y = foot - HIGH * most / high
            shapes.append(line(LEFT, y, LEFT + WIDE, y, kind="limit"))
        shapes += [_curve(_path(curve, foot, HIGH / high), kind)
                   for kind, curve in curves.items()]
    low = TOP + 2 * HIGH + GAP + 42
    for place, kind in enumerate(histories):
        at = LEFT + 150 * place
        shapes += [_curve(f"M{at} {low - 4}h34", kind),
                   text(at + 42, low, kind, kind="small")]
    at = LEFT + 150 * len(histories)
    shapes += [line(at, low - 4, at + 34, low - 4, kind="limit"),
               text(at + 42, low, "what the pool may have", kind="small")]
    return picture(LEFT + WIDE + 40, low + 14, *shapes)


def _highest(rows, column, seconds):
    """The highest count in each of COLUMNS, up to the last change."""
    found, count = [], 0
    for row in rows:
        at = int(row[0] / seconds * COLUMNS)
        while len(found) <= min(at, COLUMNS - 1):
            found.append(count)
        count = row[column]
        if at >= COLUMNS:
            break
        found[at] = max(found[at], count)
    return found


def _path(curve, foot, scale):
    steps, before = [f"M{LEFT} {foot}"], 0
    for at, count in enumerate(curve):
        if count != before:
            steps.append(f"H{LEFT + WIDE * at / COLUMNS:.5g}"
                         f"V{foot - count * scale:.5g}")
            before = count
    return "".join(steps) + f"H{LEFT + WIDE * len(curve) / COLUMNS:.5g}"


def _curve(path, kind):
    colour, dash = KINDS[kind]
    return (f'<path d="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="2" stroke-dasharray="{dash}"/>')


def _seconds(seconds, top, foot):
    step = next(one for one in (.1, .2, .5, 1, 2, 5, 10, 20, 50)
                if seconds / one <= 10)
    shapes = []
    for number in range(int(seconds / step) + 1):
        x = LEFT + WIDE * number * step / seconds
        shapes += [line(x, top, x, foot),
                   text(x, foot + 15, f"{number * step:g} s", kind="small",
                        anchor="middle")]
    return "".join(shapes)
