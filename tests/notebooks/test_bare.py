"""On a machine without the optional servers the lessons are as green.

PostgreSQL comes with the environment. Without MariaDB its drivers' results
are those of the recorded run, and a reader sees the same outputs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_notebooks import nbval

from labsupport.authoring import notebooks as authoring

HIDDEN = Path(__file__).parents[1] / "hidden"
MYSQL = re.compile(r"\bmysql\(\)")
OPTIONAL = {"mariadbd": [  # program → who uses it
    "03_async_drivers", "appendix/a2_driver_matrix",
    "appendix/a3_measuring_drivers", "appendix/a5_session_cases",
    "appendix/a7_pool_cases"]}


def without(program):
    """Variables that hide a program, on a machine that is no CI's."""
    return {"HIDDEN": program, "CI": "", "PYTHONPATH": os.pathsep.join(
        map(str, [HIDDEN, ROOT, ROOT / "tests"]))}


def users(pattern):
    """Lessons (list of str) with a cell that ``pattern`` is found in."""
    return [path.relative_to(authoring.NOTEBOOKS).with_suffix("").as_posix()
            for path in authoring.course()
            if any(pattern.search(cell.source)
                   for cell in authoring.read(path).cells
                   if cell.cell_type == "code")]


def test_which_lessons_use_an_optional_server():
    assert users(MYSQL) == OPTIONAL["mariadbd"]


def test_the_program_is_hidden():
    ask = ("from labsupport.servers.discover import mariadb_programs\n"
           "mariadb_programs()")
    done = subprocess.run([sys.executable, "-c", ask], text=True,
                          capture_output=True,
                          env={**os.environ, **without("mariadbd")})
    assert "NotInstalled: No MariaDB is installed" in done.stderr


@pytest.mark.parametrize("program, name", [
    (program, name) for program, names in OPTIONAL.items() for name in names])
def test_the_lesson_without_it(program, name):
    """Strict nbval: each output is compared, but those of the cells below."""
    path = authoring.NOTEBOOKS / f"{name}.ipynb"
    done = nbval(path, **without(program))
    assert done.returncode == 0, done.stdout[-3000:]


def test_what_is_not_run_there():
    """One cell says what is recorded, one measures or says why it cannot."""
    guarded = {path.stem: [
        cell for cell in authoring.read(path).cells
        if cell.cell_type == "code" and re.search(
            r"^if my:|unless_missing\(mysql", cell.source, re.MULTILINE)]
        for path in authoring.course() if path.stem[:2] in ("03", "a2", "a3")}
    assert {name: [authoring.role(cell) for cell in cells]
            for name, cells in guarded.items()} == {
        "03_async_drivers": ["setup"], "a2_driver_matrix": ["setup"],
        "a3_measuring_drivers": ["setup", "run"]}
    for cell in sum(guarded.values(), []):
        assert "nbval-ignore-output" in cell.metadata.tags
    measured = guarded["a3_measuring_drivers"][1].source
    measured = measured.partition("else:\n    ")[2]
    assert measured.startswith('print("No MariaDB') and "\n" not in measured
