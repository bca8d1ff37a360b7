"""The same notebooks and tests on the latest SQLAlchemy 2.0.

In a second environment: the first one with SQLAlchemy exchanged. Claims are
asserted there as here; outputs are not compared, for they differ openly.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
from conftest import ROOT, need

from labsupport.authoring import notebooks as authoring

LOCK = ROOT / "tests" / "sqlalchemy-2.0.txt"
# "site-packages", so that its frames in a traceback count as a library's.
PLACE = ROOT / ".venv-sqlalchemy-2.0" / "site-packages"
UNITS = ["teaching/test_exercises.py", "teaching/test_claims.py",
         "notebook/test_failures.py", "instruments/test_engine_anatomy.py",
         "house/test_schema.py", "instruments/test_switches.py",
         "instruments/test_lag.py", "instruments/test_pool_gauge.py",
         *(f"trace/{path.name}" for path in sorted(
             (ROOT / "tests" / "trace").glob("test_*.py")))]

pytestmark = pytest.mark.skipif(
    version("sqlalchemy").startswith("2.0"),
    reason="this environment has SQLAlchemy 2.0 already")


@pytest.fixture(scope="session")
def environment():
    """Variables that put SQLAlchemy 2.0 before the one installed here."""
    stamp = PLACE / "stamp"
    wanted = hashlib.sha256(
        LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
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
    return {**os.environ, "PYTHONPATH": os.pathsep.join(
        map(str, [PLACE, ROOT, ROOT / "tests"]))}


def run(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "-p", "kernel_ports", "-o", "addopts=", *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=500)


def test_it_is_the_other_line(environment):
    shown = subprocess.run(
        [sys.executable, "-c", "import sqlalchemy; "
         "print(sqlalchemy.__version__)"],
        env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("2.0.")


@pytest.mark.parametrize("path", authoring.lessons(),
                         ids=lambda path: path.stem)
def test_lesson(environment, path):
    done = run(environment, "--nbval-lax", "--nbval-current-env",
               "--nbval-cell-timeout=120", path)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("name", UNITS)
def test_units(environment, name):
    done = run(environment, f"tests/{name}")
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_claim_that_fails_there_is_noticed(environment, mini):
    path = mini('import sqlalchemy\n'
                'assert not sqlalchemy.__version__.startswith("2.0")')
    done = run(environment, "--nbval-lax", "--nbval-current-env", path)
    assert done.returncode == 1
