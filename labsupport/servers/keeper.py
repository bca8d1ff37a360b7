"""One process that owns what must not outlive a kernel: a server, its files.

    kernel ── pipe ──▶ keeper ──▶ server (direct child, waited for)

The kernel holds the only write end of the pipe. When the kernel ends in any
way, SIGKILL included, the pipe closes; the keeper then stops the server and
removes its directory. The server is the keeper's own child because some
containers have a PID 1 that never reaps: there an orphan stays a zombie and
its data directory stays locked. When the keeper itself is killed, Linux ends
the server, and the next keeper removes the directory.

This file runs on its own (``python -I keeper.py``): standard library only.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOG_TAIL = 4000  # characters of the server's log that travel with its end
LOCK = "keeper.lock"  # in the directory; locked by whoever still uses it
PR_SET_PDEATHSIG = 1  # prctl(2)


class Kept:
    """A temporary directory, and in it a server, that end with this kernel.

    Takes ``name`` (prefix of the directory), ``before`` and ``after`` (path
    in the directory → text to append, before and after the preparation),
    ``prepare`` (commands that run to their end first and make ``data``),
    ``prepared`` (path that keeps this ``data`` for the next start, which
    copies it and prepares nothing; or None), ``exchange`` (path → old and
    new text of one length, after the preparation), ``serve`` (the server's
    command; None for a directory alone), ``stop`` (name of the signal that
    stops the server), ``at_end`` (command to run at the very end, or None),
    ``env`` (environment of all commands; None for ours). ``{dir}`` in a
    command stands for the directory. Raises RuntimeError with the log if
    something fails.
    """

    def __init__(self, name, *, before={}, prepare=(), prepared=None,
                 exchange={}, after={}, serve=None, stop="SIGTERM",
                 at_end=None, env=None):
        spec = {"name": name, "before": before, "prepare": list(prepare),
                "prepared": prepared and str(prepared), "exchange": exchange,
                "after": after, "serve": serve, "stop": stop,
                "at_end": at_end, "env": env}
        # Through the pipe and not as an argument: passwords are in it, and
        # every user of the machine can read a command line.
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            # Jupyter's interrupt goes to the kernel's process group.
            start_new_session=True,
        )
        self._keeper.stdin.write(json.dumps(spec) + "\n")
        self._keeper.stdin.flush()
        first = json.loads(self._keeper.stdout.readline() or "{}")
        if "directory" not in first:
            self.stop()
            raise RuntimeError(first.get("log") or "the keeper ended at once")
        self.directory = Path(first["directory"])

    def alive(self):
        """Whether the server still runs (bool)."""
        return self._keeper.poll() is None

    def last_words(self):
        """The end of the server's log, once it has ended (str)."""
        told = json.loads(self._keeper.stdout.readline() or "{}")
        return told.get("log", "")

    def stop(self):
        """Stop the server and wait until its directory is gone."""
        self._keeper.stdin.close()
        self._keeper.wait()


