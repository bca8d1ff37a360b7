"""MariaDB: what only it has."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import aiomysql
import pytest
from conftest import need
from machine import program
from products import cache, mariadb_sql  # noqa: F401

from labsupport.databases import mysql
from labsupport.databases import shared as sharing
from labsupport.servers import NotInstalled, starting
from labsupport.servers import mariadb as server
from labsupport.servers.discover import mariadb_programs


@pytest.fixture(autouse=True, scope="module")
def installed():
    try:
        mariadb_programs()
    except NotInstalled as missing:
        need(False, str(missing))


def test_nobody_gets_in_without_the_password():
    admin = server.running().admin
    assert admin.host == "127.0.0.1" and len(admin.password) >= 20
    accounts = mariadb_sql(admin, "SELECT user, host FROM mysql.global_priv")
    assert (server.ADMIN, "127.0.0.1") in accounts
    assert set(accounts) <= {(name, "127.0.0.1") for name in
                             (server.ADMIN, sharing.USER)}
    assert mariadb_sql(admin, "SELECT @@bind_address, @@socket") \
        == [("127.0.0.1", "")]
    with pytest.raises(aiomysql.OperationalError, match="denied"):
        mariadb_sql(admin.set(password="guessed"), "SELECT 1")


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
    assert mariadb_sql(url, "SELECT CURRENT_USER()") == [("lab@127.0.0.1",)]
    mariadb_sql(url, "CREATE TABLE t (a INT)", "SET SESSION wait_timeout = 5")
    for forbidden in ("CREATE DATABASE mine", "CREATE USER anna",
                      "SET GLOBAL wait_timeout = 5", "SHOW BINARY LOGS",
                      "SELECT * FROM mysql.global_priv"):
        with pytest.raises(aiomysql.OperationalError, match="denied"):
            mariadb_sql(url, forbidden)
    # It sees its own connections and nobody else's, and may end them.
    assert set(mariadb_sql(
        url, "SELECT user FROM information_schema.processlist")) \
        == {("lab",)}
    with pytest.raises(aiomysql.OperationalError, match="was killed"):
        mariadb_sql(url, "KILL CONNECTION_ID()", "SELECT 1")
    # An underscore in a grant stands for any character; ours does not.
    alike = url.database.replace("_", "x", 1)
    with pytest.raises(aiomysql.OperationalError, match="denied"):
        mariadb_sql(url, f"USE {alike}")
    for each in (db, other):
        asyncio.run(each.drop())
