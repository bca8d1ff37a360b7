"""The table at the end of a run: what was proved, with what, and what not."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten

from pytest import CollectReport, TestReport

ROOT = Path(__file__).parents[1]
OVERLAY = ROOT / ".venv-sqlalchemy-2.0" / "site-packages"
# What is missing → the packages of Debian that bring it.
PACKAGES = {
    "MariaDB": "mariadb-server-core mariadb-client-core",
    "PgBouncer": "pgbouncer",
    "browser": "chromium",
}


def pytest_terminal_summary(terminalreporter, config):
    """Print the table, unless the run is to be quiet."""
    if config.option.verbose < 0:
        return
    reports = [report for reports in terminalreporter.stats.values()
               for report in reports
               if isinstance(report, (TestReport, CollectReport))]
    terminalreporter.section("the course on this machine")
    for name, fact in rows(reports, found()):
        terminalreporter.write_line(f"{name:16}{fact}")


def rows(reports, here):
    """The rows (pairs of str) of a run with these reports of pytest.

    ``here`` says what is on this machine: name → version (str), or None.
    """
    from labsupport.authoring.notebooks import course

    ran = {report.nodeid.partition("::")[0] for report in reports
           if report.nodeid.startswith("notebooks/")
           and report.when == "call" and not report.skipped}
    total = len(course())
    yield "lessons", f"{len(ran)} of {total} run, their outputs compared"
    for name, fact in here.items():
        yield name, fact or ("not here: lesson 03 shows recorded results"
                             if name == "MariaDB" else "not here")
    reasons = Counter(reason(report) for report in reports if report.skipped)
    for number, (why, count) in enumerate(reasons.most_common()):
        yield "" if number else "skipped", f"{count:4}  {why}"
    if not reasons:
        yield "skipped", "nothing"
    if missing := " ".join(packages for name, packages in PACKAGES.items()
                           if name in here and not here[name]):
        yield "to add it", (f"brew install {missing}"
                            if sys.platform == "darwin" else
                            f"sudo apt install {missing}")


def reason(report):
    """Why a test was skipped (str)."""
    why = report.longrepr[-1] if isinstance(report.longrepr, tuple) \
        else getattr(report, "wasxfail", None) or str(report.longrepr)
    return shorten(why.removeprefix("Skipped: "), 56, placeholder=" …")


def found():
    """What is on this machine (dict: name → version, or None)."""
    from labsupport.servers import ServerError, discover

    def server(find):
        try:
            return shown_version(find())
        except ServerError:
            return None

    chromium = find_spec("playwright") and next(filter(None, map(
        shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        None)
    old = next(OVERLAY.glob("sqlalchemy-*.dist-info"), None)
    pgbouncer = shutil.which("pgbouncer") or shutil.which(
        "pgbouncer", path="/usr/sbin:/usr/local/sbin")
    return {
        "PostgreSQL": server(lambda: discover.postgres_bindir() / "postgres"),
        "MariaDB": server(lambda: discover.mariadb_programs()[0]),
        "PgBouncer": pgbouncer and shown_version(pgbouncer),
        "browser": chromium,
        "SQLAlchemy": version("sqlalchemy") + (
            f", and {old.name.split('-')[1].removesuffix('.dist')} beside it"
            if old else "; a run without --quick adds 2.0 beside it"),
    }


def shown_version(program):
    """The version (str) that a program tells."""
    told = subprocess.run([program, "--version"], capture_output=True,
                          text=True).stdout
    number = re.search(r"\d+(\.\d+)+", told)
    return number[0] if number else str(program)
