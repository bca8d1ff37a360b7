"""Checks of ``01_async_engine``."""

from contextlib import suppress
from random import randrange

from sqlalchemy import event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ...schema import Artist
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop

URL = ('URL.create(\n        "postgresql+asyncpg",\n'
       "        user, password, host, database=database)")
UGLY = "p@ss/w:rd #%41+?&"


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
            URL, 'f"postgresql+asyncpg://{user}:{password}@{host}/{database}"',
            "the driver gets the password 'p'"),
        Misconception(URL, f"str({URL})", "str() of a URL hides it"),
        Misconception(
            URL, "'postgresql+asyncpg://%s:%s@%s/%s' % (user, __import__("
            "'urllib.parse').parse.quote_plus(password), host, database)",
            "quote_plus"),
        Misconception("postgresql+asyncpg", "postgresql+psycopg",
                      "the driver is psycopg"),
        Misconception("postgresql+asyncpg", "postgresql+psycopg2",
                      "write postgresql+asyncpg"),
        Misconception("        user, password, host",
                      "        password, user, host",
                      "takes the user first"),
        Misconception("        user, password, host, database=database",
                      "        user, password, host", "database None"),
        Misconception("create_async_engine(url)", "url", "you return a URL"),
        Misconception("create_async_engine(url)", "create_engine(url)",
                      "you return an Engine"),
        Misconception("host, database=database", "host, database",
                      "is the port"),
    ),
    also_right=(
        "def engine_for(user, password, host, database):\n"
        "    url = f'postgresql+asyncpg://{user}@{host}/{database}'\n"
        "    return create_async_engine(\n"
        "        url, connect_args={'password': password})",
        "def engine_for(user, password, host, database):\n"
        "    from urllib.parse import quote\n"
        "    return create_async_engine(\n"
        "        f'postgresql+asyncpg://{user}:{quote(password, safe=\"\")}'\n"
        "        f'@{host}/{database}')",
        "def engine_for(user, password, host, database):\n"
        "    from sqlalchemy import make_url\n"
        "    url = make_url(f'postgresql+asyncpg://{host}/{database}')\n"
        "    return create_async_engine(\n"
        "        url.set(username=user, password=password))",
    ),
)
async def engine_for(answer):
    wanted = {"user": "anna", "password": UGLY,
              "host": "db.example.org", "database": "shop"}
    try:
        engine = answer(*wanted.values())
    except (ImportError, SQLAlchemyError) as error:
        raise NotYet(f"no engine is made ({error}): write "
                     "postgresql+asyncpg in the URL.") from None
    except ValueError as error:
        if "int()" not in str(error):
            raise
        raise NotYet("the fifth part of URL.create is the port: name the "
                     "last one, database=database.") from error
    if not isinstance(engine, AsyncEngine):
        raise NotYet("return create_async_engine(url); you return "
                     f"{_a(type(engine).__name__)}.")
    if (driver := engine.dialect.driver) != "asyncpg":
        raise NotYet(f"the driver is {driver}: write postgresql+asyncpg in "
                     "the URL.")
    arrives = await _arguments(engine)
    if (password := arrives.get("password")) != UGLY:
        raise NotYet(f"the driver gets the password {password!r}, and it is "
                     f"{UGLY!r}: {_cure(password)}")
    for name, value in wanted.items():
        if arrives.get(name) != value:
            raise NotYet(f"the driver gets the {name} {arrives.get(name)!r}, "
                         f"and it is {value!r}.")
    return "the driver gets the password as it was typed."


def _a(name):
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


async def _arguments(engine):
    """What the driver would be called with (dict); nothing is called."""
    arguments = {}

    class Enough(Exception):
        pass

    @event.listens_for(engine.sync_engine, "do_connect")
    def look(_dialect, _record, _args, names):
        arguments.update(names)
        raise Enough

    with suppress(Enough):
        await engine.connect()
    return arguments


def _cure(password):
    if password == "***":
        return "str() of a URL hides it; give the engine the URL itself."
    if password == UGLY.replace(" ", "+"):
        return ("quote_plus writes a space as +, which nobody takes back; "
                "URL.create needs no encoding.")
    if password == "anna":
        return "URL.create takes the user first, then the password."
    return "URL.create takes the parts as they are."


@exercise(
    "E01.2",
    hints=(
        "What ends the transaction of engine.connect(), if you do not?",
        "engine.begin() commits when its block ends without an error.",
        "async with engine.begin() as connection:",
    ),
    misconceptions=(
        Misconception("async with engine.begin()",
                      "async with engine.connect()", "nobody has committed"),
        Misconception("await connection.execute", "connection.execute",
                      "write 'await' before connection.execute()"),
        Misconception("async with", "with", "'async with'"),
        Misconception("execute(ADD, row)", "execute(ADD.text, row)",
                      "Not an executable object"),
        Misconception("engine.begin() as connection:\n"
                      "        await connection.execute(ADD, row)",
                      "engine.connect() as connection:\n"
                      "        await connection.execute(ADD, row)\n"
                      "        connection.commit()",
                      "await connection.commit()"),
        Misconception("    async with engine.begin() as connection:",
                      "    connection = await engine.connect()\n    if True:",
                      "checked out"),
        Misconception("    async with engine.begin() as connection:\n"
                      "        await connection.execute(ADD, row)",
                      "    connection = await engine.connect()\n"
                      "    await connection.execute(ADD, row)\n"
                      "    await connection.commit()", "checked out"),
        Misconception("(ADD, row)", "(ADD, {'name': 'Ada Quist'})",
                      "under the name that is given"),
        Misconception("await connection.execute(ADD, row)",
                      "await connection.execute(ADD, row)\n"
                      "        await connection.execute(ADD, row)",
                      "2 times"),
    ),
    also_right=(
        "async def add_artist(engine, name):\n"
        "    async with engine.connect() as connection:\n"
        "        await connection.execute(ADD, {'name': name})\n"
        "        await connection.commit()",
        "async def add_artist(engine, name):\n"
        "    async with engine.connect() as connection, connection.begin():\n"
        "        await connection.execute(ADD, {'name': name})",
        "async def add_artist(engine, name):\n"
        "    from sqlalchemy.ext.asyncio import AsyncSession\n"
        "    from labsupport.schema import Artist\n"
        "    async with AsyncSession(engine) as session:\n"
        "        session.add(Artist(name=name))\n"
        "        await session.commit()",
    ),
)
async def add_artist(answer):
    name = f"Ada Quist {randrange(1000)}"
    async with shop() as engine:
        with observe(engine) as trace:
            try:
                await answer(engine, name)
            except TypeError as error:
                if "context manager protocol" not in str(error):
                    raise
                raise NotYet("what is asynchronous is entered with 'async "
                             "with', and not with 'with'.") from error
        if engine.pool.checkedout():
            raise NotYet("the connection is still checked out: open it with "
                         "'async with', which gives it back.")
        async with engine.connect() as connection:
            names = (await connection.scalars(select(Artist.name))).all()
    if not len(trace.queries()):
        raise NotYet("no statement was sent: write 'await' before "
                     "connection.execute().")
    if (times := names.count(name)) > 1:
        raise NotYet(f"the artist is there {times} times: execute ADD once.")
    if not times and any(one.startswith("Ada") for one in names):
        raise NotYet("a row is there, and not under the name that is given: "
                     "execute ADD with row.")
    if not times:
        raise NotYet("the row is not there afterwards, for nobody has "
                     "committed: use engine.begin(), or write "
                     "await connection.commit() in the block.")
    return "the row is there, and the connection is back in the pool."
