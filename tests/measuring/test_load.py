"""The load process: what it measures, and that nothing of it is left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from itertools import accumulate

import asyncpg
import pytest
from conftest import ROOT, need, processes
from machine import wait
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres, sqlite
from labsupport.measuring import load, load_process
from labsupport.measuring.load import Candidate, OpenLoop, open_loop
from labsupport.measuring.process import LoadError
from labsupport.notebook import sources
from labsupport.schema import Artist

NOWHERE = "sqlite+aiosqlite://"
LIMIT = 3


async def idle(url):
    async def operation():
        await asyncio.sleep(.01)

    yield operation


async def endless(url):
    async def operation():
        await asyncio.sleep(3600)

    yield operation


def on(database, work):
    """What ``work(db)`` returns, on a fresh database."""
    async def go():
        db = await database()
        try:
            return await work(db)
        finally:
            await db.drop()

    return asyncio.run(go())


# sources

def helper(number):
    return select(Artist).limit(number)


def candidate_with_much(renamed):
    inner = {"a": [1, None]}

    async def much(url, limit=LIMIT):
        print(inner, renamed(limit), func.now(), asyncpg.__name__, url)
        yield text

    return much


def test_a_candidate_brings_what_it_uses(monkeypatch):
    monkeypatch.setattr(helper, "__module__", "__main__")  # as in a cell
    source = sources.program(candidate_with_much(helper))
    assert "LIMIT = 3" in source and "inner = {'a': [1, None]}" in source
    assert "from labsupport.schema import Artist as Artist" in source
    assert "import asyncpg as asyncpg" in source
    names = {}
    exec(source, names)
    assert names["much"].__defaults__ == (LIMIT,)
    assert "LIMIT" in str(names["renamed"](LIMIT))
    assert names["func"] is func and names["Artist"] is Artist


def test_what_cannot_leave_is_named():
    engine = create_async_engine(NOWHERE)

    async def uses_it(url):
        yield engine.connect

    with pytest.raises(TypeError, match="uses_it uses 'engine', a AsyncEng"):
        sources.program(uses_it)


def test_a_local_name_is_no_name_from_outside():
    async def fine(url):
        text = "mine"
        yield text

    assert "sqlalchemy" not in sources.program(fine)


def test_a_function_without_source_is_named():
    names = {}
    exec("async def ghost(url): yield None", names)
    with pytest.raises(TypeError, match="source of ghost is not known"):
        sources.program(names["ghost"])


def test_a_candidate_has_to_yield():
    async def forgot(url):
        return None

    with pytest.raises(TypeError, match="it: a candidate is an async gen"):
        Candidate(forgot, NOWHERE).job("it")


# the loops

def test_open_loop_counts_from_the_intended_start():
    async def stalls(url):
        calls = 0

        async def operation():
            nonlocal calls
            calls += 1
            await asyncio.sleep(.4 if calls == 5 else .001)

        yield operation

    run = asyncio.run(open_loop(stalls, NOWHERE, rate=100, seconds=1,
                                users=1, poisson=False))
    assert len(run.times) == 99 and not run.failures
    # One stall; the user waits for it in all the operations behind it.
    assert run.actual.p95 < .1 < .2 < run.intended.p95
    assert repr(run).startswith("99 operations came due, 0 failed")
    assert "data:image/svg" in run._repr_html_()


def at_once(run):
    """How many operations of an OpenLoop were under way at once, at most."""
    steps = sorted(step for _, started, ended in run.times
                   for step in ((started, 1), (ended, -1)))
    return max(accumulate(step for _, step in steps))


@pytest.mark.parametrize("users", [None, 2])
def test_without_a_limit_none_waits_for_another(users):
    async def longer_than_the_run(url):
        async def operation():
            await asyncio.sleep(.6)

        yield operation

    run = asyncio.run(open_loop(longer_than_the_run, NOWHERE, rate=20,
                                seconds=.5, seed=3, users=users))
    assert run.times == sorted(run.times)
    # One of them at least was in time: a busy machine delays not all.
    assert 0 <= min(started - due for due, started, _ in run.times) < .02
    assert len(run.times) > 4
    assert at_once(run) == (users or len(run.times))


def test_the_schedule_is_the_seed_s():
    def dues(seed):
        run = asyncio.run(open_loop(idle, NOWHERE, rate=50, seconds=.5,
                                    seed=seed))
        return sorted(due for due, *_ in run.times)

    assert dues(3) == dues(3) != dues(4)


BOUNDED = """
import asyncio, resource, sys
from labsupport.measuring import load
from labsupport.measuring.load import open_loop

