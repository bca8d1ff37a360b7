"""A function of your notebook, run by a Python process of its own.

For what a kernel cannot show: several event loops, and the end of a process.
"""

import faulthandler
import json
import os
import re
import subprocess
import sys
import warnings

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
    job = {"source": program(function), "name": function.__name__,
           "url": url.render_as_string(False)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=json.dumps(job),
            capture_output=True, text=True, timeout=seconds,
            env={**os.environ,
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    except subprocess.TimeoutExpired:
        return None, None
    if done.returncode == 3:
        return json.loads(done.stdout.splitlines()[-1]), None
    if done.returncode:
        raise RuntimeError(f"{function.__name__} cannot be run alone: "
                           + (done.stderr.strip() or "?").splitlines()[-1])
    ignored = re.search(
        r"^Exception ignored in.*?^(\w+: .*?)$", done.stderr,
        re.MULTILINE | re.DOTALL)
    return [], ignored and ignored[1]


def names(error):
    """The types of a chain of exceptions, from the outside in (list)."""
    return [f"{type(one).__module__}.{type(one).__qualname__}"
            for one in wrapped(error)]


def _main():
    from sqlalchemy import make_url

    job = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    # Even if the kernel has gone and nobody waits.
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    here = {"__name__": "program"}
    exec(compile(job["source"], "<program>", "exec"), here)
    try:
        here[job["name"]](make_url(job["url"]))
    except Exception as error:
        print(json.dumps(names(error)), flush=True)
        os._exit(3)  # what it leaves behind is not what is asked


if __name__ == "__main__":
    _main()
