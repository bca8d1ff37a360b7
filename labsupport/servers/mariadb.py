"""MariaDB for this kernel: started once, stopped with it."""

import os
import secrets
import shutil
import tempfile

from sqlalchemy import URL

from . import starting
from .discover import mariadb_programs

ADMIN = "lab_admin"
MEGABYTES = 60  # 40 at the start, and room for the lesson
SETTINGS = {  # of the server, and of the installer, which starts it too
    # From data/: the installer breaks a path that has a space in it.
    "tmpdir": "..",
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "8M",
    "key-buffer-size": "1M",
    "aria-pagecache-buffer-size": "1M",
    "performance-schema": "OFF",
    "skip-name-resolve": "ON",
    # The data live as long as the kernel: nothing is owed to a power cut.
    "debug-no-sync": "ON",
    "innodb-doublewrite": "OFF",
    "innodb-flush-log-at-trx-commit": "0",
}
SERVER = {
    "bind-address": "127.0.0.1",
    # TCP only: a socket's path breaks where TMPDIR is long.
    "socket": "",
    "pid-file": "{dir}/pid",
    "init-file": "{dir}/init.sql",
    "max-connections": "60",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
}


def start():
    """Start a Server of your own; stop it with ``kept.stop()``."""
    server, install = mariadb_programs()
    # A full disk is no error for MariaDB: it waits until there is room.
    if shutil.disk_usage(tempfile.gettempdir()).free < MEGABYTES * 2**20:
        raise starting.disk_full("MariaDB", MEGABYTES)
    return starting.on_a_free_port(
        "MariaDB", lambda port: _start(server, install, port))


_once = starting.Once(start)
running, stop = _once.running, _once.stop


def _start(server, install, port):
    password = secrets.token_urlsafe(18)
    kept = starting.ready("MariaDB", {
        "name": "lab-mariadb-",
        # MariaDB runs this before it answers anyone: the accounts that it is
        # installed with have no password, and none of them is ever served.
        "before": {"init.sql": (
            "DELETE FROM mysql.global_priv;\n"
            "DELETE FROM mysql.proxies_priv;\n"
            "FLUSH PRIVILEGES;\n"
            f"CREATE USER {ADMIN}@127.0.0.1 IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON *.* TO {ADMIN}@127.0.0.1 WITH GRANT OPTION;\n")},
        "prepare": [[str(install), *_options(SETTINGS), "--skip-test-db"]],
        "serve": [str(server),
                  *_options({**SETTINGS, **SERVER, "port": port})],
        "env": {name: value for name, value in os.environ.items()
                if not name.startswith(("MYSQL", "MARIADB"))},
    }, _is_ready, _explained)
    return starting.Server(kept, URL.create(
        "mysql+aiomysql", ADMIN, password, "127.0.0.1", port))


def _options(settings):
    """The options of a program of MariaDB; no file of the machine is read."""
    return ["--no-defaults", "--datadir={dir}/data",
            *(f"--{name}={value}" for name, value in settings.items())]


def _is_ready(directory):
    try:
        log = (directory / "server.log").read_bytes()
    except OSError:
        return False  # the server has ended, and its directory is gone
    return b"ready for connections" in log


def _explained(log):
    return starting.explained(
        "MariaDB", log, megabytes=MEGABYTES, loud=("[ERROR]", "Fatal error"),
        instead="set LAB_MARIADB_BINDIR to another installation, or "
                "LAB_MYSQL_URL to a running server")
