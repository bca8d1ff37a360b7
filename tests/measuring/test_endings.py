"""The matrix of drivers is made by running: what changes, changes it."""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import asynccontextmanager

import aiosqlite
import pytest
from conftest import need
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.authoring import notebooks as authoring
from labsupport.authoring.record import LESSON
from labsupport.databases import mysql, postgres, sqlite
from labsupport.environment import DRIVERS, release_series
from labsupport.faults import proxy
from labsupport.measuring import hanging
from labsupport.measuring.driver_endings import (
    Ending,
    Endings,
    Row,
    recorded,
    recorded_matrix,
    recordings,
    unless_missing,
)
from labsupport.measuring.pgbench import pgbench
from labsupport.measuring.slow_statements import (
    engine_for,
    long_query,
    server_side,
)
from labsupport.notebook.programs import run_alone
from labsupport.schema import seed
from labsupport.servers import NotInstalled, ServerError, discover, mariadb
from labsupport.servers import postgres as postgresql

NOTEBOOK = authoring.read(LESSON)


def of_notebook(*names):
    """The cells of the matrix's notebook that define ``names``, in a dict."""
    here = {}
    for cell in NOTEBOOK.cells[:8]:
        if cell.source.startswith("%xmode"):
            exec(cell.source.replace("%xmode Minimal", ""), here)
    for name in names:
        source, = [cell.source for cell in NOTEBOOK.cells
                   if cell.cell_type == "code"
                   and f"def {name}(" in cell.source]
        exec(source.partition("\n\nrow = ")[0], here)
    return here


def stream_on_sqlite():
    """The cell of aiosqlite for the notebook's scenario of lost rows."""
    async def go():
        lite = await sqlite()
        scenario = of_notebook("stream")
        try:
            async with engine_for(lite.aiosqlite) as engine:
                await seed(engine)
            found = Endings(lite)
            row = await found.run("query while streaming",
                                  scenario["stream"], right="3 of 3 rows")
            assert found["query while streaming"] is row
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return row["aiosqlite"], repr(found)
        finally:
            await lite.drop(force=True)

    return asyncio.run(go())


async def raises(*_, **__):
    raise sqlite3.OperationalError("patched")


async def hangs(*_, **__):
    await asyncio.Event().wait()


async def loses(*_, **__):
    return []


def test_the_cell_of_the_driver_as_it_is():
    ending, matrix = stream_on_sqlite()
    assert (ending.kind, ending.word) == ("right", "3 of 3 rows")
    assert "✓ right" in matrix


@pytest.mark.parametrize("patch, kind, word, mark", [
    (raises, "raises", "OperationalError ← sqlite3.OperationalError", "✗"),
    (hangs, "hangs", "never ends", "∞"),
    (loses, "wrong", "0 of 3 rows", "▲"),
])
def test_a_patched_driver_changes_its_cell(monkeypatch, patch, kind, word,
                                           mark):
    monkeypatch.setattr(aiosqlite.Cursor, "fetchmany", patch)
    if kind == "hangs":
        monkeypatch.setitem(hanging.LOOKS, "sqlite", 1)
    ending, matrix = stream_on_sqlite()
    assert (ending.kind, ending.word) == (kind, word)
    row = matrix.splitlines()[1]
    assert row.startswith("query while streaming") and mark in row
    assert bool(ending.chain) == (kind == "raises")


def test_a_warning_is_noted_and_another_kind_is_not():
    import warnings

    async def warn(url):
        warnings.warn("half of it is lost")
        warnings.warn("old", DeprecationWarning)
        return "ok"

    async def go():
        lite = await sqlite()
        row = await Endings(lite).run("a warning", warn)
        await lite.drop(force=True)
        return row["aiosqlite"]

    assert asyncio.run(go()).warned == ("half of it is lost",)


def test_without_a_right_word_nothing_is_judged():
    async def seven(url):
        return "7"

    async def go():
        lite = await sqlite()
        row = await Endings(lite).run("seven", seven, right=None)
        await lite.drop()
        return row["aiosqlite"]

    assert str(asyncio.run(go())) == "· 7"


def test_what_was_recorded_on_each_line():
    bare = {series: [recorded("lazy load", driver, series).word
                     for driver in DRIVERS].count("MissingGreenlet")
            for series in ("2.0", "2.1")}
    assert bare == {"2.0": 3, "2.1": 1}


