"""A fresh database of MariaDB, or of a MySQL that is shared."""

import asyncio
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiomysql
from sqlalchemy import URL

from ..notebook.progress import progress
from ..servers import ServerError
from ..servers import mariadb as server
from ..servers.keeper import Kept
from .shared import Database, first_words, janitor, refusal, shared_url

SHARED = "LAB_MYSQL_URL"
USER = "lab"  # on this kernel's own server: may use its databases alone

_passwords: dict[URL, str] = {}  # of that user, one a server


@dataclass(frozen=True)
class MySQLDatabase(Database):
    """A database of MariaDB; ``aiomysql`` and ``asyncmy`` are its URLs."""

    aiomysql: URL
    asyncmy: URL
    _admin: URL = field(repr=False)
    _janitor: Kept | None = field(repr=False)

    def __str__(self):
        where = "the shared server" if self._janitor else "this kernel's server"
        product = "MySQL" if self._janitor else "MariaDB"
        return f"{product}: a fresh database on {where}, for an ordinary user"

    async def _holders(self):
        async with _connected(self._admin) as run:
            return [_doing(*row) for row in await run(
                "SELECT command, info FROM information_schema.processlist "
                "WHERE db = %s", self.aiomysql.database)]

    async def _remove(self):
        await _drop(self._admin, self.aiomysql.database)
        if self._janitor:
            await asyncio.to_thread(self._janitor.stop)


async def mysql():
    """A fresh MySQLDatabase.

    On the server named by ``LAB_MYSQL_URL`` if that is set, otherwise on a
    MariaDB of this kernel's own. You connect as an ordinary user who may do
    anything in this database. Raises ServerError.
    """
    name = f"lab_{secrets.token_hex(6)}"
    if shared := _shared_url():
        admin = owner = shared
    else:
        with progress("Starting MariaDB"):
            admin = (await asyncio.to_thread(server.running)).admin
        owner = await _user(admin)
    tidy = None
    async with _connected(admin) as run:
        try:
            # First the janitor: nothing else would drop the database if this
            # kernel is killed.
            tidy = await janitor("mysql", name) if shared else None
            await run(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
            if not shared:
                pattern = name.replace("_", r"\_")  # _ is any character here
                await run(f"GRANT ALL ON `{pattern}`.* TO {_account(owner)}")
        except BaseException as error:
            if tidy:
                await asyncio.to_thread(tidy.stop)
            if isinstance(error, aiomysql.OperationalError) \
                    and error.args[0] == 1044:
                raise ServerError(
                    f"The user {owner.username!r} in {SHARED} may not create "
                    r"databases: ask for GRANT ALL ON `lab\_%`.* TO that "
                    "user."
                ) from None
            raise
    urls = (owner.set(drivername=f"mysql+{driver}", database=name)
            for driver in ("aiomysql", "asyncmy"))
    return MySQLDatabase(*urls, admin, tidy)


async def drop_abandoned(name):
    """Drop a database on the shared server, whoever still holds it open."""
    await _drop(_shared_url(), name)


async def _drop(admin, name):
    async with _connected(admin) as run:
        # DROP DATABASE leaves its users connected, to nothing.
        for number, in await run(
                "SELECT id FROM information_schema.processlist "
                "WHERE db = %s", name):
            with suppress(aiomysql.MySQLError):  # it ended meanwhile
                await run(f"KILL {number}")
        if await run("SHOW DATABASES LIKE %s", name.replace("_", r"\_")):
            await run(f"DROP DATABASE `{name}`")


def _doing(command, query):
    """What a connection does, in words."""
    return f"{command}: {first_words(query)}" if query else command


async def _user(admin):
    """URL of the ordinary user on this kernel's own server, made if new."""
    password = _passwords.setdefault(admin, secrets.token_urlsafe(18))
    owner = admin.set(username=USER, password=password)
    async with _connected(admin) as run:
        try:
            await run(
                f"CREATE USER {_account(owner)} IDENTIFIED BY '{password}'")
        except aiomysql.OperationalError as error:
            if error.args[0] != 1396:  # made by an earlier call, or by one
                raise                  # that runs beside this one
    return owner


def _account(url):
    return f"`{url.username}`@`{url.host}`"


def _shared_url():
    return shared_url(SHARED, "mysql://user:password@host:3306",
                      ("mysql", "mariadb"))


@asynccontextmanager
async def _connected(url):
    """A coroutine function that runs one statement and returns its rows.

    Raises ServerError, which says what is wrong with the server at ``url``.
    """
    where = f"{url.host}:{url.port or 3306}"
    try:
        async with asyncio.timeout(10):
            connection = await aiomysql.connect(
                host=url.host, port=url.port or 3306, user=url.username,
                password=url.password or "", autocommit=True)
    except (aiomysql.MySQLError, TimeoutError, RuntimeError, ValueError,
            OverflowError) as error:
        code = error.args[0] if error.args else None
        if code in (1045, 1698):
            problem = f"{where} refuses user {url.username!r}: check " \
                      "the user and the password"
        elif code in (1040, 1203, 1226):
            problem = f"{where} has no connection left: close some, or " \
                      "raise max_connections there"
        elif code == 2003 or isinstance(error, TimeoutError):
            problem = f"no MySQL or MariaDB answers at {where}: start it, " \
                      "or correct the host and the port"
        else:
            problem = f"{where} cannot be used ({error.args[-1]})"
        raise refusal(problem, SHARED) from None

    async def run(statement, *values):
        async with connection.cursor() as cursor:
            await cursor.execute(statement, values or None)
            return await cursor.fetchall()

    try:
        yield run
    finally:
        await connection.ensure_closed()
