"""The door of the course: ``python3 -m labsupport lab`` and ``... test``.

Makes ``.venv`` from the hash-pinned lock, remembers that it did, and runs.
Only the standard library is here, and only syntax that an old Python can
read: it has to be able to say that it is too old.
"""

import errno
import hashlib
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements.txt")
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "labsupport.stamp")
OLDEST = (3, 11)
FREE_BYTES = 10 ** 9  # what the environment takes, and some air

QUIET = """{"@jupyterlab/apputils-extension:notification":
 {"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}}
"""

USAGE = """usage: python3 -m labsupport COMMAND [ARGUMENTS]

  lab     open JupyterLab at the first lesson; ARGUMENTS go to jupyter lab
  test    prove every lesson; ARGUMENTS go to pytest
  check   see whether the notebooks are in their stored form
  author  run the notebooks and store them in that form
  bench   measure what the tools cost; ARGUMENTS are names in tests/benchmarks
"""


class Stop(Exception):
    """Nothing can be done here; the message is one sentence for the user."""


def main(arguments):
    if sys.version_info[:2] < OLDEST:
        raise Stop("This course needs Python 3.11 or newer and this is %d.%d:"
                   " install one from https://www.python.org/downloads/ and "
                   "run this command with it." % sys.version_info[:2])
    command, rest = (arguments or [""])[0], arguments[1:]
    if command == "lab":
        words = jupyterlab(ROOT)
    elif command == "test":
        words = ["-m", "pytest", "-n", "2"]
    elif command in ("check", "author"):
        words = ["-m", "labsupport.authoring.notebooks", command]
    elif command == "bench":
        words = [os.path.join("tests", "benchmarks")]
    else:
        sys.stdout.write(USAGE)
        return 0 if command in ("-h", "--help") else 2
    python = environment()
    os.chdir(ROOT)
    # Compiled bytecode makes the suite more than twice as fast.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if os.name == "posix":
        os.execv(python, [python] + words + rest)
    return subprocess.call([python] + words + rest)


def jupyterlab(root):
    """The words that start JupyterLab in ``root``, at the first lesson."""
    words = ["-m", "jupyterlab", "--ServerApp.root_dir=" + root,
             "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # JupyterLab asks root to insist
    return words


def environment():
    """The Python (path) of ``.venv``, which is built if it is not current."""
    python = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin",
                          "python")
    if os.name == "posix":
        import fcntl

        # One at a time; the lock goes with this process.
        fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)
    if read(STAMP) == fingerprint() and os.path.exists(python):
        return python
    if os.path.exists(VENV) and not os.path.exists(STAMP):
        raise Stop("%s is an environment of your own: activate it and run "
                   "'pip install -e .[test]', or move it away and run this "
                   "again." % VENV)
    if shutil.disk_usage(ROOT).free < FREE_BYTES:
        raise Stop("The disk is almost full and the course needs 1 GB in "
                   "%s: free some space, then run this again." % ROOT)
    remove(VENV)
    os.mkdir(VENV)
    write(STAMP, "unfinished")  # ours to repair, if this is interrupted
    try:
        install(python)
    except Stop:
        remove(VENV)
        raise
    write(STAMP, fingerprint())
    return python


def install(python):
    """Fill ``.venv``: with uv if it is there, otherwise with venv and pip."""
    say("Making the environment in .venv; this happens once.")
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "--quiet", "--allow-existing", "--python",
             sys.executable, VENV])
        say("Installing about 130 packages with uv …")
        run([uv, "pip", "install", "--python", python, "--require-hashes",
             "-r", LOCK])
    else:
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            raise Stop("This Python has no venv module: install it with "
                       "'sudo apt install python3-venv' (or install uv), "
                       "then run this again.")
        run([sys.executable, "-m", "venv", VENV])
        say("Installing about 130 packages with pip: 1 to 5 minutes …")
        run([python, "-m", "pip", "install", "--require-hashes",
             "--no-compile", "--no-input", "--disable-pip-version-check",
             "-r", LOCK])
    # The package itself: a path, as an editable install would leave it.
    where = subprocess.check_output(
        [python, "-c", "import site; print(site.getsitepackages()[0])"])
    write(os.path.join(where.decode().strip(), "labsupport.pth"), ROOT + "\n")
    # JupyterLab's defaults: no pop-up that asks to fetch news.
    settings = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    os.makedirs(settings, exist_ok=True)
    write(os.path.join(settings, "overrides.json"), QUIET)


def run(words):
    """Run a step of the installation, told as it goes; Stop if it fails."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    seen, fetched = [], 0
    for line in process.stdout:
        text = line.decode("utf-8", "replace")
        seen.append(text)
        fetched += text.startswith("Collecting ")
        if text.startswith("Collecting ") and fetched % 10 == 0:
            say("  %d packages fetched …" % fetched)
        elif text.startswith(("Installing", "Prepared", "Installed")):
            say("  " + text.split(":")[0].strip())
    if process.wait():
        raise Stop(explained("".join(seen)))


def explained(output):
    """One sentence for what an installer printed before it failed."""
    if "No space left on device" in output:
        return ("The disk is full: free 1 GB, then run this again.")
    signs = ("NewConnectionError", "name resolution", "dns error",
             "Connection refused", "error sending request", "timed out",
             "Could not connect", "Max retries", "client error (Connect)")
    if any(sign in output for sign in signs):
        return ("The packages cannot be fetched: check the network (or the "
                "proxy settings of pip), then run this again.")
    if "hash" in output.lower() and "mismatch" in output.lower():
        return ("A package is not the one that the lock names: try again "
                "later, or look at the package index that you use.")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return ("The installation failed (%s): run this again, or install with "
            "'pip install -r requirements.txt' to see more."
            % (lines or ["no reason given"])[-1])


def fingerprint():
    """What the environment depends on (str): lock, Python, its place."""
    with open(LOCK, "rb") as file:
        digest = hashlib.sha256(file.read())
    for fact in (platform.python_version(), platform.machine(), ROOT):
        digest.update(fact.encode())
    return digest.hexdigest()


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def remove(path):
    """Remove our environment; its stamp goes last, so that it stays ours."""
    for name in os.listdir(path) if os.path.isdir(path) else []:
        inside = os.path.join(path, name)
        if os.path.isdir(inside) and not os.path.islink(inside):
            shutil.rmtree(inside, ignore_errors=True)
        elif inside != STAMP:
            os.unlink(inside)
    shutil.rmtree(path, ignore_errors=True)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


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
