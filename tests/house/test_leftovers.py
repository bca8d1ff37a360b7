"""Where a run writes, and what conftest looks for at its end."""

import os
import subprocess
import sys

import pytest
from conftest import leftovers, memory


def test_what_is_left_is_noticed(tmp_path):
    assert leftovers(tmp_path, seconds=0) == []
    (tmp_path / "lab-postgres-x").mkdir()
    with subprocess.Popen(
            [sys.executable, "-c", "print(1, flush=True); input()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        process.stdout.readline()
        left = leftovers(tmp_path, seconds=0)
        process.stdin.close()
    assert len(left) == 2 and str(process.pid) in left[1]
    assert leftovers(tmp_path, seconds=0) == [str(tmp_path /
                                                  "lab-postgres-x")]


@pytest.mark.parametrize("place", ["/proc", "/nowhere"])  # no room, no place
def test_a_place_that_holds_no_run_is_not_used(place):
    assert memory(place) is None
