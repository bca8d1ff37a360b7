"""Serve an application in a process of its own, which can get signals."""

from contextlib import asynccontextmanager

from ..notebook.child_process import ChildProcess, take_job
from ..notebook.programs import call_of, taken
from .serving import QUIET, Site


@asynccontextmanager
async def serve_alone(make_app, url, *, grace=None):
    """Serve ``make_app(url)``, a function of your notebook, in a process.

    Yields its Site and the ChildProcess: ``terminate()`` sends SIGTERM,
    ``await wait()`` gives the exit code. ``grace`` (s) is uvicorn's
    ``timeout_graceful_shutdown``. Raises RuntimeError with the last line of
    the process if it does not start, and TypeError for a function that
    cannot leave the kernel.
    """
    with ChildProcess(__name__, {"app": call_of(make_app, url),
                                 "grace": grace}) as process:
        started = await process.heard()
        if not started:
            raise RuntimeError(f"The application ended: {process.last_words}")
        async with Site(started["port"]) as site:
            yield site, process


def _main():
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            if self.started:
                tell(port=self.servers[0].sockets[0].getsockname()[1])

    job, tell = take_job()
    Server(uvicorn.Config(
        taken(job["app"])(), port=0, timeout_graceful_shutdown=job["grace"],
        **QUIET)).run()


if __name__ == "__main__":
    _main()
