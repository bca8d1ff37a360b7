"""Drop a database on a shared server: the keeper runs this at the end."""

import asyncio
import sys

from . import mariadb, postgresql

abandoned = {"mysql": mariadb, "postgres": postgresql}
kind, name = sys.argv[1:]
asyncio.run(abandoned[kind].drop_abandoned(name))
