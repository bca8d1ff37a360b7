"""The service to take home: its own tests, and bad days under load."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from backends import backends, until
from conftest import ROOT
from sqlalchemy import URL

from labsupport.databases import postgres, sqlite
from labsupport.faults import connection_limit, terminate_backends
from labsupport.servers.starting import free_port

TEMPLATE = ROOT / "template"
ALBUM = {"title": "Low Tide", "artist": "The Harbour Five", "stock": 10_000}


def environment(url, **settings):
    paths = [str(TEMPLATE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths),
            "DATABASE_URL": url.render_as_string(hide_password=False),
            **settings}


def on(driver, scene):
    async def go():
        database = await (sqlite if driver == "aiosqlite" else postgres)()
        url = getattr(database, driver)
        try:
            return await scene(database, url)
        finally:
            await database.drop(force=True)

    return asyncio.run(go())


each_driver = pytest.mark.parametrize(
    "driver", ["asyncpg", "psycopg", "aiosqlite"])
each_postgresql = pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])


async def python(url, *arguments, cwd=TEMPLATE, **settings):
    """Run Python on the template; a subprocess.CompletedProcess."""
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, *map(str, arguments)], cwd=cwd,
        env=environment(url, **settings, PYTHONPATH=os.pathsep.join(
            [str(cwd), os.environ.get("PYTHONPATH", "")])),
        capture_output=True, text=True, timeout=120)


# nbval takes more than a second, and is not the template's.
PLAIN = "-pno:cacheprovider", "-pno:nbval", "-pno:hypothesispytest"


@each_driver
def test_its_own_tests(driver, tmp_path):
    done = on(driver, lambda _database, url: python(
        url, "-m", "pytest", "-q", *PLAIN, "--basetemp", tmp_path / "own"))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout


# In one process: the migrations first, as a deployment does.
START = """if True:
    import sys
    import uvicorn
    from alembic.config import main
    main(["upgrade", "head"])
    uvicorn.main()
