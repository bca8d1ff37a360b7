"""One engine a run; a transaction a test, which is rolled back."""

from pathlib import Path

import pytest
import pytest_asyncio
from alembic import command
from alembic.config import Config
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from shop.app import make_app
from shop.database import make_engine
from shop.models import Artist
from shop.settings import Settings
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import async_sessionmaker


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """Those of the environment; on SQLite in a file of its own."""
    settings = Settings()
    if settings.database_url.startswith("sqlite"):
        path = tmp_path_factory.mktemp("shop") / "shop.db"
        settings = Settings(database_url=f"sqlite+aiosqlite:///{path}")
    return settings


@pytest.fixture(scope="session")
def migrated(settings):
    """Alembic's configuration; its migrations have made the tables."""
    config = Config(toml_file=Path(__file__).parents[1] / "pyproject.toml")
    config.attributes["settings"] = settings
    command.upgrade(config, "head")
    return config


@pytest_asyncio.fixture(scope="session")
async def application(settings, migrated):
    """The application, started."""
    app = make_app(settings)
    async with LifespanManager(app):
        yield app


@pytest_asyncio.fixture(scope="session")
async def engine(settings, application):
    engine = make_engine(settings)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def stored(engine):
    """A sessionmaker for tests of the commit itself: its commits are real.

    What they have stored is deleted at the end.
    """
    maker = async_sessionmaker(engine)
    yield maker
    async with maker.begin() as session:
        await session.execute(delete(Artist))  # and, with it, its albums


@pytest_asyncio.fixture
async def client(application, engine):
    """A client whose requests share the transaction of the test."""
    async with engine.connect() as connection:
        transaction = await connection.begin()
        before = application.state.maker
        application.state.maker = async_sessionmaker(
            connection, join_transaction_mode="create_savepoint",
            expire_on_commit=False)
        async with AsyncClient(transport=ASGITransport(application),
                               base_url="http://test") as client:
            yield client
        application.state.maker = before
        await transaction.rollback()
