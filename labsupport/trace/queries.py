"""Which statements were sent, by which line, and why the ORM sent them."""

import textwrap
from html import escape
from typing import NamedTuple

from ..notebook.stacks import Line
from .rows import Rows
from .statements import is_select, without_columns

WIDTH = 79


class Query(NamedTuple):
    """One statement: why it was sent, its text on one line, and by whom.

    ``select`` says whether it is a SELECT; ``short`` is its text without
    the list of columns.
    """

    origin: str
    sql: str
    task: str
    line: Line | None
    select: bool
    short: str


class Queries(Rows):
    """The statements (Query) of a trace, in the order of sending."""

    @property
    def selects(self):
        """How many of them are SELECTs (int)."""
        return [query.select for query in self].count(True)

    def __repr__(self):
        plural = "" if len(self) == 1 else "s"
        lines = [f"{len(self)} statement{plural} sent"]
        for number, query in enumerate(self, 1):
            lines.append(f"{number:>3}  {query.origin}")
            for label, words in (("by ", str(query.line or "")),
                                 ("SQL", query.short)):
                if words:
                    lines.append(textwrap.shorten(
                        f"{label}: {words}", WIDTH - 5, placeholder=" …",
                    ).replace(f"{label}: ", f"     {label}  ", 1))
        return "\n".join(lines)

    def _repr_html_(self):
        def row(tag, *fields):
            cells = (f'<{tag} style="text-align:left">{field}</{tag}>'
                     for field in fields)
            return f"<tr>{''.join(cells)}</tr>"

        rows = "".join(
            row("td", number, escape(query.origin),
                f"<code>{escape(str(query.line or ''))}</code>",
                f"<code>{escape(query.short)}</code>")
            for number, query in enumerate(self, 1))
        return (f"<table><caption>statements sent: {len(self)}</caption>"
                + row("th", "no.", "asked for by", "your line", "statement")
                + rows + "</table>")


def queries(events, dialect):
    """The Queries among the events of a trace; ``dialect`` is its name."""
    return Queries(
        Query(event.origin, _on_one_line(event.detail), event.task,
              event.line, is_select(event.detail, dialect),
              _on_one_line(without_columns(event.detail, dialect)))
        for event in events if event.kind == "execute")


def _on_one_line(sql):
    return " ".join(sql.split())
