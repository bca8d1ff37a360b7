"""What the platform asks: probes, metrics; and errors as answers."""

import asyncio

import asyncpg
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.exposition import (
    CONTENT_TYPE_LATEST,
    generate_latest,
)
from sqlalchemy import exc

from .database import limited

PATIENCE = 2  # seconds of a probe
operations = APIRouter()


@operations.get("/alive")
async def alive():
    """The event loop answers. Started is the same: it listens after that."""
    return "alive"


@operations.get("/ready")
async def ready(request: Request):
    """The database answers, asked past the pool: a busy pod stays in.

    One that is told to end does not: send it nothing new.
    """
    if request.app.state.draining:
        return PlainTextResponse("draining", 503)
    try:
        async with asyncio.timeout(PATIENCE):
            async with request.app.state.probe.connect():
                return "ready"
    except Exception as error:  # whatever it is, there is no database
        return PlainTextResponse(type(error).__name__, 503)


@operations.get("/metrics")
async def metrics(request: Request):
    return PlainTextResponse(generate_latest(request.app.state.registry),
                             media_type=CONTENT_TYPE_LATEST)


def measure(state, pool):
    """Put ``registry`` and ``waiting`` into an application's state."""
    state.registry = CollectorRegistry()
    state.waiting = Gauge(
        "db_client_connection_pending_requests",
        "requests that wait for a connection", registry=state.registry)
    used = Gauge("db_client_connection_count", "open connections, by state",
                 ["state"], registry=state.registry)
    used.labels("used").set_function(pool.checkedout)
    used.labels("idle").set_function(pool.checkedin)


async def busy(_request, error):
    """The pool is full: come again, do not despair."""
    return PlainTextResponse("busy", 503, {"Retry-After": "1"})


async def busy_server(request, error):
    """A limit of the server is ``busy`` as well; a wrong statement is not."""
    if not limited(error):
        raise error
    return await busy(request, error)


BUSY = {exc.TimeoutError: busy, exc.DBAPIError: busy_server,
        ConnectionError: busy,
        # SQLAlchemy 2.0 lets these through as they are.
        asyncpg.TooManyConnectionsError: busy,
        asyncpg.CannotConnectNowError: busy}
