"""Check an answer by what it does.

An exercise has three outcomes: *not attempted*, *not yet*, *correct*. Its
only source is the solution in the notebook: ``stub_of`` makes the stub from
it, and the tests run the very text that is shown.
"""

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple

from sqlalchemy.ext.asyncio import create_async_engine

from ...databases import sqlite
from ...notebook.failures import wrapped
from ...schema import seed

YOURS = re.compile(r"^(\s*)\S.*  # yours$")
SECONDS = 20  # an answer that takes longer will not come back

REGISTRY = {}


class Misconception(NamedTuple):
    """A wrong answer: the solution with ``old`` replaced by ``new``.

    The check must reject it with a message that contains ``says``.
    """

    old: str
    new: str
    says: str


@dataclass(frozen=True)
class Exercise:
    check: object  # async (answer) → what to say when it is correct
    hints: tuple[str, ...]
    misconceptions: tuple[Misconception, ...]


class NotYet(Exception):
    """The answer runs but does something else; the message says what."""


@dataclass(frozen=True)
class Outcome:
    """How an answer did: ``state`` is one of the keys of ``SIGNS``."""

    exercise_id: str
    state: str
    message: str

    SIGNS = {"not attempted": "○", "not yet": "✗", "correct": "✓"}

    def __repr__(self):
        return (f"{self.SIGNS[self.state]} {self.exercise_id} {self.state}: "
                f"{self.message}")


def exercise(exercise_id, *, hints, misconceptions):
    """Register the decorated coroutine function as the check of an exercise.

    It takes the answer, raises NotYet or returns a closing remark (str).
    """
    def register(check):
        REGISTRY[exercise_id] = Exercise(check, hints, misconceptions)
        return check

    return register


def find(exercise_id):
    """The Exercise with this id, such as ``"E08.1"``; raises KeyError."""
    if match := re.fullmatch(r"E(\d\d)\.\d", exercise_id):
        import_module(f".e{match[1]}", __name__)
    if exercise_id not in REGISTRY:
        raise KeyError(f"there is no exercise {exercise_id!r}")
    return REGISTRY[exercise_id]


async def check(exercise_id, answer):
    """Run ``answer`` in a database of its own; returns the Outcome."""
    found = find(exercise_id)
    limit = asyncio.timeout(SECONDS)
    try:
        async with limit:
            message = await found.check(answer)
        return Outcome(exercise_id, "correct", message)
    except NotYet as error:
        message = str(error)
    except Exception as error:  # whatever the learner's code may raise
        *_, first = wrapped(error)
        if type(first) is NotImplementedError and not first.args:  # the stub
            return Outcome(exercise_id, "not attempted",
                           "write the line that says 'yours', then run both "
                           "cells again.")
        text = next(iter(str(first).splitlines()), "")
        message = f"it raises {type(first).__name__}: {text}"
        if limit.expired():
            message = f"it did not come back within {SECONDS} seconds."
    return Outcome(exercise_id, "not yet", message)


_hints_given: dict[str, int] = {}


def hint(exercise_id):
    """Print the next hint of an exercise; the last one stays."""
    hints = find(exercise_id).hints
    number = min(_hints_given.get(exercise_id, 0) + 1, len(hints))
    _hints_given[exercise_id] = number
    print(f"Hint {number} of {len(hints)}: {hints[number - 1]}")


def stub_of(solution):
    """The stub (str) for a solution (str).

    Each run of lines that end in ``# yours`` becomes one line that raises
    NotImplementedError.
    """
    lines = []
    for line in solution.splitlines():
        match = YOURS.match(line)
        blank = match and f"{match[1]}raise NotImplementedError  # yours"
        if not match:
            lines.append(line)
        elif not (lines and lines[-1].endswith("NotImplementedError  # yours")):
            lines.append(blank)
    return "\n".join(lines)


@asynccontextmanager
async def shop():
    """An engine on a seeded record shop of its own, for one check.

    Raises NotYet if the answer leaves a connection checked out.
    """
    here = await sqlite()
    engine = create_async_engine(here.aiosqlite, hide_parameters=True)
    try:
        await seed(engine)
        yield engine
        held = engine.pool.checkedout()
        if held:
            raise NotYet(f"{held} connection is still checked out at the "
                         "end: close it, best with 'async with'.")
    finally:
        await engine.dispose()
        await here.drop(force=True)
