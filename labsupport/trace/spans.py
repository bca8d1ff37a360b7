"""Fold the events of a trace into spans: who waited, executed, held, when."""

import re
from itertools import groupby
from typing import NamedTuple

from ..drawing.looks import (
    CHECKED_OUT,
    CLOSING,
    CONNECTING,
    ENDING,
    EXECUTING,
    IN_POOL,
    IN_TRANSACTION,
    PINGING,
    WAITING,
)
from .events import FAILED

# What a task is seen doing if its connections are in several states at once.
_BUSIEST = (EXECUTING, ENDING, IN_TRANSACTION, CHECKED_OUT)
_LEAVES = {"checkin": "returned", "close": "closed", "detach": "detached",
           "invalidate": "invalidated"}


class Span(NamedTuple):
    """A state from ``start`` to ``end``, in seconds since the trace began.

    ``turns`` of the event loop passed; in a span of none, nobody waited.
    ``connection`` is its name, or empty.
    """

    lane: str
    state: str
    start: float
    end: float
    turns: int
    connection: str


class Mark(NamedTuple):
    """Something that happened in a lane at one moment."""

    lane: str
    kind: str
    at: float


class _Connection:
    """Where one connection is, who holds it, and what runs on it."""

    def __init__(self, name):
        self.name, self.holder = name, None
        self.out = self.in_transaction = False
        self.ending = []  # the commits and rollbacks (Event) that run
        self.former = False  # of a pool that was disposed of
        self.gone = False
        self.running = {}  # task → whether it has had the connection alone

    @property
    def state(self):
        """What a lane of its own shows, or None."""
        if self.running:
            return EXECUTING
        return self.held_as if self.out else None if self.gone else IN_POOL

    @property
    def held_as(self):
        """What the lane of its holder shows."""
        if self.ending:
            return ENDING
        return IN_TRANSACTION if self.in_transaction else CHECKED_OUT

    def share(self):
        """Somebody does something while statements run."""
        self.running = dict.fromkeys(self.running, False)


