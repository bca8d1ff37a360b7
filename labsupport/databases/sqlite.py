"""A fresh database of SQLite."""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy import URL

from ..servers.keeper import Kept
from .shared import keep


@dataclass(frozen=True)
class SQLiteDatabase:
    """A database of SQLite, in a file of its own; ``aiosqlite`` is its URL."""

    aiosqlite: URL
    _directory: Kept = field(repr=False)

    def __str__(self):
        return "SQLite: a fresh database in a file of its own"

    async def drop(self):
        """Remove the file."""
        await asyncio.to_thread(self._directory.stop)


async def sqlite():
    """A fresh SQLiteDatabase; the file goes when this kernel ends.

    Raises ServerError.
    """
    directory = await keep("lab-sqlite-")
    return SQLiteDatabase(
        URL.create("sqlite+aiosqlite",
                   database=str(directory.directory / "lab.db")),
        directory,
    )
