"""Rows of endings, a column a driver: as text, and as a table.

A row is a name and its cells; a cell has a ``kind``, a key of ``SIGNS``, and
a ``word``. All rows have the same columns.
"""

import re
from html import escape

from .looks import SIGNS

LEFT = "text-align:left;max-width:9em"


def in_words(name, cells):
    """One row, a line for each cell (str). ``cells``: column → cell."""
    return "\n".join([name] + [f"  {column:<10} {_said(cell)}"
                               for column, cell in cells.items()])


def in_signs(columns, rows):
    """All rows, a sign for each cell, and what the signs mean (str).

    ``columns``: names; ``rows``: name → column → cell.
    """
    width = max(map(len, rows), default=0) + 2
    lines = [" " * width + "  ".join(columns)]
    for name, cells in rows.items():
        lines.append(name.ljust(width) + "  ".join(
            SIGNS[cell.kind][0].center(len(column))
            for column, cell in cells.items()).rstrip())
    return "\n".join([*lines, "", *_legend(rows)])


def in_html(columns, rows):
    """A table: sign, colour and word, readable on any ground (str)."""
    head = "".join(f'<th scope="col" style="{LEFT}">{escape(column)}</th>'
                   for column in columns)
    body = "".join(
        f'<tr><th scope="row" style="{LEFT}">{escape(name)}</th>'
        + "".join(map(_cell, cells.values())) + "</tr>"
        for name, cells in rows.items())
    return (f"<table><caption>{escape(', '.join(_legend(rows)))}</caption>"
            f"<thead><tr><td></td>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>")


def _cell(cell):
    # A long name of a class may break where a new word begins.
    words = re.sub(r"(?<=[a-z.])(?=[A-Z])|(?<=_)", "<wbr>",
                   escape(_said(cell)))
    return (f'<td style="{LEFT};border-left:5px solid '
            f'{SIGNS[cell.kind][1]}">{words}</td>')


def _said(cell):
    return f"{SIGNS[cell.kind][0]} {cell.word}"


def _legend(rows):
    used = {cell.kind for cells in rows.values() for cell in cells.values()}
    return [f"{mark} {meaning}" for kind, (mark, _, meaning) in SIGNS.items()
            if kind in used]
