"""The real pool, on the schedule of a simulated one: both are Runs.

    run = await real_run(db.asyncpg, Pool(pool_size=5), users)
    run.waits, run.outcomes, run.at(1.5)
"""

from math import inf

from sqlalchemy import make_url

from .load import Latency
from .pool_run import FAILED, SERVED, TIMED_OUT, Run
from .process import found_by

# Requests wait for the event loop as well if it uses so much of its core,
# or if others leave it too little: then every twentieth starts late, by this
# part of a hold at least.
BUSY, LATE = 0.7, 0.2
ENDS = (SERVED, TIMED_OUT, FAILED)


class RealRun(Run):
    """A Run that grows while it goes on; not to tell are ``pings``.

    A request that is under way has left at infinity. ``cpu`` (part of one
    core), ``late`` (Latency) and ``failures`` (messages) come at the end.
    ``chosen`` is when it began to connect, or else when it had a connection.
    """

    cpu = late = None
    failures = ()

    def hear(self, rows):
        """Take what the process tells: rows of [what, of whom, second]."""
        for what, whom, second in rows:
            if what == "came":
                self.users.append(whom)
                self.came.append(second)
                for column in (self.chosen, self.got, self.outcomes):
                    column.append(None)
                self.left.append(inf)
            elif what == "chosen":
                if self.chosen[whom] is None:
                    self.chosen[whom] = second
            elif what == "got":
                self.got[whom] = second
                if self.chosen[whom] is None:
                    self.chosen[whom] = second
            elif what in ENDS:
                self.left[whom], self.outcomes[whom] = second, what
            else:
                getattr(self, what).append((second, whom))

    def cpu_is_the_limit(self, hold):
        """Whether requests waited for CPU, not for the pool alone.

        Takes the mean seconds of a hold.
        """
        return self.cpu >= BUSY or self.late.p95 >= LATE * hold


async def real_run(url, pool, users, until=inf, hear=lambda run: None):
    """Run ``users`` on a real engine with the options of a Pool: a RealRun.

    Takes the URL of a PostgreSQL database, and OneEach or a list of User,
    none of whom is ``explicit``. Nobody asks any more at second ``until``.
    The engine lives in a process of its own. ``hear`` gets the RealRun while
    it grows, about ten times a second. Raises LoadError.
    """
    run = RealRun()

    def grow(rows):
        run.hear(rows)
        hear(run)

    found = await found_by("labsupport.measuring.pool_process", {
        "url": make_url(url).render_as_string(False),
        "options": pool.options,
        "users": [(user.comes, list(user.holds), user.pause)
                  for user in users],
        "until": until}, grow)
    run.cpu, run.failures = found["cpu"], found["failures"]
    run.late = Latency(found["late"])
    return run
