"""The application: ``uvicorn shop.app:app``."""

from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from .database import make_engine
from .drain import drain
from .operations import BUSY, measure, operations
from .routes import routes
from .settings import Settings


def make_app(settings=None):
    """A FastAPI application for Settings (by default, the environment's)."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app):
        engine = make_engine(settings)
        app.state.maker = async_sessionmaker(engine, expire_on_commit=False)
        # A connection of its own: a full server or pool takes no pod out.
        app.state.probe = create_async_engine(
            settings.database_url, pool_size=1, max_overflow=0,
            pool_pre_ping=True)
        measure(app.state, engine.pool)
        with drain(app.state, settings.drain / 1000):
            yield
        await app.state.probe.dispose()
        await engine.dispose()

    app = FastAPI(title="The record shop", lifespan=lifespan,
                  exception_handlers=BUSY)
    app.include_router(routes)
    app.include_router(operations)
    return app


app = make_app()
