"""The table at the end of ``test`` says what was proved and what was not."""

import subprocess
import sys
from types import SimpleNamespace

import summary_table
from conftest import ROOT


def report(nodeid, when="call", skipped=False, longrepr=None):
    return SimpleNamespace(nodeid=nodeid, when=when, skipped=skipped,
                           longrepr=longrepr)


def skip(why):
    return report("tests/x.py::y", "setup", True, ("x.py", 1, why))


def test_the_rows():
    table = list(summary_table.rows([
        report("notebooks/00_a.ipynb::Cell 0"),
        report("notebooks/00_a.ipynb::Cell 1"),
        report("notebooks/03_b.ipynb::Cell 0"),
        report("notebooks/04_c.ipynb::Cell 0", "setup"),
        skip("Skipped: only root"),
        skip("Skipped: no chromium\n" + "more " * 50),
        skip("Skipped: only root"),
    ], {"PostgreSQL": "16.1", "MariaDB": None, "browser": None}))
    assert table[0][1].startswith("2 of ")
    assert table[1:-1] == [
        ("PostgreSQL", "16.1"),
        ("MariaDB", "not here: lesson 03 shows recorded results"),
        ("browser", "not here"),
        ("skipped", "   2  only root"),
        ("", "   1  no chromium" + " more" * 8 + " …")]
    assert table[-1][1].endswith(
        "install mariadb-server-core mariadb-client-core chromium")


def test_nothing_to_add():
    table = list(summary_table.rows([], {"MariaDB": "11.4"}))
    assert table[-1] == ("skipped", "nothing")


def test_it_ends_a_run_and_every_skip_is_in_it(tmp_path):
    name = tmp_path / "test_x.py"
    name.write_text(
        "import pytest, warnings\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_x(n): pytest.skip('it rains')\n"
        "@pytest.mark.skipif(True, reason='it snows')\n"
        "def test_y(): pass\n"
        "def test_z(): warnings.warn('a report of another kind')\n")
    for words, shown in ((["-n", "0"], True), (["-n", "1"], True),
                         (["-n", "0", "-q"], False)):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml",
             "--rootdir", ROOT, "-p", "summary_table", "-o", "addopts=",
             "-p", "no:cacheprovider", *words, name],
            cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        assert ("the course on this machine" in done.stdout) == shown
        if shown:
            assert "skipped            2  it rains\n" in done.stdout
            assert "                   1  it snows\n" in done.stdout
