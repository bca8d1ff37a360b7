"""Bring the notebooks into their stored form; for maintainers.

The stored form holds nothing that differs from run to run: no ids of
widgets, no times, no paths. What can be derived is derived: the navigation,
the stubs (from the solutions), the ids of cells.
"""

import re
import tomllib
from pathlib import Path

import nbformat

from ..teaching.exercises import stub_of
from .pictures import PICTURE, drawn_bys, has_picture, plain

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python",
                   "name": "python3"},
    "language_info": {"name": "python"},
}
FENCE = re.compile(r"```python\n(.*?)\n```", re.DOTALL)


def course():
    """Paths of all notebooks: the lessons in their order, the appendix."""
    return [*lessons(), *appendix()]


def lessons():
    """Paths of the lessons, in the order of the course."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def appendix():
    """Paths of the appendix: evidence that is too long for a lesson."""
    return sorted(NOTEBOOKS.glob("appendix/a[0-9]*_*.ipynb"),
                  key=lambda path: int(path.stem.split("_")[0][1:]))


def in_appendix(path):
    """Whether the notebook at ``path`` belongs to the appendix (bool)."""
    return path.stem.startswith("a")


def role(cell):
    """What a cell is for: its first tag (str)."""
    tags = cell.metadata.get("tags", [])
    return tags[0] if tags else ""


def exercise_of(cell):
    """The exercise id in a cell's tags, such as ``"E08.1"``, or None."""
    return next((tag for tag in cell.metadata.get("tags", [])
                 if re.fullmatch(r"E\d\d\.\d", tag)), None)


def solutions(notebook):
    """Exercise id → the solution (str) that the notebook shows."""
    return {exercise_of(cell): FENCE.search(cell.source)[1]
            for cell in notebook.cells if role(cell) == "solution"}


def heading(notebook):
    """The text (str) of the only H1."""
    return re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1]


def read(path):
    """The notebook at ``path`` (nbformat 4)."""
    return nbformat.read(path, as_version=4)


def execute(path, notebook, **options):
    """Run ``notebook`` as if it stood at ``path``, in a kernel of its own.

    ``options`` go to nbclient. Raises nbclient's CellExecutionError at the
    first cell that fails.
    """
    client_of(path, notebook, **options).execute()
    return notebook


def client_of(path, notebook, **options):
    """The NotebookClient that runs ``notebook`` as if it stood at ``path``."""
    from nbclient import NotebookClient  # with the extra "test" only

    return NotebookClient(
        notebook, timeout=120, kernel_name="python3", record_timing=False,
        coalesce_streams=True, store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}}, **options)


def normalise(path, notebook):
    """Bring ``notebook`` into the stored form; doing it twice is no change."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    _link(path, notebook)
    _write_stubs(notebook)
    _name_cells(notebook)
    for count, cell in enumerate(
            (cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.metadata.pop("execution", None)
        if cell.execution_count is not None:
            cell.execution_count = count
        for output in cell.outputs:
            _clean(output, count)
        cell.outputs = [output for output in cell.outputs
                        if output.get("data", True)]
    return notebook


def text(notebook):
    """The file's content (str) for a notebook."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _clean(output, count):
    """Take out of one output what another run would give differently."""
    if "data" in output:
        output.data.pop(WIDGET, None)
    if output.output_type == "execute_result":
        output.execution_count = count
    if output.output_type == "error":
        output.traceback = [re.sub(r"\x1b\[[0-9;]*m", "", line)
                            for line in output.traceback]


def _name_cells(notebook):
    """Readable ids: ``E08-1-stub``, ``run-3``."""
    seen = {}
    for cell in notebook.cells:
        stem = role(cell) or cell.cell_type
        if exercise_id := exercise_of(cell):
            cell.id = f"{exercise_id.replace('.', '-')}-{stem}"
        else:
            seen[stem] = seen.get(stem, 0) + 1
            cell.id = f"{stem}-{seen[stem]}"


def _write_stubs(notebook):
    shown = solutions(notebook)
    for cell in notebook.cells:
        if role(cell) == "stub" and exercise_of(cell) in shown:
            cell.source = stub_of(shown[exercise_of(cell)])


def _link(path, notebook):
    """Write navigation and badge below the H1 and its promise."""
    paths = appendix() if in_appendix(path) else lessons()
    above = "../" if in_appendix(path) else ""
    here = [one.name for one in paths].index(path.name)
    steps = []
    if here:
        steps.append(f"[← {paths[here - 1].stem}]({paths[here - 1].name})")
    steps.append(f"[contents]({above}README.md)")
    if here + 1 < len(paths):
        steps.append(f"[{paths[here + 1].stem} →]({paths[here + 1].name})")
    badge = (f"[![Run this lesson on Binder]({above}images/binder.svg)]"
             f"({binder_url(paths[here].relative_to(ROOT).as_posix())})")
    title, promise = notebook.cells[0].source.split("\n\n")[:2]
    notebook.cells[0].source = "\n\n".join(
        [title, promise, " · ".join(steps), badge])


def binder_url(file):
    """The Binder address (str) that opens ``file`` of this repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    owner_and_name = project["urls"]["Repository"].split("/", 3)[3]
    return (f"https://mybinder.org/v2/gh/{owner_and_name}/HEAD"
            f"?urlpath=lab/tree/{file}")


def stale(path):
    """Whether the notebook at ``path`` is not in its stored form (bool)."""
    return text(normalise(path, read(path))) != path.read_text(
        encoding="utf-8")


def author(path):
    """Run the notebook at ``path`` and store it; True if the file changed."""
    old = path.read_text(encoding="utf-8")
    notebook = normalise(path, read(path))
    known, current, digests = {}, [], drawn_bys(notebook)
    for cell, drawn_by in zip(notebook.cells, digests):
        if cell.cell_type == "code":
            known[cell.id] = cell.outputs
            if cell.metadata.pop("drawn_by", None) == drawn_by \
                    or not has_picture(cell):
                current.append(cell.id)
            cell.outputs, cell.execution_count = [], None
    normalise(path, execute(path, notebook))
    for cell, drawn_by in zip(notebook.cells, digests):
        if cell.id in current \
                and _compared(cell.outputs) == _compared(known[cell.id]):
            cell.outputs = known[cell.id]
        if has_picture(cell):
            cell.metadata["drawn_by"] = drawn_by
    new = text(notebook)
    path.write_text(new, encoding="utf-8")
    return new != old


def _compared(outputs):
    """What a comparison looks at: all but the times in a picture."""
    return PICTURE.sub("", plain(outputs))
