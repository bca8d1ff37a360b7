"""What is sent on an engine's connections, as its dialect sends it."""

from sqlalchemy.util.concurrency import in_greenlet

from ..notebook.stacks import running_line
from . import origins
from .driver_state import FetchedCursor, nothing_to_end, proxy_of, state
from .sqlalchemy_private import is_server_side, watch_cursor
from .tasks import current_who


def refused(dialect):
    """Whether SQLAlchemy will raise MissingGreenlet, and nothing is sent."""
    return dialect.is_async and not in_greenlet()


class Traffic:
    """Tells the Hooks of an engine about pings, statements and their ends."""

    def __init__(self, hooks, dialect):
        self._hooks, self._dialect = hooks, dialect

    def wrappers(self):
        """Name of a dialect's method, and the wrapper for it (pairs)."""
        yield "do_ping", self._pinging
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            yield name, self._executing
        yield "do_commit", self._ending("commit")
        yield "do_rollback", self._ending("rollback")

    def _pinging(self, ping):
        def wrapper(*arguments, **options):
            if refused(self._dialect):
                return ping(*arguments, **options)
            task = current_who()
            self._hooks.tell("ping", task)
            try:
                return ping(*arguments, **options)
            finally:
                self._hooks.tell("pinged", task)

        return wrapper

    def _executing(self, execute):
        def wrapper(cursor, statement, *rest, **options):
            context = options.get("context", rest[-1] if rest else None)
            proxy = proxy_of(context)
            connection = self._hooks.label(proxy)
            # The dialect looks at a new connection, or nothing is sent.
            if connection is None or refused(self._dialect):
                return execute(cursor, statement, *rest, **options)
            task = current_who() or self._hooks.holders.get(connection)
            self._hooks.tell("execute", task, connection, statement,
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
            if refused(self._dialect):
                return fetch(*arguments, **options)
            task = current_who() or self._hooks.holders.get(connection)
            self._hooks.tell("fetch", task, connection)
            return self._run(task, connection, proxy_of(context), "executed",
                             fetch, *arguments, **options)

        return wrapper

    def _ending(self, kind):
        def wrapper_of(end):
            def wrapper(proxy):
                connection = self._hooks.label(proxy)
                if connection is None:
                    return end(proxy)
                task = self._hooks.holders.get(connection)
                self._hooks.tell(kind, task, connection,
                                 nothing_to_end(proxy))
                return self._run(task, connection, proxy, "ended", end, proxy)

            return wrapper

        return wrapper_of

    def _run(self, task, connection, proxy, after, method, *arguments,
             **options):
        """Call ``method``; tell its error, and the state ``after`` it."""
        try:
            return method(*arguments, **options)
        except BaseException as error:
            self._hooks.tell("error", task, connection, type(error).__name__)
            raise
        finally:
            self._hooks.tell(after, task, connection, state(proxy))