async def slow(url):
    async def operation():
        await asyncio.sleep(1)
    yield operation

BYTES = 1200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
for given in (dict(rate=-5), dict(rate=0), dict(rate=float("nan")),
              dict(rate=float("inf")), dict(rate=10**9), dict(rate="9"),
              dict(rate=5000), dict(seconds=-1), dict(seconds=float("inf")),
              dict(seconds=10**9, rate=1e-9), dict(users=-1), dict(users=0),
              dict(users=1.5), dict(users=10**9)):
    try:
        asyncio.run(open_loop(slow, "sqlite://",
                              **{"rate": 9, "seconds": 60, **given}))
    except ValueError as error:
        print(error)
print(len(asyncio.run(open_loop(slow, "sqlite://", rate=load.MOST, seconds=1,
                                poisson=False)).times))
"""


def test_what_is_no_rate_is_refused_and_no_run_fills_the_memory(tmp_path):
    """The most that is let through holds all its operations at once."""
    script = tmp_path / "script.py"  # a candidate's source has to be a file
    script.write_text(BOUNDED)
    done = subprocess.run([sys.executable, script], capture_output=True,
                          text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    *refused, held = done.stdout.splitlines()
    assert refused[:6] == [
        f"rate is {given}: take a number above 0 and not above 100000."
        for given in ("-5", "0", "nan", "inf", "1000000000", "'9'")]
    assert refused[6].startswith("rate × seconds is 300000: take a number")
    assert [line.split(":")[0] for line in refused[7:]] == [
        "seconds is -1", "seconds is inf", "seconds is 1000000000",
        "users is -1", "users is 0", "users is 1.5", "users is 1000000000"]
    assert load.MOST - 2 <= int(held) <= load.MOST


def test_a_run_in_which_nothing_comes_due():
    with pytest.raises(ValueError, match="Nothing came due in 1 s at a rate"):
        asyncio.run(open_loop(idle, NOWHERE, rate=.1, seconds=1,
                              poisson=False))


def test_an_operation_that_cancels_itself_gives_its_place_back():
    async def gives_up(url):
        import asyncio

        begun = []

        async def operation():
            begun.append(1)
            if len(begun) > 1:  # not the first, which only warms up
                raise asyncio.CancelledError

        yield operation

    run = asyncio.run(open_loop(gives_up, NOWHERE, rate=100, seconds=.095,
                                users=1, poisson=False))
    assert dict(run.failures) == {"CancelledError": 9}


def test_a_short_comparison_has_its_rounds_all_the_same():
    job = Candidate(idle, NOWHERE).job("idle")
    rows = asyncio.run(load.in_process(
        {"loop": "closed", "candidates": [job], "users": 1, "seconds": .001},
        "x"))
    assert len(rows) == load_process.LEAST > 6


def test_failures_are_counted():
    async def fails_later(url):
        calls = []

        async def operation():
            calls.append(1)
            if len(calls) % 2 == 0:
                raise TimeoutError("pool")

        yield operation

    run = asyncio.run(open_loop(fails_later, NOWHERE, rate=100, seconds=.2,
                                poisson=False))
    assert dict(run.failures) == {"TimeoutError": 10}


def test_quantiles_by_hand():
    run = OpenLoop([(0, 1, 1 + number, None) for number in range(1, 101)], .5)
    assert (run.actual.p50, run.actual.p95, run.actual.p99) == (50, 95, 99)
    assert run.intended.p50 == 51


def test_closed_loop_counts_cpu_and_wall_apart():
    async def waits():
        await asyncio.sleep(.01)

    async def computes():
        end = time.process_time() + .01
        while time.process_time() < end:
            pass
        await asyncio.sleep(0)

    cpu, wall = asyncio.run(load_process.closed_loop(waits, 4, .1))
    assert cpu < .004 and .0025 <= wall
    cpu, wall = asyncio.run(load_process.closed_loop(computes, 4, .1))
    assert .009 < cpu < .015 and wall > .009


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_password_with_marks_arrives(driver):
    from labsupport.servers import ServerError

    async def version(url):
        engine = create_async_engine(url)

        async def operation():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

        yield operation
        await engine.dispose()

    async def go(db):
        return await open_loop(version, getattr(db, driver), rate=20,
                               seconds=.3)

    try:
        run = on(postgres, go)
    except ServerError as error:
        need(False, str(error))
    assert not run.failures


# failures

def test_a_failure_arrives_with_its_message():
    async def broken(url):
        engine = create_async_engine(url)

        async def operation():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT * FROM nobody"))

        yield operation

    with pytest.raises(LoadError) as caught:
        on(sqlite, lambda db: open_loop(broken, db.aiosqlite, rate=9,
                                        seconds=1))
    message = str(caught.value)
    assert message.startswith("broken: OperationalError: ")
    assert "no such table: nobody" in message
    assert 'your line: await connection.execute(text("SELECT *' in message
    assert "Background" not in message


def test_an_event_loop_that_is_not_there():
    job = Candidate(idle, NOWHERE, "no_such_loop").job("idle")
    with pytest.raises(LoadError, match="no_such_loop"):
        asyncio.run(load.in_process(
            {"loop": "closed", "candidates": [job], "users": 1,
             "seconds": 1}, "x"))


def test_a_process_that_dies_is_told(monkeypatch):
    async def dies(url):
        import os

        os.write(2, b"the last word\n")
        os._exit(3)
        yield

    with pytest.raises(LoadError, match="ended: the last word"):
        asyncio.run(open_loop(dies, NOWHERE, rate=9, seconds=1))


def test_what_a_candidate_prints_does_no_harm():
    async def prints(url):
        async def operation():
            print('{"found": 1}')

        yield operation

    run = asyncio.run(open_loop(prints, NOWHERE, rate=50, seconds=.1))
    assert not run.failures


# nothing is left

@pytest.fixture(autouse=True)
def mark(monkeypatch, tmp_path):
    """What tells the processes of this test from those of another."""
    monkeypatch.setenv("LAB_TEST_MARK", str(tmp_path))


def load_processes():
    return [line for line in processes(
        f"LAB_TEST_MARK={os.environ['LAB_TEST_MARK']}".encode())
        if "labsupport.measuring.load_process" in line]


def test_an_interrupt_ends_it_at_once():
    async def go():
        task = asyncio.create_task(
            open_loop(endless, NOWHERE, rate=9, seconds=1))
        while not load_processes():
            await asyncio.sleep(.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not load_processes()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        again = await open_loop(idle, NOWHERE, rate=20, seconds=.2)
        assert not again.failures

    asyncio.run(go())


def test_the_password_is_on_no_command_line():
    async def go():
        task = asyncio.create_task(open_loop(
            endless, "postgresql+asyncpg://u:geheim@h/d", rate=9, seconds=1))
        while not load_processes():
            await asyncio.sleep(.02)
        (line,) = load_processes()
        environ = open(f"/proc/{line.split()[0]}/environ", "rb").read()
        assert "geheim" not in line and b"geheim" not in environ
        task.cancel()

    asyncio.run(go())


def test_sigkill_of_the_kernel_takes_it_along(tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(
        "import asyncio\n"
        "from labsupport import open_loop\n"
        "async def endless(url):\n"
        "    async def operation():\n"
        "        await asyncio.sleep(3600)\n"
        "    yield operation\n"
        "asyncio.run(open_loop(endless, 'sqlite://', rate=9, seconds=1))\n")
    kernel = subprocess.Popen([sys.executable, script],
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait(load_processes, "no load process")
    kernel.send_signal(signal.SIGKILL)
    kernel.wait()
    wait(lambda: not load_processes(), "a load process is left")


def test_jupyter_s_interrupt_ends_it_and_the_cell_runs_again(tmp_path):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        client.execute_interactive(
            "import asyncio\nfrom labsupport import open_loop\n"
            "from labsupport.notebook import progress\n"
            "progress.PATIENCE = 0  # its timer would wake the loop\n"
            "async def nap(url):\n"
            "    async def operation():\n"
            "        await asyncio.sleep(NAP)\n"
            "    yield operation\n", timeout=60)
        cell = ("run = await open_loop(nap, 'sqlite://', rate=20, "
                "seconds=.2)\nprint(run)")
        # An error would have the kernel refuse what comes right after.
        message = client.execute("NAP = 3600\n" + cell,
                                 stop_on_error=False)
        wait(load_processes, "no load process")
        while client.get_iopub_msg(timeout=30)["msg_type"] != "display_data":
            pass  # the progress: now the cell only waits
        manager.interrupt_kernel()
        while (reply := client.get_shell_msg(timeout=30))[
                "parent_header"]["msg_id"] != message:
            pass
        assert reply["content"]["ename"] in ("CancelledError",
                                             "KeyboardInterrupt")
        assert not load_processes()
        said = []
        reply = client.execute_interactive(
            "NAP = .001\n" + cell, timeout=60, output_hook=lambda message:
            said.append(json.dumps(message["content"])))
        assert reply["content"]["status"] == "ok", said
        assert any("0 failed" in one for one in said)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
