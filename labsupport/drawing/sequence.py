"""A sequence diagram: who hands over to whom, from the top down."""

import textwrap
from typing import NamedTuple

from .figure import Figure
from .looks import BLUE, GREEN, ORANGE, PINK, SKY, VERMILION
from .svg import box, picture, pointer, stroke, text

ROW, TOP, WIDTH = 24, 44, 79
COLOURS = BLUE, GREEN, ORANGE, SKY, PINK  # of the lanes, from the left


class Step(NamedTuple):
    """One hand-over from lane ``source`` to lane ``target`` (both str).

    A step from a lane to itself is a remark. ``kind`` is empty, ``error``,
    or ``missing`` for a hand-over that was tried and could not happen.
    """

    source: str
    target: str
    label: str
    kind: str = ""


def sequence(lanes, steps, title):
    """A Figure of ``steps`` (list of Step) between ``lanes`` (list of str).

    ``title`` is the alt text, followed by the lanes that no step reaches.
    """
    reached = {lane for step in steps if step.kind != "missing"
               for lane in (step.source, step.target)}
    never = [lane for lane in lanes if lane not in reached]
    note = f"never reached: {', '.join(never)}" if never else ""
    words = "\n".join([*map(_line, steps), *([note] if note else [])])
    return Figure(_svg(lanes, steps, never), "; ".join(filter(None, (
        title, note))), words)


def _line(step):
    mark = {"": " ", "error": "✗", "missing": "✗"}[step.kind]
    way = step.source if step.source == step.target \
        else f"{step.source} → {step.target}"
    return textwrap.fill(f"{mark} {way:<23} {step.label}", WIDTH,
                         subsequent_indent=" " * 28)


def _svg(lanes, steps, never):
    middle, right = _places(lanes, steps)
    bottom = TOP + ROW * len(steps) + 14
    shapes = []
    for lane in lanes:
        x = middle[lane]
        shapes += [stroke(f"M{x} {TOP}V{bottom}", dashed=lane in never),
                   text(x, 24, lane, kind="head", anchor="middle")]
        if lane in never:
            shapes.append(text(x, 38, "never reached", kind="small",
                               anchor="middle"))
    since = TOP
    for number, step in enumerate(steps):
        y = TOP + ROW * (number + 1) - 4
        a, b = middle[step.source], middle[step.target]
        if step.kind != "missing":
            shapes.append(_turn(lanes, step.source, a, since, y))
            since = y
        if step is not steps[-1] and steps[number + 1].source != step.target:
            shapes.append(_turn(lanes, step.target, b, y, y + ROW / 2))
        shapes += _hand_over(a, b, _beside(middle, step), y, step)
    return picture(right, bottom + 10, *shapes)


def _turn(lanes, lane, x, since, until):
    """The block that says: here ``lane`` runs."""
    colour = COLOURS[lanes.index(lane) % len(COLOURS)]
    return box(x - 5, since, 10, until - since, colour=colour)


def _hand_over(a, b, beside, y, step):
    """The shapes of one step: an arrow, or a remark beside its lane.

    The words stand between ``a`` and the lane ``beside`` it, on the way to
    ``b``: no lane runs through them.
    """
    kind = "bad" if step.kind else "small"
    words = f"✗ {step.label}" if step.kind else step.label
    if a == b:
        return [text(a + 12, y - 5, words, kind=kind)]
    way = 1 if b > a else -1
    return [pointer(a + 6 * way, y, b - 6 * way,
                    colour=VERMILION if step.kind else "#888",
                    dashed=step.kind == "missing"),
            text((a + beside) / 2, y - 5, words, kind=kind, anchor="middle")]


def _beside(middle, step):
    """The x of the lane beside the source, on the way to the target."""
    lanes = list(middle)
    a, b = lanes.index(step.source), lanes.index(step.target)
    return middle[lanes[a + (b > a) - (b < a)]]


def _places(lanes, steps):
    """Lane → its x, and the width: each gap as wide as its longest label."""
    middle, x = {}, 60
    order = {lane: number for number, lane in enumerate(lanes)}
    gaps = [120] * len(lanes)
    for step in steps:
        source, target = order[step.source], order[step.target]
        left = source - (target < source)
        letter = 8.2 if step.kind else 6.4  # what fails is bold
        gaps[left] = max(gaps[left], letter * len(step.label) + 44)
    for number, lane in enumerate(lanes):
        middle[lane], x = round(x), x + gaps[number]
    return middle, round(x - gaps[-1] + max(60, _beyond(lanes[-1], steps)))


def _beyond(lane, steps):
    """How far to the right the remarks beside the last lane go."""
    return max((6.4 * len(step.label) + 40 for step in steps
                if step.source == step.target == lane), default=0)
