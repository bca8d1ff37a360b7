"""A fresh database of PostgreSQL."""

import asyncio
import secrets
from dataclasses import dataclass, field

import asyncpg
from sqlalchemy import URL

from ..notebook.progress import progress
from ..servers import ServerError
from ..servers import postgres as server
from ..servers.keeper import Kept
from .shared import Database, first_words, janitor, refusal, shared_url

SHARED = "LAB_POSTGRES_URL"
ROLE = "lab"  # on this kernel's own server: no superuser, owns its databases

_passwords: dict[URL, str] = {}  # of that role, one a server


@dataclass(frozen=True)
class PostgresDatabase(Database):
    """A database of PostgreSQL; ``asyncpg`` and ``psycopg`` are its URLs."""

    asyncpg: URL
    psycopg: URL
    _admin: URL = field(repr=False)
    _janitor: Kept | None = field(repr=False)

    def __str__(self):
        where = "the shared server" if self._janitor else "this kernel's server"
        return f"PostgreSQL: a fresh database on {where}, for an ordinary role"

    async def _holders(self):
        connection = await _connect(self._admin)
        try:
            # Autovacuum has no user, and leaves when asked; a parallel
            # worker has a leader, who counts.
            rows = await connection.fetch(
                "SELECT coalesce(state, 'of another role'), query "
                "FROM pg_stat_activity WHERE datname = $1 "
                "AND usesysid IS NOT NULL AND leader_pid IS NULL",
                self.asyncpg.database)
        finally:
            await connection.close()
        return [f"{state}, its last query: {first_words(query) or 'none'}"
                for state, query in rows]

    async def _remove(self):
        await _drop(self._admin, self.asyncpg.database)
        if self._janitor:
            await asyncio.to_thread(self._janitor.stop)


async def postgres():
    """A fresh PostgresDatabase.

    On the server named by ``LAB_POSTGRES_URL`` if that is set, otherwise on
    a server of this kernel's own. You connect as an ordinary role that owns
    the database. Raises ServerError.
    """
    name = f"lab_{secrets.token_hex(6)}"
    if shared := _shared_url():
        admin = owner = shared
    else:
        with progress("Starting PostgreSQL"):
            admin = (await asyncio.to_thread(server.running)).admin
        owner = await _role(admin)
    connection = await _connect(admin)
    tidy = None
    try:
        # First the janitor: nothing else would drop the database if this
        # kernel is killed.
        tidy = await janitor("postgres", name) if shared else None
        await connection.execute(
            f'CREATE DATABASE "{name}" OWNER "{owner.username}"')
        await connection.execute(
            f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    except BaseException as error:
        if tidy:
            await asyncio.to_thread(tidy.stop)
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            raise ServerError(
                f"The role {owner.username!r} in {SHARED} may not create "
                f'databases: ask for ALTER ROLE "{owner.username}" CREATEDB.'
            ) from None
        raise
    finally:
        await connection.close()
    urls = (_for_driver(owner.set(database=name), driver)
            for driver in ("asyncpg", "psycopg"))
    return PostgresDatabase(*urls, admin, tidy)


async def _role(admin):
    """URL of the ordinary role on this kernel's own server, made if new."""
    password = _passwords.setdefault(admin, secrets.token_urlsafe(18))
    connection = await _connect(admin)
    try:
        await connection.execute(
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        pass  # made by an earlier call, or by one that runs beside this one
    finally:
        await connection.close()
    return admin.set(username=ROLE, password=password)


def _shared_url():
    return shared_url(
        SHARED, "postgresql://user:password@host:5432/database",
        ("postgresql", "postgres"), options=["sslmode"])


async def _connect(url):
    """An asyncpg connection to ``url``; ServerError says what is wrong."""
    dsn = url.set(drivername="postgresql").render_as_string(False)
    where = f"{url.host}:{url.port or 5432}"
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except (asyncpg.InvalidPasswordError,
            asyncpg.InvalidAuthorizationSpecificationError):
        problem = f"{where} refuses user {url.username!r}: check " \
                  "the user and the password"
    except asyncpg.InvalidCatalogNameError:
        problem = f"{where} has no database {url.database!r}: name one " \
                  "that exists, such as postgres"
    except asyncpg.TooManyConnectionsError:
        problem = f"{where} has no connection left: close some, or raise " \
                  "max_connections there"
    except (OSError, asyncio.TimeoutError) as error:
        if "rejected SSL" in str(error):
            problem = f"{where} has no TLS: take sslmode out of the URL"
        else:
            problem = f"no PostgreSQL answers at {where}: start it, or " \
                      "correct the host and the port"
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError,
            OverflowError) as error:
        problem = f"{where} cannot be used ({error})"
    raise refusal(problem, SHARED)


def _for_driver(url, driver):
    """``url`` for one driver; they disagree on the name of the SSL option."""
    query = dict(url.query)
    if driver == "asyncpg" and "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername=f"postgresql+{driver}", query=query)


async def drop_abandoned(name):
    """Drop a database on the shared server, whoever still holds it open."""
    await _drop(_shared_url(), name)


async def _drop(admin, name):
    connection = await _connect(admin)
    try:
        await connection.execute(
            f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()
