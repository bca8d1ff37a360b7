"""A pool at work, request by request: the process that ``real_run`` starts.

    python -m labsupport.measuring.pool_process < job

takes one line of JSON and writes some (``process``).
"""

import asyncio
import gc
import re
import time
from contextvars import ContextVar
from itertools import count

from sqlalchemy import event, exc, func, make_url, select
from sqlalchemy.ext.asyncio import create_async_engine

from .pool_run import FAILED, SERVED, TIMED_OUT, User
from .process import Failure, answer

PAUSE = 0.1  # seconds between two lots of news


class Recorder:
    """Notes what happens: rows of [what, of whom, second].

    ``came`` is of a user, by number; what comes after that is of a request.
    ``opened`` and ``closed`` are of a connection.
    """

    def __init__(self):
        self.rows, self._begin = [], None
        self._connections, self._numbers = {}, count()
        self._request = ContextVar("request")

    def begin(self, engine):
        """Time is 0 now; follow an AsyncEngine's connections from here."""
        self._begin = time.perf_counter()
        event.listen(engine.sync_engine, "do_connect", self._connecting)
        event.listen(engine.sync_engine, "connect", self._connected)
        event.listen(engine.sync_engine, "close", self._closed)

    @property
    def now(self):
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    def note(self, what, whom):
        self.rows.append([what, whom, self.now])

    def follow(self, number):
        """What this task does from here on belongs to request ``number``."""
        self._request.set(number)

    def _connecting(self, *_):
        self.note("chosen", self._request.get())

    def _connected(self, connection, _entry):
        number = self._connections[connection] = next(self._numbers)
        self.note("opened", number)

    def _closed(self, connection, _entry):
        self.note("closed", self._connections.pop(connection))


async def _request(engine, hold, recorder, number):
    """One request; why it failed (str), if it did."""
    recorder.follow(number)
    outcome, why = SERVED, None
    try:
        async with engine.connect() as connection:
            recorder.note("got", number)
            await connection.execute(select(func.pg_sleep(hold)))
    except exc.TimeoutError:
        outcome = TIMED_OUT
    except Exception as error:  # the driver's own, too: it is told
        outcome, why = FAILED, f"{type(error).__name__}: {error}"
    recorder.note(outcome, number)
    return why


async def run(job, tell):
    """What ``work`` finds; see there."""
    engine = create_async_engine(make_url(job["url"]), **job["options"])
    try:
        async with engine.connect() as connection:  # the dialect's first
            await connection.execute(select(func.pg_sleep(0)))
        await engine.dispose()  # empty, as the simulated pool is
    except Exception as error:
        raise Failure(f"{type(error).__name__}: {error}") from error
    users = sorted((User(*one) for one in job["users"]),
                   key=lambda user: user.comes)
    recorder, numbers, late, why = Recorder(), count(), [], {}

    async def report():
        while True:
            await asyncio.sleep(PAUSE)
            tell(rows=recorder.rows)
            recorder.rows.clear()

    async def one(user, name):
        due = user.comes
        for hold in user.holds:
            if recorder.now >= job["until"]:
                return
            number = next(numbers)
            # Who is late because the loop was busy has come all the same.
            recorder.rows.append(["came", name, due])
            late.append(recorder.now - due)
            if failed := await _request(engine, hold, recorder, number):
                why.setdefault(failed.split(":")[0], failed)
            await asyncio.sleep(user.pause)
            due = recorder.now

    # The collector is the largest disturbance; what lives now stays.
    gc.collect()
    gc.freeze()
    gc.disable()
    recorder.begin(engine)
    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        reporter = asyncio.create_task(report())
        for name, user in enumerate(users):
            await asyncio.sleep(max(user.comes - recorder.now, 0))
            group.create_task(one(user, name))
    reporter.cancel()
    cpu = (time.process_time() - cpu) / recorder.now
    tell(rows=recorder.rows)
    await engine.dispose()
    return {"cpu": cpu, "late": late, "failures": [
        re.sub(r"\s*\(Background on this error at: .*", "", words)
        for words in why.values()]}


def work(job, tell):
    """Run ``job``: ``url``, ``options`` of the engine, ``users``, ``until``.

    Tells ``rows`` as they happen, and finds ``cpu`` (part of one core),
    ``late`` (seconds that the event loop kept each request from asking) and
    ``failures`` (a message for each type).
    """
    return asyncio.run(run(job, tell))


if __name__ == "__main__":
    answer(work)
