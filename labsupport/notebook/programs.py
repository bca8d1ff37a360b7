"""A function of your notebook, run by a Python process of its own.

For what a kernel cannot show: several event loops, and the end of a process.
"""

import json
import os
import re
import subprocess
import sys
import warnings
from functools import partial
from types import ModuleType

from .child_process import ChildProcess, take_job
from .failures import wrapped
from .sources import program

SECONDS = 60  # a busy machine needs some of them to start Python


def run_alone(function, url, seconds=SECONDS):
    """Call ``function(url)`` in a new process; returns (chain, ignored).

    ``chain``: the types of the exception that came out, from the outside in
    (list of str, empty if none; None if it has not ended after ``seconds``).
    ``ignored``: type and message (str) of an exception that Python could
    only print when the process ended, or None. Blocks; raises TypeError for
    a function that cannot leave the kernel.
    """
    job = call_of(function, url)
    # In the kernel's process group: an interrupt ends it.
    with ChildProcess(__name__, job, start_new_session=False) as child:
        try:
            failed = child.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None, None
        if raised := child.process.stdout.read():
            return json.loads(raised)["raised"], None
        if failed:
            raise RuntimeError(f"{function.__name__} cannot be run alone: "
                               + child.last_words)
        ignored = re.search(r"^Exception ignored in.*?^(\w+: .*?)$",
                            child.log, re.MULTILINE | re.DOTALL)
        return [], ignored and ignored[1]


def call_of(function, url):
    """What a process needs (dict) to call ``function(url)``.

    Raises TypeError for a function that cannot leave the kernel.
    """
    return {"source": program(function), "name": function.__name__,
            "url": url.render_as_string(False)}


def taken(call):
    """In the process: the described call, as a function without arguments."""
    from sqlalchemy import make_url

    # Litestar looks the module of a handler up.
    here = sys.modules["program"] = ModuleType("program")
    exec(compile(call["source"], "<program>", "exec"), vars(here))
    return partial(getattr(here, call["name"]), make_url(call["url"]))


def names(error):
    """The types of a chain of exceptions, from the outside in (list)."""
    return [f"{type(one).__module__}.{type(one).__qualname__}"
            for one in wrapped(error)]


def _main():
    job, tell = take_job()
    warnings.simplefilter("ignore")
    function = taken(job)
    try:
        function()
    except Exception as error:
        tell(raised=names(error))
        os._exit(3)  # what it leaves behind is not what is asked


if __name__ == "__main__":
    _main()
