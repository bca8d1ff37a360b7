"""What an Event is: something that happened, in which turn, for which task."""

import asyncio
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..notebook.stacks import Line

# How a request for a connection ends that gets none.
FAILED = ("timeout", "cancelled", "failed")


class Event(NamedTuple):
    """One thing that happened. ``task`` is the Task that it counts for."""

    at: float  # time.perf_counter(), seconds
    turn: int  # of the event loop: in one turn, nobody has waited
    kind: str
    task: object  # a Who, or None outside a task
    connection: int | None = None
    detail: str = ""
    origin: str = ""
    line: Line | None = None  # of the reader


_turns = WeakKeyDictionary()  # event loop → [its turn, whether to count on]
_outside = iter(range(-1, -10 ** 9, -1))


def turn():
    """Number of the loop's turn: equal if nothing has been awaited between.

    Counts only turns in which it is asked. Outside a loop every call is a
    turn of its own.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return next(_outside)
    count = _turns.get(loop)
    if count is None:
        count = _turns[loop] = [0, False]
    if not count[1]:
        count[1] = True
        loop.call_soon(_next_turn, count)
    return count[0]


def _next_turn(count):
    count[0] += 1
    count[1] = False
