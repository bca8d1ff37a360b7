"""What the simulation of a minute of load costs: a slider waits for it.

    python3 -m labsupport bench simulated_minute

CPU time, the median of some. Goal: at most 10 ms at 150 requests a second.
"""

import asyncio
import time
from statistics import median

from labsupport.measuring.forecast import schedule
from labsupport.measuring.pool_run import Pool
from labsupport.measuring.simulation import simulate

RATE, SECONDS, HOLD, TIMES = 150, 60, .06, 21
POOLS = {
    "no overflow": Pool(10, 0),
    "overflow": Pool(5, 10),
    "timeouts": Pool(8, 0, 0.5),
    "overflow, LIFO, pre-ping, connects": Pool(
        5, 5, 0.5, pool_pre_ping=True, pool_use_lifo=True, connect=.02,
        ping=.002),
    "recycle (event queue)": Pool(10, 0, pool_recycle=5),
}


async def main():
    crowd = schedule(RATE, SECONDS, HOLD, 1)
    print(f"{len(crowd.times)} requests")
    for name, pool in POOLS.items():
        spent = []
        for _ in range(TIMES):
            began = time.process_time()
            simulate(pool, crowd)
            spent.append(time.process_time() - began)
        print(f"{name:<36}{median(spent) * 1000:5.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
