"""Checks of ``05_pool_tuning``."""

import gc
from contextlib import AsyncExitStack
from random import Random

from sqlalchemy.exc import TimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from ...databases import postgres
from ...measuring.forecast import schedule
from ...measuring.load import Latency
from ...measuring.pool_run import Pool
from ...measuring.simulation import simulate
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop

SEARCH = "def smallest_pool(crowd, limit):\n"


@exercise(
    "E05.1",
    hints=(
        "simulate(Pool(size, max_overflow=0), crowd) gives a run for one "
        "size. Which sizes do you try, in which order?",
        "Latency(run.latencies).p95 is the 95th percentile; the "
        "first size that stays within the limit is the answer.",
        "if Latency(run.latencies).p95 <= limit: return size",
    ),
    misconceptions=(
        Misconception("Pool(size, max_overflow=0)", "Pool(size)",
                      "overflow"),
        Misconception(".p95", ".p50", "95th percentile"),
        Misconception("Latency(run.latencies).p95", "max(run.latencies)",
                      "5 of 100"),
        Misconception("run.latencies", "run.waits", "from the asking"),
        Misconception(
            "", SEARCH + "    return round(sum(crowd.holds) / "
            "crowd.times[-1])", "on average"),
        Misconception("            return size", "            return size + 1",
                      "a smaller one"),
        Misconception("", SEARCH + "    return 50", "a smaller one"),
        Misconception("        if Latency", "        if not Latency",
                      "95th percentile"),
    ),
    also_right=(
        SEARCH + """\
    def fits(size):
        late = sorted(simulate(Pool(size, 0), crowd).latencies)
        return late[int(.95 * len(late))] <= limit

    return next(size for size in range(1, 51) if fits(size))""",
        SEARCH + """\
    size = 50
    while size > 1:
        run = simulate(Pool(size - 1, max_overflow=0), crowd)
        if Latency(run.latencies).quantile(.95) > limit:
            break
        size -= 1
    return size""",
    ),
)
async def smallest_pool(answer):
    chance = Random()
    for _ in range(3):
        rate, hold = chance.uniform(50, 80), chance.uniform(.08, .1)
        crowd = schedule(rate, 60, hold, chance.random())
        p95 = {size: _p95(size, crowd) for size in range(1, 21)}
        right = next(size for size in p95 if size > rate * hold * 1.2)
        # Between two sizes: how a quantile is taken does not decide.
        limit = (p95[right] + p95[right - 1]) / 2
        size = answer(crowd, limit)
        if size == right:
            continue
        if size is None:
            raise NotYet("you return None: none of your sizes keeps the "
                         "limit. It is for the 95th percentile; 5 of 100 may "
                         "take longer.")
        if not isinstance(size, int) or size < 1:
            raise NotYet(f"you return {size!r}; the answer is a whole number "
                         "of connections.")
        if size > right:
            raise NotYet(f"{size} connections are enough, and so is a "
                         "smaller one: the smallest is asked for, and 5 of "
                         "100 may take longer.")
        average = round(sum(crowd.holds) / crowd.times[-1])
        with_ten = next(size for size in p95
                        if _p95(size, crowd, overflow=10) <= limit)
        raise NotYet(
            f"with {size} connections the 95th percentile of the latency, "
            f"from the asking to the giving back, is {p95[size]:.2f} s; the "
            f"limit is {limit:.2f} s."
            + " So many are out on average." * (size == average)
            + " With an overflow of 10 they would be enough: a Pool has it "
              "unless you say max_overflow=0." * (size == with_ten))
    return "the smallest pool that keeps the limit, for three schedules."


def _p95(size, crowd, overflow=0):
    return Latency(simulate(Pool(size, overflow), crowd).latencies).p95


HOLD = """    async with AsyncExitStack() as stack:
        for _ in range(engine.pool.size()):
            await stack.enter_async_context(engine.connect())"""
WARM = "async def warm(engine):\n"


@exercise(
    "E05.2",
    hints=(
        "Only connections that are out at the same time are different ones.",
        "An AsyncExitStack keeps several blocks open, and leaves them all at "
        "its end. engine.pool.size() is how many.",
        "await stack.enter_async_context(engine.connect()), in a loop inside "
        "async with AsyncExitStack() as stack:",
    ),
    misconceptions=(
        Misconception(HOLD, """    for _ in range(engine.pool.size()):
        async with engine.connect():
            pass""", "at the same time"),
        Misconception("engine.pool.size()", "5", "engine.pool.size()"),
        Misconception("engine.pool.size()", "engine.pool.size() + 2",
                      "overflow"),
        Misconception(HOLD, "    for _ in range(engine.pool.size()):\n"
                            "        await engine.connect()",
                      "not given back"),
        Misconception(HOLD, "    async with engine.connect():\n        pass",
                      "at the same time"),
        Misconception("    async with", "    await engine.dispose()\n"
                      "    async with", "what is there already"),
    ),
    also_right=(
        WARM + """\
    size = engine.pool.size()
    ready = asyncio.Barrier(size)

    async def one():
        async with engine.connect():
            await ready.wait()

    await asyncio.gather(*(one() for _ in range(size)))""",
        WARM + """\
    out = []
    try:
        while len(out) < engine.pool.size():
            out.append(await engine.connect())
    finally:
        for connection in out:
            await connection.close()""",
    ),
)
async def warm(answer):
    size = Random().choice([3, 7])
    async with shop(postgres, "asyncpg", pool_size=size) as engine:
        there = engine.pool.checkedin()  # one, from the seeding
        with observe(engine) as trace:
            await answer(engine)
            _is_warm(engine, size, trace, size - there)
        with observe(engine) as again:
            await answer(engine)
            _is_warm(engine, size, again, 0)
    return f"{size} connections in the pool, none beyond it, none twice."


