"""What conftest looks for at the end of a run."""

import os
import subprocess
import sys

from conftest import leftovers


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
