"""What a pooled connection says of itself, whatever its driver."""

from sqlalchemy import exc


def proxy_of(context):
    """The pooled connection that a statement runs on, or None."""
    try:
        proxy = context.root_connection.connection
        proxy.info
        return proxy
    except (AttributeError, NotImplementedError, exc.SQLAlchemyError):
        return None


def state(proxy):
    """``"in transaction"`` or nothing: the driver knows what the server said.

    SQLAlchemy's own idea of a transaction begins earlier: BEGIN goes out
    with the first statement.
    """
    try:
        return "in transaction" * _inside(proxy.driver_connection)
    except Exception:  # a closed connection; never raise into the patient
        return ""


def _inside(driver):
    if hasattr(driver, "is_in_transaction"):  # asyncpg
        return driver.is_in_transaction()
    if hasattr(driver, "pgconn"):  # psycopg
        return driver.info.transaction_status.name not in ("IDLE", "UNKNOWN")
    if hasattr(driver, "get_transaction_status"):  # aiomysql, asyncmy
        return bool(driver.get_transaction_status())
    return driver.in_transaction  # aiosqlite


class FetchedCursor:
    """A server-side cursor whose fetches, which go to the server, are told."""

    def __init__(self, cursor, tell):
        self._cursor, self._tell = cursor, tell

    def __getattr__(self, name):
        value = getattr(self._cursor, name)
        if not name.startswith("fetch"):
            return value

        def fetch(*arguments):
            self._tell("fetch")
            try:
                return value(*arguments)
            finally:
                self._tell("executed")

        return fetch
