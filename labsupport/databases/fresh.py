"""What every fresh database can do."""

import asyncio
import gc
import math
import time

from ..servers import ServerError
from ..servers.keeper import Kept

GRACE = 5  # seconds that a connection has to end: a server may be slow to tell


class Database:
    """A fresh database; it stays until this kernel ends, or ``drop()``."""

    async def connections(self, at_most=math.inf):
        """How many connections (int) the server has to this database.

        Drivers do not wait for the server's farewell: for some milliseconds
        it may still count a connection that you closed. While there are more
        than ``at_most``, this waits, 5 s at most.
        """
        deadline = time.monotonic() + GRACE
        while (number := len(await self._holders())) > at_most \
                and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return number

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


async def keep(name, **options):
    """A Kept without a server; ServerError says what is wrong."""
    try:
        return await asyncio.to_thread(Kept, name, **options)
    except RuntimeError as error:
        raise ServerError(
            f"No temporary directory can be made ({error}): free some space, "
            "or set TMPDIR to a directory on another disk."
        ) from None
