"""What happens to the connections of an engine, as a stream of Events.

Two kinds of hooks. Pool events (checkout, checkin, close …) are SQLAlchemy's
own and stay once they are there: to remove a listener while a task is inside
that very event breaks the task. What has no event, or only one that slows
every statement for good, is seen by wrapping public methods on this engine's
own pool and dialect: ``Pool.connect`` (a request, and how it ends), the
driver's ``connect`` (the event ``do_connect`` misses an ``async_creator``),
and what ``traffic`` wraps. The wrappers come with the first trace and go with
the last, so an engine that nobody observes costs next to nothing.
(What ORM statements pay once something has been observed: see ``origins``.)
"""

import asyncio
from contextvars import ContextVar
from time import perf_counter

from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

from ..notebook.stacks import running_line
from . import origins
from .events import FAILED, Event, turn
from .sqlalchemy_private import entries_in
from .tasks import current_who, know_sessions
from .traffic import Traffic, refused
from .wrapping import Wrapping

LABEL = "labsupport_label"  # in the info of a connection: its number
HOOKS = "labsupport_hooks"  # attribute of a dialect
REQUEST = ("request", "connecting", "checkout", "dispose", *FAILED)
# True where a connection is made that is not for the pool, but for a gauge.
UNTOLD = ContextVar("labsupport_untold", default=False)


class Hooks:
    """The hooks of one engine.

    Each of ``sinks`` is called with each Event, each of ``counters`` with
    the kind and the Who of those of a request: that costs next to nothing.
    """

    def __init__(self, pool, dialect):
        self.sinks, self.counters = [], []
        self._dialect = dialect
        self._requests, self._rest = Wrapping(), Wrapping()
        self._asking = set()  # the Whos that have asked for a connection
        self.holders = {}  # connection → the Who that checked it out
        self._connections = 0
        for name, listener in (
            ("checkout", self._checked_out), ("checkin", self._returned),
            ("close", lambda _, record: self._left("close", record)),
            ("detach", lambda _, record: self._left("detach", record)),
            ("invalidate", self._invalidated),
        ):
            event.listen(pool, name, listener)
        know_sessions()

    def count(self, counter, pool):
        """Call ``counter`` with kind and Who of what a request goes through.

        ``pool`` is the engine's present one: dispose() changes it.
        """
        self._watch_requests(pool)
        self.counters.append(counter)

    def add(self, sink, pool):
        """Call ``sink`` with every Event from now on."""
        self._watch_requests(pool)
        if not self._rest:
            for name, wrapper in Traffic(self, self._dialect).wrappers():
                self._rest.wrap(self._dialect, name, wrapper)
        self.sinks.append(sink)
        origins.want(self)

    def idle(self, pool):
        """The numbers (set of int) of a pool's idle connections.

        Without the places in it whose connection was thrown away.
        """
        if not isinstance(pool, QueuePool):
            return set()
        return {self.label(entry) for entry in entries_in(pool)
                if entry.dbapi_connection is not None}

    def remove(self, sink):
        """Call ``sink``, or counter, no more; unwrap what nobody needs."""
        for sinks in (self.sinks, self.counters):
            if sink in sinks:
                sinks.remove(sink)
        if not self.sinks:
            self._rest.unwrap()
            self.holders.clear()
            origins.want_no_more(self)
            if not self.counters:
                self._requests.unwrap()

    def _watch_requests(self, pool):
        if not self._requests:
            self._wrap_pool(pool)
            # A creator of the reader's own calls the driver's connect, too.
            dialect = self._dialect
            self._requests.wrap(
                dialect.loaded_dbapi if dialect.is_async else dialect,
                "connect", self._connecting)

    def _wrap_pool(self, pool):
        self._requests.wrap(pool, "connect", self._requesting)
        self._requests.wrap(pool, "recreate", self._recreating)

    def _recreating(self, recreate):
        def wrapper():  # by engine.dispose(): a new pool takes over
            pool = recreate()
            self._wrap_pool(pool)
            self.tell("dispose", None)
            return pool

        return wrapper

    def _requesting(self, connect):
        def wrapper():
            task = current_who()
            self._asking.add(task)
            self.tell("request", task)
            try:
                proxy = connect()
            except BaseException as error:
                self.tell(_ending_of(error), task,
                          detail=type(error).__name__)
                raise
            finally:
                self._asking.discard(task)
            self._tell_checkout(task, proxy)
            return proxy

        return wrapper

    def _connecting(self, connect):
        def wrapper(*arguments, **options):
            task = current_who()
            if UNTOLD.get() or refused(self._dialect):
                return connect(*arguments, **options)
            self.tell("connecting", task)
            connection = connect(*arguments, **options)
            self.tell("connected", task)
            return connection

        return wrapper

    def _checked_out(self, _dbapi_connection, _record, proxy):
        task = current_who()
        if task not in self._asking:  # since before anybody observed
            self._tell_checkout(task, proxy)

    def _tell_checkout(self, task, proxy):
        if self.sinks:
            connection = self.label(proxy)
            self.holders[connection] = task
            self.tell("checkout", task, connection, line=running_line())
        else:
            self.tell("checkout", task)

    def _returned(self, dbapi_connection, record):
        if dbapi_connection is not None:  # else it is closed, and was told
            self._left("checkin", record)

    def _left(self, kind, record):
        # Not the running task: "async with" closes in a task of its own.
        if self.sinks:
            connection = self.label(record)
            holder = self.holders.pop(connection, None) or self._replacing()
            self.tell(kind, holder, connection)

    def _invalidated(self, _dbapi_connection, record, error):
        if self.sinks:
            connection = self.label(record)
            holder = self.holders.get(connection) or self._replacing()
            self.tell("invalidate", holder, connection,
                      type(error).__name__ if error else "")

    def _replacing(self):
        """Whose request throws away a connection that nobody holds."""
        who = current_who()
        return who if who in self._asking else None

    def label(self, pooled):
        """The number of a pooled connection; None for one in the making."""
        try:
            info = pooled.info
        except (AttributeError, NotImplementedError):
            return None
        if LABEL not in info:
            self._connections += 1
            info[LABEL] = self._connections
        return info[LABEL]

    def tell(self, kind, task, connection=None, detail="", origin="",
             line=None):
        """Tell what happened to those who want to know."""
        if kind in REQUEST:
            for counter in self.counters:
                counter(kind, task)
        if self.sinks:
            happened = Event(perf_counter(), turn(), kind, task, connection,
                             detail, origin, line)
            for sink in self.sinks:
                sink(happened)


def _ending_of(error):
    """How a request ended that got no connection."""
    if isinstance(error, exc.TimeoutError):
        return "timeout"
    return ("cancelled" if isinstance(error, asyncio.CancelledError)
            else "failed")


def hooks_of(engine):
    """The Hooks of an AsyncEngine or Engine, installed on the first call.

    They live with the dialect, which an engine shares with its options
    engines (``engine.execution_options(…)``).
    """
    engine = getattr(engine, "sync_engine", engine)
    known = vars(engine.dialect)
    if HOOKS not in known:
        known[HOOKS] = Hooks(engine.pool, engine.dialect)
    return known[HOOKS]
