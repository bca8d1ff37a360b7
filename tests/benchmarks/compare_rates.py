"""How often ``compare`` is wrong: false winners, and gaps that it misses.

    python3 -m labsupport bench compare_rates

In a block three candidates are compared: the same SELECT twice, and once
with a loop beside it that takes a tenth of its CPU time. A verdict between
the equal two is a false winner; the slower one has to cost more than both.
How many turns of the loop are a tenth is measured at the beginning, against
the SELECT itself: on a slower machine both take longer.

``BLOCKS`` real blocks of ``SECONDS`` each, so a quarter of an hour. The last
table draws ``RESAMPLED`` blocks from their rounds, with runs of neighbouring
rounds kept together: a simulation, for the rates that so few blocks cannot
show.
"""

import asyncio
import sys
from random import Random
from statistics import median

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres
from labsupport.measuring.comparison import Comparison
from labsupport.measuring.load import Candidate, in_process

BLOCKS, SECONDS, USERS, GAP = 60, 8, 5, 0.10
RESAMPLED, RUN = 400, 25  # blocks; neighbouring rounds that stay together
NAMES = ["one", "same", "slower"]


def candidate(turns):
    """SELECT 1 through Core, and ``turns`` of a loop with each."""
    async def core(url):
        engine = create_async_engine(url)

        async def operation():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            for _ in range(turns):
                pass

        yield operation
        await engine.dispose()

    return core


async def rows(url, turns, seconds):
    jobs = [Candidate(candidate(number), url).job(str(number))
            for number in turns]
    return await in_process({"loop": "closed", "candidates": jobs * 2,
                             "users": USERS, "seconds": seconds}, "Rates")


async def tenth(url):
    """How many turns take GAP of the CPU time of the SELECT."""
    many = 20_000
    result = Comparison(["plain", "many"], await rows(url, [0, many], 8))
    return round(GAP * many / (result.ratio("many", "plain").median - 1))


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
              f"{share(equal, 'less') + share(equal, 'more'):>10.1%}"
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
        turns = await tenth(db.asyncpg)
        measured = []
        for number in range(blocks):
            measured.append(await rows(db.asyncpg, [0, 0, turns], SECONDS))
            print(f"\r{number + 1} of {blocks} blocks", end="",
                  file=sys.stderr, flush=True)
    finally:
        await db.drop()
    print(f"\n{USERS} users, {SECONDS} s for 3 candidates, "
          f"{median(map(len, measured)):.0f} rounds, "
          f"+{GAP:.0%} CPU = {turns} turns of an empty loop")
    table("measured", [Comparison(NAMES, block) for block in measured])
    table(f"the first {SECONDS / 4:g} s of each, as in lesson 03",
          [Comparison(NAMES, block[:len(block) // 4]) for block in measured])
    table("resampled from these (a simulation)",
          list(resampled(measured, RESAMPLED)))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:2])))
