"""Let the Stop button reach a cell that awaits.

A kernel cancels such a cell from the handler of its signal, which does not
wake the event loop: the cell waits on until something else happens there
(github.com/ipython/ipykernel/issues/881).
"""

import asyncio
from weakref import WeakSet

TICK = 0.2  # seconds

_ticking = WeakSet()  # event loops


def keep_interruptible():
    """Wake the running event loop every ``TICK`` seconds, for good.

    With a timer, which is no task that a lesson could leave behind. Outside
    a kernel it does nothing.
    """
    from IPython import get_ipython

    if not hasattr(get_ipython(), "kernel"):
        return
    loop = asyncio.get_running_loop()
    if loop not in _ticking:
        _ticking.add(loop)
        _tick(loop)


def _tick(loop):
    loop.call_later(TICK, _tick, loop)
