"""Print the versions, and start every server once: does this machine work?

    python3 -m labsupport.databases

MariaDB may be missing: its lessons then say so. Under CI it may not.
"""

import asyncio
import os

from ..environment import versions
from ..servers import NotInstalled
from . import mysql, postgres, sqlite


async def main():
    for name, number in versions().items():
        print(f"{name:<12} {number}")
    for fresh in (sqlite, postgres, mysql):
        try:
            database = await fresh()
        except NotInstalled as missing:
            if fresh is not mysql or os.environ.get("CI") == "true":
                raise
            print(missing)
            continue
        print(database)
        await database.drop()


if __name__ == "__main__":
    asyncio.run(main())
