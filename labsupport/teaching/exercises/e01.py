"""Checks of ``01_async_engine``."""

import asyncio
import time

from sqlalchemy import event, select
from sqlalchemy.pool import Pool

from ...databases import postgres
from ...schema import Artist
from ...servers.starting import free_port
from . import Misconception, NotYet, exercise, shop


@exercise(
    "E01.1",
    hints=(
        "In a string, @ ends the password and / ends the host. Whoever "
        "writes the string has to encode them.",
        "URL.create takes the parts as they are.",
        'URL.create("postgresql+asyncpg", username=user, password=password, '
        "host=host, database=database)",
    ),
    misconceptions=(
        Misconception(
            'URL.create(\n        "postgresql+asyncpg",\n'
            "        user, password, host, database=database)",
            'f"postgresql+asyncpg://{user}:{password}@{host}/{database}"',
            "the password arrives as 'p'"),
        Misconception(
            'URL.create(\n        "postgresql+asyncpg",\n'
            "        user, password, host, database=database)",
            '"postgresql+asyncpg://%s:%s@%s/%s" % (user, __import__('
            '"urllib.parse").parse.quote_plus(password), host, database)',
            "the password arrives as"),
        Misconception("postgresql+asyncpg", "postgresql+psycopg2",
                      "psycopg2"),
    ),
)
async def engine_for(answer):
    ugly = "p@ss/w:rd #%41+"
    engine = answer("anna", ugly, "db.example.org", "shop")
    url = engine.url
    if url.password != ugly:
        raise NotYet("the password arrives as "
                     f"{url.password!r}, and it is {ugly!r}.")
    if (url.username, url.host, url.database) != (
            "anna", "db.example.org", "shop"):
        raise NotYet(f"the URL reads {url}.")
    return "the password arrives as it was typed."


@exercise(
    "E01.2",
    hints=(
        "What ends the transaction of engine.connect(), if you do not?",
        "engine.begin() commits when its block ends without an error.",
        "async with engine.begin() as connection:",
    ),
    misconceptions=(
        Misconception("async with engine.begin()",
                      "async with engine.connect()", "rolled back"),
        Misconception("await connection.execute", "connection.execute",
                      "rolled back"),
        Misconception("    async with engine.begin() as connection:",
                      "    connection = await engine.connect()\n    if True:",
                      "checked out"),
    ),
)
async def add_artist(answer):
    async with shop() as engine:
        await answer(engine, "Ada Quist")
        if engine.pool.checkedout():
            return
        async with engine.connect() as connection:
            names = (await connection.scalars(select(Artist.name))).all()
    if "Ada Quist" not in names:
        raise NotYet("the row is not there afterwards: it was rolled back, "
                     "or never sent.")
    return "the row is there, and the connection is back in the pool."


kept_alive = []


@event.listens_for(Pool, "connect")
def _keep_alive(connection, _record):
    """Without this an engine that nobody disposed of hides its leak: the
    garbage collector closes the connection before the server is asked."""
    if len(kept_alive) < 10:
        kept_alive.append(connection)


@exercise(
    "E01.3",
    hints=(
        "Creating an engine proves nothing. Which call meets the server?",
        "With asyncpg a closed port raises ConnectionRefusedError, which is "
        "an OSError and no SQLAlchemyError.",
        "except (SQLAlchemyError, OSError): return False",
    ),
    misconceptions=(
        Misconception(
            "        async with engine.connect() as connection:\n"
            '            await connection.execute(text("SELECT 1"))\n',
            "", "nobody listens"),
        Misconception("(SQLAlchemyError, OSError)", "SQLAlchemyError",
                      "ConnectionRefusedError"),
        Misconception("        await engine.dispose()", "        pass",
                      "left open"),
    ),
)
async def is_up(answer):
    db = await postgres()
    kept_alive.clear()
    try:
        up = await answer(db.asyncpg)
        down = await answer(db.asyncpg.set(host="127.0.0.1", port=free_port()))
        # A server notices a closed connection a moment later.
        deadline = time.monotonic() + 2
        while (left_open := await db.connections()) \
                and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
    finally:
        await db.drop(force=True)
        kept_alive.clear()
    if up is not True:
        raise NotYet(f"the server is up and you say {up!r}.")
    if down is not False:
        raise NotYet(f"nobody listens on that port and you say {down!r}.")
    if left_open:
        raise NotYet(f"{left_open} connection is left open: dispose of the "
                     "engine.")
    return "right about a server that is there and one that is not."
