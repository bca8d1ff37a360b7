"""Servers live with their kernel and die with it, whatever happens to it."""

import asyncio
import gc
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from conftest import ROOT, need, processes
from machine import (
    ask,
    gone,
    interrupt,
    may_unshare,
    program,
    run_as,
    wait,
)
from machine import (
    kernel as any_kernel,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import mysql, postgres, sqlite
from labsupport.databases import fresh
from labsupport.servers import NotInstalled, ServerError, starting
from labsupport.servers import postgres as server
from labsupport.servers.keeper import Kept

START = """
import json
from labsupport.databases import postgres, sqlite
from labsupport.servers import postgres as server
db, lite = await postgres(), await sqlite()
kept = server.running().kept
print(json.dumps([str(kept.directory), str(lite._directory.directory)]))
"""


def kernel(tmp_path, name="kernel"):
    return any_kernel(tmp_path, START, name)


async def connect(db):
    """A connection of asyncpg's own to a PostgresDatabase."""
    return await asyncpg.connect(
        db.psycopg.set(drivername="postgresql")
        .render_as_string(hide_password=False))


def test_interrupt_spares_the_server(tmp_path):
    with kernel(tmp_path) as (manager, client, paths, _):
        assert interrupt(manager, client) == "KeyboardInterrupt"
        still = "assert kept.alive() and await db.connections() == 0"
        assert ask(client, still)[1] is None
        assert paths[0].exists()


@pytest.mark.parametrize("now", [False, True])
def test_restart_takes_the_server_along(tmp_path, now):
    with kernel(tmp_path) as (manager, client, paths, _):
        assert paths[0].exists() and paths[1].exists()
        manager.restart_kernel(now=now)
        wait(lambda: not any(path.exists() for path in paths), "left")


def test_sigkill_takes_the_server_along(tmp_path):
    with kernel(tmp_path) as (manager, _, paths, mark):
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        gone(paths, mark)


def test_a_kernel_killed_while_its_server_starts(reachable):
    process = subprocess.Popen(
        [sys.executable, "-c",
         "from labsupport.servers import postgres; postgres.running()"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(reachable)})
    wait(lambda: list(reachable.glob("lab-postgres-*")), "no start", 60)
    process.kill()
    process.wait()
    mark = f"TMPDIR={reachable}".encode()
    wait(lambda: not list(reachable.glob("lab-*")) and not processes(mark),
         "something is left", 30)


def test_two_kernels_do_not_meet(tmp_path):
    with kernel(tmp_path, "one") as one, kernel(tmp_path, "two") as two:
        assert one[2] != two[2]
        os.kill(one[0].provisioner.pid, signal.SIGKILL)
        gone(one[2], one[3])
        assert ask(two[1], "assert await db.connections() == 0")[1] is None


def test_a_killed_server_is_replaced():
    first = server.running()
    status = (first.kept.directory / "data" / "postmaster.pid").read_text()
    pid, memory = status.split()[0], status.splitlines()[6].split()[-1]
    os.kill(int(pid), signal.SIGKILL)
    wait(lambda: not first.kept.alive(), "the keeper does not notice")
    # The one thing that a killed PostgreSQL leaves to the operating system.
    subprocess.run(["ipcrm", "-m", memory], check=True)

    async def again():
        db = await postgres()
        await db.drop()

    asyncio.run(again())
    assert first.kept._keeper.wait() == 0  # it ended, and did not crash
    assert server.running() is not first
    assert not first.kept.directory.exists()


# the machine

AS_USER = """
import asyncio, os
from labsupport.databases import postgres
from labsupport.servers import postgres as server
async def main():
    db = await postgres()
    print(os.geteuid(), server.running().kept.directory.stat().st_uid)
    await db.drop()
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_two_ordinary_users_at_once():
    running = [run_as(name, AS_USER) for name in ("nobody", "daemon")]
    for process in running:
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        uid, owner = out.split()
        assert uid == owner != "0"


def test_the_server_listens_on_loopback_and_asks_for_a_password():
    admin = server.running().admin
    assert admin.host == "127.0.0.1" and len(admin.password) >= 20

    async def with_password(user, password):
        connection = await asyncpg.connect(
            host=admin.host, port=admin.port, user=user, password=password,
            database="postgres")
        listens = await connection.fetchval("SHOW listen_addresses")
        method = await connection.fetchval(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
        await connection.close()
        return listens, method[:13]

    assert asyncio.run(with_password("postgres", admin.password)) == (
        "127.0.0.1", "SCRAM-SHA-256")
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(with_password("postgres", "guessed"))


def test_a_lesson_is_no_superuser():
    async def go():
        db = await postgres()
        connection = await connect(db)
        row = await connection.fetchrow(
            "SELECT rolsuper, rolcreatedb, pg_get_userbyid(datdba) AS owner "
            "FROM pg_roles, pg_database WHERE rolname = current_user "
            "AND datname = current_database()")
        other = await postgres()
        await connection.close()
        await db.drop()
        await other.drop()
        return tuple(row), db.asyncpg.database != other.asyncpg.database

    assert asyncio.run(go()) == ((False, False, "lab"), True)


def test_many_databases_at_once():
    async def go():
        server.stop()
        dbs = await asyncio.gather(*(postgres() for _ in range(5)))
        for db in dbs:
            await db.drop()

    asyncio.run(go())


def test_nothing_secret_on_a_command_line():
    admin = server.running().admin
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert admin.password.encode() not in line.read_bytes()
        except OSError:
            continue  # the process ended meanwhile


# what can go wrong

def test_a_taken_port_is_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], starting.free_port()])
        monkeypatch.setattr(starting, "free_port", lambda: next(ports))
        started = server.start()
        started.kept.stop()
        assert started.admin.port != taken.getsockname()[1]


def test_all_ports_taken(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(starting, "free_port",
                            lambda: taken.getsockname()[1])
        monkeypatch.setattr(starting, "PORT_TRIES", 2)
        with pytest.raises(ServerError, match="no free port in 2 tries"):
            server.start()


@pytest.mark.parametrize("broken, message", [
    ("exit 1", "did not start"),
    ("echo 'FATAL: could not write: No space left on device' >&2; exit 1",
     "the disk is full"),
])
def test_a_server_that_dies_at_start(monkeypatch, reachable, broken, message):
    real = server.postgres_bindir()
    program(reachable / "initdb", f'exec {real}/initdb "$@"')
    # initdb calls postgres too, never with -D first: that one has to work.
    program(reachable / "postgres",
            f'[ "$1" = -D ] || exec {real}/postgres "$@"', broken)
    monkeypatch.setenv("LAB_PG_BINDIR", str(reachable))
    with pytest.raises(ServerError, match=message):
        server.start()


def test_a_failing_initdb_is_told(monkeypatch, reachable):
    for name in ("initdb", "postgres"):
        program(reachable / name, "echo 'initdb: error: no'; exit 1")
    monkeypatch.setenv("LAB_PG_BINDIR", str(reachable))
    with pytest.raises(ServerError, match="did not start .*LAB_POSTGRES_URL"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="about being root")
def test_root_in_a_closed_directory_is_told(monkeypatch, tmp_path):
    for name in ("initdb", "postgres"):
        program(tmp_path / name, "exit 0")
    monkeypatch.setenv("LAB_PG_BINDIR", str(tmp_path))
    with pytest.raises(ServerError, match="run it as an ordinary user"):
        server.start()


FULL = """
import asyncio, pathlib, tempfile
from labsupport.databases import sqlite
from labsupport.servers import ServerError, postgres
try:
    postgres.start()
except ServerError as error:
    print(error)
assert list(pathlib.Path(tempfile.gettempdir()).glob("lab-*")) == []
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a full disk")
def test_a_disk_that_is_really_full(reachable):
    may_unshare("--mount", "mount", "-t", "tmpfs", "none", str(reachable))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         f"mount -t tmpfs -o size=20m,mode=1777 none {reachable} && "
         f"TMPDIR={reachable} exec {sys.executable} -c '{FULL}'"],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "the disk is full: free some space" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1


