"""The pool over time: how many connections are out, idle, in the making."""

from typing import NamedTuple

from ..drawing.figure import Figure
from ..drawing.looks import LAYERS, WAITING
from ..drawing.svg import line, picture, text, time_axis
from .events import FAILED
from .timeline import LEFT, RIGHT, WIDTH, legend

HEIGHT = 130


class Usage(NamedTuple):
    """How many connections and requests there are from second ``at`` on."""

    at: float
    out: int
    connecting: int
    idle: int
    waiting: int


class Limits(NamedTuple):
    """The pool when the trace began; ``size`` and ``most`` None: no limit."""

    size: int | None
    most: int | None  # size and overflow together
    out: int
    idle: int


def limits(pool):
    """The Limits of a pool, of whatever class."""
    if not hasattr(pool, "checkedin"):
        return Limits(None, None, 0, 0)
    # The pool has no public name for the most that it may open beyond size.
    overflow = pool._max_overflow
    return Limits(pool.size(), pool.size() + overflow if overflow >= 0
                  else None, pool.checkedout(), pool.checkedin())


def usage(events, start):
    """The steps (list of Usage) of a trace that began with Limits."""
    requests, out, idle, lost = {}, set(), set(), set()
    before_out, before_idle = start.out, start.idle
    steps = [Usage(0.0, start.out, 0, start.idle, 0)]
    for event in events:
        known = event.connection in out or event.connection in idle
        if event.kind in ("request", "connecting"):
            requests[event.task] = event.kind
        elif event.kind in FAILED:
            requests.pop(event.task, None)
        elif event.kind == "checkout":
            made = requests.pop(event.task, None) == "connecting"
            before_idle -= not known and not made and before_idle > 0
            idle.discard(event.connection)
            out.add(event.connection)
        elif event.kind == "checkin":
            before_out -= not known and before_out > 0
            if event.connection in out or not known:
                idle.add(event.connection)
            out.discard(event.connection)
        elif event.kind == "invalidate" and not known:
            lost.add(event.connection)
            if event.task in requests or not before_out:
                before_idle -= before_idle > 0
            else:
                before_out -= 1
        elif event.kind in ("close", "detach"):
            before_idle -= not known and before_idle > 0 \
                and event.connection not in lost
            out.discard(event.connection)
            idle.discard(event.connection)
        else:
            continue
        phases = list(requests.values())
        steps.append(Usage(event.at, len(out) + before_out,
                           phases.count("connecting"),
                           len(idle) + before_idle,
                           phases.count("request")))
    return steps


def counts(events, spans, start):
    """Name → number: what does not depend on how fast the machine is.

    ``spans`` are those of the tasks: a request that waited has one.
    """
    kinds = [event.kind for event in events]
    steps = usage(events, start)
    live = max(step.out + step.connecting + step.idle for step in steps)
    found = {
        "requests": kinds.count("request"),
        "had to wait": sum(span.turns > 0 and span.state == WAITING
                           for span in spans),
        "connections opened": kinds.count("connecting"),
        "most at once": live,
        "of these overflow": max(live - start.size, 0) if start.size else 0,
        "statements": kinds.count("execute"),
    }
    found |= {name: kinds.count(kind) for name, kind in (
        ("timeouts", "timeout"), ("cancelled", "cancelled"),
        ("failed", "failed"), ("errors", "error"),
        ("invalidated", "invalidate"), ("pre-pings", "ping"),
    ) if kind in kinds}
    found["still checked out"] = steps[-1].out
    return found


def pool_usage(events, spans, start, seconds):
    """A Figure: the connections stacked, the waiting on top of them."""
    steps = usage(events, start)
    top = max(max(sum(step[1:]) for step in steps), start.most or 0, 1) + 0.5
    key, head = legend(LAYERS, LEFT)
    bottom = head + HEIGHT
    axis, x = time_axis(seconds, LEFT, RIGHT, head - 4, bottom)

    def y(number):
        return bottom - HEIGHT * number / top

    shapes = [key, axis, _layers(steps, seconds, x, y)]
    shapes += [text(LEFT - 8, y(number) + 4, str(number), kind="small",
                    anchor="end")
               for number in range(0, int(top) + 1, max(1, int(top) // 5))]
    marks = {start.most: "with overflow", start.size: "pool_size"}
    for number, name in marks.items():
        if number:
            shapes += [line(LEFT, y(number), RIGHT, y(number), kind="limit"),
                       text(RIGHT + 4, y(number) + 4, f"{name} {number}",
                            kind="bad")]
    found = counts(events, spans, start)
    return Figure(
        picture(WIDTH, bottom + 26, *shapes),
        "Pool over time: " + ", ".join(
            f"{name} {number}" for name, number in found.items()),
        "\n".join(f"{name:<19}{number:>4}" for name, number in found.items()))


def _layers(steps, seconds, x, y):
    """The stacked areas, from the connections up to the waiting."""
    ends = [step.at for step in steps[1:]] + [seconds]
    base, shapes = [0] * len(steps), []
    for number, look in enumerate(LAYERS.values(), 1):
        tops = [low + step[number] for low, step in zip(base, steps)]
        if tops != base:
            path = _outline(steps, ends, base, tops, x, y)
            shapes.append(f'<path d="{path}" fill="{look["colour"]}"/>')
            if look.get("hatched"):
                shapes.append(f'<path d="{path}" fill="url(#hatch)"/>')
        base = tops
    return "".join(shapes)


def _outline(steps, ends, base, tops, x, y):
    places = [(x(step.at), x(end), y(low), y(high))
              for step, end, low, high in zip(steps, ends, base, tops)]
    up = "".join(f"L{a:.1f} {high:.1f}H{b:.1f}" for a, b, _, high in places)
    down = "".join(f"L{b:.1f} {low:.1f}H{a:.1f}"
                   for a, b, low, _ in reversed(places))
    return f"M{places[0][0]:.1f} {places[0][2]:.1f}{up}{down}Z"
