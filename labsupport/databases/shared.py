"""A fresh database on a server: how it is made, and leaves nothing there."""

import asyncio
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..notebook.progress import progress
from ..servers import ServerError
from ..servers.keeper import Kept
from .fresh import Database, keep

USER = "lab"  # on this kernel's own server: may use its own databases alone

_passwords: dict[URL, str] = {}  # of that user, one a server


@dataclass(frozen=True)
class ServerDatabase(Database):
    """A database on a server; each server says in its own way what follows.

    Where a ``run`` is taken, it is what ``connected()`` gives.
    """

    _name: str = field(repr=False)
    _admin: URL = field(repr=False)
    _janitor: Kept | None = field(repr=False)

    KIND = ""  # the name of the function that makes it
    OWN = None  # this kernel's own: a Product
    PORT = 0  # where it listens unless a URL says so
    SHARED = ""  # variable that names another server's URL
    EXAMPLE = ""  # of such a URL
    BACKENDS = ()  # that this URL may have
    OPTIONS = ()  # that its query may have
    DRIVERS = ()  # a URL for each is an attribute
    RIGHT = ""  # to ask for, where {user} may not create databases

    @staticmethod
    def connected(url):
        """Async context manager: coroutine function (statement, *values).

        It runs a statement and returns the rows. Raises ServerError, which
        says what is wrong with the server at ``url``.
        """
        raise NotImplementedError

    @staticmethod
    async def make_user(run, user, host, password):
        """Create an ordinary user, unless it is there."""
        raise NotImplementedError

    @staticmethod
    async def make(run, name, owner, shared):
        """Create a database for the user of the URL ``owner``."""
        raise NotImplementedError

    @staticmethod
    async def remove(run, name):
        """Drop a database, and cut who still holds it; nothing if gone."""
        raise NotImplementedError

    @staticmethod
    async def holders(run, name):
        """What each connection to a database does (list of str)."""
        raise NotImplementedError

    @staticmethod
    def denied(error):
        """Whether a driver's ``error`` says that a right is missing."""
        raise NotImplementedError

    @staticmethod
    def for_driver(url, driver):
        """``url`` as one of the drivers takes it."""
        raise NotImplementedError

    def administered(self):
        """``connected()`` as whoever made this database.

        That is an administrator on this kernel's own server, and the user of
        the URL in the variable on a shared one.
        """
        return self.connected(self._admin)

    @property
    def is_shared(self):
        """Whether it is on a server that others use, too (bool)."""
        return self._janitor is not None

    @property
    def _where(self):
        return "the shared server" if self.is_shared \
            else "this kernel's server"

    async def _holders(self):
        async with self.administered() as run:
            return await self.holders(run, self._name)

    async def _remove(self):
        async with self.administered() as run:
            await self.remove(run, self._name)
        if self._janitor:
            await asyncio.to_thread(self._janitor.stop)

    @classmethod
    async def create(cls):
        """A fresh one, on the shared server or on our own."""
        name = f"lab_{secrets.token_hex(6)}"
        shared = cls.shared_url()
        admin = owner = shared
        if not shared:
            with progress(f"Starting {cls.OWN.name}"):
                admin = (await asyncio.to_thread(cls.OWN.running)).admin
            owner = await cls._ordinary(admin)
        tidy = None
        async with cls.connected(admin) as run:
            try:
                # First the janitor: nothing else would drop the database if
                # this kernel is killed.
                tidy = await janitor(cls.KIND, name) if shared else None
                await cls.make(run, name, owner, bool(shared))
            except BaseException as error:
                if tidy:
                    await asyncio.to_thread(tidy.stop)
                if not cls.denied(error):
                    raise
                raise ServerError(
                    f"The user {owner.username!r} in {cls.SHARED} may not "
                    "create databases: ask for "
                    f"{cls.RIGHT.format(user=owner.username)}."
                ) from None
        urls = {driver: cls.for_driver(owner.set(database=name), driver)
                for driver in cls.DRIVERS}
        return cls(name, admin, tidy, **urls)

    @classmethod
    async def _ordinary(cls, admin):
        """URL of the ordinary user on this kernel's own server."""
        password = _passwords.setdefault(admin, secrets.token_urlsafe(18))
        async with cls.connected(admin) as run:
            await cls.make_user(run, USER, admin.host, password)
        return admin.set(username=USER, password=password)

    @classmethod
    async def drop_abandoned(cls, name):
        """Drop a database on the shared server, whoever holds it open."""
        async with cls.connected(cls.shared_url()) as run:
            await cls.remove(run, name)

    @classmethod
    def shared_url(cls):
        """The URL in the variable, or None if that is not set.

        Raises ServerError unless it has a user, a host, a fitting backend
        and no unknown option.
        """
        written = os.environ.get(cls.SHARED)
        if not written:
            return None
        try:
            url = make_url(written)
        except (ArgumentError, ValueError):
            url = None
        if url is None or not (url.host and url.username) \
                or url.get_backend_name() not in cls.BACKENDS \
                or set(url.query) - set(cls.OPTIONS):
            allowed = "".join(f"; ?{name}=… is the only option"
                              for name in cls.OPTIONS)
            raise ServerError(
                f"{cls.SHARED} cannot be read: write it as {cls.EXAMPLE}, "
                f"with special characters percent-encoded{allowed}."
            )
        return url

    @classmethod
    def silent(cls, problem):
        """The ServerError for a server that does not answer."""
        if os.environ.get(cls.SHARED):
            return cls.refusal(f"{problem}: start it, or correct the host "
                               "and the port")
        return ServerError(
            f"This kernel's {cls.OWN.name} has ended: run the cell with "
            f"'await {cls.KIND}()' again, which starts another, and the "
            "cells after it."
        )

    @classmethod
    def refusal(cls, problem):
        """The ServerError for a ``problem`` with a server, in one sentence."""
        source = f" Or unset {cls.SHARED}." if os.environ.get(cls.SHARED) \
            else ""
        return ServerError(f"{problem[0].upper()}{problem[1:]}.{source}")


def first_words(query):
    """The beginning (str) of a query, on one line."""
    line = " ".join(query.split())
    return line if len(line) <= 40 else line[:39] + "…"


async def janitor(kind, name):
    """A Kept that drops database ``name`` when it stops, or this kernel ends.

    ``kind`` is the name of the function that made it, such as ``"mysql"``.
    """
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return await keep(
        "lab-janitor-",
        env={**os.environ,
             "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        at_end=[sys.executable, "-m", "labsupport.databases.janitor", kind,
                name])
