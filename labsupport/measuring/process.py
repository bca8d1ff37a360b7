"""Something measured in a process of its own, undisturbed by the kernel.

One process a call. It tells news, and at the end what it has found, or how
it failed.
"""

import os

from ..notebook.child_process import ChildProcess, take_job


class LoadError(RuntimeError):
    """The measured code failed in its process; the message is its own."""


class Failure(Exception):
    """What the process says of its failure: the words of the LoadError."""


async def found_by(module, job, hear):
    """What ``module``, a program that calls ``answer``, finds for ``job``.

    Takes a dict and calls ``hear`` with the news, as keywords. Raises
    LoadError. Whatever ends the call, the process is gone then.
    """
    with ChildProcess(module, job) as child:
        while news := await child.heard():
            if "failure" in news:
                raise LoadError(news["failure"])
            if "found" in news:
                return news["found"]
            hear(**news)
        raise LoadError(f"The load process ended: {child.last_words}")


def answer(work):
    """The process's side: do ``work(job, tell)``, and say what it returns.

    ``tell`` takes news as keywords. Ends the process.
    """
    job, tell = take_job()
    try:
        tell(found=work(job, tell))
    except Failure as failure:
        tell(failure=str(failure))
    os._exit(0)  # no word from connections that a failure left open
