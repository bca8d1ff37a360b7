"""Drop a database on a shared server: the keeper runs this at the end."""

import asyncio
import sys

from . import mariadb, postgresql

ABANDONED = {"mysql": mariadb, "postgres": postgresql}

if __name__ == "__main__":
    kind, name = sys.argv[1:]
    asyncio.run(ABANDONED[kind].drop_abandoned(name))
