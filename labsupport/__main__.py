"""The door of the course: ``python3 -m labsupport lab`` and ``... test``.

Sees to it that ``.venv`` is there, and runs the command in it. Only the
standard library is here, and only syntax that an old Python can read: it has
to be able to say that it is too old.
"""

import difflib
import errno
import os
import subprocess
import sys

from .bootstrap import ROOT, Stop, environment

OLDEST = (3, 11)
TOOLS = {  # command → the words after the Python of .venv
    "lab": ["-m", "labsupport.lab"],
    "pool-lab": ["-m", "labsupport.pool_lab_page"],
    "test": ["-m", "pytest", "-n", "4"],
    "check": ["-m", "labsupport.authoring", "check"],
    "author": ["-m", "labsupport.authoring", "author"],
    "explain": ["-m", "labsupport.teaching.explain"],
    "bench": [os.path.join("tests", "benchmarks")],
}

USAGE = """usage: python3 -m labsupport COMMAND [ARGUMENTS]

  lab      open JupyterLab at the first lesson, in my-notebooks: a copy that
           keeps your work; ARGUMENTS go to jupyter lab
  pool-lab open the pool tuning lab alone, as a page; ARGUMENTS go to voila
  restore  put the original of a lesson back, such as: restore 03;
           yours is kept beside it
  test     prove every lesson; ARGUMENTS go to pytest; the first one to try
           is --quick
  explain  say what an exception means: explain < traceback.txt

For who writes lessons:

  check    see whether the notebooks are in their stored form
  author   run the notebooks and store them in that form
           ARGUMENTS of both: paths of notebooks; without any, all of them
  bench    measure what the tools cost; ARGUMENTS are names in
           tests/benchmarks

The options of the tools themselves: lab --help-all, test --help.
"""


def main(arguments):
    """Run one command; returns the exit code (int). Raises Stop."""
    if sys.version_info[:2] < OLDEST:
        raise Stop("This course needs Python 3.11 or newer and this is %d.%d:"
                   " install one from https://www.python.org/downloads/ and "
                   "run this command with it." % sys.version_info[:2])
    command, rest = (arguments or [""])[0], arguments[1:]
    asked = {"-h", "--help"} & set(arguments) and command != "test"
    if asked or not command:
        sys.stdout.write(USAGE)
        return 0 if asked else 2
    if command == "restore":
        return restore(rest)
    if command not in TOOLS:
        raise Stop(unknown(command))
    words = [environment()] + TOOLS[command] + rest
    os.chdir(ROOT)
    # Compiled bytecode makes the suite more than twice as fast.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if os.name == "posix":
        os.execv(words[0], words)
    return subprocess.call(words)


def restore(names):
    """Put the originals of lessons back; returns the exit code (int)."""
    from . import working_copy

    if not names:
        raise Stop("Which lesson? For instance: "
                   "python3 -m labsupport restore 03")
    try:
        for name in names:
            sys.stdout.write(working_copy.restore(name) + "\n")
    except LookupError as error:
        raise Stop(error.args[0])
    return 0


def unknown(command):
    """A sentence (str) for a command that is none."""
    near = difflib.get_close_matches(command, sorted(TOOLS) + ["restore"], 1)
    advice = "did you mean '%s'?" % near[0] if near else \
        "'python3 -m labsupport --help' lists them."
    return "There is no command '%s': %s" % (command, advice)


def entry():
    """Exit code 2 and one sentence for all that the user can mend."""
    try:
        return main(sys.argv[1:])
    except Stop as stop:
        sys.stderr.write(str(stop) + "\n")
        return 2
    except OSError as error:
        disk = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS)
        advice = ("free space on the disk, or make %s writable" % ROOT
                  if error.errno in disk else
                  "restore the checkout with git")
        sys.stderr.write("%s: %s, then run this again.\n" % (error, advice))
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: run the same command again and it "
                         "starts afresh.\n")
        return 130


if __name__ == "__main__":
    sys.exit(entry())
