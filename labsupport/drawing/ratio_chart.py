"""Ratios with their intervals, and the margin that they have to leave."""

import math

from .looks import BLUE, GREEN
from .svg import box, picture, text

WORDS = {"cpu": "CPU per operation", "wall": "wall time"}
LEFT, RIGHT, ROW = 170, 560, 24  # the axis, and a line


def ratio_chart(first, panels):
    """Ratios to ``first`` as dots with intervals: an SVG document (str).

    ``panels``: ``"cpu"`` and ``"wall"`` → name → Ratio, which has a median,
    ``low`` and ``high``, a ``margin`` and a ``verdict``.
    """
    ends = [end for ratios in panels.values() for ratio in ratios.values()
            for end in (ratio.low, ratio.high) if 0 < end < math.inf]
    low, high = math.log(min([.8, *ends])), math.log(max([1.25, *ends]))

    def x(value):
        value = min(max(math.log(value or 1e-9), low), high)
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    shapes, top = [], 10
    for of, ratios in panels.items():
        shapes.append(text(10, top + 16, f"{WORDS[of]}, against {first}",
                           kind="head"))
        for line, (name, ratio) in enumerate(ratios.items()):
            y = top + 38 + line * ROW
            left, right = x(1 / (1 + ratio.margin)), x(1 + ratio.margin)
            shapes += [
                box(left, y - 11, right - left, 22, colour="#8884"),
                text(10, y + 4, name[:22]),
                _dot(x(ratio.median), x(ratio.low), x(ratio.high), y, of),
                text(RIGHT + 14, y + 4,
                     f"× {ratio.median:.2f} [{ratio.low:.2f}–"
                     f"{ratio.high:.2f}] {ratio.verdict}", kind="small")]
        shapes.append(f'<path d="M{x(1)} {top + 25}V{y + 13}" '
                      'stroke="#888"/>')
        top = y + 16
    shapes += [text(x(tick), top + 14, f"× {tick:g}", kind="small",
                    anchor="middle")
               for tick in (.05, .1, .2, .5, 1, 2, 5, 10, 20, 50, 100)
               if low <= math.log(tick) <= high]
    shapes.append(text(10, top + 34, "Grey: the margin that the controls "
                       "allow. An interval outside it is a verdict.",
                       kind="small"))
    return picture(760, top + 46, *shapes)


def _dot(at, low, high, y, of):
    """A median with its interval: a circle for CPU, a square for wall."""
    colour = BLUE if of == "cpu" else GREEN
    mark = (f'<circle cx="{at}" cy="{y}" r="5" fill="{colour}"/>'
            if of == "cpu" else
            f'<rect x="{at - 4:.1f}" y="{y - 4}" width="8" height="8" '
            f'fill="{colour}"/>')
    return (f'<path d="M{low} {y}H{high}" stroke="{colour}" '
            f'stroke-width="2"/>{mark}')
