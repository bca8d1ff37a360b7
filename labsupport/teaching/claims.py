"""What is widely said, and what the run shows.

The ledger, ``claims.json``, holds for each claim what is said, the verdict
and the corrected statement. A notebook proves a verdict with ``claim``.
"""

import json
from pathlib import Path

from ..drawing.card import Card, show

TONES = {"true": "good", "false": "bad", "imprecise": "partly"}
LEDGER = json.loads(
    Path(__file__).with_name("claims.json").read_text(encoding="utf-8"))
TOTAL = 93  # claims C01 … C93; the ledger grows with the lessons


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


def verdict_of(parts):
    """*true*, *false* or *imprecise*, from the parts (bools) of a claim."""
    parts = [bool(part) for part in parts]
    if not parts:
        raise ValueError("A claim needs at least one piece of evidence.")
    if all(parts):
        return "true"
    return "imprecise" if any(parts) else "false"