def test_no_temporary_directory(monkeypatch):
    def fails(*_):
        raise RuntimeError("[Errno 28] No space left on device")

    monkeypatch.setattr(fresh, "Kept", fails)
    with pytest.raises(ServerError, match="No space left .*set TMPDIR"):
        asyncio.run(sqlite())


def test_drop_refuses_while_a_connection_is_open():
    async def go():
        db = await postgres()
        connection = await connect(db)
        assert await db.connections() == 1
        with pytest.raises(RuntimeError, match="still in use"):
            await db.drop()
        await connection.close()
        await db.drop()

    asyncio.run(go())


@pytest.mark.parametrize("driver, doing", [
    ("asyncpg", "idle, its last query: ROLLBACK;"),
    ("psycopg", "idle, its last query: ROLLBACK"),
    ("aiosqlite", "its file is open"),
    ("aiomysql", "Sleep"),
    ("asyncmy", "Sleep"),
])
def test_unused_waits_and_says_who_is_there(driver, doing, monkeypatch):
    makers = {"aiosqlite": sqlite, "aiomysql": mysql, "asyncmy": mysql}

    async def go():
        try:
            db = await makers.get(driver, postgres)()
        except NotInstalled as missing:
            need(False, str(missing))
        await db.unused()
        engine = create_async_engine(getattr(db, driver))
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        monkeypatch.setattr(fresh, "GRACE", .1)
        said = f"in use by 1 connection ({doing}): await engine.dispose() on"
        for ask in db.unused, db.drop:
            with pytest.raises(RuntimeError, match=re.escape(said)):
                await ask()
        monkeypatch.setattr(fresh, "GRACE", 20)
        waiting = asyncio.create_task(db.unused())
        await asyncio.wait([waiting], timeout=.3)
        assert not waiting.done()  # not refused yet: it may end
        await engine.dispose()
        await waiting
        assert await db.connections() == 0
        async with engine.connect():
            await db.drop(force=True)
        await db.drop()  # there is nothing left to do
        await engine.dispose()

    asyncio.run(go())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # that is the case
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "aiosqlite"])
def test_unused_lets_go_of_an_engine_that_was_replaced(driver):
    """As a cell does that makes an engine, and is run again."""
    async def go():
        db = await (sqlite if driver == "aiosqlite" else postgres)()
        for _ in range(2):
            engine = create_async_engine(getattr(db, driver))
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        assert await db.connections() == 2
        await engine.dispose()
        await db.unused()
        await db.drop()

    gc.disable()  # it may come by chance
    try:
        asyncio.run(go())
    finally:
        gc.enable()


