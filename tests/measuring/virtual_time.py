"""The real engine and its AsyncAdaptedQueuePool, in virtual time.

The loop's clock jumps to the next timer as soon as nothing is ready. Beneath
the engine is a driver that only waits. async-solipsism, looptime and
aiotools were tried: each rounds time, to 1 ms or 1 µs.
"""

import asyncio
import heapq
import itertools
import math
import selectors
from asyncio.events import TimerHandle
from types import SimpleNamespace
from unittest import mock

import sqlalchemy.pool.base
from sqlalchemy import exc
from sqlalchemy.dialects import registry
from sqlalchemy.engine import AdaptedConnection, default
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from labsupport.measuring.pool_run import FAILED, SERVED, TIMED_OUT, Run


class _Timer(TimerHandle):
    """Of two timers for one time the earlier made is first."""

    def __lt__(self, other):
        return (self._when, self.number) < (other._when, other.number)


class _Selector(selectors.SelectSelector):
    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("Nothing is ready, and nothing is due.")
        if timeout > 0:
            self.loop.jump()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._now, self._numbers = 0.0, itertools.count()
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self._now

    def jump(self):
        self._now = self._scheduled[0]._when
        # No timer ahead of its time: by default 1 ns is "now".
        self._clock_resolution = math.ulp(self._now)

    def call_at(self, when, callback, *args, context=None):
        timer = _Timer(when, callback, args, self, context)
        timer.number = next(self._numbers)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer


class Cursor:
    description, rowcount, lastrowid, arraysize = None, -1, None, 1

    def execute(self, statement, parameters=()):
        await_only(asyncio.sleep(*parameters))

    def close(self):
        pass

    async def _async_soft_close(self):
        pass


class Connection(AdaptedConnection):
    def __init__(self, driver, number):
        self.driver, self.number, self._connection = driver, number, None

    def cursor(self, server_side=False):
        return Cursor()

    def rollback(self):
        pass

    commit = rollback

    def close(self):
        self.driver.run.closed.append((self.driver.clock(), self.number))

    terminate = close


class Refused(Exception):
    pass


class Driver:
    """A DBAPI of one Pool's times; it notes connects, closes and pings."""

    apilevel, paramstyle, threadsafety = "2.0", "qmark", 0
    Error = DatabaseError = OperationalError = InterfaceError = Refused
    IntegrityError = ProgrammingError = InternalError = DataError = Refused
    NotSupportedError = Refused

    def __init__(self, pool, run, clock):
        self.pool, self.run, self.clock = pool, run, clock
        self.attempts = itertools.count()

    def connect(self):
        attempt = next(self.attempts)
        wait(self.pool.connect)
        if attempt in self.pool.refused:
            raise Refused(attempt)
        self.run.opened.append((self.clock(), attempt))
        return Connection(self, attempt)

    def ping(self):
        self.run.pings.append(self.clock())
        wait(self.pool.ping)
        return True


def wait(seconds):
    if seconds:
        await_only(asyncio.sleep(seconds))


class Dialect(default.DefaultDialect):
    name, driver, is_async, has_terminate = "waiting", "waiting", True, True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url):
        return AsyncAdaptedQueuePool

    def initialize(self, connection):
        pass

    def create_connect_args(self, url):
        return [], {}

    def do_ping(self, connection):
        return connection.driver.ping()

    def do_terminate(self, connection):
        connection.terminate()

    def is_disconnect(self, *_):
        return False


def engine(driver, **options):
    """An AsyncEngine on ``driver``."""
    registry.register("waiting", __name__, "Dialect")
    return create_async_engine("waiting://", module=driver, **options)


def real_run(pool, users, looks=()):
    """What ``simulate`` says, from the real thing: a Run.

    At each second of ``looks`` its ``lines`` get the length of the line.
    """
    loop = VirtualLoop()
    run = Run()
    run.lines = []
    driver = Driver(pool, run, loop.time)

    async def ask(held, user, hold):
        number = len(run.came)
        for column in (run.users, run.came, run.got, run.left, run.outcomes):
            column.append(None)
        run.users[number], run.came[number] = user, loop.time()
        outcome = SERVED
        try:
            await held(number, hold)
        except exc.TimeoutError:
            outcome = TIMED_OUT
        except exc.DBAPIError:
            outcome = FAILED
        run.left[number] = loop.time()
        run.outcomes[number] = outcome

    async def main():
        real = engine(driver, **pool.options)

        async def kept(connection, number, hold):
            run.got[number] = loop.time()
            await connection.exec_driver_sql("wait", (hold,))

        async def in_block(number, hold):
            async with real.connect() as connection:
                await kept(connection, number, hold)

        async def explicit(number, hold):
            connection = await real.connect()
            await kept(connection, number, hold)
            await connection.close()

        async def one(number, user):
            for hold in user.holds:
                await ask(explicit if user.explicit else in_block,
                          number, hold)
                if user.pause:
                    await asyncio.sleep(user.pause)

        tasks = []

        def come(number, user):
            tasks.append(loop.create_task(one(number, user)))

        def look():
            line = real.pool._pool._queue._getters
            run.lines.append(sum(not getter.done() for getter in line))

        for second in looks:
            loop.call_at(second, look)
        for number, user in enumerate(users):
            loop.call_at(user.comes, come, number, user)
        await asyncio.sleep(max([*looks, *(user.comes for user in users)]))
        await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    clock = SimpleNamespace(time=loop.time)
    with mock.patch.object(sqlalchemy.pool.base, "time", clock):
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()
    return run
