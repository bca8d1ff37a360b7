"""Serve an application in a process of its own, which can get signals.

The process ends with the block, with an interrupt, and with a kernel that is
killed. Its job comes through a pipe, where no other user can read a password.
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
from contextlib import asynccontextmanager
from types import ModuleType

from ..notebook.sources import program
from .serving import QUIET, Site


@asynccontextmanager
async def serve_alone(make_app, url, *, grace=None):
    """Serve ``make_app(url)``, a function of your notebook, in a process.

    Yields its Site and the asyncio.subprocess.Process: ``terminate()`` sends
    SIGTERM, ``await wait()`` gives the exit code. ``grace`` (s) is uvicorn's
    ``timeout_graceful_shutdown``. Raises RuntimeError with the last line of
    the process if it does not start, and TypeError for a function that
    cannot leave the kernel.
    """
    job = {"source": program(make_app), "name": make_app.__name__,
           "url": url.render_as_string(False), "grace": grace}
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=log,
            env={**os.environ,
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Jupyter's interrupt goes to the kernel's process group.
            start_new_session=True)
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            port = await process.stdout.readline()
            if not port:
                raise RuntimeError(await _last_words(process, log))
            async with Site(int(port)) as site:
                yield site, process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            process.stdin.close()


async def _last_words(process, log):
    await process.wait()
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return f"The application ended: {(lines or ['it left no word'])[-1]}"


def _main():
    import uvicorn
    from sqlalchemy import make_url

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                print(port, flush=True)

    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_kernel, daemon=True).start()
    # Litestar looks the module of a handler up.
    here = sys.modules["program"] = ModuleType("program")
    exec(compile(job["source"], "<program>", "exec"), vars(here))
    app = getattr(here, job["name"])(make_url(job["url"]))
    Server(uvicorn.Config(app, port=0, timeout_graceful_shutdown=job["grace"],
                          **QUIET)).run()


def _end_with_kernel():
    """End this process at once when the kernel closes the pipe, or dies."""
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    _main()
