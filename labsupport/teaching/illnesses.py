"""Seven ways in which a pool falls ill: what its requests do wrong."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import NamedTuple

import anyio
from sqlalchemy import text

from ..faults import locked

ONE, SLEEP = text("SELECT 1"), text("SELECT pg_sleep(60)")
SHELF = text("SELECT count(*) FROM shelf")
ENDED, ASKING, EXECUTING, ELSEWHERE = (
    "has ended", "waits for the pool", "executes", "runs other code")


class Illness(NamedTuple):
    """What ails a pool, how it shows, and what helps.

    ``request`` is a coroutine function of a Ward, ``fault`` an async context
    manager of one. ``server`` is the state that the server sees, ``holders``
    what each task does that holds a connection; empty: no task holds one.
    """

    request: object
    server: str
    holders: str
    cure: str
    fault: object = nullcontext

    @property
    def signs(self):
        """What one sees (str)."""
        return f"the server sees '{self.server}', and " + (
            f"each task that holds a connection {self.holders}"
            if self.holders else "the pool says that nothing is out")


class Ward:
    """A pool that falls ill: its ``database``, and the ``link`` to that.

    ``active`` is a coroutine function: how many queries the server works at.
    """

    def __init__(self, database, link, engine, active):
        self.database, self.link, self.engine = database, link, engine
        self.active = active
        self.full = asyncio.Barrier(engine.pool.size())
        self.turn = asyncio.Lock()
        self.tasks, self.kept = {}, []

    def receive(self, illness, callers):
        """Start so many tasks (int) of the illness's request."""
        for number in range(1, callers + 1):
            name = f"request {number}"
            self.tasks[name] = asyncio.create_task(
                illness.request(self), name=name)

    async def heal(self):
        """End what is left of the requests."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        for connection in self.kept:
            await connection.close()


def _running(statement):
    async def request(ward):
        async with ward.engine.connect() as connection:
            await connection.execute(statement)

    return request


async def _forgets(ward):
    ward.kept.append(connection := await ward.engine.connect())
    await connection.execute(ONE)


async def _needs_two(ward):
    async with ward.engine.connect() as connection:
        await connection.execute(ONE)
        await ward.full.wait()  # all places are taken
        await _running(ONE)(ward)


async def _calls_out(ward):
    async with ward.engine.connect() as connection:
        await connection.execute(ONE)
        await asyncio.Event().wait()  # another service, and no answer


async def _goes_away(ward):
    async with ward.turn:  # one after the other, so that each is seen
        before = await ward.active()
        async with anyio.create_task_group() as group:
            group.start_soon(_close, group.cancel_scope, ward, before)
            await _running(SLEEP)(ward)


async def _close(tab, ward, before):
    while await ward.active() == before:
        pass
    tab.cancel()


def _held_table(ward):
    return locked(ward.database, "shelf")


@asynccontextmanager
async def _silence(ward):
    async with AsyncExitStack() as stack:  # first the pool connects
        for _ in range(ward.engine.pool.size()):
            await stack.enter_async_context(ward.engine.connect())
    with ward.link.timeout(stream="upstream"):  # nothing gets there
        yield


OPEN = "idle in transaction"
ILLNESSES = {
    "leak": Illness(
        _forgets, OPEN, ENDED,
        "async with engine.connect(), or a session in a block"),
    "nested checkout": Illness(
        _needs_two, OPEN, ASKING,
        "hand the first connection on: a task needs one"),
    "call in a transaction": Illness(
        _calls_out, OPEN, ELSEWHERE,
        "end the transaction, then call the other service"),
    "slow query": Illness(
        _running(SLEEP), "active", EXECUTING,
        "mend the query; a statement_timeout as the limit"),
    "lock": Illness(
        _running(SHELF), "waits for a lock", EXECUTING,
        "find who holds it: pg_blocking_pids(); a lock_timeout", _held_table),
    "silent peer": Illness(
        _running(ONE), "idle", EXECUTING,
        "a limit on the driver's side: command_timeout", _silence),
    "closed tab": Illness(
        _goes_away, "active", "",
        "a statement_timeout, and a task that is cancelled once"),
}
