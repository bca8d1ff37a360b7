"""One process that owns what must not outlive a kernel: a server, its files.

    kernel ── pipe ──▶ keeper ──▶ server (direct child, waited for)

The kernel holds the only write end of the pipe. When the kernel ends in any
way, SIGKILL included, the pipe closes; the keeper then stops the server and
removes its directory. The server is the keeper's own child because some
containers have a PID 1 that never reaps: there an orphan stays a zombie and
its data directory stays locked. (What a SIGKILL of the keeper itself
leaves, nobody clears up.)

This file runs on its own (``python -I keeper.py``): standard library only.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

LOG_TAIL = 4000  # characters of the server's log that travel with its end


class Kept:
    """A temporary directory, and in it a server, that end with this kernel.

    Takes ``name`` (prefix of the directory), ``before`` and ``after`` (path
    in the directory → text to append, before and after the preparation),
    ``prepare`` (commands that run to their end first), ``serve`` (the
    server's command; None for a directory alone), ``stop`` (name of the
    signal that stops the server), ``at_end`` (command to run at the very
    end, or None), ``env`` (environment of all commands; None for ours).
    ``{dir}`` in a command stands for the directory. Raises RuntimeError with
    the log if a command fails.
    """

    def __init__(self, name, *, before={}, prepare=(), after={}, serve=None,
                 stop="SIGTERM", at_end=None, env=None):
        spec = {"name": name, "before": before, "prepare": list(prepare),
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
        return json.loads(self._keeper.stdout.readline() or "{}").get("log", "")

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
        directory = Path(tempfile.mkdtemp(prefix=spec["name"]))
    except OSError as error:
        tell(log=str(error))
        return
    try:
        run(spec, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(spec, directory):
    """Prepare, serve until the pipe closes or the server ends, and tell."""
    options = {"cwd": directory, "env": spec["env"],
               "stdin": subprocess.DEVNULL}
    user = None

    def command(words):
        return [word.replace("{dir}", str(directory)) for word in words]

    def write(path, text):
        with open(directory / path, "a", encoding="utf-8") as file:
            file.write(text)
        if user:
            os.chown(directory / path, user.pw_uid, user.pw_gid)

    log = directory / "server.log"
    with open(log, "ab") as out:
        options.update(stdout=out, stderr=out)
        try:
            if spec["serve"] and (user := unprivileged()):
                os.chown(directory, user.pw_uid, user.pw_gid)
                options.update(user=user.pw_uid, group=user.pw_gid,
                               extra_groups=[])
            for path, text in spec["before"].items():
                write(path, text)
            for words in spec["prepare"]:
                subprocess.run(command(words), check=True, **options)
            for path, text in spec["after"].items():
                write(path, text)
            server = (subprocess.Popen(command(spec["serve"]), **options)
                      if spec["serve"] else None)
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            tell(log=f"{tail(log)}\n{error}")
            return
        tell(directory=str(directory))
        if server:
            stop = getattr(signal, spec["stop"])
            threading.Thread(target=stop_at_eof, args=(server, stop),
                             daemon=True).start()
            server.wait()
        else:
            wait_for_eof()
        if spec["at_end"]:
            subprocess.run(command(spec["at_end"]), check=False, **options)
    tell(log=tail(log))


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
