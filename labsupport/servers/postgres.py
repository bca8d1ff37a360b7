"""PostgreSQL for this kernel: started once, stopped with it."""

import base64
import hashlib
import hmac
import os
import secrets
import sys

from sqlalchemy import URL

from . import nameless
from .discover import postgres_bindir
from .starting import Product

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

# The password of the administrator, as the server keeps it (RFC 5803). This
# one fits no password: it is what a prepared cluster has, until it is used.
VERIFIER = "SCRAM-SHA-256$4096:{salt}${stored}:{server}"
NOBODY_S = VERIFIER.format(salt=24 * "A", stored=43 * "A" + "=",
                           server=43 * "A" + "=")


def find():
    """Paths of ``postgres`` and ``initdb``, as a tuple."""
    bindir = postgres_bindir()
    return bindir / "postgres", bindir / "initdb"


def spec(programs, port, password):
    """The arguments of Kept for a server."""
    server, initdb = programs
    config = "".join(f"{name} = '{value}'\n" for name, value
                     in {**SETTINGS, "port": port}.items())
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("PG")}  # PGDATA, PGPORT … mislead
    return {
        "name": "lab-postgres-",
        "before": {"password": NOBODY_S},
        "prepare": _prepare(initdb),
        "exchange": {"data/global/1260": [NOBODY_S, verifier(password)]},
        "after": {"data/postgresql.conf": config},
        "serve": [str(server), "-D", "{dir}/data"],
        "stop": "SIGINT",  # "fast": open sessions are ended
        "env": {**environment, "LC_ALL": "C"},
    }


def _prepare(initdb):
    """The commands that make a new cluster."""
    options = ["--pgdata", "{dir}/data",
               "--username", "postgres", "--pwfile", "{dir}/password",
               "--auth", "scram-sha-256", "--encoding", "UTF8",
               "--no-locale", "--no-sync", "--no-instructions",
               "--wal-segsize", "1"]
    program = initdb.read_bytes()
    # The password is exchanged in a page of the data. From 18 on pages have
    # checksums unless initdb is asked for none.
    if b"no-data-checksums" in program:
        options += ["--no-data-checksums"]
    # From 16 on initdb can do without /dev/shm, too, as the server does: in
    # some containers it is tiny.
    if b"--set NAME" in program:
        options += ["--set", "dynamic_shared_memory_type=mmap"]
    if not nameless.nameless():
        return [[str(initdb), *options]]
    return [[sys.executable, "-I", nameless.__file__, str(initdb.parent),
             "{dir}/named"],
            ["{dir}/named/" + str(nameless.WITHIN / "initdb"), *options]]


def verifier(password):
    """What the server keeps of a ``password`` of ASCII (str)."""
    def text(value):
        return base64.b64encode(value).decode()

    def keyed(words):
        return hmac.digest(salted, words, "sha256")

    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(keyed(b"Client Key")).digest()
    return VERIFIER.format(salt=text(salt), stored=text(stored),
                           server=text(keyed(b"Server Key")))


def admin(port, password):
    """The URL of the administrator."""
    return URL.create(
        "postgresql+asyncpg", "postgres", password, "127.0.0.1", port,
        # Said here, or PGSSLMODE of the reader's shell would be obeyed.
        "postgres", query={"sslmode": "disable"})


def is_ready(directory):
    """The last line of postmaster.pid, which pg_ctl waits for too."""
    status = directory / "data" / "postmaster.pid"
    try:
        return status.read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False


product = Product(
    "PostgreSQL", find, spec, admin, is_ready,
    errors=("FATAL", "error:"),
    instead="set LAB_PG_BINDIR to another installation, or "
            "LAB_POSTGRES_URL to a running server")
start, running, stop = product.start, product.running, product.stop
