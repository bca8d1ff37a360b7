"""MariaDB for this kernel: started once, stopped with it."""

import os

from sqlalchemy import URL

from .discover import mariadb_programs
from .starting import Product

ADMIN = "lab_admin"
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


def spec(programs, port, password):
    """The arguments of Kept for a server."""
    server, install = programs
    return {
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
    }


def _options(settings):
    """The options of a program of MariaDB; no file of the machine is read."""
    return ["--no-defaults", "--datadir={dir}/data",
            *(f"--{name}={value}" for name, value in settings.items())]


def admin(port, password):
    """The URL of the administrator."""
    return URL.create("mysql+aiomysql", ADMIN, password, "127.0.0.1", port)


def is_ready(directory):
    """What MariaDB writes to its log, which is here as long as its data."""
    try:
        log = (directory / "server.log").read_bytes()
    except OSError:
        return False  # the server has ended, and its directory is gone
    return b"ready for connections" in log


product = Product(
    "MariaDB", mariadb_programs, spec, admin, is_ready,
    errors=("[ERROR]", "Fatal error"),
    instead="set LAB_MARIADB_BINDIR to another installation, or "
            "LAB_MYSQL_URL to a running server")
start, running, stop = product.start, product.running, product.stop
