"""What ruff finds: unused names, long lines, imports out of order."""

import subprocess
import sys

import pytest
from conftest import ROOT


def findings(*arguments, **options):
    """What ruff says, with the settings of pyproject.toml (str)."""
    return subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet",
         "--output-format=concise", *arguments], cwd=ROOT,
        capture_output=True, text=True, **options).stdout


def test_ruff_finds_nothing():
    assert findings() == ""


@pytest.mark.parametrize("source, rule", [
    ("import os\n", "F401"),
    ("name = 1  #" + " long" * 15 + "\n", "E501"),
    ("import sys\nimport os\n\nprint(os, sys)\n", "I001"),
])
def test_what_it_would_find(source, rule):
    assert rule in findings("--stdin-filename=labsupport/new.py", "-",
                            input=source)
