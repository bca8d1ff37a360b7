"""What an Event is: something that happened, in which turn, for which task."""

import asyncio
from pathlib import Path
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


class Who:
    """A task by name. Not the task: that would keep all it holds alive."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


_turns = WeakKeyDictionary()  # event loop → [its turn, whether to count on]
_who = WeakKeyDictionary()  # task → Who
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


def current_who():
    """The running task's Who, or None outside a task.

    SQLAlchemy leaves ``async with Session.begin()`` in a task of its own,
    which flushes and commits: that work counts for the task that waits.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    if task is None:
        return None
    who = _who.get(task)
    if who is None:
        waits = _leaving(task) if _is_helper(task) else None
        who = _who.get(waits) if waits else None
        who = _who[task] = who or Who((waits or task).get_name())
        if waits:
            _who[waits] = who
    return who


def _is_helper(task):
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None)
    return code is not None and "__aexit__" in coroutine.__qualname__ \
        and "sqlalchemy" in Path(code.co_filename).parts


def _leaving(helper):
    """The task that waits for SQLAlchemy's ``helper``, or None."""
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None)
            if frame is not None and frame.f_locals.get("task") is helper:
                return task
            coroutine = getattr(coroutine, "cr_await", None)
    return None
