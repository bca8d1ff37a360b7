"""A fresh database of PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
from sqlalchemy import URL

from ..servers import postgres as server
from .shared import ServerDatabase, first_words

PORT = 5432
SHARED = "LAB_POSTGRES_URL"


@dataclass(frozen=True)
class PostgresDatabase(ServerDatabase):
    """A database of PostgreSQL; ``asyncpg`` and ``psycopg`` are its URLs."""

    asyncpg: URL
    psycopg: URL

    KIND = "postgres"
    OWN = server.product
    PORT = PORT
    SHARED = SHARED
    EXAMPLE = "postgresql://user:password@host:5432/database"
    BACKENDS = ("postgresql", "postgres")
    OPTIONS = ("sslmode",)
    DRIVERS = ("asyncpg", "psycopg")
    RIGHT = 'ALTER ROLE "{user}" CREATEDB'

    def __str__(self):
        return f"PostgreSQL: a fresh database on {self._where}, for an " \
               "ordinary role"

    @staticmethod
    @asynccontextmanager
    async def connected(url):
        connection = await _connect(url)
        try:
            yield connection.fetch
        finally:
            await connection.close()

    @staticmethod
    async def make_user(run, user, host, password):
        # Another call, earlier or beside this one, may have made it.
        with suppress(asyncpg.DuplicateObjectError,
                      asyncpg.UniqueViolationError):
            await run(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")

    @staticmethod
    async def make(run, name, owner, shared):
        await run(f'CREATE DATABASE "{name}" OWNER "{owner.username}"')
        await run(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')

    @staticmethod
    async def remove(run, name):
        drop = f'DROP DATABASE IF EXISTS "{name}"'
        try:
            await run(f"{drop} WITH (FORCE)")
        except asyncpg.InsufficientPrivilegeError:
            # Autovacuum is in it, which an ordinary role may not force out.
            # A plain DROP sends it away, and nobody else.
            await run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                      "WHERE datname = $1 AND usename = current_user", name)
            await run(drop)

    @staticmethod
    async def holders(run, name):
        # Autovacuum has no user, and leaves when asked; a parallel worker
        # has a leader, who counts.
        rows = await run(
            "SELECT coalesce(state, 'of another role'), query "
            "FROM pg_stat_activity WHERE datname = $1 "
            "AND usesysid IS NOT NULL AND leader_pid IS NULL", name)
        return [f"{state}, its last query: {first_words(query) or 'none'}"
                for state, query in rows]

    @staticmethod
    def denied(error):
        return isinstance(error, asyncpg.InsufficientPrivilegeError)

    @staticmethod
    def for_driver(url, driver):
        query = dict(url.query)
        if driver == "asyncpg" and "sslmode" in query:
            query["ssl"] = query.pop("sslmode")  # its name for it
        return url.set(drivername=f"postgresql+{driver}", query=query)


async def postgres():
    """A fresh PostgresDatabase.

    On the server named by ``LAB_POSTGRES_URL`` if that is set, otherwise on
    a server of this kernel's own. You connect as an ordinary role that owns
    the database. Raises ServerError.
    """
    return await PostgresDatabase.create()


async def _connect(url):
    """An asyncpg connection to ``url``; ServerError says what is wrong."""
    dsn = url.set(drivername="postgresql").render_as_string(False)
    where = f"{url.host}:{url.port or PORT}"
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except asyncpg.InvalidPasswordError:
        problem = f"{where} refuses user {url.username!r}: check " \
                  "the user and the password"
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        problem = f"{where} lets user {url.username!r} not in ({error}): " \
                  "ask who runs it for an entry in pg_hba.conf"
    except asyncpg.InvalidCatalogNameError:
        problem = f"{where} has no database {url.database or url.username!r}"\
                  ": name one that exists, such as postgres"
    except asyncpg.TooManyConnectionsError:
        problem = f"{where} has no connection left: close some, or raise " \
                  "max_connections there"
    except (OSError, asyncio.TimeoutError) as error:
        if "rejected SSL" not in str(error):
            raise PostgresDatabase.silent(
                f"no PostgreSQL answers at {where}") from None
        if "sslmode" in url.query:
            problem = f"{where} has no TLS: take sslmode out of the URL"
        else:
            problem = f"what answers at {where} is no PostgreSQL: correct " \
                      "the host and the port"
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError,
            OverflowError) as error:
        problem = f"{where} cannot be used ({error})"
    raise PostgresDatabase.refusal(problem)
