"""What is widely said, and what the run shows.

The ledger, ``claims.json``, holds for each claim what is said, the verdict
and the corrected statement, and for some where it was ``heard``. A notebook
proves a verdict with ``claim``. What no notebook proves yet waits in
``claims_to_come.json``.
"""

import json
import textwrap
from pathlib import Path

from ..drawing.card import WIDTH, Card, show
from ..drawing.looks import TONES as marks

TONES = {"true": "good", "false": "bad", "imprecise": "partly"}
LEDGER, TO_COME = (
    json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    for name in ("claims.json", "claims_to_come.json"))


def claim(claim_id, evidence):
    """Assert the ledger's verdict on a claim, and show both.

    ``evidence`` maps each part of the claim (str) to whether your run bears
    it out (bool). All true: the claim is *true*; none: *false*; some:
    *imprecise*. Raises AssertionError if the ledger says otherwise.
    """
    row = LEDGER[claim_id]
    verdict = verdict_of(evidence.values())
    assert verdict == row["verdict"], (
        f"{claim_id}: the ledger says {row['verdict']}, this run says "
        f"{verdict}: {evidence}"
    )
    tested = [("✓" if holds else "✗", part)
              for part, holds in evidence.items()]
    show(Card(TONES[verdict], f"{claim_id}: {verdict}",
              [("said", row["said"]), *tested, ("keep", row["shown"])]))


class Ledger:
    """All claims as a table: the verdicts, each with the notebook that runs
    it, then what is to come.

    ``above`` is how a notebook gets to the folder of the lessons (str).
    """

    def __init__(self, above=""):
        self.above = above

    def __repr__(self):
        heads = [*((f"{claim_id} {row['verdict']:<9} {row['lesson']}", row)
                   for claim_id, row in LEDGER.items()),
                 *((f"{claim_id} to come: {row['with']}", row)
                   for claim_id, row in TO_COME.items())]
        return "\n".join(
            head + "\n" + textwrap.fill(
                row["said"], WIDTH, initial_indent="    ",
                subsequent_indent="    ") for head, row in heads)

    def _repr_markdown_(self):
        return "\n".join([
            "| | verdict | what is said | what to keep |", "|---|---|---|---|",
            *(f"| [{claim_id}]({self.above}{row['lesson']}.ipynb) "
              f"| {marks[TONES[row['verdict']]][0]} {row['verdict']} "
              f"| {_cell(row['said'])}{_heard(row)} "
              f"| {_cell(row['shown'])} |"
              for claim_id, row in LEDGER.items()),
            *(f"| {claim_id} | to come | {_cell(row['said'])} "
              f"| runs with the lesson on {row['with']} |"
              for claim_id, row in TO_COME.items())])


def _heard(row):
    """The way to who says so, if the ledger has one."""
    return f" ([heard]({row['heard']}))" if "heard" in row else ""


def _cell(text):
    """A text (str) as it may stand in a table."""
    return text.replace("|", r"\|")


def verdict_of(parts):
    """*true*, *false* or *imprecise*, from the parts (bools) of a claim."""
    parts = [bool(part) for part in parts]
    if not parts:
        raise ValueError("A claim needs at least one piece of evidence.")
    if all(parts):
        return "true"
    return "imprecise" if any(parts) else "false"
