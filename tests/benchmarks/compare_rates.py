"""How often ``compare`` is wrong: false winners, and gaps that it misses.

    python3 -m labsupport bench compare_rates

In a block three candidates are compared: the same SELECT twice, and once
with a tenth of its CPU time added in a busy loop. A verdict between the equal
two is a false winner; the slower one has to cost more than both. The size of
the tenth is measured once, at the beginning.

``BLOCKS`` real blocks of ``SECONDS`` each, so 15 minutes. The last table
draws ``RESAMPLED`` blocks from their rounds, with runs of neighbouring rounds
kept together: a simulation, for the rates that so few blocks cannot show.
"""

import asyncio
import sys
from random import Random
from statistics import median

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.comparison import Comparison
from labsupport.databases import postgres
from labsupport.load import Candidate, in_process

BLOCKS, SECONDS, USERS, GAP = 60, 12, 5, 0.10
RESAMPLED, RUN = 400, 25  # blocks; neighbouring rounds that stay together
NAMES = ["one", "same", "slower"]


def candidate(extra):
    """SELECT 1 through Core, and ``extra`` CPU seconds with each."""
    async def core(url):
        import time

        engine = create_async_engine(url)

        async def operation():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            end = time.thread_time() + extra
            while time.thread_time() < end:
                pass

        yield operation
        await engine.dispose()

    return core


async def rows(url, extras, seconds):
    jobs = [Candidate(candidate(extra), url).job(str(extra))
            for extra in extras]
    return await in_process({"loop": "closed", "candidates": jobs * 2,
                             "users": USERS, "seconds": seconds}, "Rates")


def table(title, results):
    """Print the rates of some comparisons, by CPU and by wall time."""
    print(f"\n{title}: {len(results)} blocks")
    print("        false winners   ties of equals   a tenth found   "
          "ratio of the slower (5 % to 95 %)")
    for of in ("cpu", "wall"):
        equal = [result.verdict("one", "same", of) for result in results]
        slower = [result.verdict("slower", other, of) for result in results
                  for other in ("one", "same")]
        ratios = sorted(result.ratio("slower", "one", of).median
                        for result in results)
        tail = len(ratios) // 20
        print(f"{of:<8}"
              f"{1 - share(equal, 'tie') - share(equal, 'no verdict'):>10.1%}"
              f"{share(equal, 'tie'):>17.1%}{share(slower, 'more'):>17.1%}"
              f"{median(ratios):>12.2f} "
              f"({ratios[tail]:.2f} to {ratios[-1 - tail]:.2f})")


def share(verdicts, wanted):
    return verdicts.count(wanted) / len(verdicts)


def resampled(blocks, count, seed=1):
    """Comparisons of rounds drawn from single ``blocks`` in short runs."""
    chance = Random(seed)
    for _ in range(count):
        block = chance.choice(blocks)
        drawn = []
        while len(drawn) < len(block):
            start = chance.randrange(max(len(block) - RUN, 1))
            drawn += block[start:start + RUN]
        yield Comparison(NAMES, drawn[:len(block)])


async def main(blocks=BLOCKS):
    db = await postgres()
    try:
        plain = await rows(db.asyncpg, [0, 0], 4)
        extra = GAP * median(cost for row in plain for cost, _ in row)
        measured = []
        for number in range(blocks):
            measured.append(await rows(db.asyncpg, [0, 0, extra], SECONDS))
            print(f"\r{number + 1} of {blocks} blocks", end="",
                  file=sys.stderr, flush=True)
    finally:
        await db.drop()
    print(f"\n{USERS} users, {SECONDS} s for 3 candidates, "
          f"{median(map(len, measured)):.0f} rounds, "
          f"+{GAP:.0%} CPU = {1e6 * extra:.0f} µs")
    table("measured", [Comparison(NAMES, block) for block in measured])
    table("resampled from these (a simulation)",
          list(resampled(measured, RESAMPLED)))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:2])))
