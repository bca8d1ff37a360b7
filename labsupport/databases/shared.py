"""What every fresh database can do, and how to be a guest on a server.

A guest leaves nothing on a server that others use too.
"""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ..servers import ServerError
from ..servers.keeper import Kept

GRACE = 5  # seconds that a connection has to end: a server may be slow to tell


class Database:
    """A fresh database; it stays until this kernel ends, or ``drop()``."""

    async def connections(self):
        """How many connections (int) the server has to this database.

        Drivers do not wait for the server's farewell: for some milliseconds
        it may still count a connection that you closed.
        """
        return len(await self._holders())

    async def unused(self):
        """Wait until nobody is connected to this database, 5 s at most.

        Raises RuntimeError that says who still is.
        """
        gc.collect()  # an engine that a cell, run again, has replaced
        deadline = time.monotonic() + GRACE
        while holders := await self._holders():
            if time.monotonic() > deadline:
                plural = "s" if len(holders) > 1 else ""
                some = "; ".join(sorted(set(holders))[:3])
                raise RuntimeError(
                    f"The database is still in use by {len(holders)} "
                    f"connection{plural} ({some}): await engine.dispose() on "
                    "each engine first."
                )
            await asyncio.sleep(0.02)

    async def drop(self, *, force=False):
        """Drop the database; a second time does nothing.

        Raises RuntimeError while a connection to it is open; with ``force``
        it is cut instead.
        """
        if not force:
            await self.unused()
        await self._remove()

    async def _holders(self):
        """What each connection does (list of str)."""
        raise NotImplementedError

    async def _remove(self):
        """Drop it, whoever still holds it open; nothing if it is gone."""
        raise NotImplementedError


def first_words(query):
    """The beginning (str) of a query, on one line."""
    line = " ".join(query.split())
    return line if len(line) <= 40 else line[:39] + "…"


async def keep(name, **options):
    """A Kept without a server; ServerError says what is wrong."""
    try:
        return await asyncio.to_thread(Kept, name, **options)
    except RuntimeError as error:
        raise ServerError(
            f"No temporary directory can be made ({error}): free some space, "
            "or set TMPDIR to a directory on another disk."
        ) from None


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


def shared_url(variable, example, backends, options=()):
    """The URL in an environment variable, or None if that is not set.

    Raises ServerError unless it has a user, a host, one of the ``backends``
    and no other query than ``options``.
    """
    written = os.environ.get(variable)
    if not written:
        return None
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        url = None
    if url is None or not (url.host and url.username) \
            or url.get_backend_name() not in backends \
            or set(url.query) - set(options):
        allowed = "".join(f"; ?{name}=… is the only option"
                          for name in options)
        raise ServerError(
            f"{variable} cannot be read: write it as {example}, with special "
            f"characters percent-encoded{allowed}."
        )
    return url


def refusal(problem, variable):
    """The ServerError for a ``problem`` with a server, in one sentence."""
    source = f" Or unset {variable}." if os.environ.get(variable) else ""
    return ServerError(f"{problem[0].upper()}{problem[1:]}.{source}")
