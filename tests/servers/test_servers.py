"""Servers live with their kernel and die with it, whatever happens to it."""

import asyncio
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, processes
from machine import (
    ask,
    gone,
    interrupt,
    kernel,
    may_unshare,
    program,
    run_as,
    wait,
)
from products import cache, case  # noqa: F401
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import fresh, postgres, sqlite
from labsupport.servers import ServerError, starting

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only for root")


# a kernel and its server

@pytest.mark.parametrize("now", [False, True])
def test_interrupt_spares_the_server_and_restart_takes_it(case, tmp_path, now):
    with kernel(tmp_path, case.start) as (manager, client, paths, _):
        assert interrupt(manager, client) == "KeyboardInterrupt"
        still = "assert kept.alive() and await db.connections() == 0"
        assert ask(client, still)[1] is None
        assert paths[0].exists() and paths[1].exists()
        manager.restart_kernel(now=now)
        wait(lambda: not any(path.exists() for path in paths), "left")


def test_sigkill_takes_the_server_and_no_other(case, tmp_path):
    with kernel(tmp_path, case.start, "one") as one, \
            kernel(tmp_path, case.start, "two") as two:
        assert one[2] != two[2]
        assert len(processes(one[3])) >= 3  # kernel, keeper, server
        os.kill(one[0].provisioner.pid, signal.SIGKILL)
        gone(one[2], one[3])
        assert ask(two[1], "assert await db.connections() == 0")[1] is None


def test_a_kernel_killed_while_its_server_starts(case, reachable):
    module = case.server.__name__.split(".")[-1]
    process = subprocess.Popen(
        [sys.executable, "-c",
         f"from labsupport.servers import {module}; {module}.running()"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(reachable)})
    wait(lambda: list(reachable.glob(f"lab-{module}-*")), "no start", 60)
    process.kill()
    process.wait()
    mark = f"TMPDIR={reachable}".encode()
    wait(lambda: not list(reachable.glob("lab-*")) and not processes(mark),
         "something is left", 30)


def another(case):
    async def again():
        db = await case.fresh()
        assert await db.connections() == 0
        await db.drop()

    asyncio.run(again())


def test_a_killed_server_is_replaced(case):
    first = case.server.running()
    case.kill(first.kept.directory)
    wait(lambda: not first.kept.alive(), "the keeper does not notice")
    another(case)
    assert first.kept._keeper.wait() == 0  # it ended, and did not crash
    assert case.server.running() is not first
    assert not first.kept.directory.exists()


def test_a_server_without_its_files_is_replaced(case):
    first = case.server.running()
    shutil.rmtree(first.kept.directory)
    another(case)
    assert not first.kept.alive()


def test_the_database_of_a_server_that_has_ended_says_so(case):
    db = asyncio.run(case.fresh())
    case.server.stop()
    with pytest.raises(ServerError, match="This kernel's .* has ended: run th"
                       f"e cell with 'await {case.fresh.__name__}..' again"):
        asyncio.run(db.drop())


# the machine

AS_USER = """
import asyncio, os
from labsupport.databases import {name}
from labsupport.servers import {module} as server
async def main():
    db = await {name}()
    print(os.geteuid(), server.running().kept.directory.stat().st_uid)
    await db.drop()
asyncio.run(main())
"""


@AS_ROOT
def test_ordinary_users_at_once_and_one_without_a_name(case):
    code = AS_USER.format(name=case.fresh.__name__,
                          module=case.server.__name__.split(".")[-1])
    running = [run_as(user, code) for user in ("nobody", "daemon", 54321)]
    for process in running:
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        uid, owner = out.split()
        assert uid == owner != "0"


def test_nothing_secret_on_a_command_line(case):
    server = case.server.running()
    lines = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(line.read_bytes())
        except OSError:
            continue  # the process ended meanwhile
    assert any(str(server.kept.directory).encode() in line for line in lines)
    assert not any(server.admin.password.encode() in line for line in lines)


def test_both_drivers_at_many_databases_at_once(case):
    async def use(url):
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()

    async def go():
        case.server.stop()
        dbs = await asyncio.gather(*(case.fresh() for _ in range(5)))
        drivers = dbs[0].DRIVERS
        for db in dbs:
            for driver in drivers:
                await use(getattr(db, driver))
            await db.drop()
        assert len({getattr(db, drivers[0]).database for db in dbs}) == 5

    asyncio.run(go())