def _is_warm(engine, size, trace, needed):
    """NotYet unless the pool is full and no more was opened than needed."""
    gc.collect()  # now, and not below another cell
    counts = trace.counts()
    lost = any(event.kind == "detach" for event in trace.events)
    if lost or engine.pool.checkedout():
        raise NotYet("what you open is not given back: the pool has none of "
                     "it.")
    if counts["of these overflow"]:
        raise NotYet("it opens more than engine.pool.size(): that is "
                     "overflow, and is closed when it comes back.")
    if (idle := engine.pool.checkedin()) != size:
        raise NotYet(f"{idle} in a pool of {size}: hold as many as "
                     "engine.pool.size() at the same time.")
    if counts["connections opened"] > needed:
        raise NotYet(f"it opens {counts['connections opened']}, and {needed} "
                     "are missing: take what is there already.")


OVERFLOW = '        "max_overflow": 0,\n'
TIMEOUT = '"pool_timeout": patience / 2'
OPTIONS = "def options(connections, processes, patience):\n"


@exercise(
    "E05.3",
    hints=(
        "Three options: how many are kept, how many more may be opened, how "
        "long a request waits.",
        "max_overflow is 10 and pool_timeout is 30 unless you say otherwise.",
        '{"pool_size": connections // processes, "max_overflow": 0, '
        '"pool_timeout": patience / 2}',
    ),
    misconceptions=(
        Misconception(OVERFLOW, "", "max_overflow"),
        Misconception("connections // processes", "connections",
                      "in all"),
        Misconception("connections // processes",
                      "round(connections / processes)", "and there are"),
        Misconception(TIMEOUT, '"pool_timeout": 0', "could have waited"),
        Misconception("    return {", "    from sqlalchemy.pool import "
                      "NullPool\n    return {\"poolclass\": NullPool}\n    {",
                      "keeps nothing"),
        Misconception(TIMEOUT, '"pool_timeout": patience * 2',
                      "has left"),
        Misconception(TIMEOUT, '"pool_pre_ping": True', "has left"),
        Misconception("connections // processes", "2", "unused"),
        Misconception('connections // processes,\n        "max_overflow": 0',
                      '1,\n        "max_overflow": '
                      "connections // processes - 1", "keeps 1"),
        Misconception(TIMEOUT, '"timeout": patience / 2', "'timeout'"),
    ),
    also_right=(
        OPTIONS + """\
    return dict(pool_size=connections // processes, max_overflow=0,
                pool_timeout=0.7 * patience, pool_pre_ping=True)""",
        OPTIONS + """\
    each, _ = divmod(connections, processes)
    return {"pool_size": each, "pool_timeout": min(patience / 3, 5),
            "max_overflow": 0, "pool_use_lifo": True}""",
    ),
)
async def options(answer):
    chance = Random()
    processes, patience = chance.randint(3, 5), chance.uniform(.4, .8)
    for rest in (processes - 1, 0):
        each = chance.randint(5, 8)
        await _fleet(answer, processes * each + rest, processes, patience)
    return f"{processes} × {each} of {processes * each}, and nobody waits " \
           "too long."


async def _fleet(answer, connections, processes, patience):
    each = connections // processes
    async with shop(**answer(connections, processes, patience)) as engine:
        pool = engine.pool
        if not isinstance(pool, AsyncAdaptedQueuePool):
            raise NotYet(f"a {type(pool).__name__} keeps nothing, and lets "
                         "nobody wait.")
        if pool.timeout() < patience / 5:
            raise NotYet(f"a request is refused after {pool.timeout():.1f} s; "
                         f"it could have waited, of {patience:.1f} s.")
        if pool.timeout() >= patience:
            raise NotYet(f"a request waits {pool.timeout():.1f} s for the "
                         f"pool; its caller has left after {patience:.1f} s.")
        async with AsyncExitStack() as stack:
            opened = await _until_refused(engine, stack, connections)
        if opened * processes > connections:
            raise NotYet(f"{processes} processes open {opened} each, "
                         f"{opened * processes} in all, and there are "
                         f"{connections}: pool_size and max_overflow count.")
        if opened < each:
            raise NotYet(f"{opened} each leaves places unused: {each} fit.")
        if pool.checkedin() < each:
            raise NotYet(f"the pool keeps {pool.checkedin()} of {each}: what "
                         "comes back beyond pool_size is closed.")

async def _until_refused(engine, stack, most):
    """How many connections the engine opens at once; ``most`` is enough."""
    for opened in range(most + 1):
        try:
            await stack.enter_async_context(engine.connect())
        except TimeoutError:
            return opened
    return opened
