"""What ``alembic`` runs: the migrations, in one transaction."""

import asyncio
from dataclasses import replace

from alembic import context
from shop.database import make_engine
from shop.models import Base
from shop.settings import Settings
from sqlalchemy import text

HOUR = 3_600_000  # ms: a migration may take longer than a request
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('shop'))")


def migrate(connection):
    context.configure(connection=connection, target_metadata=Base.metadata,
                      render_as_batch=connection.dialect.name == "sqlite")
    with context.begin_transaction():
        context.run_migrations()


async def prepare(connection, settings):
    """Two starters: the second one waits, and finds nothing to do."""
    if connection.dialect.name == "sqlite":
        # Its transaction has the lock from the beginning. A table that is
        # copied and dropped must not delete what refers to it.
        raw = await connection.get_raw_connection()
        await raw.driver_connection.execute("PRAGMA foreign_keys = OFF")
        return
    await connection.execute(text("SET LOCAL lock_timeout = 0"))
    await connection.execute(ONE_AT_A_TIME)
    # Who waits for a table holds up all behind it: not for long.
    await connection.execute(text(
        f"SET LOCAL lock_timeout = {settings.lock_timeout:d}"))


async def main():
    settings = context.config.attributes.get("settings") or Settings()
    engine = make_engine(replace(settings, statement_timeout=HOUR))
    async with engine.connect() as connection:
        await prepare(connection, settings)
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())
