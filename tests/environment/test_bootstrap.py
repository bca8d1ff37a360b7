"""The door on a fresh machine, and what stands in its way."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, need
from machine import wait

SENTENCE_MAX = 300


@pytest.fixture
def clone(tmp_path):
    """A fresh clone with all that the door needs."""
    place = tmp_path / "clone"
    (place / "labsupport").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "bootstrap.py"):
        shutil.copy(ROOT / "labsupport" / name, place / "labsupport")
    shutil.copy(ROOT / "requirements.txt", place)
    return place


def environments(clone):
    """The directories (set of names) that are or were environments."""
    return {path.name for path in clone.glob(".venv*")}


def call(clone, *arguments, path=None, python=(), **environment):
    """Run the door in ``clone``; ``path`` is put alone on the PATH."""
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    clean.update(PATH=str(path or clone / "no-such-directory"), **environment)
    return subprocess.run(
        [sys.executable, *(python or ("-m", "labsupport")), *arguments],
        cwd=clone, env=clean, capture_output=True, text=True, timeout=200)


def stopped(done, phrase):
    """Assert: exit code 2, and one sentence with ``phrase``."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert phrase in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(done.stderr) < SENTENCE_MAX + len(str(ROOT)) * 2


@pytest.fixture
def fake_uv(tmp_path):
    """A uv that makes a real venv, and installs what the test says."""
    place = tmp_path / "bin"
    place.mkdir()

    def write(install):
        script = place / "uv"
        script.write_text(f"""#!{sys.executable}
import os, subprocess, sys, time, venv
open({str(place / 'calls')!r}, "a").write(sys.argv[1] + "\\n")
if sys.argv[1] == "venv":
    venv.create(sys.argv[-1], with_pip=False, symlinks=True)
else:
    {install}
""")
        script.chmod(0o755)
        return place

    return write


def calls(place):
    return (place / "calls").read_text().split()


MODULE = """
    site = subprocess.check_output([sys.argv[4], "-c",
        "import site; print(site.getsitepackages()[0])"], text=True).strip()
    with open(os.path.join(site, "pytest.py"), "w") as file:
        file.write("import sys; print(sys.argv[1:])")
"""


def test_it_installs_once_and_passes_arguments_on(clone, fake_uv):
    path = fake_uv(MODULE)
    first = call(clone, "test", "-k", "a b", path=path)
    assert "['-n', '4', '-k', 'a b']" in first.stdout, first.stderr
    assert "Making the environment" in first.stdout
    second = call(clone, "test", "--quick", path=path)
    assert second.stdout == "['-n', '4', '--quick']\n"
    assert calls(path) == ["venv", "pip"]


def test_the_door_gives_the_exit_code_of_the_tool(clone, fake_uv):
    path = fake_uv(MODULE.replace("print(sys.argv[1:])", "sys.exit(5)"))
    assert call(clone, "test", path=path).returncode == 5


def test_another_lock_is_installed_anew(clone, fake_uv):
    path = fake_uv(MODULE)
    call(clone, "test", path=path)
    (clone / "requirements.txt").write_text("# another\n")
    assert call(clone, "test", path=path).returncode == 0
    assert calls(path) == ["venv", "pip"] * 2