def test_an_interrupted_run_leaves_no_task():
    async def go():
        lite = await sqlite()
        run = asyncio.create_task(Endings(lite).run("x", hangs))
        await asyncio.sleep(0.1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await lite.drop(force=True)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(go()) == set()


def test_stored_notebook_and_recording_agree():
    """What is recorded is what the notebook shows, and nothing else."""
    shown = "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in NOTEBOOK.cells for output in cell.get("outputs", []))
    stored = recordings()
    if release_series() not in stored:
        need(False, f"nothing is recorded for {release_series()}")
    assert set(stored["2.0"]["endings"]) == set(stored["2.1"]["endings"])
    rows = stored["2.1"]["endings"]
    assert len(rows) > 20
    for name, row in rows.items():
        assert set(row) == set(DRIVERS)
        told = Row(name, {driver: Ending(row[driver]["kind"],
                                         row[driver]["word"])
                          for driver in DRIVERS})
        assert repr(told) in shown, name


def test_both_lines_end_alike_but_where_the_lesson_says_so():
    one, other = (recordings()[number]["endings"]
                  for number in ("2.0", "2.1"))
    different = {(name, driver) for name, row in one.items() for driver in row
                 if row[driver]["word"] != other[name][driver]["word"]}
    assert different == {(name, driver)
                         for name in ("lazy load", "server's value",
                                      "where it is raised")
                         for driver in ("psycopg", "aiosqlite")}


def test_the_recorded_matrix_is_the_one_that_the_notebook_shows():
    shown, = [cell.outputs[0].data["text/plain"] for cell in NOTEBOOK.cells
              if cell.source == "endings"]
    assert repr(recorded_matrix("2.1")) == shown
    assert list(recorded_matrix("2.0")) == list(recorded_matrix("2.1"))
    assert len(recorded_matrix("2.0")) < len(recordings()["2.0"]["endings"])


def test_both_lines_were_recorded_with_date_and_versions():
    for number in ("2.0", "2.1"):
        run = recordings()[number]
        assert f"sqlalchemy {number}." in run["versions"]
        assert "MariaDB" in run["versions"] and run["date"] > "2026"


def test_without_a_server_the_recorded_run_is_shown():
    async def go():
        lite = await sqlite()
        row = await Endings(lite, None).run("cancelled query", hangs_not)
        await lite.drop(force=True)
        return row

    async def hangs_not(url):
        return "ok"

    row = asyncio.run(go())
    assert str(row["aiomysql"]) == "▲ query runs on"
    assert list(row) == list(DRIVERS)
    assert str(row["aiosqlite"]) == "✓ ok"
    assert recorded("no such row", "asyncmy").word == \
        "no server, and nothing recorded"


def test_a_missing_server_is_told_and_under_ci_refused(monkeypatch, capsys):
    monkeypatch.setattr(discover, "_mariadb_candidates", lambda: [])
    mariadb.stop()
    monkeypatch.delenv("CI", raising=False)
    assert asyncio.run(unless_missing(mysql())) is None
    said = capsys.readouterr().out
    assert "sudo apt install mariadb" in said and "2026" in said
    monkeypatch.setenv("CI", "true")
    with pytest.raises(NotInstalled, match="No MariaDB is installed"):
        asyncio.run(unless_missing(mysql()))


@pytest.mark.parametrize("url", ["nonsense", "mysql://me:no@127.0.0.1:1/x"])
def test_a_bad_address_is_not_taken_for_a_missing_server(monkeypatch, url):
    monkeypatch.setenv("LAB_MYSQL_URL", url)
    with pytest.raises(ServerError) as told:
        asyncio.run(unless_missing(mysql()))
    assert not isinstance(told.value, NotInstalled)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("fresh, server, driver", [
    (postgres, postgresql, "psycopg"), (mysql, mariadb, "aiomysql")])
def test_a_server_that_dies_in_mid_lesson(fresh, server, driver):
    async def go():
        try:
            database = await fresh()
        except NotInstalled as missing:
            need(False, str(missing))
        scenario = of_notebook("select_one")

        async def ask(url):
            async with engine_for(url) as engine:
                await scenario["select_one"](engine)
            return "ok"

        found = Endings(database)
        assert (await found.run("alive", ask))[driver].kind == "right"
        await asyncio.to_thread(server.stop)
        with pytest.raises(ServerError) as told:
            await found.run("dead", ask)
        return str(told.value)

    said = asyncio.run(go())
    assert "has ended: run the cell" in said and len(said.splitlines()) == 1


def test_a_server_that_is_held_up_is_not_a_query_that_hangs(monkeypatch):
    monkeypatch.setattr(hanging, "TURN", 0.02)  # a look every 0.1 s

    async def go():
        database = await postgres()
        status = postgresql.running().kept.directory / "data/postmaster.pid"
        pid = int(status.read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)  # nobody can connect
        asyncio.get_running_loop().call_later(1, os.kill, pid, signal.SIGCONT)

        async def ask(url):
            async with engine_for(url) as engine, \
                    engine.connect():
                return "ok"

        try:
            return (await Endings(database).run("held up", ask)).kinds
        finally:
            await database.drop(force=True)

    kinds = asyncio.run(go())
    assert kinds[DRIVERS.index("asyncpg")] == "right"


def test_on_a_busy_machine_it_is_waited_longer(monkeypatch):
    monkeypatch.setattr(hanging, "TURN", 0.001)
    monkeypatch.setattr(hanging, "LATE", 0.02)

    async def slow(url):
        for _ in range(200):
            time.sleep(0.01)  # the loop has its turns, and each is late
            await asyncio.sleep(0)
        return "ok"

    async def go():
        database = await sqlite()
        try:
            return (await Endings(database).run("busy", slow)).kinds
        finally:
            await database.drop()

    assert asyncio.run(go())[DRIVERS.index("aiosqlite")] == "right"


@pytest.mark.parametrize("fresh, drivers, sql", [
    (postgres, ("asyncpg", "psycopg"), "SELECT pg_sleep(2)"),
    (mysql, ("aiomysql", "asyncmy"), "SELECT sleep(2)")])
def test_what_is_slow_ends_and_what_waits_for_nothing_does_not(
        fresh, drivers, sql):
    async def works(url):
        async with engine_for(url) as engine, \
                engine.connect() as connection:
            await connection.execute(text(sql))
        return "ok"

    async def waits(url):
        async with engine_for(url) as engine, engine.connect():
            await hangs()

    async def go():
        try:
            database = await fresh()
        except NotInstalled as missing:
            need(False, str(missing))
        found = Endings(database)
        slow = await found.run("slow", works)
        never = await found.run("never", waits)
        await database.drop(force=True)
        return [(slow[driver].kind, never[driver].kind) for driver in drivers]

    assert asyncio.run(go()) == [("right", "hangs")] * 2


def test_what_a_process_of_its_own_reports(monkeypatch):
    url = make_url("sqlite+aiosqlite://")
    assert run_alone(silent, url) == ([], None)
    monkeypatch.setattr(connected, "__module__", "__main__")  # a notebook's
    assert run_alone(decorated, url) == ([], None)
    assert run_alone(fails, url) == (["builtins.ValueError"], None)
    assert run_alone(complains, url) == (
        [], "KeyError: 'at the end'")
    begun = time.monotonic()
    assert run_alone(stays, url, seconds=2) == (None, None)
    assert time.monotonic() - begun < 20
    unsendable = object()

    def uses(url):
        return unsendable

    with pytest.raises(TypeError, match="unsendable"):
        run_alone(uses, url)
    with pytest.raises(RuntimeError, match="cannot be run alone"):
        monkeypatch.setattr("labsupport.notebook.programs.program",
                            lambda function: "1 / 0")
        run_alone(silent, url)


def silent(url):
    assert str(url) == "sqlite+aiosqlite://"


@asynccontextmanager
async def connected(url):
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def decorated(url):
    async def go():
        async with connected(url):
            pass

    asyncio.run(go())


def fails(url):
    raise ValueError


def complains(url):
    class Complainer:
        def __del__(self):
            raise KeyError("at the end")

    Complainer()


def stays(url):
    import threading

    threading.Thread(target=threading.Event().wait).start()


def test_pgbench_is_the_limit(monkeypatch, tmp_path):
    async def go(statement):
        database = await postgres()
        try:
            return await pgbench(database.psycopg, statement, clients=1)
        finally:
            await database.drop(force=True)

    assert 0 < asyncio.run(go("SELECT 1")) < 0.1
    with pytest.raises(RuntimeError, match='pgbench: .*"nothing"'):
        asyncio.run(go("SELECT * FROM nothing"))
    monkeypatch.setattr("labsupport.measuring.pgbench.postgres_bindir",
                        lambda: tmp_path)
    with pytest.raises(NotInstalled, match="no pgbench in"):
        asyncio.run(go("SELECT 1"))


def test_pgbench_takes_the_time_that_connecting_needs():
    async def go():
        database = await postgres()
        try:
            async with proxy(database) as link:
                with link.latency(300):
                    return await pgbench(link.psycopg, "SELECT 1", clients=1)
        finally:
            await database.drop(force=True)

    assert 0.3 < asyncio.run(go()) < 9


@pytest.mark.parametrize("fresh, driver, word", [
    (postgres, "psycopg", "query runs on"), (mysql, "aiomysql",
                                             "query runs on"),
    (sqlite, "aiosqlite", "cancel waits")])
def test_a_statement_is_seen_at_work_and_at_rest(fresh, driver, word):
    """Nobody cancels it; SQLite's own is over when its task is."""
    async def go():
        try:
            database = await fresh()
        except NotInstalled as missing:
            need(False, str(missing))
        url = getattr(database, driver)
        async with engine_for(url) as engine:
            async with engine.connect() as connection:
                server = await server_side(connection)
                at_rest = await server.after_cancel()
                task = asyncio.create_task(
                    connection.execute(long_query(url)))
                await server.works()
                under_way = not task.done()
                if driver == "aiosqlite":
                    await task
                at_work = await server.after_cancel()
                await asyncio.wait([task])  # it has been killed, or is done
                await connection.invalidate()
        await database.drop(force=True)
        return at_rest, under_way, at_work

    assert asyncio.run(go()) == ("query stopped", True, word)
