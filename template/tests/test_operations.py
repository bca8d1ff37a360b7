"""Probes, metrics, settings; and relationships that raise."""

import socket
from contextlib import contextmanager

import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from shop.app import make_app
from shop.models import Album, Artist
from shop.settings import Settings
from sqlalchemy import select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


async def test_alive_ready_and_measured(client):
    assert (await client.get("/alive")).json() == "alive"
    assert (await client.get("/ready")).json() == "ready"
    text = (await client.get("/metrics")).text
    assert "db_client_connection_pending_requests 0.0" in text
    assert 'db_client_connection_count{state="used"}' in text
    assert text.endswith("# EOF\n")


@contextmanager
def instead(state, name, value):
    """(monkeypatch does not put back what a Starlette State keeps.)"""
    before = getattr(state, name)
    setattr(state, name, value)
    try:
        yield
    finally:
        setattr(state, name, before)


async def test_not_ready_without_a_database(client, application):
    nowhere = create_async_engine(
        "postgresql+asyncpg://nobody@127.0.0.1:9/nowhere")
    with instead(application.state, "probe", nowhere):
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/alive")).status_code == 200
    assert (await client.get("/ready")).status_code == 200


async def test_who_ends_is_not_ready(client, application):
    with instead(application.state, "draining", True):
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/alive")).status_code == 200


@pytest.mark.parametrize("driver, silent", [
    ("asyncpg", False), ("psycopg", False),
    ("asyncpg", True)])  # psycopg waits two seconds at least
async def test_a_server_that_is_gone_is_a_503(driver, silent):
    pytest.importorskip(driver)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        if not silent:
            nobody.close()
        app = make_app(Settings(
            database_url=f"postgresql+{driver}://nobody@127.0.0.1:{port}/shop",
            statement_timeout=300))
        async with LifespanManager(app), AsyncClient(
                transport=ASGITransport(app), base_url="http://t") as client:
            answer = await client.get("/albums")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


async def test_a_relationship_that_nobody_planned_raises(engine):
    async with engine.connect() as connection:
        transaction = await connection.begin()
        async with AsyncSession(
                connection,
                join_transaction_mode="create_savepoint") as session:
            artist = Artist(name="alone")
            session.add(Album(title="one", artist=artist))
            await session.commit()
            session.expunge_all()
            album = await session.scalar(select(Album))
            with pytest.raises(InvalidRequestError, match="lazy='raise'"):
                album.artist
        await transaction.rollback()


def test_the_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite+aiosqlite:///other.db")
    monkeypatch.setenv("POOL_SIZE", "3")
    settings = Settings()
    assert settings.database_url.endswith("other.db")
    assert settings.pool_size == 3
    assert make_app(settings).title == "The record shop"
