"""Something measured in a process of its own, undisturbed by the kernel.

One process a call. It gets its job through the pipe, where no other user can
read the password, and it ends when the pipe closes: with the call, with an
interrupt, with a kernel that is killed. It writes lines of JSON: news, and at
the end what it has found, or how it failed.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

TICK = 0.2  # seconds; Jupyter's interrupt is noticed when the loop wakes


class LoadError(RuntimeError):
    """The measured code failed in its process; the message is its own."""


class Failure(Exception):
    """What the process says of its failure: the words of the LoadError."""


async def found_by(module, job, hear):
    """What ``module``, a program that calls ``answer``, finds for ``job``.

    Takes a dict and calls ``hear`` with the news, as keywords. Raises
    LoadError. Whatever ends the call, the process is gone then.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ,
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Jupyter's interrupt goes to the kernel's process group.
            start_new_session=True)
        line = None
        try:
            with suppress(BrokenPipeError):  # it died: the log says why
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            while True:
                line = asyncio.ensure_future(
                    asyncio.to_thread(process.stdout.readline))
                while not line.done():
                    await asyncio.wait([line], timeout=TICK)
                news = json.loads(line.result() or '{"failure": null}')
                if "failure" in news:
                    raise LoadError(news["failure"] or _last_words(log))
                if "found" in news:
                    return news["found"]
                hear(**news)
        finally:
            process.kill()
            process.wait()
            if line and not line.done():
                await line  # the end of the pipe
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.close()


def _last_words(log):
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return "The load process ended: " + (lines or ["it left no word"])[-1]


def answer(work):
    """The process's side: do ``work(job, tell)``, and say what it returns.

    ``tell`` takes news as keywords. Ends the process.
    """
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_kernel, daemon=True).start()
    # What a candidate prints must not come between the lines of JSON.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(**news):
        print(json.dumps(news), file=out, flush=True)

    try:
        tell(found=work(job, tell))
    except Failure as failure:
        tell(failure=str(failure))
    os._exit(0)  # no word from connections that a failure left open


def _end_with_kernel():
    """End this process at once when the kernel closes the pipe, or dies."""
    while os.read(0, 1024):
        pass
    os._exit(0)
