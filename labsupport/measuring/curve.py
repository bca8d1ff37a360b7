"""Latency by the size of the pool, simulated and measured, on one chart.

    curve(await forecast(db.asyncpg, [Pool(size, 0) for size in sizes], …))

Where the curve bends is the size to look for: below it requests queue,
above it nothing is gained.
"""

from ..drawing.figure import Figure
from ..drawing.knee_chart import knee_chart

PARTS = {"p50": .5, "p95": .95}


def curve(forecasts):
    """The Forecasts of one schedule, by ascending size of the pool: a Figure.

    Median and 95th percentile. The text has the error of the simulation
    beside each pair.
    """
    sizes = [found.pool.pool_size for found in forecasts]
    curves, lines = {}, []
    for name, part in PARTS.items():
        said, seen = curves[name] = [
            [getattr(found, kind).quantile(part) for found in forecasts]
            for kind in ("predicted", "measured")]
        lines += [f"{name:<6}{'simulated':>10}{'measured':>12}{'error':>8}"]
        lines += [f"{size:>4}  {1000 * one:>7.0f} ms{1000 * other:>9.0f} ms"
                  f"{found.error(part):>+8.0%}"
                  for size, one, other, found
                  in zip(sizes, said, seen, forecasts)]
    worst = max(abs(found.error(part)) for found in forecasts
                for part in PARTS.values())
    limit = " The CPU is the limit in some, not the pool alone." * any(
        found.cpu_is_the_limit for found in forecasts)
    words = (f"Latency by the size of the pool, {sizes[0]} to {sizes[-1]} "
             "connections. Simulated and measured differ by "
             f"{worst:.0%} at most.{limit}")
    return Figure(knee_chart(sizes, curves, _busy(forecasts[-1].run)), words,
                  "\n".join([words, *lines]))


def _busy(run):
    """How many connections are in use, on average while requests come."""
    held = sum(left - got for got, left in zip(run.got, run.left)
               if got is not None)
    return held / run.came[-1]
