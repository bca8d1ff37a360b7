"""The pool over time: how many connections are out, idle, in the making."""

from typing import NamedTuple

from sqlalchemy.pool import QueuePool

from ..drawing.figure import Figure
from ..drawing.looks import LAYERS, WAITING
from ..drawing.svg import line, picture, text, time_axis
from .events import FAILED
from .sqlalchemy_private import entries_in, most_overflow
from .timeline import LEFT, RIGHT, WIDTH, legend

HEIGHT = 130


class Usage(NamedTuple):
    """How many connections and requests there are from second ``at`` on.

    ``overflow`` is how many connections are more than ``pool_size``.
    """

    at: float
    out: int
    connecting: int
    idle: int
    waiting: int
    overflow: int

    @property
    def live(self):
        """All connections (int), those in the making with them."""
        return self.out + self.connecting + self.idle


class Limits(NamedTuple):
    """A pool at one moment; ``size`` and ``most`` None: no limit."""

    size: int | None
    most: int | None  # size and overflow together
    out: int
    idle: int


def limits(pool):
    """The Limits of a pool, of whatever class."""
    if not isinstance(pool, QueuePool):
        return Limits(None, None, 0, 0)
    overflow = most_overflow(pool)
    idle = [entry for entry in entries_in(pool)
            if entry.dbapi_connection is not None]
    return Limits(pool.size(), pool.size() + overflow if overflow >= 0
                  else None, pool.checkedout(), len(idle))


class _Pool:
    """Where the connections of a trace are, event by event.

    Takes the Limits that it began with and the names of what was idle then.
    """

    def __init__(self, start, idle):
        self.size = start.size
        self.requests, self.out, self.idle = {}, set(), {*idle}
        self.unseen = start.out  # out before the trace, no event of it yet
        self.gone = set()
        # Of a pool that was disposed of: what is out, those of it without
        # an event, and who asks for one.
        self.former, self.former_unseen, self.askers = set(), 0, set()

    def take(self, event):
        kind, name = event.kind, event.connection
        if kind in ("request", "connecting"):
            self.requests[event.task] = kind
        elif kind in FAILED:
            self.requests.pop(event.task, None)
            self.askers.discard(event.task)
        elif kind == "dispose":
            self.gone |= self.idle
            self.idle.clear()
            self.former |= self.out
            self.former_unseen = self.unseen
            self.askers |= {*self.requests}
        elif kind == "checkout":
            self._check_out(event.task, name)
        elif kind in ("checkin", "close", "detach"):
            self._leave(kind, name)

    def _check_out(self, task, name):
        asked = self.requests.pop(task, None)
        if not asked and not self._knows(name) and self.unseen:
            self.unseen -= 1  # it was in the making when the trace began
        if task in self.askers or name in self.gone:
            self.former.add(name)
        self.askers.discard(task)
        self.gone.discard(name)
        self.idle.discard(name)
        self.out.add(name)

    def _knows(self, name):
        return any(name in group
                   for group in (self.out, self.idle, self.gone))

    def _leave(self, kind, name):
        if not self._knows(name):
            self._find(name)
        if kind != "checkin" or name in self.former:
            self.gone.add(name)
            self.idle.discard(name)
        elif name in self.out:
            self.idle.add(name)
        self.out.discard(name)
        self.former.discard(name)

    def _find(self, name):
        """It was out before the trace began: of which pool?"""
        self.out.add(name)
        if self.former_unseen or not self.unseen:
            self.former.add(name)
        if self.former_unseen:
            self.former_unseen -= 1
        if self.unseen:
            self.unseen -= 1

    def usage(self, at):
        """The Usage from second ``at`` on."""
        phases = list(self.requests.values())
        now = Usage(at, len(self.out) + self.unseen,
                    phases.count("connecting"), len(self.idle),
                    phases.count("request"), 0)
        if not self.size:
            return now
        made = [task for task in self.askers
                if self.requests.get(task) == "connecting"]
        former = len(self.former) + self.former_unseen + len(made)
        return now._replace(overflow=max(now.live - former - self.size, 0))


def usage(events, start, idle):
    """The steps (list of Usage) of a trace.

    Takes its events, the Limits that it began with, and the names of the
    connections that were idle then.
    """
    pool = _Pool(start, idle)
    steps = [pool.usage(0.0)]
    for event in events:
        pool.take(event)
        now = pool.usage(event.at)
        if now[1:] != steps[-1][1:]:
            steps.append(now)
    return steps


def counts(events, spans, steps):
    """Name → number: what does not depend on how fast the machine is.

    ``spans`` are those of the tasks: a request that waited has one. ``steps``
    are those of the usage.
    """
    kinds = [event.kind for event in events]
    waits = [span for span in spans if span.turns and span.state == WAITING]
    found = {
        "requests": kinds.count("request"),
        "had to wait": len(waits),
        "connections opened": kinds.count("connected"),
        "most at once": max(step.live for step in steps),
        "of these overflow": max(step.overflow for step in steps),
        "statements": kinds.count("execute"),
    }
    found |= {name: kinds.count(kind) for name, kind in (
        ("timeouts", "timeout"), ("cancelled", "cancelled"),
        ("failed", "failed"), ("errors", "error"),
        ("invalidated", "invalidate"), ("pre-pings", "ping"),
    ) if kind in kinds}
    found["still checked out"] = steps[-1].out
    return found


def pool_usage(found, steps, start, seconds):
    """A Figure: the connections stacked, the waiting on top of them.

    Takes the counts, the steps of the usage and the Limits of the beginning.
    """
    most = max(step.live + step.waiting for step in steps)
    top = max(most, start.most or 0, 1) + 0.5
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
