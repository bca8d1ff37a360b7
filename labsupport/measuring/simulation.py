"""A pool's queue, simulated: who waits, for how long, and who gives up.

    run = simulate(Pool(pool_size=5, max_overflow=0), OneEach(times, holds))
    run.waits, run.outcomes, run.at(1.5)

It is an event queue: time jumps from one event to the next. No event loop
and no driver runs. The order of every step is that of SQLAlchemy's
``QueuePool._do_get`` and ``_do_return_conn`` on ``asyncio.Queue``, with what
follows from it:

- A request that lines up is woken by a connection that comes back, or by its
  timeout. A place that a failed connect frees wakes nobody: the waiting find
  it at the end of their timeout.
- One that is woken may find the connection gone, to whoever closed it and
  asked again in the same breath. Then it lines up again, at the end.
- Age counts from before the connect, and is looked at after it. A connect
  for a new place that takes longer than ``pool_recycle`` is made twice.

That is the pool of SQLAlchemy 2.0.55 and 2.1.5, and of what came after. An
earlier one awaits a connection that lies there too: who closes by hand and
asks again lets others go first, and ``pool_timeout=0`` never gets that one.

Nobody is cancelled here, and no connection breaks once it is open.

The test holds it against the real pool under virtual time: equal floats.
simpy and ciw would do, at 70 and 110 times the cost of a heap: too slow for
a slider.
"""

from collections import deque
from heapq import heappop, heappush
from math import inf

from .pool_run import FAILED, SERVED, TIMED_OUT, OneEach, Run
from .queue_in_order import in_order

ASK, CONNECTED, PINGED, DEADLINE, LEAVE = range(5)


class _Record:
    """SQLAlchemy's ``_ConnectionRecord``: its place outlives a connection."""

    __slots__ = ("connection", "started", "fresh")

    def __init__(self):
        self.connection = None


class _Simulation:
    def __init__(self, pool, users, until):
        self.pool, self.all, self.run = pool, users, Run()
        self.until = until
        self.now, self.events, self.count = 0.0, [], 0
        self.idle, self.line, self.woken = deque(), deque(), deque()
        self.ahead = [iter(user.holds) for user in users]
        self.holds, self.records = [], []
        self.attempts = 0
        # As in QueuePool: connections beyond the size; below 0 until then.
        self.overflow = -pool.pool_size
        self.most = pool.max_overflow if pool.pool_size else -1
        for number, user in enumerate(users):
            self.later(user.comes, ASK, number)

    def later(self, at, kind, who):
        self.count += 1  # of two events at one time the earlier made is first
        heappush(self.events, (at, self.count, kind, who))

    def all_events(self):
        steps = (self.ask, self.connected, self.pinged, self.deadline,
                 self.leave)
        events, woken = self.events, self.woken
        while events:
            self.now, _, kind, who = heappop(events)
            steps[kind](who)
            while woken:
                step, who = woken.popleft()
                step(who)
        return self.run

    def ask(self, user):
        hold = next(self.ahead[user], None)
        if hold is None or self.now >= self.until:
            return
        run, number = self.run, len(self.holds)
        run.users.append(user)
        run.came.append(self.now)
        for column in (run.chosen, run.got, run.left, run.outcomes):
            column.append(None)
        self.holds.append(hold)
        self.records.append(None)
        full = self.most > -1 and self.overflow >= self.most
        if self.idle:
            self.take(number)
        elif full:
            self.line.append(number)
            self.later(self.now + self.pool.pool_timeout, DEADLINE, number)
        else:
            self.add(number)

    def take(self, number):
        """An idle connection; one that is too old, or gone, is replaced."""
        pool, now = self.pool, self.now
        record = self.records[number] = (
            self.idle.pop() if pool.pool_use_lifo else self.idle.popleft())
        self.run.chosen[number] = now
        if record.connection is None:
            self.connect(number)
        elif self.too_old(record):
            self.disconnect(record)
            self.connect(number)
        elif pool.pool_pre_ping and not record.fresh:
            self.run.pings.append(now)
            if pool.ping:
                self.later(now + pool.ping, PINGED, number)
            else:
                self.pinged(number)
        else:
            self.pinged(number)

    def too_old(self, record):
        return -1 < self.pool.pool_recycle < self.now - record.started

    def add(self, number):
        """A connection more."""
        self.overflow += 1
        self.run.chosen[number] = self.now
        self.connect(number)

    def connect(self, number):
        record = self.records[number]
        attempt = self.attempts
        self.attempts += 1
        who = (number, record or _Record(), self.now, attempt)
        if self.pool.connect:
            self.later(self.now + self.pool.connect, CONNECTED, who)
        else:
            self.connected(who)

    def connected(self, who):
        number, record, started, attempt = who
        if attempt not in self.pool.refused:
            record.connection, record.started = attempt, started
            record.fresh = True
            self.run.opened.append((self.now, attempt))
            added = self.records[number] is None
            self.records[number] = record
            if added and self.too_old(record):
                self.disconnect(record)
                self.connect(number)
            else:
                self.pinged(number)
            return
        if self.records[number] is None:
            self.overflow -= 1  # and nobody wakes
        else:
            self.give_back(record)
        self.end(number, FAILED, at_once=True)

    def pinged(self, number):
        """Ready: the request has its connection."""
        self.records[number].fresh = False
        self.run.got[number] = self.now
        self.later(self.now + self.holds[number], LEAVE, number)

    def deadline(self, number):
        if self.run.chosen[number] is not None:
            return
        self.line.remove(number)
        if self.overflow < self.most:  # a place was freed meanwhile
            self.add(number)
        else:
            self.end(number, TIMED_OUT, at_once=True)

    def leave(self, number):
        self.give_back(self.records[number])
        self.end(number, SERVED,
                 at_once=self.all[self.run.users[number]].explicit)

    def give_back(self, record):
        if 0 < self.pool.pool_size <= len(self.idle):
            self.disconnect(record)
            self.overflow -= 1
            return
        self.idle.append(record)
        if self.line:
            self.woken.append((self.wake, self.line.popleft()))

    def wake(self, number):
        if self.idle:
            self.take(number)
        else:
            self.line.append(number)

    def disconnect(self, record):
        if record.connection is not None:
            self.run.closed.append((self.now, record.connection))
            record.connection = None

    def end(self, number, outcome, at_once):
        run = self.run
        run.left[number], run.outcomes[number] = self.now, outcome
        user = run.users[number]
        if pause := self.all[user].pause:
            self.later(self.now + pause, ASK, user)
        elif at_once:
            self.ask(user)
        else:
            self.woken.append((self.closed, user))

    def closed(self, user):
        """``async with`` closes in a task: its end takes one turn more."""
        self.woken.append((self.ask, user))


def simulate(pool, users, until=inf):
    """The Run of ``users`` (OneEach, or a list of User) on a Pool.

    Nobody asks any more at second ``until``. OneEach takes a tenth of the
    time, unless connections grow too old or are refused.
    """
    if isinstance(users, OneEach) and until == inf \
            and (run := in_order(pool, users)):
        return run
    return _Simulation(pool, list(users), until).all_events()
