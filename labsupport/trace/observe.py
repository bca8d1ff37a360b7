"""Observe an engine: one account, which can be looked at in several ways.

    with observe(engine) as trace:
        await asyncio.gather(*(work(number) for number in range(5)))
    trace.timeline()
"""

import re
from contextlib import contextmanager
from time import perf_counter

from .holders import holders
from .hooks import hooks_of
from .pool_usage import counts, limits, pool_usage, usage
from .queries import queries
from .spans import Fold
from .tasks import current_who
from .timeline import timeline


class Trace:
    """What happened to the connections of an engine in one ``with`` block.

    Every view can be shown, printed and compared: its text holds no time and
    no number that another run would give differently. While the block runs,
    a view shows what happened so far.
    """

    def __init__(self, pool, dialect, idle):
        self._events = []
        self._start, self._idle = limits(pool), idle
        self._dialect = dialect.name
        self._main = current_who()
        self._began, self._seconds = perf_counter(), None

    def _record(self, event):
        self._events.append(event)

    @property
    def seconds(self):
        """How long the block took, or has taken so far (float)."""
        return self._seconds or perf_counter() - self._began

    @property
    def events(self):
        """The events (list of Event), times counted from the block's start.

        Tasks that have no name of their own are called ``task 1``, ``task
        2`` …, connections ``c1``, ``c2`` …, in the order of their coming.
        """
        return self._named()[0]

    def _named(self):
        """The events, and number → name (dict) of the connections."""
        tasks = {None: None, self._main: "main"}
        connections = {None: None}
        named = []
        for event in list(self._events):
            if event.task not in tasks:
                tasks[event.task] = _name(event.task.name, tasks.values())
            if event.connection not in connections:
                connections[event.connection] = f"c{len(connections)}"
            named.append(event._replace(
                at=event.at - self._began, task=tasks[event.task],
                connection=connections[event.connection]))
        return named, connections

    def spans(self, by="task"):
        """The spans (list of Span), a lane for each ``by``.

        ``by`` is ``"task"`` or ``"connection"``; anything else raises
        ValueError.
        """
        return Fold(self.events, by, self.seconds).spans

    def timeline(self, by="task"):
        """Swim lanes: a Figure with a lane for each task or connection."""
        seconds = self.seconds
        return timeline(Fold(self.events, by, seconds), by, seconds)

    def pool(self):
        """A Figure of the pool over time."""
        return pool_usage(self.counts(), self.usage(), self._start,
                          self.seconds)

    def usage(self):
        """How many connections there were, step by step (list of Usage)."""
        events, connections = self._named()
        idle = {connections.get(number, number) for number in self._idle}
        return usage(events, self._start, idle)

    def counts(self):
        """Name → number (dict): requests, connections, statements …"""
        return counts(self.events, self.spans(), self.usage())

    def queries(self):
        """The statements, in the order of sending (a list of Query)."""
        return queries(self.events, self._dialect)

    def holders(self):
        """Who holds a connection now, the longest first (list of Holder)."""
        return holders(self.events, self.seconds, self.usage()[-1].out)

    def __repr__(self):
        found = self.counts()
        return (f"trace of {found['requests']} requests for a connection, "
                f"{found['statements']} statements")


def _name(name, taken):
    """A task's name in a trace: no running number of asyncio's, none twice."""
    if re.fullmatch(r"Task-\d+", name):
        numbered = [other for other in taken
                    if re.fullmatch(r"task \d+", other or "")]
        return f"task {len(numbered) + 1}"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name} ({number})"
    return unique


@contextmanager
def observe(engine):
    """Record what the connections of an AsyncEngine do; gives the Trace.

    Takes an AsyncEngine. Traces may overlap and nest; each sees the tasks of
    all loops. Costs nothing when no trace is open. With a StaticPool all
    tasks hold the same connection, and which of them returns it is not told.
    """
    hooks = hooks_of(engine)
    trace = Trace(engine.pool, engine.dialect, hooks.idle(engine.pool))
    hooks.add(trace._record, engine.pool)
    try:
        yield trace
    finally:
        hooks.remove(trace._record)
        trace._seconds = perf_counter() - trace._began