def start(clone, path):
    """The door as a process at the head of its own group."""
    return subprocess.Popen(
        [sys.executable, "-m", "labsupport", "test"], cwd=clone,
        env={**os.environ, "PATH": str(path)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # A shell starts its background jobs with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


SLEEPS = """(open(sys.argv[4] + ".new", "w").write(str(os.getpid())),
     os.rename(sys.argv[4] + ".new", sys.argv[4] + ".started"),
     time.sleep(600))"""


@pytest.mark.parametrize("kill", [os.killpg, os.kill])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_installation_is_repaired(clone, fake_uv, kill, how):
    process = start(clone, fake_uv(SLEEPS))

    def started():
        return list(clone.glob(".venv-lab-*/bin/python.started"))

    wait(started, "the installer does not begin")
    installer = int(started()[0].read_text())
    kill(process.pid, how)
    _, told = process.communicate(timeout=30)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again" in told
        assert environments(clone) == set()
        with pytest.raises(ProcessLookupError):
            os.kill(installer, 0)
    done = call(clone, "test", path=fake_uv(MODULE))
    assert done.returncode == 0, done.stderr
    assert not started() and len(environments(clone)) == 2
    if kill == os.kill and how == signal.SIGKILL:
        os.kill(installer, signal.SIGKILL)  # the orphan


FILES = 30
SLOW = f"""
    lock = open(sys.argv[-1]).read()[:10].strip("# \\n")
    files = os.path.dirname(sys.argv[4]) + "/../files/"
    for number in range({FILES}):
        os.makedirs(files, exist_ok=True)
        open(files + lock + "-" + str(number), "w")
        time.sleep(0.01)
""" + MODULE


@pytest.mark.parametrize("kill", [os.killpg, os.kill])
def test_killed_at_any_moment(clone, fake_uv, kill):
    """Ten moments each: all of it is killed, or the parent only."""
    path = fake_uv(SLOW)
    began = time.monotonic()
    assert call(clone, "test", path=path).returncode == 0
    duration = time.monotonic() - began
    for turn in range(10):
        (clone / "requirements.txt").write_text(f"# {turn}\n")
        process = start(clone, path)
        moment = random.uniform(0.05, duration)
        time.sleep(moment)
        kill(process.pid, signal.SIGKILL)
        process.stderr.close()
        process.wait()
        done = call(clone, "test", path=path)
        assert done.returncode == 0, (moment, done.stderr)
        files = {file.name for file in (clone / ".venv/files").iterdir()}
        assert files == {f"{turn}-{number}" for number in range(FILES)}, \
            moment
    # An orphan that still wrote while it was swept away leaves nothing.
    wait(lambda: call(clone, "test", path=path).returncode == 0
         and len(environments(clone)) == 2, "an environment is left")


def test_a_real_installation_is_repaired(clone):
    """Four packages of the lock, with the installer of this machine."""
    lock = (ROOT / "requirements.txt").read_text()
    wanted = ("aiosqlite", "asyncpg", "greenlet", "nest-asyncio")
    (clone / "requirements.txt").write_text("".join(
        entry for entry in re.split(r"(?<=\n)(?=[a-z0-9])", lock)
        if entry.startswith(tuple(f"{name}==" for name in wanted))))
    words = [sys.executable, "-c", "from labsupport import bootstrap; "
             "print(bootstrap.environment())"]
    killed = subprocess.Popen(words, cwd=clone, start_new_session=True,
                              stdout=subprocess.PIPE, text=True)
    for line in killed.stdout:
        if "4 packages" in line or "about 130 packages" in line:
            break
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    done = subprocess.run(words, cwd=clone, capture_output=True, text=True)
    need("cannot be fetched" not in done.stderr, "no network")
    assert done.returncode == 0, done.stderr
    python = done.stdout.splitlines()[-1]
    subprocess.run([python, "-c", "import aiosqlite, asyncpg, greenlet, "
                    "nest_asyncio, labsupport"], cwd="/", check=True)


def test_old_python(clone):
    code = ("import sys, runpy; sys.version_info = (3, 9, 1); "
            "sys.argv = ['labsupport', 'test']; "
            "runpy.run_module('labsupport', run_name='__main__')")
    stopped(call(clone, python=("-c", code)),
            "needs Python 3.11 or newer and this is 3.9")
    assert environments(clone) == set()


def test_no_venv_module(clone, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ensurepip.py").write_text("raise ImportError")
    stopped(call(clone, "test", PYTHONPATH=str(broken)),
            "sudo apt install python3-venv")
    assert environments(clone) == set()


def test_no_network(clone):
    stopped(call(clone, "test", PIP_INDEX_URL="http://127.0.0.1:9/simple",
                 PIP_RETRIES="1", PIP_CONFIG_FILE=os.devnull),
            "check the network")
    assert environments(clone) == set()


def test_full_disk(clone, fake_uv):
    path = fake_uv("sys.exit('OSError: No space left on device')")
    stopped(call(clone, "test", path=path), "The disk is full")
    assert environments(clone) == set()


def test_almost_full_disk(clone):
    code = ("import shutil, sys, runpy, types; "
            "shutil.disk_usage = lambda _: types.SimpleNamespace(free=1); "
            "sys.argv = ['labsupport', 'test']; "
            "runpy.run_module('labsupport', run_name='__main__')")
    stopped(call(clone, python=("-c", code)), "The disk is almost full")
    assert environments(clone) == set()


def test_an_environment_of_your_own_is_left_alone(clone):
    mine = clone / ".venv" / "mine"
    mine.parent.mkdir()
    mine.write_text("dear to me")
    stopped(call(clone, "test"), "is an environment of your own")
    assert mine.read_text() == "dear to me"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0,
                    reason="root may write everywhere")
def test_a_directory_that_is_not_writable(clone):
    clone.chmod(0o555)
    try:
        stopped(call(clone, "test"), "writable")
    finally:
        clone.chmod(0o755)


def test_another_failure_shows_the_last_line(clone, fake_uv):
    path = fake_uv("sys.exit('something new')")
    stopped(call(clone, "test", path=path), "(something new)")


def test_usage(clone):
    nothing = call(clone)
    assert nothing.returncode == 2 and "restore" in nothing.stdout
    for words in (["--help"], ["-h"], ["check", "--help"], ["lab", "-h"],
                  ["author", "--help"], ["bench", "--help"],
                  ["restore", "--help"]):
        told = call(clone, *words)
        assert told.returncode == 0 and "open JupyterLab" in told.stdout
        assert told.stderr == ""


@pytest.mark.parametrize("word, advice", [
    ("tset", "There is no command 'tset': did you mean 'test'?"),
    ("restor", "did you mean 'restore'?"),
    ("nonsense", "'python3 -m labsupport --help' lists them"),
    ("--version", "There is no command '--version'"),
])
def test_a_command_that_is_none_is_named(clone, word, advice):
    stopped(call(clone, word), advice)
    assert environments(clone) == set()


def test_an_environment_whose_python_has_gone_is_made_anew(clone, fake_uv):
    path = fake_uv(MODULE)
    call(clone, "test", path=path)
    (clone / ".venv" / "bin" / "python").unlink()
    assert call(clone, "test", path=path).returncode == 0
    assert calls(path) == ["venv", "pip"] * 2


def test_the_directory_of_an_earlier_version_makes_room(clone, fake_uv):
    """What was no link yet: made by us if it is stamped."""
    old = clone / ".venv"
    (old / "bin").mkdir(parents=True)
    (old / "labsupport.stamp").write_text("unfinished")
    path = fake_uv(MODULE)
    code = ("import sys\nfrom labsupport import __main__, bootstrap\n"
            "def stop(*_, **__): raise KeyboardInterrupt\n"
            "bootstrap.shutil.rmtree = stop; sys.argv = ['labsupport', "
            "'test']\nsys.exit(__main__.entry())")
    assert call(clone, python=("-c", code), path=path).returncode == 130
    assert (old / "labsupport.stamp").exists()
    assert call(clone, "test", path=path).returncode == 0
    assert old.is_symlink() and len(environments(clone)) == 2


def test_a_link_of_your_own_is_left_alone(clone, tmp_path):
    (clone / ".venv").symlink_to(tmp_path / "elsewhere")
    stopped(call(clone, "test"), "is an environment of your own")
    assert (clone / ".venv").is_symlink()


def test_an_update_that_fails_leaves_the_old_environment(clone, fake_uv):
    call(clone, "test", path=fake_uv(MODULE))
    before = environments(clone)
    (clone / "requirements.txt").write_text("# another\n")
    stopped(call(clone, "test", path=fake_uv("sys.exit('no')")), "(no)")
    assert environments(clone) == before
    assert (clone / ".venv" / "bin" / "python").exists()


def test_two_at_once_install_once(clone, fake_uv):
    path = fake_uv(MODULE)
    both = [subprocess.Popen([sys.executable, "-m", "labsupport", "test"],
                             cwd=clone, stdout=subprocess.DEVNULL,
                             env={**os.environ, "PATH": str(path)})
            for _ in range(2)]
    assert [process.wait(timeout=100) for process in both] == [0, 0]
    assert calls(path) == ["venv", "pip"]


def test_a_broken_checkout_is_told(clone):
    (clone / "requirements.txt").unlink()
    stopped(call(clone, "test"), "restore the checkout with git")