"""


@asynccontextmanager
async def served(url, log, **settings):
    """The service in a process of its own: a client of it, the process."""
    port = free_port()
    with open(log, "w") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", START, "shop.app:app", "--port",
            str(port), "--no-access-log",
            # A client's connection that is idle is not closed in its hand.
            "--timeout-keep-alive", "60", cwd=TEMPLATE,
            env=environment(url, **settings), stdout=file, stderr=file)
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}",
                                     timeout=60, limits=limits) as client:
            try:
                while True:
                    assert process.returncode is None, log.read_text()
                    try:
                        if (await client.get("/alive")).is_success:
                            break
                    except httpx.TransportError:
                        await asyncio.sleep(.05)
                yield client, process
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def at_once(requests, crowd):
    """Send coroutine functions, ``crowd`` at a time; their answers."""
    room = asyncio.Semaphore(crowd)

    async def one(request):
        async with room:
            return await request()

    return await asyncio.gather(*map(one, requests))


@each_driver
def test_fifty_at_once_sell_each_album_once(driver, tmp_path):
    async def scene(_database, url):
        async with served(url, tmp_path / "log") as (client, _process):
            number = (await client.post("/albums", json=ALBUM)).json()["id"]
            answers = await at_once(
                [lambda: client.post(f"/albums/{number}/sell")] * 500, 50)
            (album,) = (await client.get("/albums")).json()
            return answers, album

    answers, album = on(driver, scene)
    assert {answer.status_code for answer in answers} == {200}
    left = sorted(answer.json()["left"] for answer in answers)
    assert left == [*range(9_500, 10_000)] and album["stock"] == 9_500


@each_postgresql
def test_connections_that_are_cut_fail_no_reader(driver, tmp_path):
    """2,000 requests, and all connections are cut again and again."""
    async def scene(database, url):
        async with served(url, tmp_path / "log") as (client, _process):
            await client.post("/albums", json=ALBUM)
            cut, answers = [], []

            async def read():  # a slow machine is not cut more often
                answers.append(await client.get("/albums"))
                if len(answers) % 250 == 0:
                    cut.append(await terminate_backends(database))

            await at_once([read] * 2_000, 50)
            await client.get("/albums")  # the last cut may have come last
            text = (await client.get("/metrics")).text
            return (cut, answers, text, await backends(database))

    cut, answers, text, open_ = on(driver, scene)
    assert len(cut) == 8 and sum(number > 0 for number in cut) >= 4
    assert {(answer.status_code, answer.is_success or answer.text)
            for answer in answers} == {(200, True)}
    # The pool and the server agree.
    idle = int(float(text.split('state="idle"} ')[1].split()[0]))
    assert 'state="used"} 0.0' in text and idle >= open_ > 0


@asynccontextmanager
async def sales_that_wait(database, client, number):
    """Tasks, each of which waits for a lock in the database until the end."""
    found = (await client.post("/albums", json=ALBUM)).json()["id"]
    async with database.connected(database.psycopg) as run:
        await run("BEGIN")
        await run("SELECT 1 FROM album FOR UPDATE")
        sales = [asyncio.create_task(client.post(f"/albums/{found}/sell"))
                 for _ in range(number)]

        async def all_wait():
            return number == await backends(
                database, "wait_event_type = 'Lock'")

        await until(all_wait)
        yield sales
        await run("COMMIT")
    await asyncio.wait(sales)


@each_postgresql
def test_a_shutdown_answers_what_has_begun(driver, tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", LOCK_TIMEOUT="30000",
                          STATEMENT_TIMEOUT="60000") as (client, process):
            async with sales_that_wait(database, client, 5) as sales:
                assert await backends(database) >= 5
                process.send_signal(signal.SIGTERM)
            code = await process.wait()

            async def nobody():
                return await backends(database) == 0

            await until(nobody)
            return [sale.result() for sale in sales], code

    answers, code = on(driver, scene)
    assert {answer.status_code for answer in answers} == {200}
    assert code in (0, -signal.SIGTERM)


WAITS = "db_client_connection_pending_requests 1.0"


def test_a_full_pool_says_so_and_stays_ready(tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", LOCK_TIMEOUT="30000",
                          STATEMENT_TIMEOUT="60000", POOL_SIZE="1",
                          POOL_TIMEOUT="1500") as (client, _process):
            async with sales_that_wait(database, client, 1) as (first,):
                second = asyncio.create_task(client.get("/albums"))
                metrics = []

                async def one_waits():
                    metrics.append((await client.get("/metrics")).text)
                    return WAITS in metrics[-1] or second.done()

                await until(one_waits)
                ready = await client.get("/ready")
                busy = await second
            return busy, ready, first.result(), metrics[-1]

    busy, ready, first, metrics = on("asyncpg", scene)
    assert WAITS in metrics and 'count{state="used"} 1.0' in metrics
    assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
    assert ready.status_code == first.status_code == 200


@each_postgresql
def test_a_full_server_takes_nobody_out(driver, tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log") as (client, _process):
            first = await client.get("/ready")
            await client.get("/albums")  # the pool has the last place
            async with connection_limit(database, 1):
                return first, await client.get("/ready")

    assert [answer.status_code for answer in on(driver, scene)] == [200, 200]


@each_postgresql
def test_a_full_server_is_no_error_of_ours(driver, tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log") as (client, _process):
            async with connection_limit(database, 0):
                return await client.get("/albums")

    answer = on(driver, scene)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


ALBUMS = """if True:
    import asyncio
    import httpx
    from asgi_lifespan import LifespanManager
    from shop.app import make_app

    async def main():
        app = make_app()
        async with LifespanManager(app), httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://shop") as client:
            print((await client.get("/albums")).status_code)

    asyncio.run(main())
