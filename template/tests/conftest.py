"""One engine a run; a transaction a test, which is rolled back."""

import pytest
import pytest_asyncio
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from shop.app import make_app
from shop.database import make_engine
from shop.settings import Settings
from sqlalchemy.ext.asyncio import async_sessionmaker


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """Those of the environment; on SQLite in a file of its own."""
    settings = Settings()
    if settings.database_url.startswith("sqlite"):
        path = tmp_path_factory.mktemp("shop") / "shop.db"
        settings = Settings(database_url=f"sqlite+aiosqlite:///{path}")
    return settings


@pytest_asyncio.fixture(scope="session")
async def application(settings):
    """The application, started; its tables are there."""
    app = make_app(settings)
    async with LifespanManager(app):
        yield app


@pytest_asyncio.fixture(scope="session")
async def engine(settings, application):
    engine = make_engine(settings)
    yield engine
    await engine.dispose()


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
