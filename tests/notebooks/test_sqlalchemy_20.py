"""The same tests on the latest SQLAlchemy 2.0; test_play has the notebooks.

In a second environment: the first one with SQLAlchemy exchanged.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
from conftest import ROOT, need
from nbclient.exceptions import CellExecutionError

from labsupport.authoring import notebooks as authoring

LOCK = ROOT / "tests" / "sqlalchemy-2.0.txt"
# "site-packages", so that its frames in a traceback count as a library's.
PLACE = ROOT / ".venv-sqlalchemy-2.0" / "site-packages"
# Rooms of tests, or files: one process each, about equally long.
UNITS = [["trace", "--ignore=trace/test_every_step.py",
          "--ignore=trace/test_storm.py"],
         ["trace/test_every_step.py"], ["trace/test_storm.py"],
         ["instruments", "measuring/test_simulation.py"],
         ["widgets", "measuring/test_real_run.py"],
         ["faults"],
         ["template/test_template.py", "-k",
          "own_tests or full_pool"
          " or asyncpg and (fifty or cut or full or starts)"],
         ["teaching/test_exercises.py"],
         ["teaching", "--ignore=teaching/test_exercises.py",
          "--ignore=teaching/test_explain.py"],
         ["teaching/test_explain.py", "notebook", "house/test_schema.py"]]
SAY = "import sqlalchemy; print(sqlalchemy.__version__)"

pytestmark = pytest.mark.skipif(
    version("sqlalchemy").startswith("2.0"),
    reason="this environment has SQLAlchemy 2.0 already")


@pytest.fixture(scope="session")
def environment():
    """PYTHONPATH that puts SQLAlchemy 2.0 before the one installed here."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker installs
        install()
    return os.pathsep.join(map(str, [PLACE, ROOT, ROOT / "tests"]))


def install():
    stamp = PLACE / "stamp"
    wanted = hashlib.sha256(
        LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(PLACE, ignore_errors=True)
    uv = shutil.which("uv")
    pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    where = ["--python", sys.executable] if uv else [
        "--no-compile", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--require-hashes", "--no-deps",
         "--target", str(PLACE), *where, "-r", str(LOCK)],
        capture_output=True, text=True)
    need(done.returncode == 0,
         f"SQLAlchemy 2.0 cannot be installed: {done.stderr[-300:]}")
    stamp.write_text(wanted)


@pytest.fixture
def there(environment, monkeypatch):
    """What is started from here on has SQLAlchemy 2.0."""
    monkeypatch.setenv("PYTHONPATH", environment)


@pytest.mark.parametrize("names", UNITS, ids=lambda names: names[0])
def test_units(there, names):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "-p", "no:nbval", "-o", "addopts=", *names],
        cwd=ROOT / "tests", capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_units_are_on_the_other_line(there):
    shown = subprocess.run([sys.executable, "-c", SAY],
                           capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("2.0.")


def test_a_claim_that_fails_there_is_noticed(there, mini):
    path = mini('import sqlalchemy\n'
                'assert not sqlalchemy.__version__.startswith("2.0")',
                run=False)
    with pytest.raises(CellExecutionError, match="AssertionError"):
        authoring.execute(path, authoring.read(path))
