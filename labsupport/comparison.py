"""Which of some candidates costs less, and when nobody can say.

    result = await compare({"asyncpg": (core, db.asyncpg),
                            "psycopg": (core, db.psycopg)}, seconds=8)
    result                                     # verdicts, and a picture
    result.verdict("asyncpg", "psycopg")       # "less"
    result.ratio("psycopg", "asyncpg").low     # CPU, at least this many times

A candidate is described in load.py. How the comparison is made fair:

- All candidates run in one process, in slices of 50 ms whose order is
  shuffled in each round. When the machine slows down, it does so for all.
- CPU time per operation is compared first: other programs hardly change it.
- Two candidates are compared by the ratios of the same round. Their median
  has a 95 % interval by the sign test, which assumes no distribution.
- The first candidate is entered twice. Whatever difference that control
  shows is none; it widens the margin inside which nobody wins.
"""

import math
from dataclasses import dataclass
from statistics import median

from .figure import Figure
from .load import Candidate, in_process
from .svg import BLUE, GREEN, box, picture, text

MARGIN = 0.03  # what an A/A pair of a quiet machine shows at most
CONFIDENCE = 0.95
CONTROL = object()  # the name of the first candidate's second entry


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
        if 1 / (1 + self.margin) <= self.low and self.high <= 1 + self.margin:
            return "tie"
        return "no verdict"


class Comparison:
    """Cost per operation of some candidates, in rounds.

    ``cpu`` and ``wall``: name → seconds per operation, one a round, in
    rounds of the same order. ``CONTROL`` stands for the first candidate's
    second entry.
    """

    def __init__(self, names, rows):
        self.names = list(names)
        self.cpu, self.wall = (
            {name: [row[place][measure] for row in rows]
             for place, name in enumerate([*self.names, CONTROL])}
            for measure in (0, 1))

    def ratio(self, name, to, of="cpu"):
        """The Ratio of what ``name`` costs to what ``to`` costs.

        ``of`` is ``"cpu"`` or ``"wall"``.
        """
        cost = getattr(self, of)
        low, high = interval(_paired(cost[CONTROL], cost[self.names[0]]))
        pairs = _paired(cost[name], cost[to])
        return Ratio(median(pairs), *interval(pairs),
                     max(MARGIN, high - 1, 1 / low - 1 if low else math.inf))

    def verdict(self, name, to, of="cpu"):
        """What ``name`` costs against ``to``; the words of Ratio.verdict."""
        return self.ratio(name, to, of).verdict

    def groups(self, of="cpu"):
        """Lists of names, the cheapest first.

        Between two groups each pair has a verdict. Inside one, the order is
        that of ``names``.
        """
        ordered = sorted(self.names,
                         key=lambda name: median(getattr(self, of)[name]))
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


async def compare(candidates, *, seconds=8, concurrency=10):
    """Compare ``candidates`` (name → Candidate or tuple); a Comparison.

    Each is run by ``concurrency`` users in a closed loop. ``seconds`` of
    measuring are shared by all and the control; 1 to 2 s of preparation are
    added. Raises LoadError if a candidate fails, TypeError if one cannot be
    sent to the load process.
    """
    jobs = [Candidate(*candidate).job(name)
            for name, candidate in candidates.items()]
    rows = await in_process(
        {"loop": "closed", "candidates": [*jobs, jobs[0]],
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


def _paired(costs, others):
    return [one / other for one, other in zip(costs, others)]


LEFT, RIGHT, ROW = 170, 560, 24  # of the picture: the axis, and a line


def _picture(result):
    """Ratios to the first candidate as dots with intervals (SVG)."""
    first, *others = result.names
    rows = [(name, of, result.ratio(name, first, of))
            for of in ("cpu", "wall") for name in (CONTROL, *others)]
    ends = [end for *_, ratio in rows for end in (ratio.low, ratio.high)
            if 0 < end < math.inf]
    low = math.log(min([.8, *ends]))
    high = math.log(max([1.25, *ends]))

    def x(value):
        value = math.log(min(max(value, math.exp(low)), math.exp(high)))
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    half = 26 + ROW * (len(others) + 1)
    shapes = []
    for number, (of, words) in enumerate(
            (("cpu", "CPU per operation"), ("wall", "wall time"))):
        top = 10 + number * half
        mine = [row for row in rows if row[1] == of]
        margin = mine[0][2].margin
        shapes += [
            text(10, top + 16, f"{words}, against {first}", kind="head"),
            box(x(1 / (1 + margin)), top + 22,
                max(x(1 + margin) - x(1 / (1 + margin)), 1),
                half - 26, colour="#8884"),
            f'<path d="M{x(1)} {top + 22}V{top + half - 4}" stroke="#888"/>']
        for line, (name, _, ratio) in enumerate(mine):
            y = top + 34 + line * ROW
            label = f"{first}, again" if name is CONTROL else name
            colour = BLUE if of == "cpu" else GREEN
            at = x(ratio.median)
            shapes += [
                text(10, y + 4, label[:22]),
                f'<path d="M{x(ratio.low)} {y}H{x(ratio.high)}" '
                f'stroke="{colour}" stroke-width="2"/>',
                f'<circle cx="{at}" cy="{y}" r="5" fill="{colour}"/>'
                if of == "cpu" else
                f'<rect x="{at - 4}" y="{y - 4}" width="8" height="8" '
                f'fill="{colour}"/>',
                text(RIGHT + 14, y + 4,
                     f"× {ratio.median:.2f} [{ratio.low:.2f}–"
                     f"{ratio.high:.2f}]  "
                     + ("control" if name is CONTROL else ratio.verdict),
                     kind="small")]
    foot = 10 + 2 * half + 14
    ticks = [tick for tick in (.1, .2, .5, 1, 2, 5, 10, 20, 50, 100)
             if low <= math.log(tick) <= high]
    shapes += [text(x(tick) - 8, foot, f"× {tick:g}", kind="small")
               for tick in ticks]
    shapes.append(text(10, foot + 20, "Grey: the margin that the control "
                       "allows. An interval outside it is a verdict.",
                       kind="small"))
    return picture(760, foot + 32, *shapes)
