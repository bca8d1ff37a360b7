"""Whose line is this: the reader's, or a library's?"""

import linecache
import re
import traceback

_LIBRARY = re.compile(
    r"[/\\](site-packages|dist-packages|asyncio|labsupport)[/\\]"
    r"|[/\\]python3\.\d+[/\\]|<frozen|^<string>$"
)


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
        filename = frame.f_code.co_filename
        if yours(filename):
            line = linecache.getline(filename, number).strip()
    return line
