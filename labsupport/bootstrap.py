"""The environment ``.venv`` of the course, made whole or not at all.

Made from the hash-pinned lock, with uv or else with pip. Only the standard
library is here, and only syntax that an old Python can read.

Each environment is built in a new directory, where it stays, and ``.venv``
is a link to it that is set when it is whole. A directory that is renamed
would not do: its scripts, activate and pyvenv.cfg name the place that it was
built in. And an installer that outlives this process, which happens when
only the parent is killed, writes into a directory that nobody uses: it is
never built in again, and a later run removes it.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements.txt")
VENV = os.path.join(ROOT, ".venv")
OURS = ".venv-lab-"  # so begin the names of the directories that it links to
STAMP = "labsupport.stamp"
FREE_BYTES = 10 ** 9  # what the environment takes, and some air


class Stop(Exception):
    """Nothing can be done here; the message is one sentence for the user."""


def environment():
    """The Python (path) of ``.venv``, which is built if it is not current."""
    if os.name == "posix":
        import fcntl

        # One at a time; the lock goes with this process, and no child
        # inherits it.
        fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)
    sweep()
    if read(os.path.join(VENV, STAMP)) != fingerprint() \
            or not os.path.exists(python_of(VENV)):
        build()
        sweep()
    return python_of(VENV)


def build():
    """Make the environment anew; the old one serves until it is whole."""
    if os.path.lexists(VENV) and not is_ours(VENV):
        raise Stop("%s is an environment of your own: activate it and run "
                   "'pip install -e .[test]', or move it away and run this "
                   "again." % VENV)
    if shutil.disk_usage(ROOT).free < FREE_BYTES:
        raise Stop("The disk is almost full and the course needs 1 GB in "
                   "%s: free some space, then run this again." % ROOT)
    place = os.path.join(ROOT, OURS + os.urandom(4).hex())
    os.mkdir(place)
    try:
        install(place)
        write(os.path.join(place, STAMP), fingerprint())
        link(place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def python_of(place):
    """The path of the Python of an environment."""
    return os.path.join(place, "Scripts" if os.name == "nt" else "bin",
                        "python")


def is_ours(path):
    """Whether ``.venv`` was made here: such a link, or a stamped directory.

    A stamped directory is what this course made when it had no links.
    """
    target = os.path.basename(os.path.realpath(path))
    return target.startswith(OURS) or os.path.exists(
        os.path.join(path, STAMP))


def sweep():
    """Remove the environments of ours that ``.venv`` does not name.

    An orphaned installer may write while we remove: what that leaves is for
    the next time.
    """
    used = os.path.basename(os.path.realpath(VENV))
    for name in os.listdir(ROOT):
        if name.startswith(OURS) and name != used:
            shutil.rmtree(os.path.join(ROOT, name), ignore_errors=True)


def link(place):
    """Let ``.venv`` name the environment at ``place``."""
    if os.name == "nt":  # symbolic links need rights there, junctions none
        if os.path.exists(VENV):
            os.rmdir(VENV)
        subprocess.check_output(["cmd", "/c", "mklink", "/J", VENV, place])
        return
    if os.path.isdir(VENV) and not os.path.islink(VENV):
        remove(VENV)
    # Relative, and in one step: there is always one or the other.
    beside = os.path.join(place, "link")
    os.symlink(os.path.basename(place), beside)
    os.replace(beside, VENV)


def remove(path):
    """Remove a directory; its stamp goes last, so that it stays ours."""
    for name in set(os.listdir(path)) - {STAMP}:
        inside = os.path.join(path, name)
        if os.path.isdir(inside) and not os.path.islink(inside):
            shutil.rmtree(inside)
        else:
            os.unlink(inside)
    shutil.rmtree(path)


def install(place):
    """Fill ``place``: with uv if it is there, otherwise with venv and pip."""
    say("Making the environment in .venv; this happens once.")
    python, uv = python_of(place), shutil.which("uv")
    if uv:
        run([uv, "venv", "--quiet", "--allow-existing", "--python",
             sys.executable, place])
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
        run([sys.executable, "-m", "venv", place])
        say("Installing about 130 packages with pip: 1 to 5 minutes …")
        run([python, "-m", "pip", "install", "--require-hashes",
             "--no-compile", "--no-input", "--disable-pip-version-check",
             "-r", LOCK])
    # The package itself: a path, as an editable install would leave it.
    where = subprocess.check_output(
        [python, "-c", "import site; print(site.getsitepackages()[0])"])
    write(os.path.join(where.decode().strip(), "labsupport.pth"), ROOT + "\n")


def run(words):
    """Run a step of the installation, told as it goes; Stop if it fails."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        output = told(process.stdout)
        failed = process.wait()
    except BaseException:  # it does not go on without us
        process.kill()
        process.wait()
        raise
    if failed:
        raise Stop(explained(output))


def told(lines):
    """The output (str) of an installer, whose steps are told as they come."""
    seen, fetched = [], 0
    for line in lines:
        text = line.decode("utf-8", "replace")
        seen.append(text)
        if text.startswith("Collecting "):
            fetched += 1
            if fetched % 10 == 0:
                say("  %d packages fetched …" % fetched)
        elif text.startswith(("Installing", "Prepared", "Installed")):
            say("  " + text.split(":")[0].strip())
    return "".join(seen)


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
    """The stripped text of a file, or None."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def write(path, text):
    """Make the file at ``path`` hold ``text``."""
    with open(path, "w") as file:
        file.write(text)


def say(text):
    """Tell the user, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
