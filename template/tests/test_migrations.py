"""The tables are what the models say."""

from alembic import command
from sqlalchemy import inspect


def test_models_and_migrations_agree(migrated):
    command.check(migrated)  # raises with what a migration would change


async def test_the_version_is_looked_up_in_the_database(engine):
    async with engine.connect() as connection:
        tables = await connection.run_sync(
            lambda found: inspect(found).get_table_names())
    assert {"album", "artist", "alembic_version"} <= {*tables}