# who is connected

@pytest.mark.parametrize("number", [0, 1])
def test_unused_waits_and_says_who_is_there(case, number, monkeypatch):
    async def go():
        db = await case.fresh()
        url = getattr(db, db.DRIVERS[number])
        await says_who_is_there(db, url, monkeypatch,
                                "idle, its last query: ROLLBACK|Sleep")

    asyncio.run(go())
    assert case.sql(case.server.running().admin, case.ours) == []


async def says_who_is_there(db, url, monkeypatch, doing):
    await db.unused()
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    assert await db.connections() == 1
    monkeypatch.setattr(fresh, "GRACE", .1)
    said = rf"in use by 1 connection \(({doing});?\): await engine.dispose()"
    for ask_it in db.unused, db.drop:
        with pytest.raises(RuntimeError, match=said):
            await ask_it()
    assert await db.connections(at_most=0) == 1  # it does not end
    monkeypatch.setattr(fresh, "GRACE", 20)
    waiting = asyncio.create_task(db.unused())
    counting = asyncio.create_task(db.connections(at_most=0))
    await asyncio.wait([waiting, counting], timeout=.3)
    assert not waiting.done()  # not refused yet: it may end
    assert not counting.done()
    await engine.dispose()
    await waiting
    assert await counting == 0
    assert await db.connections() == 0
    async with engine.connect():
        await db.drop(force=True)
    await db.drop()  # there is nothing left to do
    await engine.dispose()


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


def test_force_cuts_whoever_is_connected(case):
    async def go():
        db = await case.fresh()
        engine = create_async_engine(getattr(db, db.DRIVERS[0]))
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            await db.drop(force=True)
            with pytest.raises(Exception, match="clos|Lost conn|terminat"):
                await connection.execute(text("SELECT 1"))
        await engine.dispose()

    asyncio.run(go())


# what can go wrong

def test_a_taken_port_is_passed_over(case, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], starting.free_port()])
        monkeypatch.setattr(starting, "free_port", lambda: next(ports))
        started = case.server.start()
        started.kept.stop()
        assert started.admin.port != taken.getsockname()[1]


def test_all_ports_taken(case, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(starting, "free_port",
                            lambda: taken.getsockname()[1])
        monkeypatch.setattr(starting, "PORT_TRIES", 2)
        with pytest.raises(ServerError, match="no free port in 2 tries"):
            case.server.start()


@pytest.mark.parametrize("number", [0, 1])
def test_a_program_that_dies_is_told(case, monkeypatch, reachable, number):
    for script, message in case.failures:
        case.break_program(reachable, number, script)
        with monkeypatch.context() as chosen, \
                pytest.raises(ServerError, match=message):
            case.bindir(chosen, reachable)
            case.server.start()


@AS_ROOT
def test_root_in_a_closed_directory_is_told(case, monkeypatch, tmp_path):
    for path in case.server.product.find():
        program(tmp_path / path.name, "exit 0")
    case.bindir(monkeypatch, tmp_path)
    with pytest.raises(ServerError, match="run it as an ordinary user"):
        case.server.start()


def test_a_temporary_directory_with_a_long_name(case, monkeypatch, reachable):
    directory = reachable / ("a long name " * 9) / ("b" * 99)
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    monkeypatch.setenv("TMPDIR", str(directory))
    started = case.server.start()
    assert started.kept.directory.parent == directory
    assert case.sql(started.admin, "SELECT 1") == [(1,)]
    started.kept.stop()


def test_too_little_room_is_told_before_the_start(case, monkeypatch):
    """MariaDB itself would wait, without end, until there is more."""
    monkeypatch.setattr(case.server.product, "megabytes", 10**9)
    with pytest.raises(ServerError, match="1000000000 MB .*the disk is full"):
        case.server.start()


FULL = """
import pathlib, tempfile
from labsupport.servers import ServerError, {module} as server
server.product.megabytes = 0  # the room was there when we looked
try:
    server.start()
except ServerError as error:
    print(error)
assert list(pathlib.Path(tempfile.gettempdir()).glob("lab-*")) == []
"""


@AS_ROOT
@pytest.mark.parametrize("prepared", [False, True])
def test_a_disk_that_is_really_full(case, reachable, prepared):
    may_unshare("--mount", "mount", "-t", "tmpfs", "none", str(reachable))
    code = FULL.format(module=case.server.__name__.split(".")[-1])
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         f"mount -t tmpfs -o size=20m,mode=1777 none {reachable} && "
         f"TMPDIR={reachable} exec {sys.executable} -c '{code}'"],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME":
             os.environ["XDG_CACHE_HOME"] if prepared else "/proc/none"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the disk is full: free some space") == 1
    assert len(done.stdout.strip().splitlines()) == 1


