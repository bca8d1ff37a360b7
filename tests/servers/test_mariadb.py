"""MariaDB: for one kernel, for one user, for nobody without a password."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiomysql
import pytest
from conftest import ROOT, need, processes
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

from labsupport.databases import mariadb as databases
from labsupport.databases import mysql
from labsupport.databases import fresh
from labsupport.databases import shared as sharing
from labsupport.servers import NotInstalled, ServerError, starting
from labsupport.servers import mariadb as server
from labsupport.servers.discover import mariadb_programs

START = """
import json
from labsupport import mysql
from labsupport.servers import mariadb
db = await mysql()
kept = db._janitor or mariadb.running().kept
print(json.dumps([str(kept.directory)]))
"""


@pytest.fixture(autouse=True, scope="module")
def installed():
    try:
        mariadb_programs()
    except NotInstalled as missing:
        need(False, str(missing))


def sql(url, *statements):
    """The rows that the last statement gives to the user of ``url``."""
    async def go():
        connection = await aiomysql.connect(
            host=url.host, port=url.port, user=url.username,
            password=url.password or "", db=url.database, autocommit=True)
        try:
            async with connection.cursor() as cursor:
                for statement in statements:
                    await cursor.execute(statement)
                return await cursor.fetchall()
        finally:
            connection.close()

    return asyncio.run(go())


# a kernel and its server

def test_interrupt_spares_the_server_and_restart_takes_it(tmp_path):
    with kernel(tmp_path, START) as (manager, client, paths, _):
        assert interrupt(manager, client) == "KeyboardInterrupt"
        still = "assert kept.alive() and await db.connections() == 0"
        assert ask(client, still)[1] is None
        assert paths[0].exists()
        manager.restart_kernel(now=False)
        wait(lambda: not paths[0].exists(), "the directory is left")


def test_sigkill_takes_the_server_and_no_other(tmp_path):
    with kernel(tmp_path, START, "one") as one, \
            kernel(tmp_path, START, "two") as two:
        assert one[2] != two[2]
        assert len(processes(one[3])) >= 3  # kernel, keeper, server
        os.kill(one[0].provisioner.pid, signal.SIGKILL)
        gone(one[2], one[3])
        assert ask(two[1], "assert await db.connections() == 0")[1] is None


def test_a_kernel_killed_while_its_server_starts(reachable):
    process = subprocess.Popen(
        [sys.executable, "-c",
         "from labsupport.servers import mariadb; mariadb.running()"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(reachable)})
    wait(lambda: list(reachable.glob("lab-mariadb-*")), "no start", 60)
    process.kill()
    process.wait()
    mark = f"TMPDIR={reachable}".encode()
    wait(lambda: not list(reachable.glob("lab-*")) and not processes(mark),
         "something is left", 30)


def test_a_killed_server_is_replaced():
    first = server.running()
    os.kill(int((first.kept.directory / "pid").read_text()), signal.SIGKILL)
    wait(lambda: not first.kept.alive(), "the keeper does not notice")

    async def again():
        await (await mysql()).drop()

    asyncio.run(again())
    assert first.kept._keeper.wait() == 0  # it ended, and did not crash
    assert server.running() is not first
    assert not first.kept.directory.exists()


AS_USER = """
import asyncio, os
from labsupport.databases import mysql
from labsupport.servers import mariadb as server
async def main():
    db = await mysql()
    print(os.geteuid(), server.running().kept.directory.stat().st_uid)
    await db.drop()
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_an_ordinary_user():
    process = run_as("daemon", AS_USER)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    uid, owner = out.split()
    assert uid == owner != "0"


# who may what

def test_nobody_gets_in_without_the_password():
    admin = server.running().admin
    assert admin.host == "127.0.0.1" and len(admin.password) >= 20
    accounts = sql(admin, "SELECT user, host FROM mysql.global_priv")
    assert (server.ADMIN, "127.0.0.1") in accounts
    assert set(accounts) <= {(name, "127.0.0.1") for name in
                             (server.ADMIN, sharing.USER)}
    assert sql(admin, "SELECT @@bind_address, @@socket") \
        == (("127.0.0.1", ""),)
    with pytest.raises(aiomysql.OperationalError, match="denied"):
        sql(admin.set(password="guessed"), "SELECT 1")


def test_nobody_gets_in_while_it_starts(monkeypatch, reachable):
    """The accounts without a password go before anyone is answered."""
    real, install = mariadb_programs()
    program(reachable / "mariadbd", "sed -i '1i SELECT SLEEP(1);' init.sql",
            f'exec {real} "$@"')
    program(reachable / "mariadb-install-db", f'exec {install} "$@"')
    monkeypatch.setenv("LAB_MARIADB_BINDIR", str(reachable))
    port = starting.free_port()
    monkeypatch.setattr(starting, "free_port", lambda: port)
    answers = set()

    async def knock(user):
        try:
            connection = await aiomysql.connect(
                host="127.0.0.1", port=port, user=user, connect_timeout=5)
            connection.close()
            answers.add("in")
        except aiomysql.MySQLError as error:
            answers.add(error.args[0])

    with ThreadPoolExecutor() as aside:
        begun = aside.submit(server.start)
        while True:
            started = begun.done()
            for user in ("root", "nobody"):
                asyncio.run(knock(user))
            if started:  # and has answered since
                break
        begun.result().kept.stop()
    # No listener, refused by name, or gone while it asked.
    assert 1045 in answers and answers <= {2003, 1045, 2013}


