"""The limit beside a measurement: PostgreSQL's own load generator, in C."""

import asyncio
import os
import re
import subprocess
import tempfile

from ..notebook.progress import progress
from ..servers import NotInstalled
from ..servers.discover import postgres_bindir


async def pgbench(url, statement, *, clients=10, seconds=1):
    """Seconds (float) that one ``statement`` (str) takes, all clients busy.

    Takes a URL for psycopg. The statement is prepared once a client, and no
    Python is involved: what a driver needs beyond this, it needs itself.
    Raises NotInstalled without pgbench, RuntimeError if it fails.
    """
    program = postgres_bindir() / "pgbench"
    if not program.exists():
        raise NotInstalled(
            f"There is no pgbench in {program.parent}: install your system's "
            "package of PostgreSQL programs, or unset LAB_PG_BINDIR.")
    with progress("pgbench"), tempfile.NamedTemporaryFile("w") as script:
        script.write(statement + ";\n")
        script.flush()
        done = await asyncio.to_thread(
            subprocess.run,
            [program, "--no-vacuum", "--protocol=prepared",
             f"--file={script.name}", f"--client={clients}",
             f"--time={seconds}", f"--host={url.host}",
             f"--port={url.port or 5432}", f"--username={url.username}",
             url.database],
            capture_output=True, text=True,
            env={**os.environ, "PGPASSWORD": url.password or "",
                 "PGSSLMODE": url.query.get("sslmode", "prefer")})
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if not (done.returncode or found) and seconds < 9:
        # Its time was over before all clients were connected.
        return await pgbench(url, statement, clients=clients,
                             seconds=3 * seconds)
    if done.returncode or not found:
        lines = done.stderr.strip().splitlines() or ["it left no word"]
        raise RuntimeError("pgbench: " + next(
            (line for line in lines if "ERROR" in line), lines[-1]))
    return 1 / float(found[1])