def unprivileged():
    """Whom a server runs as: None for this user, or a passwd entry.

    PostgreSQL refuses to run as root, as containers do; nobody will do.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody")


def main():
    # A handler, not SIG_IGN: ignored signals would be inherited by the server.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    spec = json.loads(sys.stdin.buffer.readline())
    try:
        sweep()
        directory = Path(tempfile.mkdtemp(prefix=spec["name"]))
    except OSError as error:
        tell(log=str(error))
        return
    try:
        with open(directory / "locked", "w") as lock:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # From now on sweep() knows it, and finds it locked.
                os.rename(lock.name, directory / LOCK)
            run(spec, directory, lock)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def sweep():
    """Remove the directories whose keeper has been killed, and its server."""
    for lock in Path(tempfile.gettempdir()).glob(f"lab-*/{LOCK}"):
        with suppress(OSError):  # it is locked, or gone meanwhile
            if lock.lstat().st_uid == os.geteuid():
                with open(lock) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(lock.parent, ignore_errors=True)


def run(spec, directory, lock):
    """Prepare, serve until the pipe closes or the server ends, and tell."""
    log = directory / "server.log"
    server = user = None
    with open(log, "ab") as out:
        options = {"cwd": directory, "env": spec["env"], "stdout": out,
                   "stderr": out, "stdin": subprocess.DEVNULL}
        try:
            if spec["serve"] and (user := unprivileged()):
                os.chown(directory, user.pw_uid, user.pw_gid)
                options.update(user=user.pw_uid, group=user.pw_gid,
                               extra_groups=[])
            prepare(spec, directory, user, options)
            if spec["serve"]:
                server = serve(spec, directory, lock, options)
        except (OSError, KeyError, ValueError,
                subprocess.CalledProcessError) as error:
            tell(log=f"{tail(log)}\n{error}")
            return
        tell(directory=str(directory))
        if server:
            server.wait()
        else:
            wait_for_eof()
        if spec["at_end"]:
            subprocess.run(command(spec["at_end"], directory), check=False,
                           **options)
    tell(log=tail(log))


def prepare(spec, directory, user, options):
    """Make the files that the server needs, for ``user``."""
    data, prepared = directory / "data", spec["prepared"]
    write(directory, spec["before"], user)
    if prepared and os.path.exists(prepared):
        os.utime(prepared)  # so that it counts as used
        copy(prepared, data, user)
    else:
        for words in spec["prepare"]:
            subprocess.run(command(words, directory), check=True, **options)
        if prepared:
            keep(data, Path(prepared))
    for path, (old, new) in spec["exchange"].items():
        exchange(directory / path, old.encode(), new.encode())
    write(directory, spec["after"], user)


def serve(spec, directory, lock, options):
    """Start the server (a Popen), and what stops it in time."""
    stop = getattr(signal, spec["stop"])
    if fcntl:
        # What a server uses is not swept: it holds the lock, too.
        options["pass_fds"] = [lock.fileno()]
    if sys.platform.startswith("linux"):
        prctl = ctypes.CDLL(None).prctl
        options["preexec_fn"] = lambda: prctl(PR_SET_PDEATHSIG, stop)
    server = subprocess.Popen(command(spec["serve"], directory), **options)
    threading.Thread(target=stop_at_eof, args=(server, stop),
                     daemon=True).start()
    return server


def command(words, directory):
    return [word.replace("{dir}", str(directory)) for word in words]


def write(directory, texts, user):
    """Append ``texts`` (path → text) to files that are the ``user``'s."""
    for path, text in texts.items():
        with open(directory / path, "a", encoding="utf-8") as file:
            file.write(text)
        if user:
            os.chown(directory / path, user.pw_uid, user.pw_gid)


def copy(source, target, user=None):
    """Copy a directory, for ``user`` (a passwd entry; None for us)."""
    shutil.copytree(source, target)
    if user:
        for root, _, names in os.walk(target):
            for name in [".", *names]:
                os.chown(os.path.join(root, name), user.pw_uid, user.pw_gid)


def keep(data, prepared):
    """Copy ``data`` to the path ``prepared``, whole or not at all."""
    try:
        half = tempfile.mkdtemp(dir=prepared.parent)
        try:
            copy(data, Path(half, "data"))
            os.rename(Path(half, "data"), prepared)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    except OSError:
        pass  # no room, or another kernel was quicker: nothing depends on it


def exchange(path, old, new):
    """Put ``new`` in the place of ``old`` (bytes of one length) in a file."""
    content = path.read_bytes()
    if content.count(old) != 1 or len(old) != len(new):
        raise ValueError(f"{path.name} is not as it was expected")
    with open(path, "r+b") as file:
        file.write(content.replace(old, new))


def wait_for_eof():
    """Return when the kernel has ended."""
    # Not through sys.stdin: Python aborts at its end while a thread reads it.
    while os.read(0, 1024):
        pass


def stop_at_eof(server, stop):
    """Wait for the kernel's end; then stop the server, gently at first."""
    wait_for_eof()
    server.send_signal(stop)
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()


def tail(log):
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]


def tell(**facts):
    try:
        print(json.dumps(facts), flush=True)
    except BrokenPipeError:
        # The kernel is gone. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
