"""How long a few things take, side by side: bars in microseconds."""

from .figure import Figure
from .looks import BLUE
from .svg import bar, line, picture, text

LEFT, WIDE, ROW = 220, 380, 30


def time_bars(seconds):
    """A Figure of ``seconds``: name → how long it takes, in s.

    The bars begin at 0 and have one scale. The text twin gives the order,
    the shortest first, and no numbers: these differ from run to run.
    """
    order = sorted(seconds, key=seconds.get)
    scale = WIDE / max(seconds.values())
    shapes = [text(12, 22, "microseconds, the fastest of many runs",
                   kind="head")]
    for number, name in enumerate(seconds):
        top, took = 36 + ROW * number, seconds[name]
        shapes += [text(12, top + 16, name),
                   bar(LEFT, top, took * scale, ROW - 8, colour=BLUE),
                   text(LEFT + took * scale + 8, top + 16,
                        f"{took * 1e6:,.0f} µs")]
    bottom = 36 + ROW * len(seconds)
    shapes.append(line(LEFT, 32, LEFT, bottom))
    words = "the shortest first: " + ", ".join(order)
    return Figure(picture(LEFT + WIDE + 90, bottom + 10, *shapes),
                  f"How long it takes, {words}", words)
