"""Checks of ``03_async_drivers``."""

import datetime
import time
from random import Random

from sqlalchemy import URL, insert, make_url, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from ...databases import postgres
from ...environment import DRIVERS
from ...schema import Album
from . import Misconception, NotYet, exercise, shop
from .e03_data import clock_of_another_zone, matrix, moment_somewhere

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
        "Two steps: another clock, then no zone. The order matters.",
        "moment.astimezone(zone) converts; moment.replace(tzinfo=None) "
        "drops the zone and leaves the clock as it is.",
        "moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)",
    ),
    misconceptions=(
        Misconception("moment.astimezone(datetime.timezone.utc)", "moment",
                      "hours off"),
        Misconception("in_utc.replace(tzinfo=None)", "in_utc",
                      "asyncpg refuses it"),
        Misconception("moment.astimezone(datetime.timezone.utc)",
                      "moment.replace(tzinfo=datetime.timezone.utc)",
                      "hours off"),
        Misconception("moment.astimezone(datetime.timezone.utc)",
                      "moment.astimezone()", "zone of the machine"),
        Misconception("in_utc.replace(tzinfo=None)", "in_utc.isoformat()",
                      "takes a datetime"),
    ),
    also_right=(
        '''def for_column(moment):
    return (moment - moment.utcoffset()).replace(tzinfo=None)''',
        '''def for_column(moment):
    return datetime.datetime(*moment.utctimetuple()[:6])''',
    ),
)
async def for_column(answer):
    moment, right = moment_somewhere(Random())
    async with shop() as engine, shop(postgres, "asyncpg") as other:
        for each in (engine, other):
            with clock_of_another_zone():
                value = answer(moment)
            if not isinstance(value, datetime.datetime):
                raise NotYet(f"you return a {type(value).__name__}; a "
                             "DateTime column takes a datetime.")
            stored = await _stored(each, value)
            if stored != right:
                hours = (stored - right).total_seconds() / 3600
                raise NotYet(
                    f"for {moment} {each.dialect.driver} has stored {stored}, "
                    f"which is {hours:+g} hours off: astimezone() needs "
                    "datetime.timezone.utc; without it, it takes the zone of "
                    "the machine.")
    return f"{moment} is stored as {right}, whoever stores it."


async def _stored(engine, value):
    """``value`` as it comes back from Album.updated_at."""
    async with engine.connect() as connection:
        try:
            await connection.execute(insert(Album).values(
                title="New", artist_id=1, updated_at=value))
        except DBAPIError:
            raise NotYet(f"{engine.dialect.driver} refuses it: the column "
                         "knows no zones, and your datetime has one; drop it "
                         "with replace(tzinfo=None).") from None
        return await connection.scalar(
            select(Album.updated_at).where(Album.title == "New"))


@exercise(
    "E03.3",
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


@exercise(
    "E03.4",
    hints=(
        "endings[name][driver].kind is \"right\" where nothing is wrong.",
        "A driver counts if that holds for all the names: all(…).",
        "[driver for driver in drivers if all(endings[name][driver].kind == "
        '"right" for name in names)]',
    ),
    misconceptions=(
        Misconception("if all(", "if any(", "its kind is"),
        Misconception('== "right"', '!= "raises"', "its kind is"),
        Misconception("for name in names)", "for name in names[:1])",
                      "its kind is 'raises'"),
        Misconception("for driver in drivers\n", "for driver in "
                      "sorted(drivers)\n", "order"),
        Misconception('== "right"', '== "ok"', "you leave it out"),
        Misconception("return [", "[", "you return None"),
    ),
    also_right=(
        '''def drivers_for(endings, names):
    return [driver for driver in endings.urls
            if {endings[name][driver].kind for name in names} == {"right"}]''',
        '''def drivers_for(endings, names):
    columns = zip(*(endings[name].kinds for name in names))
    return [driver for driver, kinds in zip(endings[names[0]], columns)
            if set(kinds) == {"right"}]''',
        '''def drivers_for(endings, names):
    found = list(endings[names[0]])
    for name in names:
        for driver, ending in endings[name].items():
            if not str(ending).startswith("✓") and driver in found:
                found.remove(driver)
    return found''',
    ),
)
async def drivers_for(answer):
    endings, right = matrix(Random())
    for names in (list(endings), list(endings)[1:2]):
        found = answer(endings, names)
        if not isinstance(found, (list, tuple)):
            raise NotYet(f"you return {found!r}, and not a list of drivers.")
        for driver in DRIVERS:
            kinds = {name: endings[name][driver].kind for name in names}
            bad = [name for name in names if kinds[name] != "right"]
            if bad and driver in found:
                raise NotYet(f"you name {driver}, and in {bad[0]!r} its kind "
                             f"is {kinds[bad[0]]!r}.")
            if not bad and driver not in found:
                raise NotYet(f"{driver} is right in all of {names}, and you "
                             "leave it out.")
        wanted = right if len(names) > 1 else list(DRIVERS)
        if list(found) != wanted:
            raise NotYet(f"you name {list(found)!r}: keep the order of the "
                         f"matrix, {wanted!r}.")
    return "you can read it; now ask it about your service."
