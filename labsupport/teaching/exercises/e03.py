"""Checks of ``03_async_drivers``."""

import time
from random import Random

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from ...databases import postgres
from . import Misconception, NotYet, exercise, shop

# An option that both drivers know by the same name.
OTHER = "target_session_attrs"


@exercise(
    "E03.1",
    hints=(
        "Only one of the two drivers needs the option under another name.",
        "url.query is a mapping; url.difference_update_query(names) takes "
        "options away, url.update_query_dict(options) adds some. Both return "
        "a new URL.",
        'For asyncpg: take sslmode out, and put its value back as "ssl".',
    ),
    misconceptions=(
        Misconception('if driver == "asyncpg" and', "if",
                      "psycopg does not get sslmode"),
        Misconception('    url = url.update_query_dict({"ssl": mode})',
                      "    pass", "asyncpg does not get ssl"),
        Misconception('    url = url.difference_update_query(["sslmode"])',
                      '    url.difference_update_query(["sslmode"])',
                      "returns a new URL"),
        Misconception('url.difference_update_query(["sslmode"])',
                      "url.set(query={})", "is lost"),
        Misconception('{"ssl": mode}', '{"ssl": "require"}',
                      "ssl='require'"),
        Misconception("return url", "return str(url)", "hides the password"),
        Misconception("return url", "pass", "return the URL"),
        Misconception("", '''def url_for(url, driver):
    word = {"asyncpg": "ssl", "psycopg": "sslmode"}[driver]
    mode = url.query.get("sslmode", "require")
    url = url.set(drivername=f"postgresql+{driver}")
    url = url.difference_update_query(["sslmode"])
    return url.update_query_dict({word: mode})''', "nobody asked for"),
    ),
    also_right=(
        '''def url_for(url, driver):
    word = "ssl" if driver == "asyncpg" else "sslmode"
    query = {word if name == "sslmode" else name: value
             for name, value in url.query.items()}
    return url.set(drivername="postgresql+" + driver, query=query)''',
        '''def url_for(url, driver):
    url = url.set(drivername=f"postgresql+{driver}")
    written = url.render_as_string(hide_password=False)
    if driver == "asyncpg":
        written = written.replace("sslmode=", "ssl=")
    return written''',
    ),
)
async def url_for(answer):
    async with shop(postgres, "asyncpg") as engine:
        here = engine.url.set(drivername="postgresql", query={})
        for mode in ("verify-full", "disable"):
            hoster = here.update_query_dict({"sslmode": mode, OTHER: "any"})
            for driver in ("asyncpg", "psycopg"):
                url = _with_option(answer(hoster, driver), driver, mode)
                if mode == "disable":  # this server has no TLS
                    await _connect(url.set(password=here.password))
                elif url.password != here.password:
                    raise NotYet("str(url) hides the password: return the "
                                 "URL itself, or "
                                 "url.render_as_string(hide_password=False).")
        for driver in ("asyncpg", "psycopg"):
            if make_url(answer(here, driver)).query:
                raise NotYet("a URL without sslmode gets an option that "
                             "nobody asked for.")
    return "both drivers hear the hoster's wish, each in its own word."


def _with_option(url, driver, mode):
    """The URL, if ``driver`` understands what it says about TLS."""
    if not isinstance(url, (URL, str)):
        raise NotYet(f"you return {url!r}: return the URL.")
    url = make_url(url)
    if url.drivername != f"postgresql+{driver}":
        raise NotYet(f"for {driver} you return {url.drivername}.")
    word = {"asyncpg": "ssl", "psycopg": "sslmode"}[driver]
    if driver == "asyncpg" and "sslmode" in url.query:
        raise NotYet("asyncpg does not know sslmode, connect() would raise "
                     "TypeError: take it out, and mind that each method of a "
                     "URL returns a new URL.")
    if word not in url.query:
        raise NotYet(f"{driver} does not get {word}, its word for what the "
                     "hoster says about TLS.")
    if url.query[word] != mode:
        raise NotYet(f"{driver} gets {word}={url.query[word]!r}, and the "
                     f"hoster says {mode!r}.")
    if url.query.get(OTHER) != "any":
        raise NotYet(f"{OTHER} is lost: only sslmode was to be changed.")
    return url


async def _connect(url):
    engine = create_async_engine(url)
    try:
        async with engine.connect():
            pass
    finally:
        await engine.dispose()


@exercise(
    "E03.2",
    hints=(
        "asyncio.timeout raises TimeoutError. In which state is the session "
        "then?",
        "Its connection was cut in a transaction, and it waits for you to "
        "say that the transaction is over.",
        "await session.rollback(), then return None",
    ),
    misconceptions=(
        Misconception("        await session.rollback()\n", "",
                      "await session.rollback()"),
        Misconception("        await session.rollback()",
                      "        session.rollback()",
                      "await session.rollback()"),
        Misconception("await session.rollback()", "await session.commit()",
                      "PendingRollbackError"),
        Misconception("return None", "raise", "it raises TimeoutError"),
        Misconception("asyncio.timeout(seconds)", "asyncio.timeout(None)",
                      "takes as long as the query"),
        Misconception("return await session.scalar", "await session.scalar",
                      "has to be returned"),
        Misconception("except TimeoutError", "except Exception",
                      "catch TimeoutError alone"),
    ),
    also_right=(
        '''async def ask_in_time(session, statement, seconds):
    try:
        return await asyncio.wait_for(session.scalar(statement), seconds)
    except TimeoutError:
        await session.rollback()''',
        '''async def ask_in_time(session, statement, seconds):
    try:
        async with asyncio.timeout(seconds):
            result = await session.execute(statement)
    except TimeoutError:
        await session.close()
        return None
    return result.scalar()''',
    ),
)
async def ask_in_time(answer):
    number = Random().randint(100, 999)
    async with shop(postgres, "asyncpg") as engine, \
            AsyncSession(engine) as session:
        if await answer(session, text(f"SELECT {number}"), 5) != number:
            raise NotYet("an answer that is in time has to be returned.")
        begun = time.monotonic()
        late = await answer(session, text("SELECT pg_sleep(4)"), 0.2)
        if time.monotonic() - begun > 3.9:
            raise NotYet("it takes as long as the query: nobody looks at "
                         "the clock.")
        if late is not None:
            raise NotYet(f"a late answer is {late!r}, and not None.")
        try:
            await session.scalar(text("SELECT 1"))
        except PendingRollbackError:
            raise NotYet("the next statement of the session raises "
                         "PendingRollbackError: the session has to be told, "
                         "with await session.rollback().") from None
        try:
            await answer(session, text("SELECT nothing"), 5)
        except DBAPIError:
            return "too late is None, and the session goes on."
        raise NotYet("an error of the statement is swallowed: catch "
                     "TimeoutError alone.")
