"""Where what takes long to prepare is kept for the next start.

A new cluster of PostgreSQL costs 0.7 s of CPU, a copy of one a third of it.
What is kept has no password in it, and lies in a directory that is its
user's alone. Without such a directory each start prepares anew.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from pathlib import Path

UNUSED_DAYS = 30  # then it is of a version that has gone


def place(programs, commands):
    """The Path for what ``commands`` (lists of str) make, or None.

    Another one for other options, other ``programs`` (Paths) or another kind
    of machine. Nothing need be there yet.
    """
    directory = _private()
    if directory is None:
        return None
    about = [program.stat() for program in programs]
    facts = json.dumps([platform.machine(),
                        [(one.st_size, one.st_mtime_ns) for one in about],
                        [options for _, *options in commands]])
    return directory / hashlib.sha256(facts.encode()).hexdigest()[:16]


def _private():
    """The directory (Path), made if new; None where it cannot be private."""
    try:
        above = Path(os.environ.get("XDG_CACHE_HOME") or
                     Path.home() / ".cache")
        directory = above / "async-sqlalchemy-lab"
        above.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        about = directory.lstat()
        if hasattr(os, "geteuid") and (about.st_uid != os.geteuid()
                                       or about.st_mode & 0o077):
            return None
        _sweep(directory)
    except (OSError, RuntimeError):  # no home, or it is not ours to write
        return None
    return directory


def _sweep(directory):
    oldest = time.time() - UNUSED_DAYS * 86400
    for path in directory.iterdir():
        if path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)
