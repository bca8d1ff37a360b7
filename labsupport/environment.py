"""Which versions are here, and whether they are new enough."""

import sys
from importlib.metadata import version

DRIVERS = ("asyncpg", "psycopg", "aiosqlite", "aiomysql", "asyncmy")
OLDEST = {"sqlalchemy": (2, 0, 46), "aiosqlite": (0, 22, 1)}


def release_series():
    """The release series of SQLAlchemy in use: ``"2.0"`` or ``"2.1"``."""
    return ".".join(version("sqlalchemy").split(".")[:2])


def require_versions():
    """Raise RuntimeError if a package is too old for the course."""
    for name, floor in OLDEST.items():
        if _numbers(version(name)) < floor:
            wanted = ".".join(map(str, floor))
            raise RuntimeError(
                f"{name} {version(name)} is too old for this course: "
                f"install {wanted} or newer.")


def versions():
    """Name → version (str) of Python and of each package of the lessons."""
    names = ("sqlalchemy", "greenlet", *DRIVERS, "jupyterlab", "ipykernel",
             "ipywidgets")
    python = ".".join(map(str, sys.version_info[:3]))
    return {"Python": python, **{name: version(name) for name in names}}


def _numbers(text):
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