def test_a_lesson_is_an_ordinary_user():
    async def go():
        return await mysql(), await mysql()

    db, other = asyncio.run(go())
    url = db.asyncmy
    assert sql(url, "SELECT CURRENT_USER()") == (("lab@127.0.0.1",),)
    sql(url, "CREATE TABLE t (a INT)", "SET SESSION wait_timeout = 5")
    for forbidden in ("CREATE DATABASE mine", "CREATE USER anna",
                      "SET GLOBAL wait_timeout = 5", "SHOW BINARY LOGS",
                      "SELECT * FROM mysql.global_priv"):
        with pytest.raises(aiomysql.OperationalError, match="denied"):
            sql(url, forbidden)
    # It sees its own connections and nobody else's, and may end them.
    assert set(sql(url, "SELECT user FROM information_schema.processlist")) \
        == {("lab",)}
    with pytest.raises(aiomysql.OperationalError, match="was killed"):
        sql(url, "KILL CONNECTION_ID()", "SELECT 1")
    # An underscore in a grant stands for any character; ours does not.
    alike = url.database.replace("_", "x", 1)
    with pytest.raises(aiomysql.OperationalError, match="denied"):
        sql(url, f"USE {alike}")
    for each in (db, other):
        asyncio.run(each.drop())


def test_both_drivers_at_many_databases_at_once():
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    async def use(url):
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            name = await connection.scalar(text("SELECT DATABASE()"))
        await engine.dispose()
        return name

    async def go():
        server.stop()
        dbs = await asyncio.gather(*(mysql() for _ in range(4)))
        for db in dbs:
            for url in (db.aiomysql, db.asyncmy):
                assert await use(url) == url.database
            await db.drop()
        assert len({db.aiomysql.database for db in dbs}) == 4

    asyncio.run(go())


def test_nothing_secret_on_a_command_line():
    admin = server.running().admin
    lines = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(line.read_bytes())
        except OSError:
            continue  # the process ended meanwhile
    assert any(f"--port={admin.port}".encode() in line for line in lines)
    assert not any(admin.password.encode() in line for line in lines)


def test_drop_refuses_while_a_connection_is_open(monkeypatch):
    monkeypatch.setattr(fresh, "GRACE", 0.1)

    async def go():
        db = await mysql()
        engine_like = await aiomysql.connect(
            host=db.aiomysql.host, port=db.aiomysql.port,
            user=db.aiomysql.username, password=db.aiomysql.password,
            db=db.aiomysql.database)
        assert await db.connections() == 1
        with pytest.raises(RuntimeError, match="still in use by 1 conn"):
            await db.drop()
        monkeypatch.setattr(fresh, "GRACE", 20)
        await db.drop(force=True)
        with pytest.raises(aiomysql.OperationalError):
            await engine_like.ping(reconnect=False)
        engine_like.close()

    asyncio.run(go())
    assert sql(server.running().admin, OURS) == ()


# what can go wrong

def test_a_taken_port_is_passed_over(monkeypatch):
    taken = server.running().admin.port
    ports = iter([taken, starting.free_port()])
    monkeypatch.setattr(starting, "free_port", lambda: next(ports))
    started = server.start()
    started.kept.stop()
    assert started.admin.port != taken


@pytest.mark.parametrize("broken, message", [
    ("exit 1", "did not start"),
    ("echo '[ERROR] the reason'; echo '[ERROR] Aborting'; exit 1",
     "did not start .*the reason.: set LAB_MARIADB_BINDIR"),
    ("echo '[ERROR] InnoDB: preallocating failed with error 28'; exit 1",
     "the disk is full"),
])
@pytest.mark.parametrize("culprit", ["mariadbd", "mariadb-install-db"])
def test_a_program_that_dies_is_told(monkeypatch, reachable, culprit, broken,
                                     message):
    for name in ("mariadbd", "mariadb-install-db"):
        program(reachable / name, broken if name == culprit else "exit 0")
    monkeypatch.setenv("LAB_MARIADB_BINDIR", str(reachable))
    with pytest.raises(ServerError, match=message):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="about being root")
def test_root_in_a_closed_directory_is_told(monkeypatch, tmp_path):
    for name in ("mariadbd", "mariadb-install-db"):
        program(tmp_path / name, "exit 0")
    monkeypatch.setenv("LAB_MARIADB_BINDIR", str(tmp_path))
    with pytest.raises(ServerError, match="run it as an ordinary user"):
        server.start()


def test_a_temporary_directory_with_a_long_name(monkeypatch, reachable):
    directory = reachable / ("a long name " * 9) / ("b" * 99)
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    monkeypatch.setenv("TMPDIR", str(directory))
    started = server.start()
    assert started.kept.directory.parent == directory
    assert sql(started.admin, "SELECT 1") == ((1,),)
    started.kept.stop()