"""


async def starts_up(reader, writer):
    """What PostgreSQL says to whoever comes while it starts."""
    await reader.readexactly(8)
    writer.write(b"N")  # no TLS
    length = int.from_bytes(await reader.readexactly(4), "big")
    await reader.readexactly(length - 4)
    said = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    writer.write(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
    writer.close()


@each_postgresql
def test_a_server_that_starts_is_no_error_of_ours(driver):
    async def go():
        async with await asyncio.start_server(
                starts_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await python(
                URL.create(f"postgresql+{driver}", "anna", "secret",
                           "127.0.0.1", port, "shop"), "-c", ALBUMS)

    done = asyncio.run(go())
    assert done.stdout == "503\n", done.stderr


@each_postgresql
@pytest.mark.parametrize("limits", [
    {"LOCK_TIMEOUT": "300"},
    {"LOCK_TIMEOUT": "30000", "STATEMENT_TIMEOUT": "300"}])
def test_a_limit_of_the_server_is_no_error_of_ours(driver, limits, tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", **limits) as (
                client, _process):
            async with sales_that_wait(database, client, 1) as (sale,):
                return await sale

    answer = on(driver, scene)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("patience, status", [("300", 503), ("30000", 201)])
def test_another_process_writes_to_sqlite(patience, status, tmp_path):
    async def scene(_database, url):
        async with served(url, tmp_path / "log", LOCK_TIMEOUT=patience) as (
                client, _process):
            other = sqlite3.connect(url.database, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            post = asyncio.create_task(client.post("/albums", json=ALBUM))
            await asyncio.wait([post], timeout=1 if status == 201 else None)
            assert post.done() == (status == 503)
            other.execute("COMMIT")
            other.close()
            return await post, await client.get("/albums")

    answer, then = on("aiosqlite", scene)
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == (
        "1" if status == 503 else None)
    assert len(then.json()) == (status == 201)


@asynccontextmanager
async def balanced(url, every):
    """Requests by new connections, until ``ready`` is no 200.

    That is looked up ``every`` so many seconds: as a load balancer does.
    Yields the failures (list).
    """
    failures, out = [], asyncio.Event()
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=60,
                                 limits=limits) as client:
        async def visit():
            while not out.is_set():
                try:
                    answer = await client.get("/albums")
                    if answer.status_code != 200:
                        failures.append(answer)
                except httpx.TransportError as error:
                    failures.append(error)
                    await asyncio.sleep(.05)

        async def look():
            while not out.is_set():
                await asyncio.sleep(every)
                try:
                    answer = await client.get("/ready")
                except httpx.TransportError as error:
                    answer = error
                if getattr(answer, "status_code", None) != 200:
                    out.set()
            return getattr(answer, "status_code", None)

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(visit())
            yield failures, lambda: group.create_task(look())


@each_postgresql
@pytest.mark.parametrize("drain", [3_000, 0])
def test_a_drain_is_told_to_the_load_balancer(driver, drain, tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", DRAIN=str(drain)) as (
                client, process):
            async with balanced(client.base_url, 1) as (
                    failures, look):
                async def used():
                    return await backends(database) > 0

                await until(used)
                process.send_signal(signal.SIGTERM)
                told = look()
            await process.wait()

            async def nobody():
                return await backends(database) == 0

            await until(nobody)
            return failures, told.result()

    failures, told = on(driver, scene)
    if drain:
        assert (failures, told) == ([], 503)
    else:  # who is told nothing sends on, to nobody
        assert failures and told is None


def upgrade(url, cwd=TEMPLATE):
    return python(url, "-m", "alembic", "upgrade", "head", cwd=cwd,
                  LOCK_TIMEOUT="30000")


async def waiting_for(database, number, event):
    async def they_wait():
        return number == await backends(database, f"wait_event = '{event}'")

    await until(they_wait)


def test_two_starters_do_not_race():
    async def scene(database, url):
        async with database.connected(database.psycopg) as run:
            await run("BEGIN")
            await run("SELECT pg_advisory_xact_lock(hashtext('shop'))")
            two = [asyncio.create_task(upgrade(url)) for _ in range(2)]
            await waiting_for(database, 2, "advisory")
            await run("COMMIT")
        return [await one for one in two]

    for done in on("asyncpg", scene):
        assert done.returncode == 0, done.stderr[-2000:]


def test_two_starters_on_sqlite():
    async def scene(_database, url):
        return await asyncio.gather(upgrade(url), upgrade(url))

    for done in on("aiosqlite", scene):
        assert done.returncode == 0, done.stderr[-2000:]


COPIED = """
from alembic import op
revision, down_revision = "0002", "0001"

