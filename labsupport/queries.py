"""Which statements were sent, and why the ORM sent them.

    with record_queries(engine) as queries:
        artists = (await session.scalars(select(Artist))).all()
    print(queries)

Built on public events. The listeners of an engine are installed once and
stay: to remove one while a task is inside that very event breaks the task.
"""

import re
import textwrap
from contextlib import contextmanager
from html import escape
from typing import NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Session

ORIGIN = "labsupport_origin"  # execution option that carries the reason
WIDTH = 79

_open: WeakKeyDictionary = WeakKeyDictionary()  # engine → recordings


class Query(NamedTuple):
    """One statement: why it was sent, and its text on one line."""

    origin: str
    sql: str


class Queries(list):
    """The statements (Query) of one recording, in the order of sending."""

    @property
    def selects(self):
        """How many of them are SELECTs (int)."""
        return sum(query.sql.startswith("SELECT") for query in self)

    def __repr__(self):
        plural = "" if len(self) == 1 else "s"
        lines = [f"{len(self)} statement{plural} sent"]
        for number, query in enumerate(self, 1):
            lines.append(f"{number:>3}  {query.origin}")
            lines.append(textwrap.shorten(
                f"SQL: {_short(query.sql)}", WIDTH - 5, placeholder=" …",
            ).replace("SQL: ", "     ", 1))
        return "\n".join(lines)

    def _repr_html_(self):
        def row(tag, *fields):
            cells = (f'<{tag} style="text-align:left">{field}</{tag}>'
                     for field in fields)
            return f"<tr>{''.join(cells)}</tr>"

        rows = "".join(
            row("td", number, escape(query.origin),
                f"<code>{escape(_short(query.sql))}</code>")
            for number, query in enumerate(self, 1))
        return (f"<table><caption>statements sent: {len(self)}</caption>"
                + row("th", "no.", "asked for by", "statement")
                + rows + "</table>")


@contextmanager
def record_queries(engine):
    """Record what an AsyncEngine sends inside the block, as Queries."""
    sync_engine = engine.sync_engine
    if sync_engine not in _open:
        _open[sync_engine] = []
        event.listen(sync_engine, "before_cursor_execute",
                     _listener(_open[sync_engine]))
    queries = Queries()
    recordings = _open[sync_engine]
    recordings.append(queries)
    try:
        yield queries
    finally:
        # By identity: two recordings may hold equal statements.
        recordings[:] = [one for one in recordings if one is not queries]


def _listener(recordings):
    """The hook of one engine; its options engines share it."""
    def sent(_connection, _cursor, statement, _parameters, context, _many):
        query = Query(_origin(context), " ".join(statement.split()))
        for queries in recordings:
            queries.append(query)

    return sent


def _origin(context):
    """What asked for the statement that ``context`` is about to execute."""
    if context is None:
        return "your statement"
    wrote = context.isinsert or context.isupdate or context.isdelete
    return context.execution_options.get(
        ORIGIN, "write" if wrote else "your statement")


@event.listens_for(Session, "do_orm_execute")
def _note_origin(state):
    """Write on an ORM statement why it is sent; the option travels along."""
    origin = "your statement"
    path = state.loader_strategy_path
    if state.is_relationship_load:
        origin = ("lazy load of " if state.lazy_loaded_from is not None
                  else "eager load of ") + _attribute(path)
    elif state.is_column_load:
        origin = f"refresh of {state.bind_mapper.class_.__name__}"
    state.update_execution_options(**{ORIGIN: origin})


def _attribute(path):
    """``Artist.albums`` from the path of a loader."""
    return str(path.path[-1])


def _short(sql):
    """Without the list of columns, which is rarely the point."""
    return re.sub(r"^SELECT .*? FROM ", "SELECT … FROM ", sql)
