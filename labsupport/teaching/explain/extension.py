"""``%load_ext labsupport``: a card under a traceback that a rule knows."""

from pathlib import Path

from ...drawing.card import show
from . import explain


def _after(result):
    """Explain what a cell raised; silent about all else."""
    error = result.error_before_exec or result.error_in_exec
    if error is None or isinstance(error, SyntaxError):
        return
    found = explain(error)
    if found:
        above = "../" if Path.cwd().name == "appendix" else ""
        show(found.card(above))


def load_ipython_extension(shell):
    """Called by IPython: from now on after each cell."""
    shell.events.register("post_run_cell", _after)


def unload_ipython_extension(shell):
    """Called by IPython: no longer."""
    shell.events.unregister("post_run_cell", _after)
