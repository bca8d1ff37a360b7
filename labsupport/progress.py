"""Say what is taking long, for as long as it takes."""

import asyncio
from contextlib import contextmanager

from .figure import widget_bundle

PATIENCE = 1.0  # seconds of silence before the first word


@contextmanager
def progress(text):
    """Show ``text`` below the cell while the block runs, from 1 s on.

    A widget without a text twin, taken away at the end: the stored output of
    the cell does not depend on how fast the machine is. Outside a notebook
    it does nothing.
    """
    shown = []

    def show():
        from IPython import get_ipython
        from IPython.display import publish_display_data
        from ipywidgets import HTML

        if hasattr(get_ipython(), "kernel"):
            label = HTML(f'<span role="status">⏳ {text} …</span>')
            shown.append(label)
            publish_display_data(widget_bundle(label))

    timer = asyncio.get_running_loop().call_later(PATIENCE, show)
    try:
        yield
    finally:
        timer.cancel()
        for label in shown:
            label.close()
