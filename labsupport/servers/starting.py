"""A server of this kernel's own: on a free port, waited for, started once."""

import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import URL

from . import ServerError, cache
from .keeper import Kept

START_SECONDS = 60
PORT_TRIES = 5


@dataclass(frozen=True)
class Server:
    """A running server: where it is (``admin``, an administrator's URL)."""

    kept: Kept
    admin: URL


@dataclass
class Product:
    """A server program, and the one server of it that this kernel has.

    Whatever differs between the programs is here; see postgres.py and
    mariadb.py. A third one needs nothing else.
    """

    name: str
    find: Callable  # () → its programs; raises ServerError
    spec: Callable  # (programs, port, password) → arguments of Kept
    admin: Callable  # (port, password) → URL of an administrator
    is_ready: Callable  # (directory) → whether it takes connections (bool)
    errors: tuple  # words that mark an error in its log
    instead: str  # what to do when it does not start
    megabytes: int = 60  # on disk: 40 at the start, and room for a lesson
    _lock: object = field(default_factory=threading.Lock, repr=False)
    _server: Server | None = field(default=None, repr=False)

    def running(self):
        """This kernel's Server, started on the first call (1 to 3 s).

        Another one is started when that has ended, or when somebody removed
        its files. Blocks: call it in a thread. Raises ServerError when no
        server can be started.
        """
        with self._lock:
            if self._server and not (self._server.kept.alive() and
                                     self.is_ready(
                                         self._server.kept.directory)):
                self._server.kept.stop()
                self._server = None
            if self._server is None:
                self._server = self.start()
            return self._server

    def stop(self):
        """Stop this kernel's server; the next ``running()`` starts another."""
        with self._lock:
            if self._server is not None:
                self._server.kept.stop()
                self._server = None

    def start(self):
        """Start a Server of your own; stop it with ``kept.stop()``."""
        programs = self.find()
        # MariaDB takes no full disk for an error: it waits for more room.
        if shutil.disk_usage(tempfile.gettempdir()).free \
                < self.megabytes * 2**20:
            raise self._disk_full()
        for _ in range(PORT_TRIES):
            try:
                return self._start(programs, free_port())
            except PortTaken as error:
                taken = error
        raise ServerError(
            f"{self.name} found no free port in {PORT_TRIES} tries ({taken}): "
            "close programs that listen on 127.0.0.1, then run this again."
        )

    def _start(self, programs, port):
        password = secrets.token_urlsafe(18)
        spec = self.spec(programs, port, password)
        prepared = cache.place(programs, spec["prepare"])
        copied = prepared and prepared.exists()
        try:
            kept = self._ready(spec, prepared)
        except ServerError:
            if not copied:
                raise
            # The copied may be damaged: a cleaner took a file of it.
            shutil.rmtree(prepared, ignore_errors=True)
            kept = self._ready(spec, prepared)
        return Server(kept, self.admin(port, password))

    def _ready(self, spec, prepared):
        """A Kept whose server takes connections."""
        try:
            kept = Kept(**spec, prepared=prepared)
        except RuntimeError as error:
            raise self.explained(str(error)) from None
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready(kept.directory):
            if not kept.alive():
                raise self.explained(kept.last_words())
            if time.monotonic() > deadline:
                kept.stop()
                raise ServerError(
                    f"{self.name} was not ready after {START_SECONDS} s: the "
                    "machine is very busy; run this cell again."
                )
            time.sleep(0.01)
        return kept

    def explained(self, log):
        """The exception that the server's log (str) calls for."""
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        errors = [line for line in lines
                  if any(word in line for word in self.errors)]
        complaint = (errors or lines[-1:] or ["no reason given"])[0]
        if "could not bind" in log or "Address already in use" in log:
            return PortTaken(complaint)
        if "No space left on device" in log or "error 28" in log:
            return self._disk_full()
        refused = ("Permission denied", "Operation not permitted",
                   "[Errno 22]", "name not found")
        if hasattr(os, "geteuid") and os.geteuid() == 0 \
                and any(sign in log for sign in refused):
            return ServerError(
                f"You are root, {self.name} must not be, and the user "
                "'nobody' may not run its programs: move the course to a "
                "directory that every user can read, or run it as an ordinary "
                "user."
            )
        advice = next((advice for sign, advice in LIMITS.items()
                       if sign in log), self.instead)
        return ServerError(
            f"{self.name} did not start ({complaint}): {advice}.")

    def _disk_full(self):
        return ServerError(
            f"{self.name} needs about {self.megabytes} MB in the temporary "
            "directory and the disk is full: free some space, or set TMPDIR "
            "to a directory on another disk."
        )


LIMITS = {  # what a log says, and what helps
    "Too many open files": "raise the limit that 'ulimit -n' shows",
    "insufficient file descriptors": "raise the limit that 'ulimit -n' shows",
    "Resource temporarily unavailable":
        "end other programs, or raise the limit that 'ulimit -u' shows",
    "could not look up effective user ID":
        "your user has no entry in the machine's list of users, and "
        "PostgreSQL asks for its name; add one to /etc/passwd, or set "
        "LAB_POSTGRES_URL to a running server",
}


class PortTaken(Exception):
    """Somebody took the port between the asking and the listening."""


def free_port():
    """A TCP port (int) on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
