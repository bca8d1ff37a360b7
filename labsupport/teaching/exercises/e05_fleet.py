"""E05.3: pool options for a whole fleet, below the server's limit."""

from contextlib import AsyncExitStack
from random import Random

from sqlalchemy.exc import TimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from . import Misconception, NotYet, exercise, shop

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
        Misconception('connections // processes,\n        "max_overflow": 0',
                      'connections // processes - 10,\n        '
                      '"max_overflow": 10', "pool_size is -"),
        Misconception('connections // processes,\n        "max_overflow": 0',
                      '0,\n        "max_overflow": connections // processes',
                      "no limit"),
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
        if pool.size() < 1:
            raise NotYet(f"pool_size is {pool.size()}: take 1 or more. 0 is "
                         "no limit, and less than 0 no number of connections.")
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
