"""A fresh database of MariaDB, or of a MySQL that is shared."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiomysql
from sqlalchemy import URL

from ..servers import mariadb as server
from .shared import ServerDatabase, first_words

PORT = 3306
SHARED = "LAB_MYSQL_URL"


@dataclass(frozen=True)
class MySQLDatabase(ServerDatabase):
    """A database of MariaDB; ``aiomysql`` and ``asyncmy`` are its URLs."""

    aiomysql: URL
    asyncmy: URL

    KIND = "mysql"
    OWN = server.product
    PORT = PORT
    SHARED = SHARED
    EXAMPLE = "mysql://user:password@host:3306"
    BACKENDS = ("mysql", "mariadb")
    DRIVERS = ("aiomysql", "asyncmy")
    RIGHT = r"GRANT ALL ON `lab\_%`.* TO that user"

    def __str__(self):
        product = "MySQL" if self.is_shared else "MariaDB"
        return f"{product}: a fresh database on {self._where}, for an " \
               "ordinary user"

    @staticmethod
    @asynccontextmanager
    async def connected(url):
        connection = await _connect(url)

        async def run(statement, *values):
            async with connection.cursor() as cursor:
                await cursor.execute(statement, values or None)
                return await cursor.fetchall()

        try:
            yield run
        finally:
            await connection.ensure_closed()

    @staticmethod
    async def make_user(run, user, host, password):
        try:
            await run(
                f"CREATE USER `{user}`@`{host}` IDENTIFIED BY '{password}'")
        except aiomysql.OperationalError as error:
            if error.args[0] != 1396:  # made by an earlier call, or by one
                raise                  # that runs beside this one

    @staticmethod
    async def make(run, name, owner, shared):
        await run(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        if not shared:
            await run(f"GRANT ALL ON `{_literally(name)}`.* "
                      f"TO `{owner.username}`@`{owner.host}`")

    @staticmethod
    async def remove(run, name):
        # DROP DATABASE leaves its users connected, to nothing.
        for number, in await run(
                "SELECT id FROM information_schema.processlist "
                "WHERE db = %s", name):
            with suppress(aiomysql.MySQLError):  # it ended meanwhile
                await run(f"KILL {number}")
        if await run("SHOW DATABASES LIKE %s", _literally(name)):
            await run(f"DROP DATABASE `{name}`")

    @staticmethod
    async def holders(run, name):
        rows = await run("SELECT command, info FROM "
                         "information_schema.processlist WHERE db = %s", name)
        return [f"{command}: {first_words(query)}" if query else command
                for command, query in rows]

    @staticmethod
    def denied(error):
        return isinstance(error, aiomysql.OperationalError) \
            and error.args[0] == 1044

    @staticmethod
    def for_driver(url, driver):
        return url.set(drivername=f"mysql+{driver}")


async def mysql():
    """A fresh MySQLDatabase.

    On the server named by ``LAB_MYSQL_URL`` if that is set, otherwise on a
    MariaDB of this kernel's own. You connect as an ordinary user who may do
    anything in this database. Raises ServerError.
    """
    return await MySQLDatabase.create()


def _literally(name):
    """A name as a pattern, where _ would stand for any character."""
    return name.replace("_", r"\_")


async def _connect(url):
    """An aiomysql connection to ``url``; ServerError says what is wrong."""
    where = f"{url.host}:{url.port or PORT}"
    try:
        async with asyncio.timeout(10):
            return await aiomysql.connect(
                host=url.host, port=url.port or PORT, user=url.username,
                password=url.password or "", autocommit=True)
    except (aiomysql.MySQLError, TimeoutError, RuntimeError, ValueError,
            OverflowError) as error:
        code = error.args[0] if error.args else None
        if code == 2003 or isinstance(error, TimeoutError):
            raise MySQLDatabase.silent(
                f"no MySQL or MariaDB answers at {where}") from None
        if code in (1045, 1698):
            problem = f"{where} refuses user {url.username!r}: check the " \
                      "user and the password, and that it asks for no TLS"
        elif code in (1040, 1203, 1226):
            problem = f"{where} has no connection left: close some, or " \
                      "raise max_connections there"
        elif isinstance(error, UnicodeEncodeError):
            problem = "the password has a character that aiomysql cannot " \
                      "send: set one of ASCII"
        else:
            problem = f"{where} cannot be used ({error.args[-1]})"
        raise MySQLDatabase.refusal(problem) from None
