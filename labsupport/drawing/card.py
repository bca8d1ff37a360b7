"""A card: what was said, what the run found, what to keep."""

import textwrap
from html import escape

from .looks import TONES

WIDTH = 79


class Card:
    """A few labelled lines below a cell, in HTML and as the same plain text.

    ``tone`` is a key of ``looks.TONES``, ``title`` one line (str), ``rows``
    are pairs of a label and a text (str); one without a label belongs to
    the row above. ``code`` and ``strong`` have the labels of texts that are
    code, or weigh more; ``links`` maps labels to where their text leads.
    """

    def __init__(self, tone, title, rows=(), code=(), strong=(), links=()):
        self.tone, self.title, self.rows = tone, title, list(rows)
        self.code, self.strong, self.links = code, strong, dict(links)

    def __repr__(self):
        width = max((len(label) for label, _ in self.rows), default=0)
        lines = [textwrap.fill(f"{TONES[self.tone][0]} {self.title}", WIDTH,
                               subsequent_indent="  ")]
        lines += [textwrap.fill(
            text, WIDTH, initial_indent=f"  {label:<{width}}  ",
            subsequent_indent=" " * (width + 4)) for label, text in self.rows]
        return "\n".join(lines)

    def _repr_html_(self):
        # The ink is the page's own: readable on a light and on a dark one.
        sign, colour = TONES[self.tone]
        rows = "".join(self._row(label, text) for label, text in self.rows)
        return (f'<div style="border-left:4px solid {colour};'
                'padding:2px 0 2px 12px;max-width:52em;line-height:1.5">'
                f"<b>{sign} {escape(self.title)}</b>{rows}</div>")

    def _row(self, label, text):
        shown = escape(text)
        if label in self.code:
            shown = f"<code>{shown}</code>"
        if label in self.strong:
            shown = f"<b>{shown}</b>"
        if label in self.links:
            shown = f'<a href="{escape(self.links[label])}">{shown}</a>'
        if not label:
            return f'<div style="margin-left:2em">{shown}</div>'
        return f"<div><i>{escape(label)}</i> {shown}</div>"


def show(card):
    """Show something below the cell that runs; elsewhere print its text."""
    from IPython import get_ipython

    if get_ipython() is None:
        print(card)
    else:
        from IPython.display import display

        display(card)
