"""A fresh database of SQLite."""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL

from ..servers.keeper import Kept
from .fresh import Database, keep


@dataclass(frozen=True)
class SQLiteDatabase(Database):
    """A database of SQLite, in a file of its own; ``aiosqlite`` is its URL.

    There is no server to ask for connections: on Linux those of this process
    are seen, on macOS and Windows none.
    """

    aiosqlite: URL
    _directory: Kept = field(repr=False)

    def __str__(self):
        return "SQLite: a fresh database in a file of its own"

    async def _holders(self):
        file = os.path.realpath(self.aiosqlite.database)
        opened = map(os.path.realpath, Path("/proc/self/fd").glob("*"))
        return ["its file is open" for path in opened if path == file]

    async def _remove(self):
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
