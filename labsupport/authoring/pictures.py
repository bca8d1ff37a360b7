"""Pictures among the stored outputs: which there are, and how old they are."""

import hashlib
import json
import re
from functools import cache
from importlib import import_module
from modulefinder import ModuleFinder
from pathlib import Path

ROOT = Path(__file__).parents[2]
# As in tests/sanitize.cfg: a picture shows real times.
PICTURE = re.compile(r'src="data:image/svg\+xml,[^"]*"')
DRAWS = re.compile(r"^from \S*svg import ", re.MULTILINE)


def has_picture(cell):
    """Whether a picture is among the stored outputs of a cell."""
    return bool(PICTURE.search(plain(cell.get("outputs", []))))


def plain(outputs):
    """The outputs of a cell as text (str) in which a picture is found."""
    return json.dumps(outputs, sort_keys=True).replace(r'\"', '"')


def drawn_bys(notebook):
    """For each cell a digest (str) of all that a picture of it depends on.

    That is the code up to this cell, and the code that draws for it.
    Pictures show real times, so a run cannot tell an old one from a new one.
    """
    digest = hashlib.sha256()
    for path in drawn_with(notebook):
        digest.update(path.read_bytes())
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode())
        found.append(digest.hexdigest()[:16])
    return found


def drawn_with(notebook):
    """The files (sorted list of Path) that draw for what a notebook imports.

    Whatever those import is followed, inside labsupport.
    """
    code = "\n".join(cell.source for cell in notebook.cells
                     if cell.cell_type == "code")
    modules = {*re.findall(r"^from (labsupport\.\S+) import", code, re.M)}
    for names in re.findall(r"^from labsupport import (\([^)]*\)|.+)$", code,
                            re.MULTILINE):
        modules |= {getattr(import_module("labsupport"), name).__module__
                    for name in re.findall(r"\w+", names)}
    return sorted({path for module in modules for path in _files_of(module)
                   if path.name in ("figure.py", "looks.py", "svg.py")
                   or DRAWS.search(path.read_text(encoding="utf-8"))})


@cache
def _files_of(module):
    """The files of labsupport (tuple of Path) that an import leads to."""
    finder = ModuleFinder(path=[str(ROOT)])
    finder.import_hook(module)
    return tuple(Path(one.__file__) for one in finder.modules.values()
                 if one.__file__)
