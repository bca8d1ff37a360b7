"""How far a forecast of latencies is from the run, beside the formula.

    python3 -m labsupport bench forecast

Pools of 2, 5 and 10 connections at 60, 80 and 95 % of what they can serve,
8 s each, with 100 ms on average per hold: three minutes in all. Goal: a
median error of the 95th percentile of at most 10 %.
"""

import asyncio
from statistics import mean, median

from labsupport.databases import postgres
from labsupport.measuring.forecast import forecast
from labsupport.measuring.pool_run import Pool
from labsupport.measuring.queueing import mmc

HOLD, SECONDS = .1, 8
SETTINGS = [(size, load) for size in (2, 5, 10) for load in (.6, .8, .95)]
PARTS = [.5, .95, .99]


async def main():
    db = await postgres()
    errors = {part: [] for part in PARTS}
    latency, formula = [], []
    for seed, (size, load) in enumerate(SETTINGS):
        rate = load * size / HOLD
        (found,) = await forecast(db.asyncpg, [Pool(size, 0)], rate=rate,
                                  seconds=SECONDS, hold=HOLD, seed=seed)
        for part in PARTS:
            errors[part].append(abs(found.error(part)))
        hold = HOLD + found.overhead
        seen = mean(found.measured)
        latency.append(abs(mean(found.predicted) / seen - 1))
        formula.append(abs((mmc(rate, hold, size).wait + hold) / seen - 1))
        print(f"{size:>3} connections, {load:.0%} load: " + ", ".join(
            f"p{part * 100:.0f} {found.error(part):+.1%}" for part in PARTS)
            + "; the CPU is the limit" * found.cpu_is_the_limit, flush=True)
    await db.drop()
    print("\nmedian error")
    for part in PARTS:
        print(f"  p{part * 100:<8.0f}{median(errors[part]):.1%}")
    print(f"  mean     {median(latency):.1%}; "
          f"by the formula M/M/c {median(formula):.1%}")


if __name__ == "__main__":
    asyncio.run(main())
