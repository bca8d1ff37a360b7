"""A process that ends with its kernel."""

import asyncio
import os
import signal
import subprocess
import sys

from conftest import ROOT, processes
from machine import wait
from sqlalchemy import make_url

from labsupport.notebook.programs import run_alone
from labsupport.web import serve_alone

URL = make_url("sqlite://")


def prints(url):
    print("a line\n" * 100_000)  # more than a pipe holds


async def answers(scope, receive, send):
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def prints_first(url):
    print("not a port")
    return answers


def test_what_it_prints_is_no_news():
    async def served():
        async with serve_alone(prints_first, URL) as (site, _):
            return (await site.get("/")).status_code

    assert run_alone(prints, URL) == ([], None)
    assert asyncio.run(served()) == 204


def stays(url):
    import threading

    threading.Thread(target=threading.Event().wait).start()


def test_a_killed_kernel_takes_a_program_along(tmp_path):
    def programs():
        return [line for line in processes(mark)
                if "labsupport.notebook.programs" in line]

    mark = f"LAB_TEST_MARK={tmp_path}".encode()
    kernel = subprocess.Popen(
        [sys.executable, "-c", "import test_child_process as it; "
         "it.run_alone(it.stays, it.URL)"],
        cwd=os.path.dirname(__file__), env={
            **os.environ, "LAB_TEST_MARK": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])})
    wait(programs, "no program")
    kernel.send_signal(signal.SIGKILL)
    kernel.wait()
    wait(lambda: not programs(), "a program is left")
