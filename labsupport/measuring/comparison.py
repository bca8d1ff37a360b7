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
from ..drawing.looks import BLUE, GREEN
from ..drawing.svg import box, picture, text
from .load import Candidate, in_process

MARGIN = 0.04  # an A/A pair on a quiet machine shows 3 % at most
TIE = 0.10  # noise is no tie: at most that much may be between the two
CONFIDENCE = 0.95


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
        return Figure(_picture(self), repr(self).replace("\n", ";"),
                      repr(self))._repr_html_()


async def compare(candidates, *, seconds=8, concurrency=5):
    """Compare ``candidates`` (name → Candidate or tuple); a Comparison.

    Takes two or more. Each is run by ``concurrency`` users in a closed loop.
    ``seconds`` of measuring are shared by all; preparation adds 1 to 3 s.
    Raises LoadError if a candidate fails, TypeError if one cannot be sent to
    the load process, ValueError if there is only one.
    """
    if len(candidates) < 2:
        raise ValueError("A comparison needs two candidates.")
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


LEFT, RIGHT, ROW = 170, 560, 24  # of the picture: the axis, and a line


def _picture(result):
    """Ratios to the first candidate as dots with intervals (SVG)."""
    first, *others = result.names
    panels = [(of, words, [result.ratio(name, first, of) for name in others])
              for of, words in (("cpu", "CPU per operation"),
                                ("wall", "wall time"))]
    ends = [end for *_, ratios in panels for ratio in ratios
            for end in (ratio.low, ratio.high) if 0 < end < math.inf]
    low, high = math.log(min([.8, *ends])), math.log(max([1.25, *ends]))

    def x(value):
        value = min(max(math.log(value or 1e-9), low), high)
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    shapes, top = [], 10
    for of, words, ratios in panels:
        shapes.append(text(10, top + 16, f"{words}, against {first}",
                           kind="head"))
        for line, (name, ratio) in enumerate(zip(others, ratios)):
            y = top + 38 + line * ROW
            left, right = x(1 / (1 + ratio.margin)), x(1 + ratio.margin)
            shapes += [
                box(left, y - 11, right - left, 22, colour="#8884"),
                text(10, y + 4, name[:22]),
                _dot(x(ratio.median), x(ratio.low), x(ratio.high), y, of),
                text(RIGHT + 14, y + 4,
                     f"× {ratio.median:.2f} [{ratio.low:.2f}–"
                     f"{ratio.high:.2f}] {ratio.verdict}", kind="small")]
        shapes.append(f'<path d="M{x(1)} {top + 25}V{y + 13}" '
                      'stroke="#888"/>')
        top = y + 16
    shapes += [text(x(tick), top + 14, f"× {tick:g}", kind="small",
                    anchor="middle")
               for tick in (.05, .1, .2, .5, 1, 2, 5, 10, 20, 50, 100)
               if low <= math.log(tick) <= high]
    shapes.append(text(10, top + 34, "Grey: the margin that the controls "
                       "allow. An interval outside it is a verdict.",
                       kind="small"))
    return picture(760, top + 46, *shapes)


def _dot(at, low, high, y, of):
    """A median with its interval: a circle for CPU, a square for wall."""
    colour = BLUE if of == "cpu" else GREEN
    mark = (f'<circle cx="{at}" cy="{y}" r="5" fill="{colour}"/>'
            if of == "cpu" else
            f'<rect x="{at - 4:.1f}" y="{y - 4}" width="8" height="8" '
            f'fill="{colour}"/>')
    return (f'<path d="M{low} {y}H{high}" stroke="{colour}" '
            f'stroke-width="2"/>{mark}')
