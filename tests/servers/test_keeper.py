"""The keeper: what it removes, what it keeps for the next start."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, need
from machine import may_unshare, wait
from products import cache as of_this_run  # noqa: F401
from products import postgres_sql
from test_servers import says_who_is_there

from labsupport.databases import sqlite
from labsupport.servers import ServerError, cache, nameless
from labsupport.servers import postgres as server
from labsupport.servers.keeper import Kept

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def test_a_keeper_whose_command_fails_says_why():
    with pytest.raises(RuntimeError, match="returned non-zero"):
        Kept("lab-test-", prepare=[[sys.executable, "-c", "exit(3)"]])


def test_sqlite_goes_with_drop():
    async def go():
        db = await sqlite()
        directory = Path(db.aiosqlite.database).parent
        assert directory.exists()
        await db.drop()
        assert not directory.exists()

    asyncio.run(go())


@LINUX
def test_sqlite_knows_who_has_its_file_open(monkeypatch):
    async def go():
        db = await sqlite()
        await says_who_is_there(db, db.aiosqlite, monkeypatch,
                                "its file is open")

    asyncio.run(go())


# when the keeper itself is killed

@LINUX
def test_a_killed_keeper_takes_the_server_and_the_next_sweeps(monkeypatch,
                                                              reachable):
    monkeypatch.setenv("TMPDIR", str(reachable))
    started = server.start()
    status = started.kept.directory / "data" / "postmaster.pid"
    pid = int(status.read_text().split()[0])
    alive = Kept("lab-alive-")
    started.kept._keeper.kill()
    started.kept._keeper.wait()
    wait(lambda: not Path(f"/proc/{pid}").exists(), "the server is left")
    assert started.kept.directory.exists()
    Kept("lab-next-").stop()
    assert not started.kept.directory.exists()
    assert alive.directory.exists()  # its keeper lives
    alive.stop()


def test_what_others_left_is_not_touched(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    strange = tmp_path / "lab-strange"
    strange.mkdir()
    (strange / "notes").touch()  # no lock in it: not ours
    aim = tmp_path / "elsewhere"
    aim.mkdir()
    (aim / "keeper.lock").touch()
    (tmp_path / "lab-link").symlink_to(aim)
    Kept("lab-next-").stop()
    assert strange.exists() and (aim / "keeper.lock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
def test_a_pid_1_that_never_reaps(tmp_path):
    """As in some containers: orphans stay zombies, and must not matter."""
    may_unshare("--pid", "--fork", "--mount-proc", "true")
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable,
         str(Path(__file__).with_name("pid_one.py"))],
        capture_output=True, text=True, timeout=90,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "directory gone, server gone, starts again"


# what is kept for the next start

@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where this test keeps what is prepared."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "async-sqlalchemy-lab"


def test_the_second_start_copies_and_runs_no_initdb(place, monkeypatch):
    server.start().kept.stop()
    (kept,) = place.iterdir()
    assert place.stat().st_mode & 0o777 == 0o700
    # As it was before anybody had a password.
    assert server.NOBODY_S.encode() in (
        kept / "global" / "1260").read_bytes()
    spec = server.product.spec

    def without_initdb(*about):
        found = spec(*about)
        return {**found, "prepare": [["/bin/false", *words[1:]]
                                     for words in found["prepare"]]}

    monkeypatch.setattr(server.product, "spec", without_initdb)
    started = server.start()
    assert postgres_sql(started.admin, "SELECT 1") == [(1,)]
    started.kept.stop()
    shutil.rmtree(kept)
    with pytest.raises(ServerError, match="did not start"):
        server.start()


def test_what_is_damaged_is_prepared_anew(place):
    server.start().kept.stop()
    (kept,) = place.iterdir()
    (kept / "global" / "pg_control").unlink()
    server.start().kept.stop()
    assert (kept / "global" / "pg_control").exists()


def test_two_first_starts_at_once(place):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as aside:
        both = [aside.submit(server.start) for _ in range(2)]
    for started in both:
        started.result().kept.stop()
    assert len(list(place.iterdir())) == 1


def test_a_place_that_is_not_private_is_not_used(place, monkeypatch):
    programs, commands = server.find(), [["initdb"]]
    assert cache.place(programs, commands).parent == place
    place.chmod(0o755)
    assert cache.place(programs, commands) is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    assert cache.place(programs, commands) is None
    server.start().kept.stop()  # without it, too


def test_another_version_has_another_place_and_the_old_one_goes(place):
    programs = server.find()
    one = cache.place(programs, [["initdb", "--a"]])
    assert one == cache.place(programs, [["initdb", "--a"]])
    assert one != cache.place(programs, [["initdb", "--b"]])
    assert one != cache.place(programs[:1], [["initdb", "--a"]])
    one.mkdir()
    cache.place(programs, [["initdb", "--b"]])
    assert one.exists()
    os.utime(one, (0, 0))
    cache.place(programs, [["initdb", "--b"]])
    assert not one.exists()


# a user who has a number and no name

@LINUX
def test_the_copies_differ_in_one_name(tmp_path):
    real = server.find()
    nameless.main(real[0].parent, tmp_path)
    for program in real:
        copy = tmp_path / nameless.WITHIN / program.name
        pairs = list(zip(program.read_bytes(), copy.read_bytes(),
                         strict=True))
        # getpwuid, getpwent
        assert bytes(new for old, new in pairs if old != new) == b"ent"
    assert not nameless.nameless()


@LINUX
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_without_the_copies_the_true_cause_is_told():
    from machine import run_as

    process = run_as(54321, """
from labsupport.servers import ServerError, nameless, postgres
nameless.nameless = lambda: False
try:
    postgres.start()
except ServerError as error:
    print(error)
""")
    out, err = process.communicate(timeout=90)
    assert "your user has no entry in the machine's list of users" in out, err


def test_ci_needs_its_servers(monkeypatch):
    """Under CI a missing server is no reason to skip."""
    import conftest

    monkeypatch.setattr(conftest, "IN_CI", True)
    with pytest.raises(pytest.fail.Exception, match="missing"):
        need(False, "missing")
    monkeypatch.setattr(conftest, "IN_CI", False)
    with pytest.raises(pytest.skip.Exception, match="missing"):
        need(False, "missing")
