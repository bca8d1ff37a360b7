"""Prove that something fails, and show how, in a few stable lines."""

import asyncio
import gc
import re
import traceback
import warnings
from collections.abc import Coroutine
from dataclasses import dataclass

from sqlalchemy.exc import MissingGreenlet

from ..drawing.card import Card, show
from .stacks import your_line


@dataclass
class Failure:
    """What was raised: types from the outside in, message, your own line."""

    chain: tuple[type, ...] = ()
    message: str = ""
    line: str = ""

    def card(self):
        """The Card that says so."""
        rows = [("caused by", cause.__name__) for cause in self.chain[1:]]
        rows += [("says", self.message), ("your line", self.line)]
        return Card("bad", f"raised {self.chain[0].__name__}",
                    [row for row in rows if row[1]], code=("your line",))


class expect_failure:
    """A ``with`` block that must fail, and says so if it does not.

    Takes the exception type or a tuple of types that may arrive, ``cause``
    (the type of the innermost exception, wrapped or not) and ``phrase``
    (text that the message must contain). Prints the Failure, unless ``show``
    is False; ``as`` gives it to you. Raises AssertionError when nothing, or
    something else, is raised.
    """

    def __init__(self, expected, *, cause=None, phrase="", show=True):
        self._expected = expected
        self._cause = cause
        self._phrase = phrase
        self._show = show
        self._failure = Failure()

    def __enter__(self):
        ignore_refused_waits()
        return self._failure

    def __exit__(self, _type, error, tb):
        names = getattr(self._expected, "__name__", None) or " or ".join(
            one.__name__ for one in self._expected)
        if error is None:
            raise AssertionError(f"{names} was expected; nothing was raised.")
        if not isinstance(error, self._expected):
            raise AssertionError(
                f"{names} was expected; {type(error).__name__} was raised.")
        chain = tuple(wrapped(error))
        failure = self._failure
        failure.chain = tuple(map(type, chain))
        failure.message = _telling_line(chain[-1], self._phrase)
        member = error  # of a group: its line is in a traceback of its own
        while isinstance(member, BaseExceptionGroup):
            member = member.exceptions[0]
        failure.line = your_line(member.__traceback__) or your_line(tb)
        if self._cause and not issubclass(failure.chain[-1], self._cause):
            raise AssertionError(
                f"{self._cause.__name__} was expected as the cause; it was "
                f"{failure.chain[-1].__name__}.")
        if not any(self._phrase in str(link) for link in chain):
            raise AssertionError(
                f"{self._phrase!r} was expected in the message; it reads "
                f"{failure.message!r}.")
        _tidy(chain)
        if self._show:
            show(failure.card())
        return True


def ignore_refused_waits():
    """From now on nothing is said of a wait that SQLAlchemy has refused.

    It leaves coroutines of the driver that nobody awaits. Most are closed in
    _tidy; these are freed by SQLAlchemy before we can.
    """
    warnings.filterwarnings("ignore", message=(
        r"coroutine '[\w.]*(cursor|connect)' was never awaited"))


def wrapped(error):
    """``error``, then the exception it wraps, and so on to the first one.

    Follows ``raise … from``, SQLAlchemy's ``.orig`` and the first exception
    of a group. Yields exceptions.
    """
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = getattr(error, "orig", None) or _cause(error)


def _cause(error):
    """What an exception was raised from, or None.

    ``asyncio.timeout`` says ``from`` since Python 3.11.3.
    """
    context = error.__context__
    return error.__cause__ or (
        context if isinstance(error, TimeoutError)
        and isinstance(context, asyncio.CancelledError) else None)


def _telling_line(error, phrase):
    """The message's first line, or the one with ``phrase``, made stable."""
    lines = str(error).strip().splitlines() or [""]
    line = next((line for line in lines if phrase in line), lines[0]).strip()
    line = re.sub(r"\s*\(Background on this error at: .*", "", line)
    return re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", line)


def _tidy(chain):
    """Close the coroutines that a refused wait never began.

    Left alone, one is freed at some later moment, and Python complains below
    whichever cell happens to run then. All frames of such a traceback are
    synchronous and have ended: what waits in their variables waits for
    nobody. An exception that a serialiser has swallowed is out of reach; its
    garbage is collected in the next turn of the event loop.
    """
    if isinstance(chain[-1], MissingGreenlet):
        for frame, _ in traceback.walk_tb(chain[-1].__traceback__):
            for value in frame.f_locals.values():
                if isinstance(value, Coroutine):
                    value.close()
    elif "MissingGreenlet" in str(chain[0]):
        asyncio.get_running_loop().call_soon(gc.collect)
