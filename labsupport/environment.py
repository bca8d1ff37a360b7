"""What is running here: versions, and whether all that is needed is there."""

import asyncio
import os
import sys
from importlib.metadata import version

from .databases import mysql, postgres, sqlite
from .interrupts import keep_interruptible
from .servers import NotInstalled

DRIVERS = ("asyncpg", "psycopg", "aiosqlite", "aiomysql", "asyncmy")
OLDEST = {"sqlalchemy": (2, 0, 46), "aiosqlite": (0, 22, 1)}


def line():
    """The line of SQLAlchemy in use: ``"2.0"`` or ``"2.1"``."""
    return ".".join(version("sqlalchemy").split(".")[:2])


def report(*databases):
    """Print what this notebook stands on, in lines that stay the same.

    Takes the databases in use. Raises RuntimeError if a package is missing
    or too old. From here on the Stop button reaches a cell that awaits.
    """
    for name, floor in OLDEST.items():
        if _numbers(version(name)) < floor:
            wanted = ".".join(map(str, floor))
            raise RuntimeError(
                f"{name} {version(name)} is too old for this course: "
                f"install {wanted} or newer.")
    keep_interruptible()
    print(f"SQLAlchemy {line()}")
    for database in databases:
        print(database)


def versions():
    """Name → version (str) of Python and of each package of the lessons."""
    names = ("sqlalchemy", "greenlet", *DRIVERS, "jupyterlab", "ipykernel",
             "ipywidgets")
    python = ".".join(map(str, sys.version_info[:3]))
    return {"Python": python, **{name: version(name) for name in names}}


def _numbers(text):
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


async def main():
    """Print the versions, and start every server once.

    MariaDB may be missing: its lessons then say so. Under CI it may not.
    """
    for name, number in versions().items():
        print(f"{name:<12} {number}")
    for fresh in (sqlite, postgres, mysql):
        try:
            database = await fresh()
        except NotInstalled as missing:
            if fresh is not mysql or os.environ.get("CI") == "true":
                raise
            print(missing)
            continue
        print(database)
        await database.drop()


if __name__ == "__main__":
    asyncio.run(main())
