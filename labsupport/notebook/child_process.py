"""A Python process that ends with its kernel, also when that is killed.

It gets its job through a pipe, where no other user can read the password,
and it ends when the pipe closes: with the block, with an interrupt, with a
kernel that is killed. What it has to say are lines of JSON; what it prints
goes to a log.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

from .interrupts import TICK


class ChildProcess:
    """``module``, a program that calls ``take_job``, at work on ``job``.

    Takes a dict, and options of subprocess.Popen. A context manager:
    whatever ends the block, the process is gone then.
    """

    def __init__(self, module, job, **options):
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._log, env=environment(),
            # Jupyter's interrupt goes to the kernel's process group.
            **{"start_new_session": True, **options})
        self.pid = self.process.pid
        self.terminate, self.kill = self.process.terminate, self.process.kill
        with suppress(BrokenPipeError):  # it died: the log says why
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()  # waits for a thread that reads
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self._log.close()

    @property
    def returncode(self):
        """The exit code, or minus the signal; None while it runs."""
        return self.process.poll()

    async def wait(self):
        """Wait for the process to end by itself: its exit code."""
        return await _in_thread(self.process.wait)

    async def heard(self):
        """What it tells next (dict), or None if it has ended."""
        line = await _in_thread(self.process.stdout.readline)
        return json.loads(line or "null")

    @property
    def log(self):
        """What it has printed (str)."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()

    @property
    def last_words(self):
        """The last line (str) that it has printed."""
        return (self.log.splitlines() or ["it left no word"])[-1]


async def _in_thread(call):
    # A future, not a task: none is left if the cell is interrupted. For that
    # to be noticed the loop has to wake (see interrupts).
    future = asyncio.get_running_loop().run_in_executor(None, call)
    while not future.done():
        await asyncio.wait([future], timeout=TICK)
    return future.result()


def environment(**more):
    """The variables (dict) of a process that imports what this one can."""
    return {**os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def take_job():
    """The process's side: its job, and the function that tells the kernel.

    That takes news as keywords.
    """
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_kernel, daemon=True).start()
    # What is printed must not come between the lines of JSON.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(**news):
        print(json.dumps(news), file=out, flush=True)

    return job, tell


def _end_with_kernel():
    while os.read(0, 1024):
        pass
    os._exit(0)
