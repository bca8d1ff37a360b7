"""The heartbeat of event loops: a stroke for each beat, and the gaps."""

from .looks import BLUE, VERMILION
from .svg import bar, picture, stroke, text, time_axis

LEFT, RIGHT, TOP, ROW, BEAT = 150, 700, 40, 52, 16


def lag_chart(rows, blocked):
    """An SVG document (str): the beats of event loops, on one time axis.

    ``rows``: name → (beats, blockers). The beats are pairs of when a beat
    was due and how late it came (s); the blockers (str) are what held the
    loop up for ``blocked`` seconds or more.
    """
    end = max((due + late for beats, _ in rows.values()
               for due, late in beats), default=0.01)
    bottom = TOP + ROW * len(rows)
    axis, x = time_axis(end, LEFT, RIGHT, TOP - 8, bottom)
    shapes = [text(12, 22, "heartbeat of the event loop: it should beat "
                   "every 10 ms", kind="head"), axis]
    for number, (name, (beats, blockers)) in enumerate(rows.items()):
        top = TOP + ROW * number
        came = [x(due + late) for due, late in beats]
        shapes += [text(12, top + 14, name[:20]),
                   stroke("".join(f"M{at:.1f} {top}v{BEAT}" for at in came),
                          colour=BLUE)]
        gaps = [(x(due), x(due + late), late) for due, late in beats
                if blockers and late >= blocked]
        shapes += [bar(start, top, stop - start, BEAT, colour=VERMILION,
                       hatched=True) for start, stop, _ in gaps]
        longest = max((late for _, _, late in gaps), default=0)
        words = (f"✗ no beat for {longest * 1000:,.0f} ms: "
                 + " · ".join(blockers)) if blockers else "nothing blocked it"
        shapes.append(text(LEFT, top + 30, words, kind=(
            "bad" if blockers else "small")))
    return picture(max(RIGHT + 50, LEFT + 20 + 7 * max(
        (len(" · ".join(blockers)) + 25 for _, blockers in rows.values()),
        default=0)), bottom + 26, *shapes)
