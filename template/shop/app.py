"""The application: ``uvicorn shop.app:app``."""

from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

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
        app.state.probe = create_async_engine(
            settings.database_url, poolclass=NullPool)
        measure(app.state, engine.pool)
        with drain(app.state, settings.drain / 1000):
            yield
        await engine.dispose()

    app = FastAPI(title="The record shop", lifespan=lifespan,
                  exception_handlers=BUSY)
    app.include_router(routes)
    app.include_router(operations)
    return app


app = make_app()
