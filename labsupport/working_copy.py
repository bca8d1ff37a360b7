"""The learner's own copy of the lessons: ``my-notebooks``, ignored by git.

A lesson is brought up to date there as long as its cells are those of the
original that it was copied from; outputs and answers do not count. One whose
cells were changed is the learner's, and is kept.
"""

import hashlib
import json
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
ORIGINALS = ROOT / "notebooks"
COPY = ROOT / "my-notebooks"
TAKEN = ".taken.json"  # name → digest of the original that was copied


def refresh(originals=ORIGINALS, copy=COPY):
    """Bring what is new in ``originals`` into ``copy``.

    Returns the names (list of str) that have changed in both; those are kept
    as the learner has them.
    """
    taken, kept = _taken(copy), []
    for original in _files(originals):
        name = original.relative_to(originals).as_posix()
        mine, new = copy / name, digest(original)
        found = digest(mine) if mine.exists() else None
        if found in (None, taken.get(name)) and found != new:
            _put(original.read_bytes(), mine)
        elif found != new and taken.setdefault(name, new) != new:
            kept.append(name)
            continue
        taken[name] = new
    _put(json.dumps(taken, indent=1).encode(), copy / TAKEN)
    return kept


def restore(word, originals=ORIGINALS, copy=COPY):
    """Put the original of one file back and keep the learner's beside it.

    ``word`` is how its name begins, such as ``"03"``. Returns (str) what was
    done. Raises LookupError if that names no lesson, or several.
    """
    files = _files(originals)
    found = [path for path in files if path.name.startswith(Path(word).name)]
    if len(found) != 1:
        names = ", ".join(path.stem for path in found or files
                          if path.suffix == ".ipynb")
        raise LookupError(f"'{word}' names {len(found) or 'no'} lessons: "
                          f"name one of {names}.")
    name = found[0].relative_to(originals)
    mine = copy / name
    told = f"{copy.name}/{name} is the original again"
    if mine.exists() and mine.read_bytes() != found[0].read_bytes():
        beside = _free(mine)
        os.rename(mine, beside)
        told += f", and yours is {beside.name} beside it"
    refresh(originals, copy)
    return told + (". Where it is open in JupyterLab: File, Reload Notebook "
                   "from Disk.")


def digest(path):
    """What a learner could have changed (str): of a notebook, its cells."""
    content = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            content = json.dumps(
                [[cell["cell_type"], "".join(cell["source"])]
                 for cell in json.loads(content)["cells"]]).encode()
        except (ValueError, KeyError, TypeError):
            pass  # no notebook any more: all of it counts
    return hashlib.sha256(content).hexdigest()


def _files(folder):
    """Paths of the files below a folder, without the hidden ones."""
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not any(
            part.startswith(".") for part in path.relative_to(folder).parts))


def _taken(copy):
    try:
        return dict(json.loads((copy / TAKEN).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}  # then only what equals the original is brought up to date


def _put(content, path):
    """Write a file in one step, so that an interruption leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    os.replace(beside, path)


def _free(path):
    """A name like ``path`` that is not taken: ``03_x.mine-1.ipynb``."""
    number = 1
    while True:
        free = path.with_name(f"{path.stem}.mine-{number}{path.suffix}")
        if not free.exists():
            return free
        number += 1
