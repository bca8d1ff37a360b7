"""How long all tests take, and their floor: the same kernels, doing nothing.

A kernel of the floor starts, says what is installed, has a database on a
PostgreSQL of its own, and ends. As many run at a time as the tests have
workers. CPU is that of all processes but the servers, which are nobody's
children.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from labsupport.__main__ import TOOLS
from labsupport.authoring import notebooks as authoring

TESTS = TOOLS["test"]  # the words after the Python
WORKERS = int(TESTS[TESTS.index("-n") + 1])
SAMPLE = 6 * WORKERS  # kernels of the floor; the others are as slow
IDLE = """from labsupport import postgres, report
report()
db = await postgres()
await db.drop()"""


def cpu():
    """CPU time (s) of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def timed(work):
    """What ``work`` gives; time and CPU time (s) that it took."""
    began, used = time.monotonic(), cpu()
    result = await work
    return result, time.monotonic() - began, cpu() - used


async def suite(place):
    """Run all tests; their exit code, and how many kernels they started."""
    # IPython runs what is there whenever a kernel starts.
    startup = place / "profile_default" / "startup"
    startup.mkdir(parents=True)
    started = place / "started"
    started.mkdir()
    (startup / "count.py").write_text(
        f"__import__('tempfile').mkdtemp(dir={str(started)!r})\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *TESTS, cwd=authoring.ROOT,
        env={**os.environ, "IPYTHONDIR": str(place)})
    code = await process.wait()
    return code, len(list(started.iterdir()))


def idle_kernel():
    notebook = nbformat.v4.new_notebook(metadata=authoring.METADATA)
    notebook.cells = [nbformat.v4.new_code_cell(IDLE)]
    authoring.execute(authoring.NOTEBOOKS / "idle.ipynb", notebook)


async def floor():
    async def worker():
        for _ in range(SAMPLE // WORKERS):
            await asyncio.to_thread(idle_kernel)

    await asyncio.gather(*(worker() for _ in range(WORKERS)))


async def main():
    with tempfile.TemporaryDirectory() as place:
        (code, kernels), took, used = await timed(suite(Path(place)))
    _, least, least_used = await timed(floor())
    least, least_used = (one * kernels / SAMPLE
                         for one in (least, least_used))
    print(f"\n{'':<34}time    CPU")
    print(f"{'all tests':<30}{took:6.0f} s{used:5.0f} s")
    print(f"{f'floor: {kernels} kernels':<30}{least:6.0f} s"
          f"{least_used:5.0f} s")
    print(f"{'ratio':<30}{took / least:6.1f}{used / least_used:7.1f}")
    if code:
        print("Some tests failed: mend them before you compare times.")
