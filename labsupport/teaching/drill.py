"""A drill: a pool that is sick in one of seven ways, for you to name.

    found = await drill()      # drawn by lot
    found                      # what the pool, the server and the tasks show
    found.name("leak")

The illness is real, on a database and a network of its own, and is healed
before you read what was found.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ..databases import postgres
from ..drawing.card import Card
from ..faults import proxy
from ..trace.observe import observe
from .illnesses import ASKING, ELSEWHERE, ENDED, EXECUTING, ILLNESSES, Ward

PATIENCE = 15  # seconds until an illness has to show
STATES = text(
    "SELECT CASE wait_event_type WHEN 'Lock' THEN 'waits for a lock' "
    "ELSE state END, count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'drill' "
    "GROUP BY 1")
# A driver that prepares makes its statement active twice.
WORKING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = "
               "'PgSleep' AND datname = current_database()")


@dataclass(frozen=True)
class Findings:
    """What can be seen of a sick pool; its illness is not told.

    ``places``, ``out`` and ``waiting`` are numbers of the pool. ``server``
    maps a state to how many connections are in it, ``holders`` the name of
    each task that has a connection to what the task does.
    """

    places: int
    out: int
    waiting: int
    server: dict
    holders: dict
    _illness: str = field(repr=False)

    def name(self, guess):
        """The Card that says whether ``guess`` is the name of the illness.

        Raises KeyError if no illness has this name.
        """
        if guess not in ILLNESSES:
            raise KeyError(f"no illness is called {guess!r}; there are "
                           f"{', '.join(ILLNESSES)}")
        illness = ILLNESSES[guess]
        if guess != self._illness:
            return Card("bad", f"It is not the {guess}.",
                        [("that shows", illness.signs)])
        return Card("good", f"It is the {guess}.",
                    [("because", illness.signs), ("cure", illness.cure)])

    def _card(self):
        return Card("open", "Requests wait, and time out. Why?", [
            ("the pool", f"{self.places} places, {self.out} out, "
                         f"{self.waiting} waiting"),
            ("the server", _told(self.server)),
            ("holders", _told(_by_what_they_do(self.holders)))])

    def __repr__(self):
        return repr(self._card())

    def _repr_html_(self):
        return self._card()._repr_html_()


async def drill(seed=None):
    """The Findings about a pool that is sick.

    The illness is drawn by lot; ``seed`` (int) draws the same each time.
    """
    lot = Random(seed)
    return await findings(lot.choice([*ILLNESSES]), lot)


async def findings(name, lot):
    """The Findings about a pool with this illness; ``lot`` draws its size.

    Raises TimeoutError if the illness does not show within 15 s.
    """
    database = await postgres()
    watch = create_async_engine(database.asyncpg, poolclass=NullPool,
                                isolation_level="AUTOCOMMIT")
    try:
        async with watch.connect() as eye, proxy(database) as link:
            await eye.execute(text("CREATE TABLE shelf (id int)"))
            return await _seen(name, lot, database, link, eye)
    finally:
        await database.drop(force=True)


async def _seen(name, lot, database, link, eye):
    """The Findings, looked for with a connection (``eye``) of its own."""
    illness, places = ILLNESSES[name], lot.randint(2, 4)
    callers = places + lot.randint(1, 3)
    engine = create_async_engine(
        link.asyncpg, pool_size=places, max_overflow=0, connect_args={
            "server_settings": {"application_name": "drill"}})
    one_look = asyncio.Lock()  # at a time: it is one connection

    async def working():
        async with one_look:
            return await eye.scalar(WORKING)

    ward = Ward(database, link, engine, working)
    try:
        with observe(engine) as trace:
            async with illness.fault(ward), asyncio.timeout(PATIENCE):
                ward.receive(illness, callers)
                while True:
                    async with one_look:
                        server = dict((await eye.execute(STATES)).all())
                    found = Findings(places, *_pool(trace), server,
                                     _holders(ward, trace), name)
                    if _shows(illness, found, callers):
                        return found
    finally:
        await ward.heal()
        await engine.dispose()


def _pool(trace):
    usage = trace.usage()[-1]
    return usage.out, usage.waiting


def _holders(ward, trace):
    """Name of a task that has a connection → what it does (dict of str)."""
    last = {event.task: event.kind for event in trace.events}
    doing = {"request": ASKING, "execute": EXECUTING}
    return {name: ENDED if ward.tasks[name].done()
            else doing.get(last[name], ELSEWHERE)
            for name in sorted(one.task for one in trace.holders())}


def _shows(illness, found, callers):
    """Whether all that has to be seen is there (bool)."""
    if not illness.holders:
        return found.out == 0 and found.server == {illness.server: callers}
    waiting = callers - found.places
    if illness.holders == ASKING:  # the holders, too
        waiting = callers
    return found.server == {illness.server: found.places} \
        and found.waiting == waiting \
        and set(found.holders.values()) == {illness.holders}


def _by_what_they_do(holders):
    doing = {}
    for task, what in holders.items():
        doing.setdefault(what, []).append(task)
    return {what: ", ".join(tasks) for what, tasks in doing.items()}


def _told(facts):
    return "; ".join(f"{name}: {fact}" for name, fact in facts.items()) \
        or "nothing to see"
