"""PostgreSQL for this kernel: started once, stopped with it."""

import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass

from sqlalchemy import URL

from . import ServerError
from .discover import postgres_bindir
from .keeper import Kept

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
START_SECONDS = 60
PORT_TRIES = 5


@dataclass(frozen=True)
class PostgresServer:
    """A running server: where it is (``admin``, a superuser's URL)."""

    kept: Kept
    admin: URL


_lock = threading.Lock()
_running: PostgresServer | None = None


def running():
    """This kernel's PostgresServer, started on the first call (1 to 3 s).

    Blocks: call it in a thread. Raises ServerError when no server can be
    started.
    """
    global _running
    with _lock:
        if _running is None or not _running.kept.alive():
            _running = start()
        return _running


def stop():
    """Stop this kernel's server; the next ``running()`` starts another."""
    global _running
    with _lock:
        if _running is not None:
            _running.kept.stop()
            _running = None


def start():
    """Start a PostgresServer of your own; stop it with ``kept.stop()``."""
    bindir = postgres_bindir()
    for _ in range(PORT_TRIES):
        try:
            return _start(bindir, free_port())
        except PortTaken as error:
            taken = error
    raise ServerError(
        f"PostgreSQL found no free port in {PORT_TRIES} tries ({taken}): "
        "close programs that listen on 127.0.0.1, then run this again."
    )


class PortTaken(Exception):
    """Somebody took the port between the asking and the listening."""


def free_port():
    """A TCP port (int) on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(bindir, port):
    password = secrets.token_urlsafe(18)
    config = "".join(f"{name} = '{value}'\n" for name, value
                     in {**SETTINGS, "port": port}.items())
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("PG")}  # PGDATA, PGPORT … mislead
    try:
        kept = Kept(
            "lab-postgres-",
            before={"password": password},
            prepare=[[str(bindir / "initdb"), "--pgdata", "{dir}/data",
                      "--username", "postgres", "--pwfile", "{dir}/password",
                      "--auth", "scram-sha-256", "--encoding", "UTF8",
                      "--no-locale", "--no-sync", "--no-instructions"]],
            after={"data/postgresql.conf": config},
            serve=[str(bindir / "postgres"), "-D", "{dir}/data"],
            stop="SIGINT",  # "fast": open sessions are ended
            env={**environment, "LC_ALL": "C"},
        )
    except RuntimeError as error:
        raise _explained(str(error)) from None
    status = kept.directory / "data" / "postmaster.pid"
    deadline = time.monotonic() + START_SECONDS
    while not _ready(status):
        if not kept.alive():
            raise _explained(kept.last_words())
        if time.monotonic() > deadline:
            kept.stop()
            raise ServerError(
                f"PostgreSQL was not ready after {START_SECONDS} s: the "
                "machine is very busy; run this cell again."
            )
        time.sleep(0.02)
    return PostgresServer(kept, URL.create(
        "postgresql+asyncpg", "postgres", password, "127.0.0.1", port,
        # Said here, or PGSSLMODE of the reader's shell would be obeyed.
        "postgres", query={"sslmode": "disable"}))


def _ready(status):
    """The last line of postmaster.pid, which pg_ctl waits for too."""
    try:
        return status.read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False


def _explained(log):
    """The exception that a server's log calls for."""
    if "could not bind" in log or "Address already in use" in log:
        return PortTaken(_last_complaint(log))
    if "No space left on device" in log:
        return ServerError(
            "PostgreSQL needs about 60 MB in the temporary directory and "
            "the disk is full: free some space, or set TMPDIR to a "
            "directory on another disk."
        )
    refused = ("Permission denied", "Operation not permitted", "[Errno 22]",
               "name not found")
    if hasattr(os, "geteuid") and os.geteuid() == 0 \
            and any(sign in log for sign in refused):
        return ServerError(
            "You are root, PostgreSQL must not be, and the user 'nobody' "
            "may not run its programs: move the course to a directory "
            "that every user can read, or run it as an ordinary user."
        )
    return ServerError(
        f"PostgreSQL did not start ({_last_complaint(log)}): set "
        "LAB_PG_BINDIR to another installation, or LAB_POSTGRES_URL to a "
        "running server."
    )


def _last_complaint(log):
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    loud = [line for line in lines if "FATAL" in line or "error:" in line]
    return (loud or lines or ["no reason given"])[-1]
