"""Record how each driver ends, for machines that lack a server.

    python3 -m labsupport.authoring.record

Runs the matrix's notebook here, with all servers, on the SQLAlchemy in use,
and stores its endings under that line of releases. For maintainers: run it
on both.
"""

import datetime
import json
import os

import nbformat

from ..environment import DRIVERS, release_series, versions
from ..measuring.driver_endings import FILE, recordings
from .notebooks import NOTEBOOKS, execute, read, role

LESSON = NOTEBOOKS / "appendix" / "a2_driver_matrix.ipynb"
LAST = """
import json
server = {}
for url in backends.values():
    if url.get_backend_name() != "sqlite":
        async with engine_for(url) as engine, engine.connect() as connection:
            said = await connection.scalar(text("SELECT version()"))
            server[url.get_backend_name()] = said.split(" on ")[0]
print(json.dumps([server, list(endings), endings.as_json()
                  | cures.as_json() | facts.as_json()]))
"""


def record(path=LESSON):
    """Run the notebook at ``path``; what there is to keep of it, as JSON.

    That is the servers' versions, the names in the matrix, and all endings.

    Raises nbclient's CellExecutionError if a server is missing.
    """
    notebook = read(path)
    place = [role(cell) for cell in notebook.cells].index("teardown")
    notebook.cells.insert(place, nbformat.v4.new_code_cell(LAST))
    execute(path, notebook)
    return json.loads(notebook.cells[place].outputs[-1].text)


def main():
    """Write ``FILE``."""
    os.environ["CI"] = "true"  # nothing stands in for a server
    servers, matrix, endings = record()
    packages = versions()
    said = [f"{name} {packages[name]}" for name in ("sqlalchemy", *DRIVERS)]
    kept = recordings()
    kept[release_series()] = {
        "date": datetime.date.today().isoformat(),
        "versions": ", ".join([*said, *servers.values()]),
        "matrix": matrix, "endings": endings}
    FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False,
                               sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