# a shared server

@pytest.fixture(scope="module")
def other_server(case):
    started = case.server.start()
    case.sql(started.admin, *case.tables.split(";"))
    yield started.admin
    started.kept.stop()


@pytest.fixture
def shared(case, other_server, monkeypatch):
    """URL of anna on a server that is not ours, and how to use another."""
    def use(url):
        monkeypatch.setenv(case.databases.SHARED, url if isinstance(url, str)
                           else url.render_as_string(hide_password=False))

    anna = other_server.set(drivername=other_server.get_backend_name(),
                            username="anna", password="p@ss/word", query={})
    use(anna)
    yield anna, use
    assert case.sql(other_server, case.ours) == [("lab_of_somebody_else",)]


def test_a_shared_server_gets_a_database_and_loses_it(case, shared,
                                                      other_server):
    db = asyncio.run(case.fresh())
    assert "shared" in str(db)
    name = getattr(db, db.DRIVERS[0])
    ((user, database),) = case.sql(name, "SELECT current_user, " + (
        "current_database()" if name.get_backend_name() == "postgresql"
        else "database()"))
    assert user.split("@")[0] == "anna" and database == name.database
    assert len(case.sql(other_server, case.ours)) == 2
    asyncio.run(db.drop())
    asyncio.run(db.drop())


def test_a_shared_server_is_tidied_after_sigkill(case, shared, other_server,
                                                 tmp_path):
    with kernel(tmp_path, case.start) as (manager, client, paths, mark):
        assert len(case.sql(other_server, case.ours)) == 2
        # Somebody else, who does not die with the kernel, holds it open.
        name = ask(client, "print(getattr(db, db.DRIVERS[0]).database, "
                   "end='')")[0]

        async def held():
            engine = create_async_engine(
                other_server.set(drivername=(
                    other_server.drivername), username="anna",
                    password="p@ss/word", database=name, query={}))
            async with engine.connect():
                assert "1" in ask(client, "print(await db.connections())")[0]
                os.kill(manager.provisioner.pid, signal.SIGKILL)
                await asyncio.to_thread(gone, paths, mark)
            await engine.dispose()

        asyncio.run(held())
        assert len(case.sql(other_server, case.ours)) == 1


def test_a_bad_url_gets_one_sentence(case, shared, subtests):
    url, use = shared
    for change, message in case.bad_urls:
        use(change(url))
        with subtests.test(message), \
                pytest.raises(ServerError, match=message) as raised:
            asyncio.run(case.fresh())
        assert len(str(raised.value)) < 300 and "\n" not in str(raised.value)


def test_no_connection_left(case, shared):
    url, use = shared
    url = url.set(username="karl", password="k")
    use(url)

    async def go():
        engine = create_async_engine(
            url.set(drivername=case.server.running().admin.drivername))
        async with engine.connect():
            with pytest.raises(ServerError, match="no connection left"):
                await case.fresh()
        await engine.dispose()

    asyncio.run(go())


@pytest.fixture
def no_room(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("[Errno 28] No space left on device")

    monkeypatch.setattr(fresh, "Kept", fails)


def test_a_failing_janitor_leaves_no_database(case, shared, no_room):
    with pytest.raises(ServerError, match="set TMPDIR"):
        asyncio.run(case.fresh())


def test_no_temporary_directory(no_room):
    with pytest.raises(ServerError, match="No space left .*set TMPDIR"):
        asyncio.run(sqlite())
