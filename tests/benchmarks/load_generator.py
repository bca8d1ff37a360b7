"""What the load generator costs: against a bare loop around the driver.

    python3 -m labsupport bench load_generator

Both run the same asyncpg call in the same process, in turns of 0.1 s, whose
order is shuffled; the ratio is of the rates of a pair of turns.
Goal: at least 0.9.
"""

import asyncio
import gc
import time
from random import Random
from statistics import median

import asyncpg

from labsupport.databases import postgres
from labsupport.measuring.comparison import interval
from labsupport.measuring.load_process import SLICE, closed_loop

ROUNDS, TURN = 60, 0.1


async def main():
    db = await postgres()
    connection = await asyncpg.connect(
        **db.asyncpg.translate_connect_args(username="user"))

    async def operation():
        await connection.fetch("SELECT 1")

    async def bare():
        done, begin, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - begin < TURN:
            await connection.fetch("SELECT 1")
            done += 1
        return ((time.process_time() - cpu) / done,
                (time.perf_counter() - begin) / done)

    async def lab():
        begin, cpu, wall = time.perf_counter(), [], []
        while time.perf_counter() - begin < TURN:
            one = await closed_loop(operation, 1, SLICE)
            cpu.append(one[0])
            wall.append(one[1])
        return sum(cpu) / len(cpu), sum(wall) / len(wall)

    gc.collect()
    gc.freeze()
    gc.disable()
    order, pairs = ["bare", "lab"], []
    for _ in range(ROUNDS):
        Random().shuffle(order)
        pairs.append({name: await {"bare": bare, "lab": lab}[name]()
                      for name in order})
    gc.enable()
    await connection.close()
    await db.drop()
    print("operations the lab's generator does while a bare loop does one")
    for of, place in (("per CPU s", 0), ("per wall s", 1)):
        ratios = [pair["bare"][place] / pair["lab"][place] for pair in pairs]
        low, high = interval(ratios)
        print(f"{of:<12}{median(ratios):.2f} [{low:.2f} to {high:.2f}]")


if __name__ == "__main__":
    asyncio.run(main())