class Fold:
    """Goes through the events once; gives ``spans`` and ``marks``.

    Takes events (Event, with ``task`` and ``connection`` as names), ``by``
    (``"task"`` or ``"connection"``: what gets a lane) and the end of the
    trace in seconds.
    """

    def __init__(self, events, by, end):
        if by not in ("task", "connection"):
            raise ValueError(f"by is 'task' or 'connection', not {by!r}.")
        self.spans, self.marks = [], []
        self._by_task = by == "task"
        self._connections = {}
        self._requests = {}  # task → what its request is doing
        self._now = {}  # lane → (state, since, turn, connection)
        self._new = {}  # task → the event with which its connecting began
        for event in events:
            self._take(event)
        for lane, (_, _, turn, _) in list(self._now.items()):
            self._show(lane, None, "", end, turn + 1)
        for connection in self._connections.values():
            for began in connection.ending:  # to this moment
                self._mark(began.task, connection, began.kind, began.at)

    def _take(self, event):
        kind, task = event.kind, event.task
        connection = self._known(event)
        if kind in ("request", "ping", "connecting", "pinged"):
            self._request(event)
        elif kind in FAILED:
            self._requests.pop(task, None)
            self._new.pop(task, None)
            self._mark(task, None, kind, event.at)
        elif kind == "dispose":
            self._dispose(event)
        elif kind == "checkout":
            self._check_out(event, connection)
        elif kind in ("execute", "fetch"):
            self._begin(task, connection)
        elif kind == "executed":
            if not connection.running.pop(task, True):
                self._mark(task, connection, "shared", event.at)
            connection.in_transaction = bool(event.detail)
        elif kind in ("commit", "rollback"):
            connection.share()
            connection.ending.append(event)
        elif kind == "ended":
            self._end(event, connection)
        elif kind == "error":
            if connection:
                connection.ending = [began._replace(turn=None)
                                     for began in connection.ending]
            self._mark(task, connection, "error", event.at)
        elif kind in _LEAVES:
            self._leave(event, connection)
        for lane in {task, getattr(connection, "holder", None)} - {None}:
            if self._by_task:
                self._show(lane, *self._doing(lane), event.at, event.turn)
        if connection and not self._by_task:
            self._show(connection.name, connection.state, connection.name,
                       event.at, event.turn)

    def _request(self, event):
        state = {"request": WAITING, "pinged": WAITING, "ping": PINGING,
                 "connecting": CONNECTING}[event.kind]
        self._requests[event.task] = state
        if event.kind == "connecting":
            self._new[event.task] = event

    def _check_out(self, event, connection):
        self._requests.pop(event.task, None)
        new = self._new.pop(event.task, None)
        if new and not self._by_task:  # now its name is known
            self.spans.append(Span(connection.name, CONNECTING, new.at,
                                   event.at, event.turn - new.turn,
                                   connection.name))
        connection.out, connection.holder = True, event.task
        connection.in_transaction = connection.gone = False

    def _begin(self, task, connection):
        """A statement: is its task alone with the connection?"""
        alone = not connection.running and task == (connection.holder or task)
        connection.share()
        connection.running[task] = alone

    def _end(self, event, connection):
        """A commit or rollback is over; was anything sent for it?

        SQLAlchemy asks for more of them than a transaction has: it rolls
        back at the end of a session, and as the connection returns. A driver
        with no transaction open answers at once.
        """
        if connection.ending:  # else it began before the trace
            began = connection.ending.pop()
            if began.turn != event.turn and not began.detail:
                self._mark(began.task, connection, began.kind, began.at)
        connection.in_transaction = bool(event.detail)

    def _leave(self, event, connection):
        kind, holder, asks = event.kind, connection.holder, \
            event.task in self._requests
        word = _LEAVES[kind]
        if connection.out:
            self._mark(holder, connection, word, event.at)
        elif not self._by_task or asks and kind == "invalidate":
            self._mark(event.task, connection, word, event.at)
        if asks:  # the old one goes first
            self._requests[event.task] = CLOSING
        connection.share()
        connection.out, connection.holder = False, None
        connection.gone = kind != "checkin" or connection.former
        if self._by_task and holder:
            self._show(holder, *self._doing(holder), event.at, event.turn)

    def _dispose(self, event):
        """The pool is no more: what is out does not come back to it."""
        for connection in self._connections.values():
            connection.former = True
            connection.gone = connection.gone or not connection.out
            if not self._by_task:
                self._show(connection.name, connection.state, connection.name,
                           event.at, event.turn)

    def _known(self, event):
        name = event.connection
        if not name:
            return None
        if name not in self._connections:
            found = self._connections[name] = _Connection(name)
            idle = event.task in self._requests  # and is replaced
            if event.kind not in ("checkout", "close") and not idle:
                found.out, found.holder = True, event.task
        return self._connections[name]

    def _doing(self, task):
        """State (or None) and connection of a task."""
        if task in self._requests:
            return self._requests[task], ""
        states = {}
        for one in self._connections.values():
            if task in one.running:
                states.setdefault(EXECUTING, one.name)
            elif task == one.holder:
                states.setdefault(one.held_as, one.name)
        return next(((state, states[state]) for state in _BUSIEST
                     if state in states), (None, ""))

    def _show(self, lane, state, connection, at, turn):
        before, since, since_turn, name = self._now.get(
            lane, (None, at, turn, ""))
        if before == state and (name == connection or not connection):
            return
        if before:
            self.spans.append(Span(lane, before, since, at,
                                   turn - since_turn, name))
        self._now[lane] = state, at, turn, connection
        if state is None:
            del self._now[lane]

    def _mark(self, task, connection, kind, at):
        lane = task if self._by_task else getattr(connection, "name", None)
        if lane:
            self.marks.append(Mark(lane, kind, at))


def story(fold):
    """Lane → the words (list of str) for what it went through, in order.

    Without times, and without spans in which nobody waited: the same from
    run to run as long as the work is.
    """
    parts = {}
    for span in fold.spans:
        if span.turns and span.state not in (ENDING, CLOSING):  # marks do
            parts.setdefault(span.lane, []).append((span.start, 1, span.state))
    for mark in fold.marks:
        parts.setdefault(mark.lane, []).append((mark.at, 0, mark.kind))
    return {lane: _folded(word for *_, word in
                          sorted(parts[lane], key=lambda part: part[:2]))
            for lane in sorted(parts, key=natural)}


def _folded(words):
    runs = ((word, len(list(run))) for word, run in groupby(words))
    return [word if times == 1 else f"{word} ×{times}"
            for word, times in runs]


def natural(name):
    """Sort key that puts ``task 10`` after ``task 9``, and ``main`` first."""
    return [not name.startswith("main"),
            [(int(part), "") if part.isdigit() else (-1, part)
             for part in re.split(r"(\d+)", name)]]
