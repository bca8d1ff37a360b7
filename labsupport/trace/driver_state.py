"""What a pooled connection says of itself, whatever its driver."""

from functools import partial

from sqlalchemy import exc


def proxy_of(context):
    """The pooled connection that a statement runs on, or None."""
    try:
        return context.root_connection.connection
    except (AttributeError, exc.SQLAlchemyError):
        return None


def state(proxy):
    """``"in transaction"`` or nothing: the driver knows what the server said.

    SQLAlchemy's own idea of a transaction begins earlier: BEGIN goes out
    with the first statement. aiomysql drops what MariaDB says behind rows, so
    it hears of a transaction with the first write.
    """
    try:
        inside = _inside(proxy.driver_connection)
    except Exception:  # a closed connection; never raise into the patient
        return ""
    return "in transaction" if inside else ""


def nothing_to_end(proxy):
    """``"nothing to end"`` where psycopg knows that no transaction is open.

    It may give way to other tasks then, as if it had to wait.
    """
    driver = proxy.driver_connection
    idle = hasattr(driver, "pgconn") \
        and driver.info.transaction_status.name == "IDLE"
    return "nothing to end" if idle else ""


def _inside(driver):
    if hasattr(driver, "is_in_transaction"):  # asyncpg
        return driver.is_in_transaction()
    if hasattr(driver, "pgconn"):  # psycopg
        return driver.info.transaction_status.name not in ("IDLE", "UNKNOWN")
    if hasattr(driver, "get_transaction_status"):  # aiomysql, asyncmy
        return driver.get_transaction_status()
    return driver.in_transaction  # aiosqlite


class FetchedCursor:
    """A server-side cursor: each fetch, which goes to the server, is watched.

    ``watch(fetch, …)`` calls ``fetch(…)`` and returns what it returns. In
    all else this is the cursor.
    """

    def __init__(self, cursor, watch):
        vars(self).update(_cursor=cursor, _watch=watch)

    __class__ = property(lambda self: type(self._cursor))

    def __getattr__(self, name):
        value = getattr(self._cursor, name)
        if not name.startswith("fetch"):
            return value
        return partial(self._watch, value)

    def __setattr__(self, name, value):
        setattr(self._cursor, name, value)

    def __iter__(self):
        return iter(self._cursor)
