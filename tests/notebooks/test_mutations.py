"""Claims turn red when SQLAlchemy behaves in another way.

A row is a library with one change, made in the kernel that runs the claim.
What no row covers is held by the rule ``evidence`` alone.
"""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from labsupport.authoring import notebooks as authoring
from labsupport.authoring.notebooks import role

PATH = authoring.NOTEBOOKS / "appendix" / "a4_claims.ipynb"
# Claim → the change, as arguments of a patcher of unittest.mock.
MUTATIONS = {
    "C50": ("object", "pool.Pool, '_recycle', property(lambda pool: -1, "
            "lambda pool, seconds: None), create=True"),
    "C62": ("object", "ext.asyncio.AsyncSession, 'commit', mock.AsyncMock()"),
    "C63": ("dict", "orm.Session.__init__.__kwdefaults__, "
            "expire_on_commit=False"),
    "C81": ("object", "engine.default.DefaultDialect, '_do_ping_w_event', "
            "lambda dialect, connection: True"),
}


@pytest.fixture(scope="module")
def client():
    """A kernel that has run the set-up of the notebook, and imported mock."""
    notebook = authoring.read(PATH)
    client = authoring.client_of(PATH, notebook)
    with client.setup_kernel():
        for number, cell in enumerate(notebook.cells):
            if role(cell) == "setup":
                client.execute_cell(cell, number)
        run(client, ["from unittest import mock\nimport sqlalchemy.ext.asyncio"
                     "\nimport sqlalchemy.orm"])
        yield client


def run(client, sources):
    """Run sources (list of str) as cells; raises at the first that fails."""
    for source in sources:
        client.nb.cells.append(nbformat.v4.new_code_cell(source))
        client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)


def cells_of(claim_id):
    """Sources of the section with a claim, up to its cell (list of str)."""
    section = []
    for cell in authoring.read(PATH).cells:
        if role(cell) in ("section", "story"):
            section = []
        elif cell.cell_type == "code" and role(cell) != "setup":
            section.append(cell.source)
        if f"claim-{claim_id}" in cell.metadata.tags:
            return section
    raise LookupError(claim_id)


def survives(client, sources, patcher, arguments):
    """Whether cells pass with the library changed (bool)."""
    target, rest = arguments.split(",", 1)
    run(client, [f"change = mock.patch.{patcher}(sqlalchemy.{target},{rest})\n"
                 "change.start()"])
    try:
        run(client, sources)
    except CellExecutionError as error:
        assert "AssertionError" in str(error), error
        return False
    finally:
        run(client, ["change.stop()"])
    return True


def test_each_claim_notices_another_library(client):
    unmoved = []
    for claim_id, change in MUTATIONS.items():
        sources = cells_of(claim_id)
        run(client, sources)  # with the library as it is
        if survives(client, sources, *change):
            unmoved.append(claim_id)
    assert unmoved == []


def test_a_claim_that_nothing_can_change_survives(client):
    broken = 'claim("C81", {"the first fails": True, "no other does": True})'
    assert survives(client, [broken], *MUTATIONS["C81"])
