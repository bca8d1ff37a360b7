"""Checks of ``06_pool_failures``."""

import asyncio
from inspect import iscoroutine
from random import Random

import anyio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ...databases import postgres
from ...faults import proxy, terminate_backends
from ..drill import findings
from ..illnesses import ILLNESSES
from . import Misconception, NotYet, exercise

LIMIT = 5  # seconds, as the exercise says
ONE, HALF = text("SELECT 1"), text("SELECT pg_sleep(0.5)")
SLEEP = text("SELECT pg_sleep(60)")
AT_WORK = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = "
               "'PgSleep' AND datname = current_database()")
PING = '    options |= {"pool_pre_ping": True}\n'
OURS, CONNECT = '"command_timeout": 1.5', ', "timeout": 1.5'
THEIRS = '{"statement_timeout": "1000"}'
ON_EACH_CONNECTION = """def sturdy_engine(url):
    engine = create_async_engine(url, pool_pre_ping=True, connect_args={
        "command_timeout": 1, "timeout": 1})

    @event.listens_for(engine.sync_engine, "connect")
    def limit(connection, record):
        cursor = connection.cursor()
        cursor.execute("SET statement_timeout = 1500")
        cursor.close()

    return engine"""


@exercise(
    "E06.1",
    hints=(
        "Three faults: one is met at the checkout, one on your side, for a "
        "statement and for a connect, one on the server's side.",
        "connect_args go to asyncpg.connect(): command_timeout and timeout "
        "(seconds), server_settings (a dictionary, values as text).",
        'statement_timeout is in milliseconds: "server_settings": '
        '{"statement_timeout": "1000"}',
    ),
    misconceptions=(
        Misconception(PING, "", "closed"),
        Misconception(PING, '    options |= {"pool_recycle": 3600}\n',
                      "closed"),
        Misconception(OURS, '"timeout": 3', "silent"),
        Misconception(OURS, '"command_timeout": 1500', "silent"),
        Misconception(OURS, '"command_timeout": 5', "silent"),
        Misconception(OURS, '"command_timeout": 3', "waits twice"),
        Misconception(CONNECT, "", "connects"),
        Misconception(OURS, '"command_timeout": 0.3', "half a second"),
        Misconception(THEIRS, '{"statement_timeout": 1000}',
                      "server_settings"),
        Misconception(THEIRS, '{"statement_timeout": "200"}', "half a second"),
        Misconception(THEIRS, '{"lock_timeout": "1000"}', "runs on"),
        Misconception(THEIRS, '{"idle_session_timeout": "1000"}', "runs on"),
        Misconception("    return create_async_engine(url, **options)",
                      "    create_async_engine(url, **options)",
                      "return the engine"),
        Misconception("def sturdy_engine", "async def sturdy_engine",
                      "no coroutine"),
    ),
    also_right=(
        """def sturdy_engine(url):
    return create_async_engine(url, poolclass=NullPool, connect_args={
        "command_timeout": 2, "timeout": 2,
        "server_settings": {"client_connection_check_interval": "1s"}})""",
        ON_EACH_CONNECTION,
    ),
)
async def sturdy_engine(answer):
    database = await postgres()
    watch = create_async_engine(database.asyncpg, poolclass=NullPool,
                                isolation_level="AUTOCOMMIT")
    try:
        async with proxy(database) as link:
            engine = answer(link.asyncpg)
            if iscoroutine(engine):
                engine.close()
                raise NotYet("return the engine, and no coroutine: write "
                             "def, not async def.")
            if not isinstance(engine, AsyncEngine):
                raise NotYet("return the engine; you return "
                             f"{type(engine).__name__}.")
            try:
                await _ordinary(engine)
                await _closed(engine, database)
                await _silent(engine, link)
                await _abandoned(engine, watch)
            finally:
                await engine.dispose()
    finally:
        await database.drop(force=True)
    return "closed, silent, abandoned: the engine survives all three."


async def _ask(engine, statement=ONE):
    async with engine.connect() as connection:
        return await connection.scalar(statement)


async def _ordinary(engine):
    await _ask(engine)  # what is wrong with the options is told as it is
    try:
        await _ask(engine, HALF)
    except (DBAPIError, TimeoutError):
        raise NotYet("a query of half a second is ended: look at the units, "
                     "and leave it time.") from None


