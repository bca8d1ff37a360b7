"""Whom an event counts for: a task by name, with none of SQLAlchemy's own."""

import asyncio
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Session

from .sqlalchemy_private import ends_session_begin


class Who:
    """A task by name. Not the task: that would keep all it holds alive."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


_who = WeakKeyDictionary()  # task → Who
_here = ContextVar("labsupport_who", default=None)  # the Who of this context


def current_who():
    """The running task's Who, or None outside a task.

    SQLAlchemy leaves ``async with Session.begin()`` in a task of its own,
    which flushes and commits: that work counts for the task that waits, of
    whose context SQLAlchemy's task has a copy.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    if task is None:
        return None
    who = _who.get(task)
    if who is None:
        if ends_session_begin(task):
            who = _here.get()
        who = _who[task] = who or Who(task.get_name())
        _here.set(who)
    return who


def know_sessions():
    """From now on, know the task of a session that has sent nothing yet."""
    if not event.contains(Session, "after_transaction_create", _begun):
        event.listen(Session, "after_transaction_create", _begun)


def _begun(_session, _transaction):
    current_who()
