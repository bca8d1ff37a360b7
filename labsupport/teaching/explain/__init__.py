"""What an exception means: cause, your line, cure, and where it is run.

    explain(error)                 a live exception, or the text of one
    %load_ext labsupport           under each traceback, where it is known
    python3 -m labsupport explain < traceback.txt

The rules are data, in ``rules.toml``; ``tracebacks`` reads what they are
held against.
"""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from ...drawing.card import Card
from . import tracebacks

UNKNOWN = ("I do not know this one. What I know is in "
           "labsupport/teaching/explain/rules.toml.")


class Rule(NamedTuple):
    """An exception of the table: what it is known by, and what it means."""

    id: str
    type: str
    message: str
    cause: str
    cure: str
    see: str
    where: str = ""
    line: str = ""

    def fits(self, raised):
        """Whether it is the rule for a Raised (bool).

        One without a type is a message alone; a rule needs words for it.
        """
        named = re.search(self.type, raised.type) if raised.type \
            else self.message
        yours = raised.your_frame
        return bool(
            named and re.search(self.message, raised.message)
            and (not self.line or yours
                 and re.search(self.line, yours.source))
            and (not self.where or any(
                re.search(self.where, f"{frame.file} {frame.function}")
                for outer in raised.way_out() for frame in outer.frames)))


class Explanation(NamedTuple):
    """A Rule, the Raised that it fits, and your line (str, may be empty)."""

    rule: Rule
    raised: tracebacks.Raised
    line: str

    def card(self, above=""):
        """The Card that says so; ``above`` leads to the lessons' folder."""
        rows = [("why", self.rule.cause), ("your line", self.line),
                ("cure", self.rule.cure), ("see", self.rule.see)]
        name = self.raised.type or "This message"
        return Card("asked", f"{name}: what it means",
                    [row for row in rows if row[1]], code=("your line",),
                    links={"see": above + self.rule.see})


RULES = [Rule(**rule) for rule in tomllib.loads(Path(__file__).with_name(
    "rules.toml").read_text(encoding="utf-8"))["rule"]]


def explain(error):
    """The Explanation of an exception, or None if no rule knows it.

    Takes a live exception, or a text (str): a traceback, or a message
    alone. Of a chain or a group, the first rule that fits any of its
    exceptions.
    """
    if isinstance(error, str):
        found = tracebacks.parse(error) or [tracebacks.Raised("", error)]
    else:
        found = tracebacks.of(error)
    for rule in RULES:
        for raised in found:
            if rule.fits(raised):
                return Explanation(rule, raised, _line(raised, found))
    return None


def _line(raised, found):
    """The innermost line of yours (str), or an empty text."""
    frames = [raised.your_frame, *(one.your_frame for one in found)]
    return next((str(frame) for frame in frames if frame), "")
