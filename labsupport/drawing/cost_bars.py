"""What each way of loading costs, as bars: expected, and as it was run."""

import math

from .looks import BLUE, GREY, ORANGE
from .svg import bar, line, picture, text

LEFT, WIDE, ROW, GAP = 130, 150, 24, 30


def cost_bars(costs, chosen, ran=None):
    """An SVG document (str): a group of bars for each thing that is counted.

    ``costs``: name → what is counted → number, not below 0. The ``chosen``
    name is blue and bold. ``ran``: what is counted → number, of a run of the
    chosen one; it is drawn over its bar as a line with the number. Bars are
    logarithmic, so that 3 and 900 both can be seen.
    """
    counted = list(next(iter(costs.values())))
    shapes = [text(10, 52 + ROW * place, name,
                   kind="head" if name == chosen else "")
              for place, name in enumerate(costs)]
    for column, what in enumerate(counted):
        left = LEFT + column * (WIDE + GAP)
        most = max([cost[what] for cost in costs.values()]
                   + [(ran or {}).get(what, 0)])

        def width(number):
            return WIDE * .62 * math.log1p(number) / (math.log1p(most) or 1)

        shapes.append(text(left, 24, what, kind="head"))
        for place, (name, cost) in enumerate(costs.items()):
            top = 36 + ROW * place
            shapes += [
                bar(left, top, width(cost[what]), ROW - 4,
                    colour=BLUE if name == chosen else GREY,
                    hatched=name != chosen),
                text(left + width(cost[what]) + 6, top + 15,
                     _short(cost[what]), kind="small")]
            if ran and name == chosen and what in ran:
                at = left + width(ran[what])
                shapes += [
                    f'<rect x="{at - 2:.5g}" y="{top - 3}" width="4" '
                    f'height="{ROW + 2}" fill="{ORANGE}" stroke="#222"/>']
    bottom = 44 + ROW * len(costs)
    shapes.append(line(10, bottom, LEFT + len(counted) * (WIDE + GAP),
                       bottom))
    words = "bars: expected" + (
        " · orange mark: your run, " + ", ".join(
            f"{_short(number)} {what}" for what, number in ran.items())
        if ran else " · press Run to hold them against the database")
    shapes.append(text(10, bottom + 20, words, kind="small"))
    return picture(LEFT + len(counted) * (WIDE + GAP), bottom + 32, *shapes)


def _short(number):
    """A number as text (str): no decimals where they say nothing."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
