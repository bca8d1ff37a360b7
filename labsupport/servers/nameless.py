"""PostgreSQL's initdb for a user who has a number and no name.

    python -I nameless.py BINDIR DIRECTORY      makes DIRECTORY/…/bin

Some containers run under any number, which is not in /etc/passwd. A server
of PostgreSQL does not mind. ``initdb`` and the ``postgres`` that it calls
look the name up with getpwuid(), end without one, and make no use of it, as
our administrator is named in the command. Their copies here call getpwent()
in its place, the first entry of /etc/passwd: same library, same result type.
Linux only: elsewhere nobody is nameless.

This file runs on its own: standard library only.
"""

import os
import sys
from pathlib import Path

WITHIN = Path("package", "install", "bin")  # the wheel's libraries lie 3 up


def nameless():
    """Whether this process's user has no entry in the list of users."""
    if not sys.platform.startswith("linux"):
        return False
    import pwd

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


def main(bindir, directory):
    copies = directory / WITHIN
    copies.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        program = (bindir / name).read_bytes()
        (copies / name).write_bytes(
            program.replace(b"\0getpwuid\0", b"\0getpwent\0"))
        (copies / name).chmod(0o700)
    # They look for these from where they lie themselves.
    for beside in bindir.parent.iterdir():
        if beside.name != "bin":
            (copies.parent / beside.name).symlink_to(beside)
    for libraries in bindir.parents[2].glob("*.libs"):
        (directory / libraries.name).symlink_to(libraries)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
