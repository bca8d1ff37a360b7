"""A server of this kernel's own: on a free port, waited for, started once."""

import os
import socket
import threading
import time
from dataclasses import dataclass

from sqlalchemy import URL

from . import ServerError
from .keeper import Kept

START_SECONDS = 60
PORT_TRIES = 5


@dataclass(frozen=True)
class Server:
    """A running server: where it is (``admin``, an administrator's URL)."""

    kept: Kept
    admin: URL


class Once:
    """The one server of its kind in this kernel; ``start`` starts it."""

    def __init__(self, start):
        self._start = start
        self._lock = threading.Lock()
        self._server = None

    def running(self):
        """This kernel's Server, started on the first call (1 to 3 s).

        Blocks: call it in a thread. Raises ServerError when no server can
        be started.
        """
        with self._lock:
            if self._server is None or not self._server.kept.alive():
                self._server = self._start()
            return self._server

    def stop(self):
        """Stop this kernel's server; the next ``running()`` starts another."""
        with self._lock:
            if self._server is not None:
                self._server.kept.stop()
                self._server = None


class PortTaken(Exception):
    """Somebody took the port between the asking and the listening."""


def free_port():
    """A TCP port (int) on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_a_free_port(product, start):
    """The Server that ``start(port)`` returns; after PortTaken, once more."""
    for _ in range(PORT_TRIES):
        try:
            return start(free_port())
        except PortTaken as error:
            taken = error
    raise ServerError(
        f"{product} found no free port in {PORT_TRIES} tries ({taken}): "
        "close programs that listen on 127.0.0.1, then run this again."
    )


def ready(product, spec, is_ready, explained):
    """A Kept of ``spec`` (its arguments) whose server takes connections.

    ``is_ready(directory)`` says whether it does; ``explained(log)`` makes
    the exception when it has ended instead.
    """
    try:
        kept = Kept(**spec)
    except RuntimeError as error:
        raise explained(str(error)) from None
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(kept.directory):
        if not kept.alive():
            raise explained(kept.last_words())
        if time.monotonic() > deadline:
            kept.stop()
            raise ServerError(
                f"{product} was not ready after {START_SECONDS} s: the "
                "machine is very busy; run this cell again."
            )
        time.sleep(0.02)
    return kept


def explained(product, log, *, megabytes, loud, instead):
    """The exception that a server's log calls for.

    Takes the ``megabytes`` that it needs on disk, the words that mark an
    error in its log (``loud``), and what to do ``instead``.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if any(word in line for word in loud)]
    complaint = errors[0] if errors else lines[-1] if lines \
        else "no reason given"
    if "could not bind" in log or "Address already in use" in log:
        return PortTaken(complaint)
    if "No space left on device" in log or "error 28" in log:
        return disk_full(product, megabytes)
    refused = ("Permission denied", "Operation not permitted", "[Errno 22]",
               "name not found")
    if hasattr(os, "geteuid") and os.geteuid() == 0 \
            and any(sign in log for sign in refused):
        return ServerError(
            f"You are root, {product} must not be, and the user 'nobody' "
            "may not run its programs: move the course to a directory "
            "that every user can read, or run it as an ordinary user."
        )
    return ServerError(f"{product} did not start ({complaint}): {instead}.")


def disk_full(product, megabytes):
    """The ServerError that says so."""
    return ServerError(
        f"{product} needs about {megabytes} MB in the temporary directory and "
        "the disk is full: free some space, or set TMPDIR to a "
        "directory on another disk."
    )
