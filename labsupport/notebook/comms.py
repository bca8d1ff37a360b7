"""Let a slider live that is moved while a cell awaits.

What a slider says next, ipywidgets keeps back until the kernel is "idle" with
what it said last. ipykernel 7.4.0 takes that while a cell awaits, and never
says "idle": from then on the slider moves for nobody.
"""

from functools import wraps
from inspect import signature

from IPython import get_ipython


def answer_comms():
    """Say "idle" to what a widget sends while a cell awaits, for good.

    Outside a kernel, and in one that takes it after the cell, does nothing.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    dispatch = getattr(kernel, "dispatch_shell", None)
    if dispatch is None or hasattr(dispatch, "__wrapped__") \
            or "concurrent" not in signature(dispatch).parameters:
        return

    @wraps(dispatch)
    async def dispatch_and_answer(*arguments, concurrent=False, **more):
        await dispatch(*arguments, concurrent=concurrent, **more)
        # The parent is what the widget sent, unless that was refused.
        if concurrent and kernel.get_parent("shell")["msg_type"] == "comm_msg":
            kernel._publish_status("idle", "shell")

    kernel.dispatch_shell = dispatch_and_answer