async def _closed(engine, database):
    await terminate_backends(database)
    try:
        await _ask(engine)
    except DBAPIError:
        raise NotYet("a statement meets a connection that the server has "
                     "closed: ask at the checkout.") from None


async def _silent(engine, link):
    """NotYet if a request waits for as long as the network is silent."""
    problem, requests = "", []
    with link.timeout():
        # The first has a connection, and throws it away; the second connects.
        for why in ("command_timeout ends each wait, in seconds, and a ping "
                    "waits twice.",
                    "it connects anew, and only timeout ends that wait."):
            request = asyncio.create_task(_ask(engine))
            requests.append(request)
            await asyncio.wait([request], timeout=LIMIT)
            if not request.done():
                problem = f"on a silent network request {len(requests)} " \
                          f"still waits after {LIMIT} s: {why}"
            elif request.exception() is None:
                problem = "the request has met no silent network: it has " \
                          "to connect to the server of the URL."
            if problem:
                break
    await asyncio.gather(*requests, return_exceptions=True)
    if problem:
        raise NotYet(problem)


async def _abandoned(engine, watch):
    """NotYet if a query goes on for long when its client has gone."""
    async with anyio.create_task_group() as client:
        client.start_soon(_ask, engine, SLEEP)
        async with asyncio.timeout(LIMIT):
            while not await _ask(watch, AT_WORK):
                pass
        client.cancel_scope.cancel()
    try:
        async with asyncio.timeout(LIMIT):
            while await _ask(watch, AT_WORK):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotYet("the client has gone, and its query runs on: give the "
                     "server a limit, statement_timeout.") from None


GONE = "    if found.out == 0:\n        return \"closed tab\"\n"
LOCK = ("    if \"waits for a lock\" in found.server:\n"
        "        return \"lock\"\n")


@exercise(
    "E06.2",
    hints=(
        "Begin with what is certain: nothing is out, or the server works.",
        "found.server has 'active', 'waits for a lock', 'idle' or 'idle in "
        "transaction' among its keys.",
        "Of the three with 'idle in transaction', set(found.holders."
        "values()) tells the tasks apart.",
    ),
    misconceptions=(
        Misconception(GONE, "", "closed tab"),
        Misconception(LOCK, "", "lock"),
        Misconception("if \"executes\" in doing", "if \"idle\" in doing",
                      "silent peer"),
        Misconception("return \"nested checkout\"", "return \"deadlock\"",
                      "there is no illness"),
        Misconception("def diagnose", "async def diagnose",
                      "you return coroutine"),
        Misconception("", "def diagnose(found):\n"
                      "    return found.name(\"leak\")", "judges"),
        Misconception("", "def diagnose(found):\n    return \"leak\"",
                      "you say 'leak'"),
        Misconception("", "def diagnose(found):\n"
                      "    if found.server.get('idle in transaction'):\n"
                      "        return 'leak'\n"
                      "    return 'slow query'", "you say 'leak'"),
    ),
    also_right=(
        """def diagnose(found):
    signs = {
        "closed tab": found.out == 0,
        "lock": "waits for a lock" in found.server,
        "slow query": "active" in found.server,
        "silent peer": "idle" in found.server,
        "leak": "has ended" in found.holders.values(),
        "nested checkout": found.waiting > 0 and "waits for the pool"
        in found.holders.values()}
    return next((name for name, seen in signs.items() if seen),
                "call in a transaction")""",
        """def diagnose(found):
    state, = found.server
    if not found.holders:
        return "closed tab"
    doing, = set(found.holders.values())
    return {"has ended": "leak", "waits for the pool": "nested checkout",
            "runs other code": "call in a transaction"}.get(
        doing, {"active": "slow query", "idle": "silent peer"}.get(
            state, "lock"))""",
    ),
)
async def diagnose(answer):
    for name in ILLNESSES:  # not together: a server has few connections
        said = answer(await findings(name, Random()))
        if not isinstance(said, str):
            kind = type(said).__name__
            if iscoroutine(said):
                said.close()
            raise NotYet(f"return the name of the illness; you return {kind}."
                         " (found.name() judges, and def is enough.)")
        if said not in ILLNESSES:
            raise NotYet(f"you say {said!r}: there is no illness of that "
                         f"name; there are {', '.join(ILLNESSES)}.")
        if said != name:
            raise NotYet(f"it is the {name}, and you say {said!r}. "
                         f"{ILLNESSES[name].signs}.")
    return "seven illnesses, seven names."
