"""The ledger of claims, and the cells that prove it."""

import re

import pytest

from labsupport.authoring import notebooks as authoring
from labsupport.teaching.claims import (
    LEDGER,
    TO_COME,
    Ledger,
    claim,
    verdict_of,
)


def proved(notebooks):
    """Claim id → names of the lessons with a cell that proves it.

    A cell counts if it calls ``claim`` with that id and its stored output
    begins with the ledger's verdict.
    """
    cells = {}
    for name, notebook in notebooks.items():
        for cell in notebook.cells:
            printed = "\n".join(output.get("data", {}).get("text/plain", "")
                                for output in cell.get("outputs", []))
            for tag in cell.metadata.tags:
                claim_id = tag.removeprefix("claim-")
                if tag != claim_id and claim_id in LEDGER \
                        and f'claim("{claim_id}", ' in cell.source \
                        and f" {claim_id}: {LEDGER[claim_id]['verdict']}\n" \
                        in printed:
                    cells.setdefault(claim_id, []).append(name)
    return cells


def test_every_claim_is_proved_once_in_its_lesson(lessons):
    expected = {claim_id: [f"{row['lesson']}.ipynb"]
                for claim_id, row in LEDGER.items()}
    assert proved(lessons) == expected


def test_every_tag_names_a_claim_of_the_ledger(lessons):
    tags = {tag.removeprefix("claim-") for notebook in lessons.values()
            for cell in notebook.cells for tag in cell.metadata.tags
            if tag.startswith("claim-")}
    assert tags == set(LEDGER)


# The 93 that the course set out with; lessons add their own behind them.
CLAIMS = [f"C{number:02}" for number in range(1, 94)]


def homeless(proved, to_come):
    """What to do with each claim that has no cell, or too much (str)."""
    return [*(f"{claim_id} has no cell: prove it, or add it to "
              f"claims_to_come.json" for claim_id in CLAIMS
              if claim_id not in {*proved, *to_come}),
            *(f"take {claim_id} out of claims_to_come.json: it has its cell"
              for claim_id in to_come if claim_id in proved)]


def test_every_claim_has_a_home(lessons, capsys):
    assert homeless(proved(lessons), TO_COME) == []
    known = {*LEDGER, *TO_COME}
    assert known == {f"C{n:02}" for n in range(1, len(known) + 1)}, "a gap"
    with capsys.disabled():
        print(f"\nclaims of lessons to come ({len(TO_COME)}):", *TO_COME)


def test_a_claim_without_a_home_is_noticed():
    rest = CLAIMS[2:]
    assert homeless(rest, {"C02": {}}) == [
        "C01 has no cell: prove it, or add it to claims_to_come.json"]
    assert homeless(rest, {"C01": {}, "C02": {}, "C03": {}}) == [
        "take C03 out of claims_to_come.json: it has its cell"]


def test_a_claim_without_its_cell_is_noticed(lessons):
    name = "08_missing_greenlet.ipynb"
    notebook = authoring.read(authoring.NOTEBOOKS / name)
    for cell in notebook.cells:
        cell.metadata.tags = [tag for tag in cell.metadata.tags
                              if tag != "claim-C59"]
    assert "C59" not in proved({**lessons, name: notebook})


@pytest.mark.parametrize("wrong", ["true", "imprecise"])
def test_a_verdict_that_the_run_does_not_bear_out(monkeypatch, wrong):
    monkeypatch.setitem(LEDGER["C60"], "verdict", wrong)
    with pytest.raises(AssertionError, match=f"the ledger says {wrong}"):
        claim("C60", {"a SELECT reached the server": False})


def test_verdicts():
    assert verdict_of([True, True]) == "true"
    assert verdict_of([False]) == "false"
    assert verdict_of([True, False]) == "imprecise"
    with pytest.raises(ValueError, match="at least one"):
        verdict_of([])


def test_the_table_of_all_verdicts_leads_to_their_notebooks():
    table = Ledger(above="../")._repr_markdown_()
    here = authoring.NOTEBOOKS / "appendix"
    links = re.findall(r"\| \[(C\d\d)\]\((.+?)\)", table)
    assert [claim_id for claim_id, _ in links] == list(LEDGER)
    assert [link for _, link in links if not (here / link).exists()] == []
    assert re.findall(r"^\| (C\d\d) \| to come", table, re.M) == list(TO_COME)
    assert {len(re.findall(r"(?<!\\)\|", row))
            for row in table.splitlines()} == {5}
    assert repr(Ledger()).count("\n") >= 2 * len([*LEDGER, *TO_COME]) - 1
