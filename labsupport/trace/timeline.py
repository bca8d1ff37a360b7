"""Swim lanes: what each task, or each connection, was doing when."""

from html import escape

from ..drawing.figure import Figure
from ..drawing.looks import BAD, BARS, CLOSING, EXECUTING
from ..drawing.svg import bar, line, picture, text, time_axis
from .spans import natural, story

WIDTH, LEFT, RIGHT = 760, 96, 640
ROW, NOTE = 24, 14  # heights: of a lane, and of what went wrong below it
LABEL = 12  # characters that have room beside a lane


def timeline(fold, by, seconds):
    """A Figure of a Fold over ``seconds``, one lane for each ``by``.

    Its text twin has the states of each task in order. Which task gets which
    connection is chance, so for connections it has counts.
    """
    spans = [span for span in fold.spans if span.turns]
    lanes = sorted({one.lane for one in [*spans, *fold.marks]}, key=natural)
    states = [state for state in BARS
              if any(span.state == state for span in spans)]
    noted = {mark.lane for mark in fold.marks if mark.kind in BAD}
    key, top = legend({state: BARS[state] for state in states}, LEFT)
    bottom = top + ROW * len(lanes) + NOTE * len(noted)
    axis, x = time_axis(seconds, LEFT, RIGHT, top - 4, bottom)
    shapes, y = [key, axis], top
    for lane, label in labels(lanes).items():
        shapes.append(f"<g><title>{escape(lane)}</title>"
                      + text(LEFT - 8, y + 15, label, anchor="end") + "</g>")
        shapes += [bar(x(span.start), y + 3, x(span.end) - x(span.start), 16,
                       **BARS[span.state])
                   for span in spans if span.lane == lane]
        if by == "task":
            shapes += _names(spans, lane, x, y)
        for at, kind in _separate(fold.marks, lane, x):
            shapes += [line(at, y + 1, at, y + ROW + NOTE - 4, kind="limit"),
                       text(at + 4, y + ROW + NOTE - 5, BAD[kind], kind="bad")]
        y += ROW + NOTE if lane in noted else ROW
    # Whether a connection takes a while to close is chance.
    named = [state for state in states if state != CLOSING]
    what = f"{len(lanes)} {by}{'' if len(lanes) == 1 else 's'}"
    return Figure(
        picture(WIDTH, bottom + 26, *shapes),
        f"Timeline of {what}: {', '.join(named) or 'nothing happened'}",
        _told(story(fold)) if by == "task" else _counted(fold, lanes, states))


def labels(lanes):
    """Lane → a label (str) that has room, and that no other lane has.

    Of a long name the middle goes; if that leaves two alike, the end gives
    way to a number.
    """
    short = {}
    for lane in lanes:
        label = lane if len(lane) <= LABEL else f"{lane[:5]}…{lane[-5:]}"
        number = 1
        while label in short.values():
            number += 1
            label = f"{lane[:LABEL - 2 - len(str(number))]}… {number}"
        short[lane] = label
    return short


def legend(looks, left, top=8):
    """Shapes (str) that explain ``looks`` (name → look); where they end."""
    shapes, x = [], left
    for name, look in looks.items():
        if x + 34 + 7 * len(name) > WIDTH:
            x, top = left, top + 18
        shapes += [bar(x, top, 16, 12, **look),
                   text(x + 21, top + 11, name, kind="small")]
        x += 42 + 6.2 * len(name)
    return "".join(shapes), top + 26


def _names(spans, lane, x, y):
    """The name of the connection, where a statement's bar has room."""
    return [text(x(span.start) + 3, y + 15, name, kind="inside")
            for span in spans if span.lane == lane
            and span.state == EXECUTING and (name := span.connection)
            and x(span.end) - x(span.start) > 8 + 8 * len(name)]


def _separate(marks, lane, x):
    """Place (px) and kind of a lane's bad marks; the last where two meet."""
    kept = []
    for mark in marks:
        if mark.lane == lane and mark.kind in BAD:
            if kept and x(mark.at) - kept[-1][0] < 90:
                kept.pop()
            kept.append((x(mark.at), mark.kind))
    return kept


def _told(lanes):
    width = max(map(len, lanes), default=0)
    return "\n".join(f"{lane:<{width}}  {' → '.join(words)}"
                     for lane, words in lanes.items()) or "nothing happened"


def _counted(fold, lanes, states):
    ends = [mark.kind for mark in fold.marks]
    words = [f"{len(lanes)} connections"]
    words += [f"{kind}: {ends.count(kind)}" for kind in
              ("returned", "closed", "detached", "invalidated")
              if kind in ends]
    return ", ".join(words) + "\nstates: " + ", ".join(states)
