"""How late an event loop was, over time."""

from .looks import BLUE, VERMILION
from .svg import line, picture, stroke, text

WIDTH, HEIGHT, LEFT, TOP = 640, 130, 64, 44


def lag_chart(beats, blockers, beat, blocked):
    """An SVG document (str) of the lag of an event loop over time.

    ``beats``: pairs of when a beat was due and how late it came (s), one due
    every ``beat`` seconds; ``blockers``: what held the loop up for
    ``blocked`` seconds or more (str).
    """
    end = max((due + late for due, late in beats), default=0) or beat
    top = max([0.1, *(late for _, late in beats)])
    foot = TOP + HEIGHT

    def x(seconds):
        return round(LEFT + WIDTH * seconds / end, 1)

    def y(seconds):
        return round(foot - HEIGHT * seconds / top, 1)

    shapes = [text(16, 24, "lag of the event loop", kind="head"),
              text(LEFT - 6, TOP + 4, f"{top * 1000:.0f} ms", kind="small",
                   anchor="end"),
              text(LEFT - 6, foot + 4, "0 ms", kind="small", anchor="end"),
              text(LEFT + WIDTH, foot + 16, f"{end:.2f} s", kind="small",
                   anchor="end"),
              stroke(f"M{LEFT} {foot}H{LEFT + WIDTH}"),
              line(LEFT, TOP, LEFT + WIDTH, TOP)]
    for due, late in beats:
        bad = blockers and late >= blocked
        if late >= beat:  # the lag grows until the beat comes; less is noise
            shapes.append(
                f'<path d="M{x(due)} {foot}L{x(due + late)} {y(late)}V{foot}Z"'
                f' fill="{VERMILION if bad else BLUE}"/>')
        if bad:
            shapes.append(text(x(due + late), y(late) - 5, "✗ blocked",
                               kind="bad", anchor="end"))
    names = blockers or ["nothing blocked it"]
    shapes += [text(LEFT, foot + 34 + 16 * number, name, kind="small")
               for number, name in enumerate(names)]
    return picture(LEFT + WIDTH + 24, foot + 34 + 16 * len(names), *shapes)
