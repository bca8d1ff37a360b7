"""Drop a database on a shared server: the keeper runs this at the end."""

import asyncio
import sys

from .mariadb import MySQLDatabase
from .postgresql import PostgresDatabase

if __name__ == "__main__":
    kind, name = sys.argv[1:]
    for database in (MySQLDatabase, PostgresDatabase):
        if database.KIND == kind:
            asyncio.run(database.drop_abandoned(name))
