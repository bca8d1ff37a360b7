"""Say what is taking long, for as long as it takes."""

import asyncio
from contextlib import contextmanager
from html import escape

from ..drawing.figure import widget_bundle

PATIENCE = 1.0  # seconds of silence before the first word


@contextmanager
def progress(text):
    """Show ``text`` below the cell while the block runs, from 1 s on.

    ``as`` gives a function that replaces the text. A widget without a text
    twin, taken away at the end: the stored output of the cell does not
    depend on how fast the machine is. Outside a notebook it does nothing.
    """
    shown = []

    def html():
        return f'<span role="status">⏳ {escape(text)} …</span>'

    def show():
        from IPython import get_ipython
        from IPython.display import publish_display_data
        from ipywidgets import HTML

        if hasattr(get_ipython(), "kernel"):
            label = HTML(html())
            shown.append(label)
            publish_display_data(widget_bundle(label))

    def say(words):
        nonlocal text
        if words != text:
            text = words
            for label in shown:
                label.value = html()

    timer = asyncio.get_running_loop().call_later(PATIENCE, show)
    try:
        yield say
    finally:
        timer.cancel()
        for label in shown:
            # Not closed: a page that is loaded again would say "Loading".
            label.value = ""
