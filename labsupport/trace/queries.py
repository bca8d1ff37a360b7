"""Which statements were sent, by which line, and why the ORM sent them."""

import re
import textwrap
from html import escape
from typing import NamedTuple

from ..notebook.stacks import Line

WIDTH = 79


class Query(NamedTuple):
    """One statement: why it was sent, its text on one line, and by whom."""

    origin: str
    sql: str
    task: str = ""
    line: Line | None = None


class Queries(list):
    """The statements (Query) of a trace, in the order of sending."""

    @property
    def selects(self):
        """How many of them are SELECTs (int)."""
        return sum(query.sql.startswith("SELECT") for query in self)

    def __repr__(self):
        plural = "" if len(self) == 1 else "s"
        lines = [f"{len(self)} statement{plural} sent"]
        for number, query in enumerate(self, 1):
            lines.append(f"{number:>3}  {query.origin}")
            for label, words in (("by ", str(query.line or "")),
                                 ("SQL", _short(query.sql))):
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
                f"<code>{escape(_short(query.sql))}</code>")
            for number, query in enumerate(self, 1))
        return (f"<table><caption>statements sent: {len(self)}</caption>"
                + row("th", "no.", "asked for by", "your line", "statement")
                + rows + "</table>")


def queries(events):
    """The Queries among the events of a trace."""
    return Queries(
        Query(event.origin, " ".join(event.detail.split()), event.task,
              event.line)
        for event in events if event.kind == "execute")


def _short(sql):
    """Without the list of columns, which is rarely the point."""
    return re.sub(r"^SELECT .*? FROM ", "SELECT … FROM ", sql)
