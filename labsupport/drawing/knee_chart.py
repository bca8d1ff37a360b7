"""A latency by the size of a pool: lines simulated, marks measured."""

from .looks import BLUE, GREEN
from .svg import line, picture, text

LEFT, RIGHT, TOP, BOTTOM = 70, 420, 40, 230
# A percentile has its colour, and its line and mark beside that.
STYLES = ((GREEN, "6 4", '<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {look}/>'),
          (BLUE, "", '<path d="M{x:.1f} {y:.1f}m-5 -5h10v10h-10z" {look}/>'))


def knee_chart(sizes, curves, busy):
    """An SVG document (str).

    ``curves``: percentile (str) → (simulated, measured), seconds for each of
    the ``sizes``; two of them. ``busy`` is how many connections are in use
    on average (float).
    """
    top = max(late for pair in curves.values() for side in pair
              for late in side)

    def x(size):
        return LEFT + (size - 1) / (sizes[-1] - 1 or 1) * (RIGHT - LEFT)

    def y(late):
        return BOTTOM - late / top * (BOTTOM - TOP)

    shapes = [text(10, 22, "latency by the size of the pool", kind="head"),
              text(RIGHT, BOTTOM + 36, "connections", kind="small",
                   anchor="end")]
    for share in (0, .5, 1):
        shapes += [line(LEFT, y(share * top), RIGHT, y(share * top)),
                   text(LEFT - 8, y(share * top) + 4,
                        f"{1000 * share * top:.0f} ms", kind="small",
                        anchor="end")]
    shapes += [text(x(size), BOTTOM + 18, str(size), kind="small",
                    anchor="middle") for size in sizes]
    shapes += [line(x(busy), TOP, x(busy), BOTTOM, kind="limit"),
               text(x(busy) - 6, BOTTOM - 8, f"busy on average: {busy:.1f}",
                    kind="small", anchor="end")]
    for number, ((name, (said, seen)), (colour, dash, mark)) in enumerate(
            zip(curves.items(), STYLES)):
        points = " ".join(f"{x(size):.1f},{y(late):.1f}"
                          for size, late in zip(sizes, said))
        look = f'fill="none" stroke="{colour}" stroke-width="2"'
        shapes.append(f'<polyline points="{points}" {look} '
                      f'stroke-dasharray="{dash}"/>')
        shapes += [mark.format(x=x(size), y=y(late), look=look)
                   for size, late in zip(sizes, seen)]
        low = 80 + 56 * number
        shapes += [
            f'<path d="M{RIGHT + 20} {low}h34" {look} '
            f'stroke-dasharray="{dash}"/>',
            text(RIGHT + 62, low + 4, f"{name}, simulated", kind="small"),
            mark.format(x=RIGHT + 37, y=low + 22, look=look),
            text(RIGHT + 62, low + 26, f"{name}, measured", kind="small")]
    return picture(RIGHT + 200, BOTTOM + 48, *shapes)
