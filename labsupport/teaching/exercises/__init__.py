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
from random import Random
from typing import NamedTuple

from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from ...databases import sqlite
from ...drawing.card import Card
from ...notebook.failures import wrapped
from ...notebook.stacks import your_line
from ...schema import invented, seed
from .leftovers import NotYet, what_is_left

YOURS = re.compile(r"^(\s*)\S.*  # yours$")
SECONDS = 20  # an answer that takes longer will not come back

REGISTRY = {}


class Misconception(NamedTuple):
    """A wrong answer: the solution with ``old`` replaced by ``new``.

    The check must reject it with a message that contains ``says``. Where
    ``old`` is empty, ``new`` is the whole answer.
    """

    old: str
    new: str
    says: str


@dataclass(frozen=True)
class Exercise:
    check: object  # async (answer) → what to say when it is correct
    hints: tuple[str, ...]
    misconceptions: tuple[Misconception, ...]
    also_right: tuple[str, ...]  # other answers (source) that are correct


@dataclass(frozen=True)
class Outcome:
    """How an answer did: ``state`` is one of the keys of ``TONES``."""

    exercise_id: str
    state: str
    message: str

    TONES = {"not attempted": "open", "not yet": "bad", "correct": "good"}

    def _card(self):
        return Card(self.TONES[self.state],
                    f"{self.exercise_id} {self.state}: {self.message}")

    def __repr__(self):
        return repr(self._card())

    def _repr_html_(self):
        return self._card()._repr_html_()


def exercise(exercise_id, *, hints, misconceptions, also_right=()):
    """Register the decorated coroutine function as the check of an exercise.

    It takes the answer, raises NotYet or returns a closing remark (str).
    """
    def register(check):
        REGISTRY[exercise_id] = Exercise(check, hints, misconceptions,
                                         also_right)
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
    """Run ``answer`` in a database of its own; returns the Outcome.

    Correct is only what gives all its connections back and awaits all that
    it has begun.
    """
    found = find(exercise_id)
    limit = asyncio.timeout(SECONDS)
    try:
        with what_is_left():
            async with limit:
                message = await found.check(answer)
        return Outcome(exercise_id, "correct", message)
    except NotYet as error:
        message = str(error)
    except Exception as error:  # whatever the learner's code may raise
        # A timeout stands on a CancelledError, which says nothing.
        *_, first = (one for one in wrapped(error)
                     if isinstance(one, Exception))
        if type(first) is NotImplementedError and not first.args:  # the stub
            return Outcome(exercise_id, "not attempted",
                           "write what belongs in the place of 'yours', one "
                           "line or more, then run both cells again.")
        if isinstance(error, ArgumentError):  # it says more than its cause
            first = error
        text = next(iter(str(first).splitlines()), "")
        text = re.sub(r"<[\w.]+ .*>", "<…>", text)  # no path, no address
        line = your_line(error.__traceback__)
        message = f"it raises {type(first).__name__}: {text}"
        if line:
            message += f" (your line: {line})"
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
        elif not (lines and lines[-1].endswith(
                "NotImplementedError  # yours")):
            lines.append(blank)
    return "\n".join(lines)


@asynccontextmanager
async def shop(database=sqlite, driver="aiosqlite", **options):
    """An engine on a record shop of its own, for one check.

    What is in the shop is invented, another each time: no constant can be
    the answer. ``database`` makes the database, ``driver`` names its URL,
    ``options`` go to the engine.
    """
    here = await database()
    try:
        engine = create_async_engine(getattr(here, driver),
                                     hide_parameters=True, **options)
        try:
            await seed(engine, invented(Random()))
            yield engine
        finally:
            await engine.dispose()
    finally:
        await here.drop(force=True)
