"""The pool lab: how near it predicts, and whether drawing disturbs the run.

    python3 -m labsupport bench pool_lab

Twenty scenarios, the presets and variants of them, each simulated and run
for some seconds; then pairs of runs with and without the widget that draws
them, in turn. Ten minutes. Goals: a median error of at most 10 % for what
is served and for the 95th percentile of the wait, and a disturbance of at
most 2 % of the median time that a request takes.
"""

from statistics import median
from unittest.mock import patch

from labsupport.databases import postgres
from labsupport.measuring import scenario as scenarios
from labsupport.measuring.forecast import overheads
from labsupport.measuring.load import Latency
from labsupport.measuring.pool_run import SERVED
from labsupport.measuring.scenario import (
    BURST,
    CLIENTS,
    PRESETS,
    Costs,
    Scenario,
)
from labsupport.widgets.pool_lab import PoolLab

SECONDS, PAIRS = 10, 12
SHORTEST = 0.01  # s: below, a percentage of a wait says nothing
VARIANTS = {
    "10 + 0, 80 /s": Scenario(10, 0, rate=80),
    "10 + 0, 95 /s": Scenario(10, 0, rate=95),
    "2 + 0, 18 /s": Scenario(2, 0, rate=18),
    "2 + 3, 40 /s": Scenario(2, 3, rate=40),
    "5 + 5, pre-ping": Scenario(5, 5, pool_pre_ping=True, rate=90),
    "5 + 0, recycle 1 s": Scenario(5, 0, pool_recycle=1, rate=45),
    "3 + 2, LIFO": Scenario(3, 2, pool_use_lifo=True, rate=45),
    "5 + 0, short holds": Scenario(5, 0, rate=180, hold=.025),
    "5 + 0, long holds": Scenario(5, 0, rate=9, hold=.5),
    "10 + 10, burst": Scenario(10, 10, who=BURST, rate=30),
    "4 + 0, 8 clients": Scenario(4, 0, who=CLIENTS, clients=8),
}


def p95(run):
    return Latency(run.waits).p95


async def main():
    db = await postgres()
    with patch.object(scenarios, "SECONDS", SECONDS):
        await predictions(db)
        await disturbance(db)
    await db.drop(force=True)


async def predictions(db):
    served, waits = [], []
    for name, scenario in (PRESETS | VARIANTS).items():
        costs = Costs(*await overheads(db.asyncpg, 40, scenario.hold))
        said = scenario.simulated(costs)
        seen = await scenario.real(db.asyncpg)
        served.append(said.count(SERVED) / seen.count(SERVED) - 1)
        line = f"{name:<24} served {served[-1]:+.1%}"
        if p95(seen) > SHORTEST:
            waits.append(p95(said) / p95(seen) - 1)
            line += f", p95 of the wait {waits[-1]:+.1%}"
        print(line + "; the CPU is the limit"
              * seen.cpu_is_the_limit(scenario.hold), flush=True)
    for what, errors in (("served", served), ("p95 of the wait", waits)):
        print(f"{what}: median error {median(map(abs, errors)):.1%}, "
              f"worst {max(errors, key=abs):+.1%}, of {len(errors)}")


async def disturbance(db):
    scenario = Scenario(20, 0, rate=150, hold=.05)
    lab, spent = PoolLab(db), {"drawn": [], "not drawn": []}
    lab._measured = True
    for name in ("rate", "hold", "pool_size", "max_overflow"):
        lab.controls.controls[name].value = getattr(scenario, name)
    holds = scenario.users().holds
    for _ in range(PAIRS):
        for how, taken in spent.items():
            if how == "drawn":
                await lab.run()
                run = lab.real
            else:
                run = await scenario.real(db.asyncpg)
            taken.append(median(left - came - hold for left, came, hold in
                                zip(run.left, run.came, holds)))
    pairs = [(one - other) / (other + scenario.hold)
             for one, other in zip(*spent.values())]
    print(f"drawing: {median(pairs):+.2%} of a request "
          f"({min(pairs):+.2%} to {max(pairs):+.2%})")
