"""What happens to the connections of an engine, as a stream of Events.

Two kinds of hooks. Pool events (checkin, close, detach, invalidate) are
SQLAlchemy's own and stay once they are there: to remove a listener while a
task is inside that very event breaks the task. What has no event, or only
one that slows every statement for good, is seen by wrapping public methods
on this engine's own pool and dialect: ``Pool.connect`` (a request, and how
it ends), the driver's ``connect``, ``do_ping``, ``do_execute`` and its two
sisters, ``do_commit``, ``do_rollback``. The wrappers come with the first
trace and go with the last, so an engine that nobody observes costs nothing.
(What ORM statements pay once something has been observed: see ``origins``.)
"""

import asyncio
from time import perf_counter

from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool
from sqlalchemy.util.concurrency import in_greenlet

from ..notebook.stacks import running_line
from . import origins
from .driver_state import FetchedCursor, proxy_of, state
from .events import FAILED, Event, turn
from .sqlalchemy_private import entries_in, is_server_side, watch_cursor
from .tasks import current_who, know_sessions
from .wrapping import Wrapping

LABEL = "labsupport_label"  # in the info of a connection: its number
HOOKS = "labsupport_hooks"  # attribute of a dialect
REQUEST = ("request", "connecting", "checkout", "dispose", *FAILED)


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
        self._holders = {}  # connection → the Who that checked it out
        self._connections = 0
        for name, listener in (
            ("checkin", self._returned),
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
            for name, wrapper in (
                ("do_ping", self._pinging), ("do_execute", self._executing),
                ("do_executemany", self._executing),
                ("do_execute_no_params", self._executing),
                ("do_commit", self._ending("commit")),
                ("do_rollback", self._ending("rollback")),
            ):
                self._rest.wrap(self._dialect, name, wrapper)
        self.sinks.append(sink)
        origins.want(self)

    def idle(self, pool):
        """The numbers (set of int) of a pool's idle connections.

        Without the places in it whose connection was thrown away.
        """
        if not isinstance(pool, QueuePool):
            return set()
        return {self._label(entry) for entry in entries_in(pool)
                if entry.dbapi_connection is not None}

    def remove(self, sink):
        """Call ``sink``, or counter, no more; unwrap what nobody needs."""
        for sinks in (self.sinks, self.counters):
            if sink in sinks:
                sinks.remove(sink)
        if not self.sinks:
            self._rest.unwrap()
            self._holders.clear()
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
            self._tell("dispose", None)
            return pool

        return wrapper

    def _requesting(self, connect):
        def wrapper():
            task = current_who()
            self._asking.add(task)
            self._tell("request", task)
            try:
                proxy = connect()
            except BaseException as error:
                self._tell(_ending_of(error), task,
                           detail=type(error).__name__)
                raise
            finally:
                self._asking.discard(task)
            if self.sinks:
                connection = self._label(proxy)
                self._holders[connection] = task
                self._tell("checkout", task, connection, line=running_line())
            else:
                self._tell("checkout", task)
            return proxy

        return wrapper

    def _connecting(self, connect):
        def wrapper(*arguments, **options):
            task = current_who()
            # The pool's gauge connects in the same way, for itself.
            if task not in self._asking or self._refused():
                return connect(*arguments, **options)
            self._tell("connecting", task)
            connection = connect(*arguments, **options)
            self._tell("connected", task)
            return connection

        return wrapper

    def _refused(self):
        """Whether SQLAlchemy is about to raise MissingGreenlet.

        Then nothing is sent.
        """
        return self._dialect.is_async and not in_greenlet()

    def _pinging(self, ping):
        def wrapper(*arguments, **options):
            if self._refused():
                return ping(*arguments, **options)
            task = current_who()
            self._tell("ping", task)
            try:
                return ping(*arguments, **options)
            finally:
                self._tell("pinged", task)

        return wrapper

    def _executing(self, execute):
        def wrapper(cursor, statement, *rest, **options):
            context = options.get("context", rest[-1] if rest else None)
            proxy = proxy_of(context)
            connection = self._label(proxy)
            # The dialect looks at a new connection, or nothing is sent.
            if connection is None or self._refused():
                return execute(cursor, statement, *rest, **options)
            task = current_who() or self._holders.get(connection)
            self._tell("execute", task, connection, statement,
                       origins.origin(context), running_line())
            result = self._run(task, connection, proxy, "executed",
                               execute, cursor, statement, *rest, **options)
            if is_server_side(context):
                watch_cursor(context, FetchedCursor(
                    cursor, self._fetching(connection, context)))
            return result

        return wrapper

    def _fetching(self, connection, context):
        def wrapper(fetch, *arguments, **options):
            if self._refused():
                return fetch(*arguments, **options)
            task = current_who() or self._holders.get(connection)
            self._tell("fetch", task, connection)
            return self._run(task, connection, proxy_of(context), "executed",
                             fetch, *arguments, **options)

        return wrapper

    def _ending(self, kind):
        def wrapper_of(end):
            def wrapper(proxy):
                connection = self._label(proxy)
                if connection is None:
                    return end(proxy)
                task = self._holders.get(connection)
                self._tell(kind, task, connection)
                return self._run(task, connection, proxy, "ended", end, proxy)

            return wrapper

        return wrapper_of

    def _run(self, task, connection, proxy, after, method, *arguments,
             **options):
        """Call ``method``; tell its error, and the state ``after`` it."""
        try:
            return method(*arguments, **options)
        except BaseException as error:
            self._tell("error", task, connection, type(error).__name__)
            raise
        finally:
            self._tell(after, task, connection, state(proxy))

    def _returned(self, dbapi_connection, record):
        if dbapi_connection is not None:  # else it is closed, and was told
            self._left("checkin", record)

    def _left(self, kind, record):
        # Not the running task: "async with" closes in a task of its own.
        if self.sinks:
            connection = self._label(record)
            holder = self._holders.pop(connection, None) or self._replacing()
            self._tell(kind, holder, connection)

    def _invalidated(self, _dbapi_connection, record, error):
        if self.sinks:
            connection = self._label(record)
            holder = self._holders.get(connection) or self._replacing()
            self._tell("invalidate", holder, connection,
                       type(error).__name__ if error else "")

    def _replacing(self):
        """Whose request throws away a connection that nobody holds."""
        who = current_who()
        return who if who in self._asking else None

    def _label(self, pooled):
        """The number of a pooled connection; None for one in the making."""
        try:
            info = pooled.info
        except (AttributeError, NotImplementedError):
            return None
        if LABEL not in info:
            self._connections += 1
            info[LABEL] = self._connections
        return info[LABEL]

    def _tell(self, kind, task, connection=None, detail="", origin="",
              line=None):
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
