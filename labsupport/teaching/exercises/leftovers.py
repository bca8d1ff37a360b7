"""What an answer leaves behind: connections, and coroutines nobody awaits."""

import gc
import inspect
import logging
import re
import traceback
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import event
from sqlalchemy.pool import Pool

_out = ContextVar("_out", default=None)  # the records that are checked out


class NotYet(Exception):
    """The answer runs but does something else; the message says what."""


@contextmanager
def what_is_left():
    """A block that raises NotYet if something is left when it ends well.

    A connection counts that is taken from a pool of whatever engine inside
    the block, by its task or by one that it starts, and does not come back;
    so does a coroutine that is never awaited. Their warnings go no further.
    """
    gc.collect()  # what was left before is not this answer's
    out = set()
    token = _out.set(out)
    log = logging.getLogger("sqlalchemy.pool")  # says it once more
    level = log.level
    log.setLevel(logging.CRITICAL)
    for name, listener in LISTENERS.items():
        event.listen(Pool, name, listener)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield
            except NotYet as error:
                _let_go(error)
                raise NotYet(" ".join([str(error), *_never_awaited(caught)])
                             ) from None
            except Exception as error:
                _let_go(error)
                raise
            held = len(out)
            gc.collect()  # what nobody holds complains now
    finally:
        for name, listener in LISTENERS.items():
            event.remove(Pool, name, listener)
        _out.reset(token)
        log.setLevel(level)
    if held or any("non-checked-in connection" in str(one.message)
                   for one in caught):
        raise NotYet("a connection is still checked out at the end: close "
                     "it, best with 'async with'.")
    for sentence in _never_awaited(caught):
        raise NotYet(sentence)


def _never_awaited(caught):
    """A sentence (str) for each coroutine in the warnings ``caught``.

    Without a driver's own: a refused read leaves them, no call of yours.
    """
    for warning in caught:
        if (found := re.match(r"coroutine '(.+)' was never awaited",
                              str(warning.message))) \
                and not re.search(r"cursor|connect", found[1]):
            yield (f"{found[1]}() is called and never awaited: write 'await' "
                   "before the call.")


def _let_go(error):
    """Free what the frames of a traceback hold, while nobody hears it.

    Later it would complain below whichever cell runs then.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        if inspect.iscoroutine(getattr(error, "obj", None)):
            error.obj.close()  # its attribute was wanted
        error = error.__context__
    gc.collect()


def _checkout(_connection, record, _proxy):
    out = _out.get()
    if out is not None:
        out.add(record)


def _gone(_connection, record):
    out = _out.get()
    if out is not None:
        out.discard(record)


LISTENERS = {"checkout": _checkout, "checkin": _gone, "detach": _gone,
             "close": _gone}  # while a check runs
