"""The end of a process, told before it comes."""

import asyncio
import signal
import threading
from contextlib import contextmanager


@contextmanager
def drain(state, seconds):
    """Put off SIGTERM for ``seconds``, with ``state.draining`` set meanwhile.

    The server goes on accepting until the load balancer has read it. Then it
    gets its signal. A second SIGTERM, and Ctrl-C, are not put off.
    """
    state.draining = False
    if threading.current_thread() is not threading.main_thread():
        yield  # a test's thread: signals are not its
        return
    loop = asyncio.get_running_loop()
    ends = signal.getsignal(signal.SIGTERM)

    def later(number, frame):
        signal.signal(signal.SIGTERM, ends)
        state.draining = True
        # The loop may sleep; nothing else wakes it from a handler.
        loop.call_soon_threadsafe(
            loop.call_later, seconds, signal.raise_signal, number)

    signal.signal(signal.SIGTERM, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, ends)
