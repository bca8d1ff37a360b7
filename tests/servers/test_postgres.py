"""PostgreSQL: what only it has."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from functools import partial

import asyncpg
import pytest
from conftest import ROOT
from machine import may_unshare, wait
from products import cache, postgres_sql  # noqa: F401
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres
from labsupport.servers import ServerError
from labsupport.servers import postgres as server


def test_the_server_listens_on_loopback_and_asks_for_a_password():
    admin = server.running().admin
    assert admin.host == "127.0.0.1" and len(admin.password) >= 20
    assert postgres_sql(admin, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert postgres_sql(
        admin, "SELECT rolpassword FROM pg_authid "
        "WHERE rolname = 'postgres'")[0][0].startswith("SCRAM-SHA-256$4096:")
    with pytest.raises(asyncpg.InvalidPasswordError):
        postgres_sql(admin.set(password="guessed"), "SELECT 1")


def test_every_start_has_a_password_of_its_own():
    """Of one prepared cluster, in which nobody's password fits."""
    one, two = server.start(), server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        postgres_sql(two.admin.set(password=one.admin.password), "SELECT 1")
    verifiers = [postgres_sql(each.admin, "SELECT rolpassword FROM pg_authid "
                              "WHERE rolname = 'postgres'")
                 for each in (one, two)]
    assert verifiers[0] != verifiers[1]
    for each in (one, two):
        each.kept.stop()


def test_the_verifier_is_what_the_server_would_make():
    """RFC 7677 has an example; the server checks our own in every test."""
    admin = server.running().admin
    made = server.verifier("pencil")
    user = admin.set(username="made", password="pencil")
    postgres_sql(admin, f"CREATE ROLE made LOGIN PASSWORD '{made}'")
    try:
        assert postgres_sql(user, "SELECT 1") == [(1,)]
    finally:
        postgres_sql(admin, "DROP ROLE made")


def test_a_lesson_is_no_superuser():
    async def go():
        return await postgres(), await postgres()

    db, other = asyncio.run(go())
    assert postgres_sql(
        db.asyncpg,
        "SELECT rolsuper, rolcreatedb, pg_get_userbyid(datdba) "
        "FROM pg_roles, pg_database WHERE rolname = current_user "
        "AND datname = current_database()") == [(False, False, "lab")]
    assert db.asyncpg.database != other.asyncpg.database
    for each in (db, other):
        asyncio.run(each.drop())


def test_ssl_wishes_of_the_shell_do_not_reach_our_server(monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "require")

    async def go():
        await (await postgres()).drop()

    asyncio.run(go())


def test_both_drivers_take_the_ssl_option(monkeypatch):
    url = server.running().admin.set(drivername="postgresql",
                                     query={"sslmode": "disable"})
    monkeypatch.setenv("LAB_POSTGRES_URL", url.render_as_string(False))

    async def go():
        db = await postgres()
        for each in (db.asyncpg, db.psycopg):
            engine = create_async_engine(each)
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT 1")) == 1
            await engine.dispose()
        await db.drop()

    asyncio.run(go())


def test_what_is_no_postgresql_is_called_so(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.recv(8)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("LAB_POSTGRES_URL", "postgresql://a:b@127.0.0.1:"
                           f"{other.getsockname()[1]}/c")
        with pytest.raises(ServerError, match="is no PostgreSQL: correct"):
            asyncio.run(postgres())
        thread.join()


def test_an_entry_that_is_missing_in_pg_hba_is_told(monkeypatch):
    started = server.start()
    hba = started.kept.directory / "data" / "pg_hba.conf"
    hba.write_text("host all postgres 127.0.0.1/32 scram-sha-256\n")
    postgres_sql(started.admin, "SELECT pg_reload_conf()",
                 "CREATE ROLE anna LOGIN PASSWORD 'a'")
    url = started.admin.set(drivername="postgresql", username="anna",
                            password="a")
    monkeypatch.setenv("LAB_POSTGRES_URL", url.render_as_string(False))
    with pytest.raises(ServerError, match="lets user 'anna' not in .no pg_hba"
                       ".conf entry.*ask who runs it"):
        asyncio.run(postgres())
    started.kept.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_tiny_dev_shm_is_enough():
    may_unshare("--mount", "mount", "-t", "tmpfs", "none", "/dev/shm")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         "mount -t tmpfs -o size=64k,mode=1777 none /dev/shm && "
         f"exec {sys.executable} -c 'from labsupport.servers import postgres;"
         " postgres.start().kept.stop()'"],
        capture_output=True, text=True, timeout=90,
        env={**os.environ, "PYTHONPATH": str(ROOT),
             "XDG_CACHE_HOME": "/proc/none"})
    assert done.returncode == 0, done.stderr


SLOW_VACUUM = ("ALTER SYSTEM SET autovacuum_naptime = '1s'",
               "ALTER SYSTEM SET autovacuum_vacuum_cost_delay = '100ms'",
               "ALTER SYSTEM SET autovacuum_vacuum_cost_limit = 1",
               "SELECT pg_reload_conf()")


def vacuumed(url, see):
    """Have autovacuum come to a database: a function, whether it is there.

    ``see`` runs a query as the administrator.
    """
    postgres_sql(url, "CREATE TABLE t AS SELECT "
                 "generate_series(1, 100000) AS a", "DELETE FROM t")
    there = partial(see, "SELECT FROM pg_stat_activity WHERE datname = "
                    f"'{url.database}' AND backend_type = "
                    "'autovacuum worker'")
    wait(there, "no autovacuum")
    return there


def test_autovacuum_is_nobody_who_holds_a_database():
    """It leaves when asked: a lesson's last cell must not wait for it."""
    db = asyncio.run(postgres())
    admin = server.running().admin
    see = partial(postgres_sql, admin)
    see(*SLOW_VACUUM)
    try:
        there = vacuumed(db.asyncpg, see)
        assert asyncio.run(db.connections()) == 0
        assert there()  # it was there meanwhile
    finally:
        see("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
        asyncio.run(db.drop())


def test_autovacuum_keeps_no_database_on_a_shared_server(shared):
    """There the role is an ordinary one, which may not force it out."""
    _, _, sql = shared
    for statement in SLOW_VACUUM:
        sql(statement)

    async def go():
        db = await postgres()
        engine = create_async_engine(db.psycopg)
        async with engine.connect() as connection:
            there = await asyncio.to_thread(vacuumed, db.asyncpg, sql)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with db.administered() as run:
                    await run(f'DROP DATABASE "{db._name}" WITH (FORCE)')
            assert await asyncio.to_thread(there)
            await db.drop(force=True)
            with pytest.raises(OperationalError):  # it was cut, too
                await connection.execute(text("SELECT 1"))
        await engine.dispose()

    asyncio.run(go())
    assert sql(r"SELECT FROM pg_database WHERE datname LIKE 'lab\_%'") == []
