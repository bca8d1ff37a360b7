"""The servers that the tests of this room run on, and how they differ."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import aiomysql
import asyncpg
import pytest
from conftest import need
from machine import program

from labsupport.databases import mariadb as mariadb_databases
from labsupport.databases import mysql, postgres, postgresql
from labsupport.servers import NotInstalled, starting
from labsupport.servers import mariadb as mariadb_server
from labsupport.servers import postgres as postgres_server


@dataclass(frozen=True)
class Case:
    """A server, as a test of all servers sees it."""

    fresh: Callable
    databases: ModuleType
    server: ModuleType
    sql: Callable  # (url, *statements) → rows (tuples) of the last one
    kill: Callable  # (directory): SIGKILL to the server there
    ours: str  # statement: names of our databases
    tables: str  # statement: prepares a shared server for anna and bert
    break_program: Callable  # (directory, number of the program, script)
    failures: list  # (script, message) of a program that dies
    bad_urls: list  # (url → wrong one, message)

    @property
    def start(self):
        """First cell of a kernel: a server, a file; prints their paths."""
        module = self.server.__name__.split(".")[-1]
        return f"""
import json
from labsupport.databases import {self.fresh.__name__}, sqlite
from labsupport.servers import {module} as server
db, lite = await {self.fresh.__name__}(), await sqlite()
kept = db._janitor or server.running().kept
print(json.dumps([str(kept.directory), str(lite._directory.directory)]))
"""

    def bindir(self, monkeypatch, directory):
        """Have the programs looked for in ``directory``."""
        variable = {postgres_server: "LAB_PG_BINDIR",
                    mariadb_server: "LAB_MARIADB_BINDIR"}[self.server]
        monkeypatch.setenv(variable, str(directory))


# PostgreSQL

def postgres_sql(url, *statements):
    async def go():
        connection = await asyncpg.connect(
            url.set(drivername="postgresql", query={})
            .render_as_string(hide_password=False))
        try:
            for statement in statements:
                rows = await connection.fetch(statement)
            return [tuple(row) for row in rows]
        finally:
            await connection.close()

    return asyncio.run(go())


def kill_postgres(directory):
    status = (directory / "data" / "postmaster.pid").read_text()
    os.kill(int(status.split()[0]), signal.SIGKILL)
    # The one thing that a killed PostgreSQL leaves to the operating system.
    memory = status.splitlines()[6].split()[-1]
    subprocess.run(["ipcrm", "-m", memory], check=True)


def break_postgres(directory, number, script):
    real = postgres_server.postgres_bindir()
    # initdb calls postgres too, never with -D first: that one has to work.
    program(directory / "postgres",
            f'[ "$1" = -D ] || exec {real}/postgres "$@"',
            script if number == 0 else "exit 1")
    program(directory / "initdb",
            script if number == 1 else f'exec {real}/initdb "$@"')


POSTGRES = Case(
    postgres, postgresql, postgres_server, postgres_sql, kill_postgres,
    ours="SELECT datname FROM pg_database WHERE datname LIKE 'lab\\_%'",
    tables="""CREATE ROLE anna LOGIN CREATEDB PASSWORD 'p@ss/word';
        CREATE ROLE bert LOGIN PASSWORD 'b';
        CREATE ROLE karl LOGIN PASSWORD 'k' CONNECTION LIMIT 1;
        CREATE DATABASE lab_of_somebody_else""",
    break_program=break_postgres,
    failures=[
        ("exit 1", "did not start"),
        ("echo 'initdb: error: no'; exit 1",
         "did not start .initdb: error: no.: .*LAB_POSTGRES_URL"),
        ("echo 'FATAL: could not write: No space left on device' >&2; exit 1",
         "the disk is full"),
        ("echo 'FATAL:  insufficient file descriptors available'; exit 1",
         "'ulimit -n' shows"),
    ],
    bad_urls=[
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
        (lambda url: f"postgresql://anna:p%40ss%2Fword@127.0.0.1:{url.port}",
         "has no database 'anna'"),
        (lambda url: url.set(port=starting.free_port()),
         "No PostgreSQL answers"),
        (lambda url: url.set(host="no-such-host.invalid"),
         "No PostgreSQL answers"),
    ])


# MariaDB

def mariadb_sql(url, *statements):
    async def go():
        connection = await aiomysql.connect(
            host=url.host, port=url.port, user=url.username,
            password=url.password or "", db=url.database, autocommit=True)
        try:
            async with connection.cursor() as cursor:
                for statement in statements:
                    await cursor.execute(statement)
                return list(await cursor.fetchall())
        finally:
            connection.close()

    return asyncio.run(go())


def kill_mariadb(directory):
    os.kill(int((directory / "pid").read_text()), signal.SIGKILL)


def break_mariadb(directory, number, script):
    for place, name in enumerate(("mariadbd", "mariadb-install-db")):
        program(directory / name, script if place == number else "exit 0")


MARIADB = Case(
    mysql, mariadb_databases, mariadb_server, mariadb_sql, kill_mariadb,
    ours=r"SHOW DATABASES LIKE 'lab\_%'",
    tables=r"""CREATE USER anna@'127.0.0.1' IDENTIFIED BY 'p@ss/word';
        GRANT ALL ON `lab\_%`.* TO anna@'127.0.0.1';
        CREATE USER bert@'127.0.0.1' IDENTIFIED BY 'b';
        CREATE USER karl@'127.0.0.1' IDENTIFIED BY 'k'
            WITH MAX_USER_CONNECTIONS 1;
        CREATE DATABASE lab_of_somebody_else""",
    break_program=break_mariadb,
    failures=[
        ("exit 1", "did not start"),
        ("echo '[ERROR] the reason'; echo '[ERROR] Aborting'; exit 1",
         "did not start .*the reason.: set LAB_MARIADB_BINDIR"),
        ("echo '[ERROR] InnoDB: preallocating failed with error 28'; exit 1",
         "the disk is full"),
    ],
    bad_urls=[
        (lambda url: "nonsense", "cannot be read: write it as mysql://"),
        (lambda url: "postgresql://a:b@c/d", "cannot be read"),
        (lambda url: "mysql:///test", "cannot be read"),
        (lambda url: url.set(query={"ssl": "true"}), "cannot be read"),
        (lambda url: url.set(port=99999), "cannot be used"),
        (lambda url: url.set(password="wrong"), "refuses user 'anna'"),
        (lambda url: url.set(password="пароль"), "set one of ASCII"),
        (lambda url: url.set(username="bert", password="b"),
         r"'bert' in LAB_MYSQL_URL may not create .*GRANT ALL ON `lab\\_%`"),
        (lambda url: url.set(port=starting.free_port()),
         "No MySQL or MariaDB answers"),
        (lambda url: url.set(host="no-such-host.invalid"),
         "No MySQL or MariaDB"),
    ])

CASES = {"postgres": POSTGRES, "mariadb": MARIADB}


@pytest.fixture(autouse=True, scope="module")
def cache():
    """A place of this run's own for what is prepared: programs are faked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME",
                     os.path.join(os.environ["TMPDIR"], "cache"))
        yield


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Each server in turn."""
    found = CASES[request.param]
    try:
        found.server.product.find()
    except NotInstalled as missing:
        need(False, str(missing))
    return found
