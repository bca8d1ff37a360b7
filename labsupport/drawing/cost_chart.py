"""Curves beside each other, on axes where each step is a multiple."""

import math

from .looks import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILION
from .svg import line, picture, text

# A way of loading keeps its colour and its dash in all curves.
INKS = ((VERMILION, ""), (BLUE, ""), (GREEN, "7 4"), (ORANGE, "2 3"),
        (PINK, "9 3 2 3"), (SKY, "4 2"), (GREY, "1 4"))
WIDE, HIGH, TOP, GAP = 190, 150, 40, 70


def cost_chart(panels, under):
    """An SVG document (str): a diagram for each panel, side by side.

    ``panels``: what is drawn → (numbers on the axis, name → numbers).
    ``under`` says what each axis counts. Numbers are above 0; both axes are
    logarithmic. Curves that lie on each other are shown by their dashes, and
    the legend below has all names.
    """
    shapes = []
    for number, (what, (xs, curves)) in enumerate(panels.items()):
        left = 55 + number * (WIDE + GAP)
        every = [y for ys in curves.values() for y in ys]
        x, y = _scale(xs, left, left + WIDE), _scale(
            every, TOP + HIGH, TOP)
        shapes.append(text(left - 45, 22, what, kind="head"))
        for at in _ticks(every):
            shapes += [line(left, y(at), left + WIDE, y(at)),
                       text(left - 6, y(at) + 4, f"{at:g}", kind="small",
                            anchor="end")]
        for at in (xs[0], xs[-1]):
            shapes.append(text(x(at), TOP + HIGH + 18, f"{at:g}",
                               kind="small", anchor="middle"))
        shapes.append(text(left + WIDE / 2, TOP + HIGH + 34, under[number],
                           kind="small", anchor="middle"))
        for (colour, dash), ys in zip(INKS, curves.values()):
            points = " ".join(f"{x(a):.1f},{y(b):.1f}"
                              for a, b in zip(xs, ys))
            shapes.append(_curve(points, colour, dash))
    names = list(next(iter(panels.values()))[1])
    for place, (name, (colour, dash)) in enumerate(zip(names, INKS)):
        left, low = 20 + place % 4 * 190, TOP + HIGH + 62 + place // 4 * 20
        shapes += [_curve(f"{left},{low - 4} {left + 34},{low - 4}",
                          colour, dash),
                   text(left + 42, low, name, kind="small")]
    return picture(55 + len(panels) * (WIDE + GAP),
                   TOP + HIGH + 62 + (len(names) + 3) // 4 * 20, *shapes)


def _curve(points, colour, dash):
    return (f'<polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="2.5" stroke-dasharray="{dash}"/>')


def _scale(numbers, begin, end):
    """The function from a number to its place between begin and end."""
    low, high = math.log(min(numbers)), math.log(max(numbers))

    def place(number):
        return begin + (math.log(number) - low) / ((high - low) or 1) * (
            end - begin)

    return place


def _ticks(numbers):
    """Powers of ten within the numbers, or their ends if there are none."""
    least, most = min(numbers), max(numbers)
    powers = [10.0 ** power for power in range(
        math.ceil(math.log10(least)), math.floor(math.log10(most)) + 1)]
    return powers if len(powers) > 1 else sorted({least, most})
