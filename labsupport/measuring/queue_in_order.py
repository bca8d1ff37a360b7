"""The pool's queue for users who ask once: settled in the order they come.

Served is who came first, and later ones change nothing for those before
them. So a heap of the times at which connections come back is enough: the
recurrence of Kiefer and Wolfowitz ("On the theory of queues with many
servers", 1955), with connects, overflow, pre-ping and timeouts.
"""

from heapq import heappop, heappush
from math import inf

from .pool_run import SERVED, TIMED_OUT, Run


def in_order(pool, users):
    """The Run of ``users`` (OneEach) on a Pool.

    None where the order in which they come does not decide: connections
    that grow too old, refused connects, two events at one time.
    """
    if pool.pool_recycle > -1 or pool.refused:
        return None
    size = pool.pool_size or inf
    most = size + pool.max_overflow if pool.max_overflow >= 0 else inf
    connect, timeout = pool.connect, pool.pool_timeout
    ping = pool.ping if pool.pool_pre_ping else 0.0
    next_idle = -1 if pool.pool_use_lifo else 0
    run, holds = Run(), users.holds
    run.came = list(users.times)
    run.users = list(range(len(run.came)))
    opened, closed, pings = run.opened, run.closed, run.pings
    chosen, gots, lefts = run.chosen, run.got, run.left
    outcomes = [SERVED] * len(run.came)
    busy = []  # heap of (when it comes back, connection)
    idle, live = [], 0

    def come_back(until):
        """Those before ``until``; whether all these times are different."""
        nonlocal live
        while busy and busy[0][0] <= until:
            back, connection = heappop(busy)
            if back == until or busy and busy[0][0] == back:
                return False
            if len(idle) < size:
                idle.append(connection)
            else:
                closed.append((back, connection))
                live -= 1
        return True

    for number, now in enumerate(run.came):
        if busy and busy[0][0] <= now and not come_back(now):
            return None
        start, ready = now, ping
        if idle:
            connection = idle.pop(next_idle)
            if pool.pool_pre_ping:
                pings.append(now)
        elif live < most:
            live += 1
            connection, ready = len(opened), connect
            opened.append((now + connect, connection))
        elif busy[0][0] < now + timeout:
            start, connection = heappop(busy)
            if busy and busy[0][0] == start:
                return None
            if pool.pool_pre_ping:
                pings.append(start)
        elif busy[0][0] == now + timeout:
            return None
        else:
            chosen.append(None)
            gots.append(None)
            lefts.append(now + timeout)
            outcomes[number] = TIMED_OUT
            continue
        got = start + ready
        left = got + holds[number]
        chosen.append(start)
        gots.append(got)
        lefts.append(left)
        heappush(busy, (left, connection))
    if not come_back(inf):
        return None
    run.outcomes = outcomes
    return run
