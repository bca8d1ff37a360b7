"""Checks of ``03_async_drivers``."""

import datetime
import time
from contextlib import asynccontextmanager

from sqlalchemy import insert, make_url, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from ...databases import postgres
from ...schema import Album, seed
from . import Misconception, NotYet, exercise, shop

HOSTER = make_url("postgresql://anna:secret@db.example.org/shop"
                  "?sslmode=require&application_name=shop")


@exercise(
    "E03.1",
    hints=(
        "Only one of the two drivers needs the option under another name.",
        "url.query is a mapping; url.difference_update_query(names) takes "
        "options away, url.update_query_dict(options) adds some.",
        'For asyncpg: take sslmode out, and put its value back as "ssl".',
    ),
    misconceptions=(
        Misconception('if driver == "asyncpg" and', "if", "psycopg gets"),
        Misconception('    url = url.update_query_dict({"ssl": mode})',
                      "    pass", "nothing about TLS"),
        Misconception('    url = url.difference_update_query(["sslmode"])',
                      "    pass", "does not know sslmode"),
        Misconception('url.difference_update_query(["sslmode"])',
                      "url.set(query={})", "application_name"),
    ),
)
async def url_for(answer):
    for driver, word in (("asyncpg", "ssl"), ("psycopg", "sslmode")):
        url = answer(HOSTER, driver)
        engine = create_async_engine(url)
        if engine.dialect.driver != driver:
            raise NotYet(f"for {driver} you return {url.drivername}.")
        # What the driver's connect() is called with.
        _, options = engine.dialect.create_connect_args(engine.url)
        if driver == "asyncpg" and "sslmode" in options:
            raise NotYet("asyncpg does not know sslmode: connect() would "
                         "raise TypeError.")
        if word not in options:
            raise NotYet(f"{driver} gets nothing about TLS that it knows: "
                         f"its word is {word}.")
        if options[word] != "require":
            raise NotYet(f"{driver} gets {word}={options[word]!r}, and the "
                         "hoster says 'require'.")
        if "application_name" not in options:
            raise NotYet("application_name is lost: only sslmode was to be "
                         "changed.")
    plain = HOSTER.set(query={})
    if dict(create_async_engine(answer(plain, "asyncpg")).url.query):
        raise NotYet("a URL without sslmode gets an option that nobody "
                     "asked for.")
    return "both drivers hear the hoster's wish, each in its own word."


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
        Misconception("in_utc.replace(tzinfo=None)", "in_utc", "asyncpg"),
        Misconception("moment.astimezone(datetime.timezone.utc)",
                      "moment.replace(tzinfo=datetime.timezone.utc)",
                      "hours off"),
    ),
)
async def for_column(answer):
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    moment = datetime.datetime(2026, 3, 1, 20, 30, tzinfo=zone)
    right = datetime.datetime(2026, 3, 2, 1, 30)
    async with shop() as engine, _on_asyncpg() as other:
        for each in (engine, other):
            driver = each.dialect.driver
            async with each.connect() as connection:
                try:
                    await connection.execute(insert(Album).values(
                        title="New", artist_id=1, updated_at=answer(moment)))
                except DBAPIError as error:
                    raise NotYet(f"{driver} refuses it: "
                                 f"{type(error.__cause__).__name__}."
                                 ) from None
                stored = await connection.scalar(
                    select(Album.updated_at).where(Album.title == "New"))
            if stored != right:
                hours = (stored - right).total_seconds() / 3600
                raise NotYet(f"{driver} has stored {stored}, which is "
                             f"{hours:+g} hours off.")
    return "01:30 in UTC, on the next day, whoever stores it."


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
                      "PendingRollbackError"),
        Misconception("        await session.rollback()",
                      "        session.rollback()", "PendingRollbackError"),
        Misconception("asyncio.timeout(seconds)", "asyncio.timeout(None)",
                      "takes as long as the query"),
    ),
)
async def ask_in_time(answer):
    async with _on_asyncpg() as engine, AsyncSession(engine) as session:
        if await answer(session, text("SELECT 42"), 5) != 42:
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
                         "PendingRollbackError.") from None
    return "too late is None, and the session goes on."


class _Ending:
    def __init__(self, kind):
        self.kind = kind


@exercise(
    "E03.4",
    hints=(
        "endings[name][driver].kind is \"right\" where nothing is wrong.",
        "A driver counts if that holds for all the names: all(…).",
        "[driver for driver in drivers if all(endings[name][driver].kind == "
        '"right" for name in names)]',
    ),
    misconceptions=(
        Misconception("if all(", "if any(", "not right in all"),
        Misconception('== "right"', '!= "raises"', "kind is 'hangs'"),
        Misconception("for driver in drivers\n", "for driver in "
                      "sorted(drivers, reverse=True)\n", "order"),
    ),
)
async def drivers_for(answer):
    kinds = {"one": "right right right raises hangs",
             "two": "right wrong right right right",
             "three": "right right none right right"}
    endings = {name: dict(zip("abcde", map(_Ending, words.split())))
               for name, words in kinds.items()}
    for names, right in ((["one"], "abc"), (["one", "two"], "ac"),
                         (["two", "three"], "ade")):
        found = list(answer(endings, names))
        if sorted(found) == list(right) != found:
            raise NotYet("the drivers are right; their order is not that of "
                         "the row.")
        for driver in found:
            for name in names:
                kind = endings[name][driver].kind
                if kind != "right":
                    raise NotYet(f"you name a driver that is not right in "
                                 f"all the rows: in one its kind is {kind!r}.")
        if found != list(right):
            raise NotYet(f"you name {found!r}; {list(right)!r} are right in "
                         "these rows.")
    return "you can read it; now ask it about your service."


@asynccontextmanager
async def _on_asyncpg():
    """An engine on a seeded record shop in PostgreSQL, for one check."""
    here = await postgres()
    engine = create_async_engine(here.asyncpg, hide_parameters=True)
    try:
        await seed(engine)
        yield engine
    finally:
        await engine.dispose()
        await here.drop(force=True)
