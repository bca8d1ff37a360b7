"""The service to take home: its own tests, and bad days under load."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from conftest import ROOT

from labsupport.databases import postgres, sqlite
from labsupport.faults import terminate_backends
from labsupport.servers.starting import free_port

TEMPLATE = ROOT / "template"
ALBUM = {"title": "Low Tide", "artist": "The Harbour Five", "stock": 10_000}


def environment(url, **settings):
    paths = [str(TEMPLATE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths),
            "DATABASE_URL": url.render_as_string(hide_password=False),
            **settings}


def on(make, scene):
    async def go():
        database = await make()
        url = database.asyncpg if make is postgres else database.aiosqlite
        try:
            return await scene(database, url)
        finally:
            await database.drop(force=True)

    return asyncio.run(go())


@pytest.mark.parametrize("make", [postgres, sqlite])
def test_its_own_tests(make, tmp_path):
    async def scene(_database, url):
        return await asyncio.to_thread(
            subprocess.run, [
                sys.executable, "-m", "pytest", "-q", "-p",
                "no:cacheprovider", "--basetemp", str(tmp_path / "own")],
            cwd=TEMPLATE, env=environment(url), capture_output=True,
            text=True, timeout=120)

    done = on(make, scene)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout


@asynccontextmanager
async def served(url, log, **settings):
    """The service in a process of its own: a client of it, the process."""
    port = free_port()
    with open(log, "w") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uvicorn", "shop.app:app", "--port",
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


async def connections(database):
    async with database.administered() as run:
        (found,), = await run(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1",
            database.asyncpg.database)
    return found


async def until(condition, seconds=30):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(.05)


@pytest.mark.parametrize("make", [postgres, sqlite])
def test_fifty_at_once_sell_each_album_once(make, tmp_path):
    async def scene(_database, url):
        async with served(url, tmp_path / "log") as (client, _process):
            number = (await client.post("/albums", json=ALBUM)).json()["id"]
            answers = await at_once(
                [lambda: client.post(f"/albums/{number}/sell")] * 500, 50)
            (album,) = (await client.get("/albums")).json()
            return answers, album

    answers, album = on(make, scene)
    assert {answer.status_code for answer in answers} == {200}
    left = sorted(answer.json()["left"] for answer in answers)
    assert left == [*range(9_500, 10_000)] and album["stock"] == 9_500


def test_connections_that_are_cut_fail_no_reader(tmp_path):
    """2,000 requests, and all connections are cut again and again."""
    async def scene(database, url):
        async with served(url, tmp_path / "log") as (client, _process):
            await client.post("/albums", json=ALBUM)
            cut, done = 0, asyncio.Event()

            async def cutting():
                nonlocal cut
                while not done.is_set():
                    cut += await terminate_backends(database)
                    await asyncio.wait([asyncio.ensure_future(done.wait())],
                                       timeout=1)

            task = asyncio.create_task(cutting())
            answers = await at_once(
                [lambda: client.get("/albums")] * 2_000, 50)
            done.set()
            await task
            text = (await client.get("/metrics")).text
            return (cut, answers, text, await connections(database))

    cut, answers, text, open_ = on(postgres, scene)
    assert cut > 10
    assert {answer.status_code for answer in answers} == {200}
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
            async with database.administered() as look:
                (waiting,), = await look(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE wait_event_type = 'Lock'")
            return waiting == number

        await until(all_wait)
        yield sales
        await run("COMMIT")
    await asyncio.wait(sales)


def test_a_shutdown_answers_what_has_begun(tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", LOCK_TIMEOUT="30000",
                          STATEMENT_TIMEOUT="60000") as (client, process):
            async with sales_that_wait(database, client, 5) as sales:
                process.send_signal(signal.SIGTERM)
            code = await process.wait()

            async def nobody():
                return await connections(database) == 0

            await until(nobody)
            return [sale.result() for sale in sales], code

    answers, code = on(postgres, scene)
    assert {answer.status_code for answer in answers} == {200}
    assert code in (0, -signal.SIGTERM)


def test_a_full_pool_says_so_and_stays_ready(tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", LOCK_TIMEOUT="30000",
                          STATEMENT_TIMEOUT="60000", POOL_SIZE="1",
                          POOL_TIMEOUT="300") as (client, _process):
            async with sales_that_wait(database, client, 1) as (first,):
                busy = await client.get("/albums")
                ready = await client.get("/ready")
            return busy, ready, first.result()

    busy, ready, first = on(postgres, scene)
    assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
    assert ready.status_code == first.status_code == 200


def test_a_lock_that_lasts_is_no_error_of_ours(tmp_path):
    async def scene(database, url):
        async with served(url, tmp_path / "log", LOCK_TIMEOUT="300") as (
                client, _process):
            async with sales_that_wait(database, client, 1) as (sale,):
                return await sale

    answer = on(postgres, scene)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
