"""The two commands on a fresh machine, and what stands in their way."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT
from machine import wait

SENTENCE_MAX = 300


@pytest.fixture
def clone(tmp_path):
    """A fresh clone with all that the door needs."""
    place = tmp_path / "clone"
    (place / "labsupport").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / "labsupport" / name, place / "labsupport")
    shutil.copy(ROOT / "requirements.txt", place)
    return place


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
    for name in ("pytest", "jupyterlab"):
        with open(os.path.join(site, name + ".py"), "w") as file:
            file.write("import sys; print(sys.argv[1:])")
"""


def test_it_installs_once_and_passes_arguments_on(clone, fake_uv):
    path = fake_uv(MODULE)
    first = call(clone, "test", "-k", "a b", path=path)
    assert "['-n', '2', '-k', 'a b']" in first.stdout, first.stderr
    assert "Making the environment" in first.stdout
    second = call(clone, "lab", "--no-browser", path=path)
    assert "/lab/tree/notebooks/00_start_here.ipynb'" in second.stdout
    assert f"--ServerApp.root_dir={clone}'" in second.stdout
    assert "'--no-browser'" in second.stdout
    assert calls(path) == ["venv", "pip"]


def test_another_lock_is_installed_anew(clone, fake_uv):
    path = fake_uv(MODULE)
    call(clone, "test", path=path)
    (clone / "requirements.txt").write_text("# another\n")
    assert call(clone, "test", path=path).returncode == 0
    assert calls(path) == ["venv", "pip"] * 2


def test_an_interrupted_installation_is_repaired(clone, fake_uv):
    path = fake_uv("open(sys.argv[4] + '.started', 'w'); time.sleep(600)")
    started = clone / ".venv" / "bin" / "python.started"
    for how in (signal.SIGINT, signal.SIGKILL):
        started.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "labsupport", "test"], cwd=clone,
            env={**os.environ, "PATH": str(path)}, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            # A shell starts its background jobs with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        wait(started.exists, "the installer does not begin")
        os.killpg(process.pid, how)
        _, told = process.communicate(timeout=30)
        if how == signal.SIGINT:
            assert process.returncode == 130
            assert "run the same command again" in told
    done = call(clone, "test", path=fake_uv(MODULE))
    assert done.returncode == 0, done.stderr
    assert not (clone / ".venv" / "bin" / "python.started").exists()


def test_old_python(clone):
    code = ("import sys, runpy; sys.version_info = (3, 9, 1); "
            "sys.argv = ['labsupport', 'test']; "
            "runpy.run_module('labsupport', run_name='__main__')")
    stopped(call(clone, python=("-c", code)),
            "needs Python 3.11 or newer and this is 3.9")
    assert not (clone / ".venv").exists()


def test_no_venv_module(clone, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ensurepip.py").write_text("raise ImportError")
    stopped(call(clone, "test", PYTHONPATH=str(broken)),
            "sudo apt install python3-venv")
    assert not (clone / ".venv").exists()


def test_no_network(clone):
    stopped(call(clone, "test", PIP_INDEX_URL="http://127.0.0.1:9/simple",
                 PIP_RETRIES="1", PIP_CONFIG_FILE=os.devnull),
            "check the network")
    assert not (clone / ".venv").exists()


def test_full_disk(clone, fake_uv):
    path = fake_uv("sys.exit('OSError: No space left on device')")
    stopped(call(clone, "test", path=path), "The disk is full")
    assert not (clone / ".venv").exists()


def test_almost_full_disk(clone):
    code = ("import shutil, sys, runpy, types; "
            "shutil.disk_usage = lambda _: types.SimpleNamespace(free=1); "
            "sys.argv = ['labsupport', 'test']; "
            "runpy.run_module('labsupport', run_name='__main__')")
    stopped(call(clone, python=("-c", code)), "The disk is almost full")
    assert not (clone / ".venv").exists()


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
    assert call(clone).returncode == 2
    assert call(clone, "nonsense").returncode == 2
    told = call(clone, "--help")
    assert told.returncode == 0 and "lab" in told.stdout


def test_an_environment_whose_python_has_gone_is_made_anew(clone, fake_uv):
    path = fake_uv(MODULE)
    call(clone, "test", path=path)
    (clone / ".venv" / "bin" / "python").unlink()
    assert call(clone, "test", path=path).returncode == 0
    assert calls(path) == ["venv", "pip"] * 2


def test_a_removal_that_is_interrupted_leaves_it_ours(clone, fake_uv):
    path = fake_uv(MODULE)
    call(clone, "test", path=path)
    (clone / "requirements.txt").write_text("# another\n")
    code = ("import shutil, sys, runpy\n"
            "def stop(*_, **__): raise KeyboardInterrupt\n"
            "shutil.rmtree = stop; sys.argv = ['labsupport', 'test']\n"
            "runpy.run_module('labsupport', run_name='__main__')")
    assert call(clone, python=("-c", code), path=path).returncode == 130
    assert call(clone, "test", path=path).returncode == 0


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
