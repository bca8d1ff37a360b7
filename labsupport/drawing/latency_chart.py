"""Latency by percentile, from the intended and from the actual start."""

import math

from .looks import BLUE, GREEN
from .svg import line, picture, text


def latency_chart(intended, actual):
    """An SVG document (str); each step to the right is a tenfold rarity.

    Takes two Latencies: sorted seconds with a ``quantile(part)``.
    """
    width, height, left, bottom = 560, 240, 70, 200
    tail = math.log10(max(len(intended), 10))
    top = max(intended[-1], 1e-6)
    shapes = [text(left, 20, "latency, by the part of the operations that "
                   "it covers", kind="small")]
    for part in (.5, .9, .99, .999):
        if (far := -math.log10(1 - part) / tail) <= 1:
            x = left + far * (width - left - 30)
            shapes += [line(x, 34, x, bottom),
                       text(x, bottom + 18, f"{100 * part:g} %",
                            kind="small", anchor="middle")]
    for share in (0, .5, 1):
        y = bottom - share * (bottom - 40)
        shapes += [line(left, y, width - 30, y),
                   text(left - 8, y + 4, f"{1000 * share * top:.1f} ms",
                        kind="small", anchor="end")]
    for number, (latency, colour, dash, words) in enumerate((
            (intended, BLUE, "", "— from the intended start"),
            (actual, GREEN, "6 4", "- - from the actual start"))):
        points = []
        for step in range(101):
            part = 1 - 10 ** (-tail * step / 100) if step < 100 else 1
            x = left + step / 100 * (width - left - 30)
            y = bottom - latency.quantile(part) / top * (bottom - 40)
            points.append(f"{x:.0f},{y:.1f}")
        shapes += [f'<polyline points="{" ".join(points)}" fill="none" '
                   f'stroke="{colour}" stroke-width="2" '
                   f'stroke-dasharray="{dash}"/>',
                   text(left + 8, 52 + 18 * number, words, kind="small")]
    return picture(width, height, *shapes)
