"""Checks of ``05_pool_tuning``."""

import gc
from random import Random

from ...databases import postgres
from ...measuring.forecast import schedule
from ...measuring.load import Latency
from ...measuring.pool_run import TIMED_OUT, OneEach, Pool
from ...measuring.simulation import simulate
from ...trace.observe import observe
from . import Misconception, NotYet, exercise, shop
from .e05_fleet import options  # noqa: F401  it is E05.3

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
        Misconception("max_overflow=0", "0, pool_timeout=limit",
                      "was not served"),
        Misconception(
            "", SEARCH + """\
    for size in range(1, 51):
        run = simulate(Pool(size, 0, pool_timeout=limit), crowd)
        if set(run.outcomes) == {"served"}:
            return size""", "was not served"),
        Misconception("return size", "print(size)", "does not return"),
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
    _judge(answer, *_waves(chance))
    for _ in range(3):
        rate, hold = chance.uniform(50, 80), chance.uniform(.08, .1)
        crowd = schedule(rate, 60, hold, chance.random())
        right = int(rate * hold * 1.2) + 1
        # Between two sizes: how a quantile is taken does not decide.
        _judge(answer, crowd, right,
               sum(_p95(crowd, Pool(right - less, 0)) for less in (0, 1)) / 2)
    return "the smallest pool that keeps the limit, for four schedules."


def _waves(chance):
    """Crowd, right size and limit: each wave is served in two rounds.

    With a timeout of that limit, three rounds refuse nobody, and a pool of 1
    refuses nearly all, in time. (Sums of these numbers are exact.)
    """
    right, hold = chance.randint(12, 16), chance.randint(3, 6) / 64
    times = [float(second) for second in range(20) for _ in range(2 * right)]
    return OneEach(times, [hold] * len(times)), right, 2.5 * hold


def _judge(answer, crowd, right, limit):
    """NotYet unless the answer is ``right``."""
    size = answer(crowd, limit)
    if size == right:
        return
    if size is None:
        raise NotYet("you return None: it does not return what it finds "
                     "(printing is not returning), or none of your sizes "
                     "keeps the limit. It is for the 95th percentile; 5 of "
                     "100 may take longer.")
    if not isinstance(size, int) or size < 1:
        raise NotYet(f"you return {size!r}; the answer is a whole number of "
                     "connections.")
    if size > right:
        raise NotYet(f"{size} connections are enough, and so is a smaller "
                     "one: the smallest without overflow is asked for, and 5 "
                     "of 100 may take longer.")
    average = round(sum(crowd.holds) / crowd.times[-1])
    with_ten = _smallest(lambda size: _p95(crowd, Pool(size)) <= limit)
    hasty = (
        _smallest(lambda size: _p95(crowd, Pool(size, 0, limit)) <= limit),
        _smallest(lambda size: not simulate(
            Pool(size, 0, limit), crowd).count(TIMED_OUT)))
    raise NotYet(
        f"with {size} connections the 95th percentile of the latency, from "
        f"the asking to the giving back, is {_p95(crowd, Pool(size, 0)):.2f} "
        f"s; the limit is {limit:.2f} s."
        + " So many are out on average." * (size == average)
        + " They would be enough with an overflow of 10: a Pool has it unless "
          "you say max_overflow=0." * (size == with_ten)
        + " They would seem enough with pool_timeout=limit: but who is "
          "refused was not served, and who waited less is served late."
        * (size in hasty))


def _smallest(fits):
    return next((size for size in range(1, 51) if fits(size)), None)


def _p95(crowd, pool):
    return Latency(simulate(pool, crowd).latencies).p95


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
