"""Which of some candidates costs less, and when nobody can say.

    result = await compare({"asyncpg": (core, db.asyncpg),
                            "psycopg": (core, db.psycopg)}, seconds=8)
    result                                     # verdicts, and a picture
    result.verdict("asyncpg", "psycopg")       # "less"
    result.ratio("psycopg", "asyncpg").low     # CPU, at least this many times

A candidate is described in load.py. How the comparison is made fair:

- All candidates run in one process, in slices of 5 ms whose order is
  shuffled in each round. When the machine slows down, it does so for all.
- CPU time per operation decides: other programs hardly change it. Wall time
  is shown beside it.
- Two candidates are compared by the ratios of the same round. Their median
  has a 95 % interval by the sign test, which assumes no distribution.
- Each candidate is entered twice, with connections of its own, and counts
  as the mean of both. The ratio of the two is the control: whatever it
  shows is no difference. It widens the margin inside which nobody wins.

Each entry opens its own connections: a candidate with a pool of 5 needs 10.
"""

import math
from dataclasses import dataclass
from statistics import median

from ..drawing.figure import Figure
from ..drawing.ratio_chart import ratio_chart
from .load import LONGEST, Candidate, in_process, in_range

MARGIN = 0.04  # an A/A pair on a quiet machine shows 3 % at most
TIE = 0.10  # noise is no tie: at most that much may be between the two
CONFIDENCE = 0.95
MOST_USERS = 1000  # each is a task, and holds a connection


@dataclass(frozen=True)
class Ratio:
    """A median of paired ratios, its interval, and the control's margin."""

    median: float
    low: float
    high: float
    margin: float

    @property
    def verdict(self):
        """``"more"``, ``"less"``, ``"tie"`` or ``"no verdict"``."""
        if self.low > 1 + self.margin:
            return "more"
        if self.high < 1 / (1 + self.margin):
            return "less"
        near = min(self.margin, TIE)
        if 1 / (1 + near) <= self.low and self.high <= 1 + near:
            return "tie"
        return "no verdict"


class Comparison:
    """Cost per operation of some candidates, in rounds.

    ``cpu`` and ``wall``: name → seconds per operation, one a round, in
    rounds of the same order.
    """

    def __init__(self, names, rows):
        self.names = list(names)
        self.cpu, self._cpu_controls = self._sorted(rows, 0)
        self.wall, self._wall_controls = self._sorted(rows, 1)

    def _sorted(self, rows, measure):
        """Costs and controls by name; a row has all entries, then again."""
        costs, controls = {}, {}
        for place, name in enumerate(self.names):
            pairs = [(row[place][measure],
                      row[place + len(self.names)][measure]) for row in rows]
            costs[name] = [(one + again) / 2 for one, again in pairs]
            controls[name] = _estimate([again / one for one, again in pairs])
        return costs, controls

    def _measured(self, of):
        return {"cpu": (self.cpu, self._cpu_controls),
                "wall": (self.wall, self._wall_controls)}[of]

    def ratio(self, name, to, of="cpu"):
        """The Ratio of what ``name`` costs to what ``to`` costs.

        ``of`` is ``"cpu"`` or ``"wall"``.
        """
        costs, controls = self._measured(of)
        return Ratio(
            *_estimate([one / other for one, other
                        in zip(costs[name], costs[to])]),
            max(MARGIN, *(_strayed(*controls[one]) for one in (name, to))))

    def verdict(self, name, to, of="cpu"):
        """What ``name`` costs against ``to``; the words of Ratio.verdict."""
        return self.ratio(name, to, of).verdict

    def groups(self, of="cpu"):
        """Lists of names, the cheapest first.

        Between two groups each pair has a verdict. Inside one, the order is
        that of ``names``.
        """
        costs = self._measured(of)[0]
        ordered = sorted(self.names, key=lambda name: median(costs[name]))
        groups = [[]]
        for place, name in enumerate(ordered):
            if groups[-1] and all(
                    self.verdict(left, right, of) == "less"
                    for left in ordered[:place] for right in ordered[place:]):
                groups.append([])
            groups[-1].append(name)
        return [sorted(group, key=self.names.index) for group in groups]

    def __repr__(self):
        lines = ["CPU per operation, the least first"]
        for place, group in enumerate(self.groups(), 1):
            pairs = {self.verdict(one, other) for one in group
                     for other in group if one != other}
            remark = ("" if not pairs else " (a tie)" if pairs == {"tie"}
                      else " (no verdict)")
            lines.append(f"  {place}. {', '.join(group)}{remark}")
        return "\n".join(lines)

    def _repr_html_(self):
        first, *others = self.names
        panels = {of: {name: self.ratio(name, first, of) for name in others}
                  for of in ("cpu", "wall")}
        return Figure(ratio_chart(first, panels),
                      repr(self).replace("\n", ";"), repr(self)
                      )._repr_html_()


async def compare(candidates, *, seconds=8, concurrency=5):
    """Compare ``candidates`` (name → Candidate or tuple); a Comparison.

    Takes two or more. Each is run by ``concurrency`` users in a closed loop.
    ``seconds`` of measuring are shared by all; preparation adds 1 to 3 s.
    Raises LoadError if a candidate fails, TypeError if one cannot be sent to
    the load process, ValueError if there is only one, or for a number that
    is out of range.
    """
    if len(candidates) < 2:
        raise ValueError("A comparison needs two candidates.")
    in_range("seconds", seconds, LONGEST)
    in_range("concurrency", concurrency, MOST_USERS, whole=True)
    jobs = [Candidate(*candidate).job(name)
            for name, candidate in candidates.items()]
    rows = await in_process(
        {"loop": "closed", "candidates": jobs * 2,
         "seconds": seconds, "users": concurrency},
        f"Comparing {', '.join(candidates)}")
    return Comparison(candidates, rows)


def interval(values):
    """The sign test's interval (low, high) of the median of ``values``.

    Values at the ranks k and n + 1 − k, k as large as ``CONFIDENCE`` allows
    (Conover, Practical Nonparametric Statistics, 3.2). Fewer than six values
    say nothing: (0, inf).
    """
    count = len(values)
    rank, below = 0, 0
    while True:
        below += math.comb(count, rank)
        if 2 * below > (1 - CONFIDENCE) * 2 ** count:
            break
        rank += 1
    if rank == 0:
        return 0.0, math.inf
    ordered = sorted(values)
    return ordered[rank - 1], ordered[-rank]


def _estimate(ratios):
    """Median, low and high of ``ratios``."""
    return (median(ratios), *interval(ratios))


def _strayed(middle, low, high):
    """How far a control is from 1, or may be: the margin that it asks for."""
    width = math.sqrt(high / low) if low else math.inf
    return max(middle, 1 / middle, width) - 1