def test_too_little_room_is_told_before_the_start(monkeypatch):
    """MariaDB itself would wait, without end, until there is more."""
    monkeypatch.setattr(server.product, "megabytes", 10**9)
    with pytest.raises(ServerError, match="1000000000 MB .*the disk is full"):
        server.start()


FULL = """
import pathlib, tempfile
from labsupport.servers import ServerError, mariadb
mariadb.product.megabytes = 0  # the room was there when we looked
try:
    mariadb.start()
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
    assert done.stdout.count("the disk is full: free some space") == 1


# a shared server

OURS = r"SHOW DATABASES LIKE 'lab\_%'"


@pytest.fixture(scope="module")
def other_server():
    started = server.start()
    sql(started.admin,
        "CREATE USER anna@'127.0.0.1' IDENTIFIED BY 'p@ss/word'",
        r"GRANT ALL ON `lab\_%`.* TO anna@'127.0.0.1'",
        "CREATE USER bert@'127.0.0.1' IDENTIFIED BY 'b'",
        "CREATE USER karl@'127.0.0.1' IDENTIFIED BY 'k' "
        "WITH MAX_USER_CONNECTIONS 1",
        "CREATE DATABASE lab_of_somebody_else")
    yield started.admin
    started.kept.stop()


@pytest.fixture
def shared(other_server, monkeypatch):
    """URL of anna on a server that is not ours, and how to use another."""
    def use(url):
        monkeypatch.setenv(databases.SHARED, url if isinstance(url, str)
                           else url.render_as_string(hide_password=False))

    anna = other_server.set(drivername="mysql", username="anna",
                            password="p@ss/word")
    use(anna)
    yield anna, use
    assert sql(other_server, OURS) == (("lab_of_somebody_else",),)


def test_a_shared_server_gets_a_database_and_loses_it(shared, other_server):
    async def go():
        db = await mysql()
        assert "shared" in str(db)
        return db

    db = asyncio.run(go())
    assert sql(db.aiomysql, "SELECT USER(), DATABASE()") \
        == (("anna@127.0.0.1", db.aiomysql.database),)
    assert len(sql(other_server, OURS)) == 2
    asyncio.run(db.drop())


def test_a_shared_server_is_tidied_after_sigkill(shared, other_server,
                                                 tmp_path):
    with kernel(tmp_path, START) as (manager, client, paths, mark):
        assert len(sql(other_server, OURS)) == 2
        # Somebody else, who does not die with the kernel, holds it open.
        name = ask(client, "print(db.aiomysql.database, end='')")[0]
        holder = subprocess.Popen(
            [shutil.which("mariadb"), "--no-defaults", "-h127.0.0.1", "-uanna",
             f"-P{other_server.port}", name], stdin=subprocess.PIPE,
            env={"MYSQL_PWD": "p@ss/word"})
        try:
            wait(lambda: "1" in ask(
                client, "print(await db.connections())")[0], "no holder")
            os.kill(manager.provisioner.pid, signal.SIGKILL)
            wait(lambda: len(sql(other_server, OURS)) == 1, "left")
            gone(paths, mark)
        finally:
            holder.kill()
            holder.wait()


@pytest.mark.parametrize("change, message", [
    (lambda url: "nonsense", "cannot be read: write it as mysql://"),
    (lambda url: "postgresql://a:b@c/d", "cannot be read"),
    (lambda url: "mysql:///test", "cannot be read"),
    (lambda url: url.set(query={"ssl": "true"}), "cannot be read"),
    (lambda url: url.set(port=99999), "cannot be used"),
    (lambda url: url.set(password="wrong"), "refuses user 'anna'"),
    (lambda url: url.set(username="bert", password="b"),
     r"'bert' in LAB_MYSQL_URL may not create .*GRANT ALL ON `lab\\_%`"),
    (lambda url: url.set(port=starting.free_port()), "No MySQL or MariaDB answers"),
    (lambda url: url.set(host="no-such-host.invalid"), "No MySQL or MariaDB"),
])
def test_a_bad_url_gets_one_sentence(shared, change, message):
    url, use = shared
    use(change(url))
    with pytest.raises(ServerError, match=message) as raised:
        asyncio.run(mysql())
    assert len(str(raised.value)) < 300 and "\n" not in str(raised.value)


def test_no_connection_left(shared, other_server):
    url, use = shared
    url = url.set(username="karl", password="k")
    use(url)

    async def go():
        one = await aiomysql.connect(host=url.host, port=url.port,
                                     user="karl", password="k")
        with pytest.raises(ServerError, match="no connection left"):
            await mysql()
        await one.ensure_closed()

    asyncio.run(go())


def test_a_failing_janitor_leaves_no_database(shared, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("[Errno 28] No space left on device")

    monkeypatch.setattr(fresh, "Kept", fails)
    with pytest.raises(ServerError, match="set TMPDIR"):
        asyncio.run(mysql())
