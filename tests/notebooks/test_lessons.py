"""Each lesson runs on a server that a class shares, and leaves nothing.

(On servers of their own they run under strict nbval, beside these tests.)
"""

import nbformat
import pytest
from conftest import processes
from machine import wait

from labsupport.authoring import notebooks as authoring

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


def left_in_kernel(path, notebook):
    """What a notebook leaves in its kernel, as the cell LEFT prints it."""
    notebook.cells.append(nbformat.v4.new_code_cell(LEFT))
    authoring.execute(path, notebook)
    return notebook.cells[-1].outputs[0].text.strip()


@pytest.mark.parametrize("path", authoring.lessons(),
                         ids=lambda path: path.stem)
def test_a_lesson(path, shared, monkeypatch, tmp_path):
    """After its last cell no task and no thread; then no process, no file.

    The role may create databases and no more; none is left.
    """
    _, _, run = shared
    run("ALTER ROLE anna SET log_statement TO 'ddl'")
    before = set(path.parent.iterdir())
    monkeypatch.setenv("LAB_TEST_MARK", str(tmp_path))
    assert left_in_kernel(path, authoring.read(path)) == "[] []"
    mark = f"LAB_TEST_MARK={tmp_path}".encode()
    wait(lambda: processes(mark) == [], "a process is left")
    assert set(path.parent.iterdir()) <= before | {
        path.parent / ".ipynb_checkpoints"}
    assert run(r"SELECT FROM pg_database WHERE datname LIKE 'lab\_%'") == []
    log = run("SELECT pg_read_file(current_setting('data_directory') || "
              "'/../server.log') AS log")[0]["log"]
    assert 'CREATE DATABASE "lab_' in log  # it was this server


def test_a_task_that_is_left_is_noticed(mini):
    path = mini("import asyncio\nt = asyncio.create_task(asyncio.sleep(99))",
                run=False)
    assert left_in_kernel(path, authoring.read(path)) == "['sleep'] []"


def test_a_thread_that_is_left_is_noticed(mini):
    path = mini("import aiosqlite\nc = await aiosqlite.connect(':memory:')",
                run=False)
    assert "worker" in left_in_kernel(path, authoring.read(path))
