"""Whose line is this: the reader's, or a library's?"""

import linecache
import re
import sys
import traceback
from asyncio import Handle
from functools import cache
from typing import NamedTuple

from greenlet import getcurrent

_LIBRARY = re.compile(
    r"[/\\](site-packages|dist-packages|asyncio|labsupport)[/\\]"
    r"|[/\\]python3\.\d+[/\\]|^<(?!ipython-input|stdin)"
    r"|\.pyx$|^lib[/\\]sqlalchemy[/\\]"  # compiled: the path is its source's
    r"|[/\\]Python3\d+[/\\]Lib[/\\]"
)


class Line(NamedTuple):
    """A line of source that ran: its file, and its number from 1."""

    filename: str
    number: int

    def __str__(self):
        return linecache.getline(self.filename, self.number).strip()


@cache
def yours(filename):
    """Whether ``filename`` is a notebook cell or a script of the reader's."""
    return not _LIBRARY.search(filename)


def your_line(tb):
    """Source text (str) of the innermost line of yours in a traceback.

    Takes a traceback object. Returns an empty string if no frame is yours.
    A line inside a library hardly ever tells you what to change; this one
    does.
    """
    line = ""
    for frame, number in traceback.walk_tb(tb):
        if yours(frame.f_code.co_filename):
            line = str(Line(frame.f_code.co_filename, number))
    return line


def running_line():
    """The innermost Line of yours that runs now, or None.

    Inside SQLAlchemy's greenlet the Python stack ends at greenlet_spawn; it
    goes on in the greenlet that spawned it. What called the event loop is
    not what runs now.
    """
    greenlet, frame = getcurrent(), sys._getframe(1)
    while True:
        while frame is not None:
            if frame.f_code is Handle._run.__code__:
                return None
            if yours(frame.f_code.co_filename):
                return Line(frame.f_code.co_filename, frame.f_lineno)
            frame = frame.f_back
        greenlet = greenlet.parent
        if greenlet is None:
            return None
        frame = greenlet.gr_frame
