"""Latency by the size of the pool, simulated and measured, on one chart.

    curve([await forecast(db.asyncpg, Pool(size, 0), …) for size in sizes])

Where the curve bends is the size to look for: below it requests queue,
above it nothing is gained.
"""

from ..drawing.cost_chart import cost_chart
from ..drawing.figure import Figure

PARTS = (.5, .95)


def curve(forecasts):
    """The Forecasts, in ascending order of their pools' sizes: a Figure.

    A panel for the median and one for the 95th percentile (milliseconds).
    The text has the error of the simulation beside each pair.
    """
    sizes = [found.pool.pool_size for found in forecasts]
    panels, lines = {}, []
    for part in PARTS:
        curves = {name: [1000 * getattr(found, kind).quantile(part)
                         for found in forecasts]
                  for name, kind in (("simulated", "predicted"),
                                     ("measured", "measured"))}
        name = f"ms, {100 * part:.0f} %"
        panels[name] = sizes, curves
        lines += [f"{name:<10}{'simulated':>10}{'measured':>10}{'error':>7}"]
        lines += [f"{size:>4} {'':<5}{said:>10.0f}{seen:>10.0f}"
                  f"{found.error(part):>+7.0%}"
                  for size, found, said, seen
                  in zip(sizes, forecasts, *curves.values())]
    worst = max(abs(found.error(part)) for found in forecasts
                for part in PARTS)
    limit = " The CPU is the limit in some, not the pool alone." * any(
        found.cpu_is_the_limit for found in forecasts)
    words = (f"Latency against the size of the pool, {sizes[0]} to "
             f"{sizes[-1]} connections. Simulated and measured differ by "
             f"{worst:.0%} at most.{limit}")
    return Figure(cost_chart(panels, ["connections"] * len(PARTS)), words,
                  "\n".join([words, *lines]))
