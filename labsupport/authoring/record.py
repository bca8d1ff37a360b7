"""Record how each driver ends, for machines that lack a server.

    python3 -m labsupport.authoring.record

Runs the lesson here, with all servers, on the SQLAlchemy in use, and stores
its endings under that line of releases. For maintainers: run it on both.
"""

import datetime
import json
import sys

import nbformat

from ..environment import DRIVERS, release_series, versions
from ..measuring.driver_endings import FILE
from .notebooks import NOTEBOOKS, execute, read, role

LESSON = NOTEBOOKS / "03_async_drivers.ipynb"
LAST = """
import json
server = {}
for url in backends.values():
    if url.get_backend_name() != "sqlite":
        async with engine_for(url) as engine, engine.connect() as connection:
            said = await connection.scalar(text("SELECT version()"))
            server[url.get_backend_name()] = said.split(" on ")[0]
print(json.dumps([server, endings.as_json() | cures.as_json()]))
"""


def record(path=LESSON):
    """Run the lesson at ``path``; (servers' versions, endings as JSON)."""
    notebook = read(path)
    place = [role(cell) for cell in notebook.cells].index("teardown")
    notebook.cells.insert(place, nbformat.v4.new_code_cell(LAST))
    execute(path, notebook)
    return json.loads(notebook.cells[place].outputs[-1].text)


def main():
    """Write ``FILE``; exit code 1 if a server is missing."""
    servers, endings = record()
    if any("recorded" in ending for row in endings.values()
           for ending in row.values()):
        print("A server is missing: there is nothing to record.")
        return 1
    packages = versions()
    said = [f"{name} {packages[name]}" for name in ("sqlalchemy", *DRIVERS)]
    recordings = json.loads(FILE.read_text(encoding="utf-8"))
    recordings[release_series()] = {
        "date": datetime.date.today().isoformat(),
        "versions": ", ".join([*said, *servers.values()]),
        "endings": endings}
    FILE.write_text(json.dumps(recordings, indent=1, ensure_ascii=False,
                               sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