def upgrade():
    with op.batch_alter_table("artist", recreate="always"):
        pass
"""


def test_a_table_that_is_copied_deletes_nothing(tmp_path):
    """SQLite alters by copying; what refers to the old one has to stay."""
    copy = shutil.copytree(TEMPLATE, tmp_path / "copy")

    async def scene(_database, url):
        first = await upgrade(url, copy)
        assert first.returncode == 0, first.stderr[-2000:]
        with sqlite3.connect(url.database) as run:
            run.execute("INSERT INTO artist (id, name) VALUES (1, 'x')")
            run.execute("INSERT INTO album (title, stock, artist_id) "
                        "VALUES ('y', 1, 1)")
        (copy / "migrations/versions/0002_copied.py").write_text(COPIED)
        second = await upgrade(url, copy)
        assert second.returncode == 0, second.stderr[-2000:]
        return run.execute("SELECT count(*) FROM album").fetchone()

    assert on("aiosqlite", scene) == (1,)


# What six popular services lack, and what stood wrong here: each is missed.
WITHOUT = {
    "raise": ("shop/models.py", 'back_populates="albums", lazy="raise"',
              'back_populates="albums"'),
    "retry": ("shop/database.py", '{"40001", "40P01"}', "set()"),
    "limits": ("shop/database.py",
               '{"55P03", "57014", "53300", "57P03", "SQLITE_BUSY"}', "set()"),
    "lock": ("shop/database.py",
             '"lock_timeout": str(settings.lock_timeout),', ""),
    "statement": ("shop/database.py",
                  '"statement_timeout": str(settings.statement_timeout),', ""),
    "joined": ("tests/conftest.py",
               'join_transaction_mode="create_savepoint",', ""),
    "commit": ("shop/database.py", "await session.commit()", "pass"),
    "unknown": ("shop/database.py", " and not committing", ""),
    "ended": ("shop/database.py", '{"08003", "57P01"}', "set()"),
    "bare": ("shop/database.py", "except asyncpg.InterfaceError:",
             "except ZeroDivisionError:"),
    "open": ("shop/database.py", "connection.connection.rollback()", "pass"),
    "ready": ("shop/operations.py", "if request.app.state.draining", "if 0"),
    "alive": ("shop/operations.py", "async def alive():",
              "async def alive(request: Request):\n"
              "    await request.app.state.probe.connect()"),
    "waiting": ("shop/operations.py", "connection_pending", "connection"),
    "migration": ("shop/models.py", "title: Mapped[str]",
                  "title: Mapped[str | None]"),
}


# Limits of a server; who conflicts, or loses a connection: at the commit, or
# while it connects.
NOT_ON_SQLITE = {"lock", "statement", "retry", "unknown", "ended", "bare"}


@pytest.mark.parametrize("what", WITHOUT)
def test_its_tests_miss_what_is_taken_away(what, tmp_path):
    copy = shutil.copytree(TEMPLATE, tmp_path / "copy")
    name, there, instead = WITHOUT[what]
    source = (copy / name).read_text()
    assert source.count(there) == 1
    (copy / name).write_text(source.replace(there, instead))
    driver = "asyncpg" if what in NOT_ON_SQLITE else "aiosqlite"
    done = on(driver, lambda _database, url: python(
        url, "-m", "pytest", "-q", "-x", *PLAIN, "--basetemp",
        tmp_path / "own", cwd=copy))
    assert done.returncode == 1, done.stdout[-2000:]