def test_sqlite_goes_with_drop():
    async def go():
        db = await sqlite()
        directory = Path(db.aiosqlite.database).parent
        assert directory.exists()
        await db.drop()
        assert not directory.exists()

    asyncio.run(go())


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


# a shared server

OURS = "SELECT datname FROM pg_database WHERE datname LIKE 'lab\\_%'"


def test_a_shared_server_gets_a_database_and_loses_it(shared):
    _, _, run = shared
    run("CREATE DATABASE lab_of_somebody_else")

    async def go():
        db = await postgres()
        assert "shared" in str(db)
        connection = await connect(db)
        assert await connection.fetchval("SELECT current_user") == "anna"
        await connection.close()
        await db.drop()

    asyncio.run(go())
    assert [row["datname"] for row in run(OURS)] == ["lab_of_somebody_else"]


def test_a_shared_server_is_tidied_after_sigkill(shared, tmp_path):
    _, _, run = shared
    with kernel(tmp_path) as (manager, client, _, _):
        # START asks for a server of its own too; only the database matters.
        assert len(run(OURS)) == 1
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        wait(lambda: not run(OURS), "the database is left")


@pytest.mark.parametrize("change, message", [
    (lambda url: "nonsense", "cannot be read: write it as postgresql://"),
    (lambda url: "mysql://a:b@c/d", "cannot be read"),
    (lambda url: url.set(query={"application_name": "x"}), "only option"),
    (lambda url: url.set(query={"sslmode": "require"}), "has no TLS"),
    (lambda url: url.set(query={"sslmode": "banana"}), "cannot be used"),
    (lambda url: url.set(port=99999), "cannot be used"),
    (lambda url: "postgresql:///postgres", "cannot be read"),
    (lambda url: url.set(password="wrong"), "refuses user 'anna'"),
    (lambda url: url.set(username="bert", password="b"),
     "may not create databases: ask for ALTER ROLE \"bert\" CREATEDB"),
    (lambda url: url.set(database="nowhere"), "has no database 'nowhere'"),
    (lambda url: url.set(port=starting.free_port()), "No PostgreSQL answers"),
    (lambda url: url.set(host="no-such-host.invalid"), "No PostgreSQL ans"),
])
def test_a_bad_url_gets_one_sentence(shared, change, message):
    url, use, run = shared
    use(change(url))
    with pytest.raises(ServerError, match=message) as raised:
        asyncio.run(postgres())
    assert len(str(raised.value)) < 300 and "\n" not in str(raised.value)
    assert run(OURS) == []


def test_both_drivers_take_the_ssl_option(shared):
    url, use, _ = shared
    use(url.set(query={"sslmode": "disable"}))

    async def go():
        db = await postgres()
        for each in (db.asyncpg, db.psycopg):
            engine = create_async_engine(each)
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT 1")) == 1
            await engine.dispose()
        await db.drop()

    asyncio.run(go())


def test_ssl_wishes_of_the_shell_do_not_reach_our_server(monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "require")

    async def go():
        await (await postgres()).drop()

    asyncio.run(go())


def test_a_failing_janitor_leaves_no_database(shared, monkeypatch):
    _, _, run = shared

    def fails(*_, **__):
        raise RuntimeError("[Errno 28] No space left on device")

    monkeypatch.setattr(fresh, "Kept", fails)
    with pytest.raises(ServerError, match="set TMPDIR"):
        asyncio.run(postgres())
    assert run(OURS) == []


def test_a_keeper_whose_command_fails_says_why():
    with pytest.raises(RuntimeError, match="returned non-zero"):
        Kept("lab-test-", prepare=[[sys.executable, "-c", "exit(3)"]])


def test_ci_needs_its_servers(monkeypatch):
    """Under CI a missing server is no reason to skip."""
    import conftest

    monkeypatch.setattr(conftest, "IN_CI", True)
    with pytest.raises(pytest.fail.Exception, match="missing"):
        need(False, "missing")
    monkeypatch.setattr(conftest, "IN_CI", False)
    with pytest.raises(pytest.skip.Exception, match="missing"):
        need(False, "missing")
