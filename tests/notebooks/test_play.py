"""Run All, then play: each lesson in one kernel, on a server that is shared.

This is their run on SQLAlchemy 2.0: claims are asserted there as here, and
outputs are not compared, for they differ openly. (In one go, on 2.1 and on
servers of their own, they run under strict nbval beside this.)
"""

import time

import nbformat
import pytest
from conftest import processes
from machine import wait
from nbclient.exceptions import CellExecutionError
from test_sqlalchemy_20 import SAY, environment, there  # noqa: F401

from labsupport.authoring import notebooks as authoring
from labsupport.authoring.notebooks import role

SLOW = 0.3  # s: what takes longer is not run a third time
LEFT = """
import asyncio, gc, threading
def foreign(task):
    return not task.get_coro().cr_code.co_filename.endswith(
        ("kernelbase.py", "zmqshell.py", "utils.py", "interactiveshell.py",
         "iostream.py", "subshell_manager.py", "ipkernel.py", "queues.py"))
print([task.get_coro().__qualname__ for task in asyncio.all_tasks()
       if foreign(task)],
      [t.name for t in threading.enumerate() if "worker" in t.name.lower()])
"""


def run(client, indices, twice=True):
    """Run cells of a client's notebook; each twice in a row, if it is quick.

    Raises nbclient's CellExecutionError at the first that fails.
    """
    for index in indices:
        began = time.monotonic()
        client.execute_cell(client.nb.cells[index], index)
        if twice and time.monotonic() - began < SLOW:
            client.execute_cell(client.nb.cells[index], index)


def told(client, source):
    """What ``source`` prints (str) in the kernel of a client."""
    cells = client.nb.cells
    cells.append(nbformat.v4.new_code_cell(source))
    run(client, [len(cells) - 1], twice=False)
    return cells.pop().outputs[0].text.strip()


def left(client):
    """The tasks and threads (str) that are there and not the kernel's own."""
    return told(client, LEFT)


def play(client):
    """After Run All: section after section, then what stands above them."""
    roles = [role(cell) for cell in client.nb.cells]
    first = roles.index("section")
    run(client, range(first, len(roles)))
    assert left(client) == "[] []"
    run(client, range(first))


@pytest.mark.parametrize("path", authoring.course(),
                         ids=lambda path: path.stem)
def test_a_lesson(there, path, shared, monkeypatch, tmp_path, reachable):
    """After its last cell no task and no thread; any cell runs again; and
    when the kernel has gone there is no process, no file and no database.

    The role may create databases and no more.
    """
    _, _, sql = shared
    sql("ALTER ROLE anna SET log_statement TO 'ddl'")
    before = set(path.parent.iterdir())
    monkeypatch.setenv("LAB_TEST_MARK", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(reachable))
    client = authoring.client_of(path, authoring.read(path))
    with client.setup_kernel():
        run(client, range(len(client.nb.cells)), twice=False)
        assert left(client) == "[] []"
        assert told(client, SAY).startswith("2.0.")
        play(client)
    mark = f"LAB_TEST_MARK={tmp_path}".encode()
    wait(lambda: processes(mark) == [], "a process is left")
    assert list(reachable.iterdir()) == []
    assert set(path.parent.iterdir()) <= before | {
        path.parent / ".ipynb_checkpoints"}
    assert sql(r"SELECT FROM pg_database WHERE datname LIKE 'lab\_%'") == []
    log = sql("SELECT pg_read_file(current_setting('data_directory') || "
              "'/../server.log') AS log")[0]["log"]
    assert 'CREATE DATABASE "lab_' in log  # it was this server


@pytest.mark.parametrize("source, is_left", [
    ("import asyncio\nt = asyncio.create_task(asyncio.sleep(99))",
     "['sleep'] []"),
    ("import aiosqlite\nc = await aiosqlite.connect(':memory:')", "worker"),
])
def test_what_is_left_is_noticed(mini, source, is_left):
    path = mini(source, run=False)
    client = authoring.client_of(path, authoring.read(path))
    with client.setup_kernel():
        run(client, [0], twice=False)
        assert is_left in left(client)


@pytest.mark.parametrize("cells", [
    ("once = [1]", "once.pop()"),  # twice in a row
    ("first = 1", "first", "del first"),  # from the section on
])
def test_a_cell_that_runs_only_once_is_noticed(mini, cells):
    path = mini(*cells, tags=["section"], run=False)
    client = authoring.client_of(path, authoring.read(path))
    with client.setup_kernel():
        run(client, range(len(cells)), twice=False)
        with pytest.raises(CellExecutionError):
            play(client)
