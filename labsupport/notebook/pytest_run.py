"""Functions of your notebook, run as tests by pytest in a process of its own.

    print(run_tests(planned_loads, test_page))
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .child_process import environment
from .sources import program

SECONDS = 60
# What a small test does not use; nbval alone takes more than a second.
WITHOUT = ("cacheprovider", "nbval", "faker", "hypothesispytest")


@dataclass(frozen=True)
class TestRun:
    """What pytest said: test → passed, failed or error (str), and why."""

    __test__ = False  # of pytest's: this is no test

    outcomes: dict[str, str]
    why: tuple[str, ...]

    def __repr__(self):
        return "\n".join([*(f"{name} {outcome}" for name, outcome
                            in self.outcomes.items()), *self.why])


def run_tests(*functions, workers=0, **options):
    """Run test functions, and the fixtures among them; returns a TestRun.

    They are written to a file with all that they use (see sources.program).
    ``workers`` are processes of pytest-xdist (0: none), ``options`` what
    stands in pytest.ini. Raises RuntimeError if pytest ran no test.
    """
    words = [f"--override-ini={name}={value}"
             for name, value in options.items()]
    words += [f"-pno:{plugin}" for plugin in WITHOUT]
    if workers:
        words.append(f"--numprocesses={workers}")
    with tempfile.TemporaryDirectory(prefix="lab-tests-") as folder:
        Path(folder, "test_it.py").write_text(
            "\n\n".join(dict.fromkeys(map(program, functions))) + "\n")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "--tb=short",
             "--color=no", "--rootdir", folder,
             "--basetemp", os.path.join(folder, "temporary"),
             "-c", os.devnull, *words, "test_it.py"],
            cwd=folder, capture_output=True, text=True, timeout=SECONDS,
            env=environment(PYTEST_ADDOPTS=""))
    outcomes = {
        name or theirs: (outcome or said).lower()
        for name, outcome, said, theirs in re.findall(
            r"^(?:test_it\.py::(\S+) (PASSED|FAILED|ERROR)|\[gw\d+\] .* "
            r"(PASSED|FAILED|ERROR) test_it\.py::(\S+))", done.stdout, re.M)}
    if not outcomes:
        raise RuntimeError("pytest ran no test: "
                           + (done.stdout + done.stderr)[-500:])
    # An error at the end of a test is that of a fixture, after its yield.
    outcomes |= dict.fromkeys(re.findall(
        r"^ERROR test_it\.py::(\S+)", done.stdout, re.M), "failed")
    # What pytest itself refuses has no traceback, and no E before its words.
    why = re.findall(
        r"^(?:E   +|_+ ERROR at setup of .+ _+\n(?!\S+:\d+: ))(.+)$",
        done.stdout, re.M)
    return TestRun(outcomes, tuple(why))
