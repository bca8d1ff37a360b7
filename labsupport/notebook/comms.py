"""Let a slider live that is moved while a cell awaits.

What a slider says next, ipywidgets keeps back until the kernel is "idle" with
what it said last. A kernel takes that while a cell awaits, and never says
"idle" (ipykernel 7.4.0): from then on the slider moves for nobody.
"""

from functools import wraps

from IPython import get_ipython


def answer_comms():
    """Say "idle" to what a widget sends while a cell awaits, for good.

    Outside a kernel it does nothing.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or hasattr(kernel.dispatch_shell, "__wrapped__"):
        return
    dispatch = kernel.dispatch_shell

    @wraps(dispatch)
    async def dispatch_and_answer(*arguments, concurrent=False, **more):
        await dispatch(*arguments, concurrent=concurrent, **more)
        # The parent is what the widget sent, unless that was refused.
        if concurrent and kernel.get_parent("shell")["msg_type"] == "comm_msg":
            kernel._publish_status("idle", "shell")

    kernel.dispatch_shell = dispatch_and_answer
