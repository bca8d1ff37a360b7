"""PostgreSQL for this kernel: started once, stopped with it."""

import os
import secrets

from sqlalchemy import URL

from . import starting
from .discover import postgres_bindir

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # TCP only: a socket's path breaks where TMPDIR is long.
    "unix_socket_directories": "",
    # Shared memory as files in the data directory, so that it goes with it.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "64MB",
    # The data live as long as the kernel: nothing is owed to a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "lc_messages": "C",
    "timezone": "UTC",
}


def start():
    """Start a Server of your own; stop it with ``kept.stop()``."""
    bindir = postgres_bindir()
    return starting.on_a_free_port(
        "PostgreSQL", lambda port: _start(bindir, port))


_once = starting.Once(start)
running, stop = _once.running, _once.stop


def _start(bindir, port):
    password = secrets.token_urlsafe(18)
    config = "".join(f"{name} = '{value}'\n" for name, value
                     in {**SETTINGS, "port": port}.items())
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("PG")}  # PGDATA, PGPORT … mislead
    kept = starting.ready("PostgreSQL", {
        "name": "lab-postgres-",
        "before": {"password": password},
        "prepare": [[str(bindir / "initdb"), "--pgdata", "{dir}/data",
                     "--username", "postgres", "--pwfile", "{dir}/password",
                     "--auth", "scram-sha-256", "--encoding", "UTF8",
                     "--no-locale", "--no-sync", "--no-instructions"]],
        "after": {"data/postgresql.conf": config},
        "serve": [str(bindir / "postgres"), "-D", "{dir}/data"],
        "stop": "SIGINT",  # "fast": open sessions are ended
        "env": {**environment, "LC_ALL": "C"},
    }, _is_ready, _explained)
    return starting.Server(kept, URL.create(
        "postgresql+asyncpg", "postgres", password, "127.0.0.1", port,
        # Said here, or PGSSLMODE of the reader's shell would be obeyed.
        "postgres", query={"sslmode": "disable"}))


def _is_ready(directory):
    """The last line of postmaster.pid, which pg_ctl waits for too."""
    status = directory / "data" / "postmaster.pid"
    try:
        return status.read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False


def _explained(log):
    return starting.explained(
        "PostgreSQL", log, megabytes=60, loud=("FATAL", "error:"),
        instead="set LAB_PG_BINDIR to another installation, or "
                "LAB_POSTGRES_URL to a running server")
