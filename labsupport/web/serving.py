"""Serve an ASGI application on loopback, in the loop of this kernel."""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, nullcontext

import httpx
import uvicorn
from asgi_lifespan import LifespanManager

PATIENCE = 30  # seconds: for an answer, for the lifespan to begin and to end
QUIET = {"log_config": None, "log_level": logging.CRITICAL,
         "access_log": False}


class Site(httpx.AsyncClient):
    """An httpx.AsyncClient of the application: ``await site.get("/x")``.

    ``errors`` has the exceptions that the application let out (list), in
    their order. Who cancels a request closes its connection: a closed tab.
    """

    def __init__(self, port, errors=None):
        super().__init__(base_url=f"http://127.0.0.1:{port}",
                         timeout=PATIENCE, trust_env=False)
        self.errors = [] if errors is None else errors


class _Server(uvicorn.Server):
    """A uvicorn that leaves the kernel its signals."""

    def capture_signals(self):
        return nullcontext()


@asynccontextmanager
async def serve(app, *, grace=5):
    """Serve an ASGI ``app`` in one ``async with``, which yields its Site.

    The lifespan begins before the first request and ends after the last one.
    At the end of the block requests that are under way have ``grace``
    seconds (int), then they are cancelled. Raises what the lifespan raises.
    """
    errors = []

    async def recorded(scope, receive, send):
        try:
            await running.app(scope, receive, send)
        except Exception as error:
            errors.append(error)
            raise

    running = LifespanManager(app, PATIENCE, PATIENCE)
    async with running:
        listener = socket.create_server(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(
            recorded, lifespan="off", timeout_graceful_shutdown=grace,
            **QUIET))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with Site(listener.getsockname()[1], errors) as site:
            try:
                yield site
            finally:
                server.should_exit = True
                await serving
                await asyncio.gather(*server.server_state.tasks,
                                     return_exceptions=True)
