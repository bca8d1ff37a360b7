"""Claims turn red when SQLAlchemy behaves in another way.

A row of ``mutations`` is a library with one change, made in the kernel that
runs the claim. What has no row says why; the rule ``evidence`` holds it alone.
"""

import ast

import nbformat
import pytest
from mutations import HELD, MUTATIONS
from nbclient.exceptions import CellExecutionError

from labsupport.authoring import notebooks as authoring
from labsupport.authoring.evidence import parsed
from labsupport.authoring.notebooks import role
from labsupport.teaching.claims import LEDGER

PATHS = [path for path in authoring.course()
         if any(row["lesson"].endswith(path.stem) and claim_id in MUTATIONS
                for claim_id, row in LEDGER.items())]
IMPORT = ("import sys\n"
          f"sys.path.append({str(authoring.ROOT / 'tests' / 'notebooks')!r})\n"
          "import mutations")
LEFT_OUT = {"stub", "check", "hint", "predict", "teardown"}


def run(client, sources):
    """Run sources (list of str) as cells; raises at the first that fails."""
    for source in sources:
        client.nb.cells.append(nbformat.v4.new_code_cell(source))
        client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)


def sections(notebook):
    """The set-up (list of str), and the sections with a claim that a row
    changes: the cells before them that they need, and their own sources, with
    the claims that follow from each."""
    setup, found, earlier, with_claims = [], [], [], []
    for cell in notebook.cells:
        if role(cell) in ("section", "story"):
            found.append([])
        elif cell.cell_type != "code" or role(cell) in LEFT_OUT:
            continue
        elif found:
            claims = {tag[6:] for tag in cell.metadata.tags
                      if tag.startswith("claim-")}
            found[-1].append((cell, sorted(claims & set(MUTATIONS))))
        else:
            setup.append(cell)
    _, at_hand = names(setup)
    for section in found:
        whole = [cell for cell, _ in section]
        while section and not section[-1][1]:
            section.pop()
        if section:
            used, bound = names([cell for cell, _ in section])
            with_claims.append((
                needed(used - bound - at_hand, earlier, at_hand),
                [(cell.source, claims) for cell, claims in section]))
        earlier += whole
    return [cell.source for cell in setup], with_claims


def needed(missing, earlier, at_hand):
    """The sources among ``earlier`` cells that bind what is missing."""
    chosen = []
    for cell in reversed(earlier):
        used, bound = names([cell])
        if bound & missing:
            chosen.insert(0, cell.source)
            missing = missing - bound | used - bound - at_hand
    return chosen


def names(cells):
    """Names that code cells read, and names that they bind (two sets)."""
    used, bound = set(), set()
    for cell in cells:
        for node in ast.walk(parsed(cell)):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else bound).add(
                    node.id)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef,
                                   ast.ClassDef)):
                bound.add(node.name)
            elif isinstance(node, ast.alias):
                bound.add(node.asname or node.name.split(".")[0])
    return used, bound


def survives(client, sources, claim_id):
    """Whether cells pass with the library changed (bool)."""
    run(client, [f"""change = mutations.MUTATIONS[{claim_id!r}]()
claim_any, claim = claim, lambda its_id, evidence: (
    claim_any(its_id, evidence) if its_id == {claim_id!r} else None)
change.__enter__()"""])
    try:
        run(client, sources)
    except CellExecutionError as error:
        assert error.ename == "AssertionError", (claim_id, error)
        return False
    finally:
        run(client, ["claim = claim_any\nchange.__exit__(None, None, None)"])
    return True


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_each_claim_notices_another_library(path):
    notebook = authoring.read(path)
    client, unmoved = authoring.client_of(path, notebook), []
    with client.setup_kernel():
        setup, with_claims = sections(notebook)
        run(client, [*setup, IMPORT])
        for before, section in with_claims:
            sources = [source for source, _ in section]
            run(client, [*before, *sources])  # the library as it is
            unmoved += [claim_id
                        for number, (_, claims) in enumerate(section, 1)
                        for claim_id in claims
                        if survives(client, sources[:number], claim_id)]
            run(client, sources)  # as it is again
    assert unmoved == []


def test_each_claim_has_a_library_or_a_reason():
    assert sorted([*MUTATIONS, *HELD]) == sorted(LEDGER)


def test_a_claim_that_nothing_can_change_survives():
    notebook = nbformat.v4.new_notebook()
    client = authoring.client_of(PATHS[0], notebook)
    with client.setup_kernel():
        run(client, ["from labsupport import claim", IMPORT])
        assert survives(
            client, ['claim("C81", {"one": True, "other": True})'], "C81")
        assert not survives(
            client, ['claim("C81", {"one": True, "other": False})'], "C81")


def test_a_section_brings_the_cells_that_it_needs():
    notebook = nbformat.v4.new_notebook(cells=[cell_of(*each) for each in [
        ("setup", "a = 1"), ("section", ""), ("run", "b = a"),
        ("run", "print(b)"), ("section", ""),
        ("claim", 'claim("C81", {"b": b})', "claim-C81")]])
    assert sections(notebook) == (["a = 1"], [
        (["b = a"], [('claim("C81", {"b": b})', ["C81"])])])


def cell_of(role, source, *tags):
    new = nbformat.v4.new_code_cell if source \
        else nbformat.v4.new_markdown_cell
    return new(source, metadata={"tags": [role, *tags]})
