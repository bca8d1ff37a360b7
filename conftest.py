"""What holds for the whole run: its order, where it writes, that it tidies up.

It stands here so that it holds for ``pytest notebooks/NN_x.ipynb`` too.
"""

import asyncio
import gc
import os
import re
import shutil
import tempfile
from pathlib import Path

import kernel_ports  # noqa: F401
import nbformat
import pytest
from summary_table import pytest_terminal_summary  # noqa: F401

ROOT = Path(__file__).parent
IN_CI = os.environ.get("CI") == "true"
# What takes longest begins first: nobody shall wait for it at the end.
FIRST = ("tests/browser", "tests/notebooks/test_sqlalchemy_20.py",
         "tests/notebooks/test_play.py", "tests/notebooks/test_bare.py",
         "notebooks", "tests/notebooks", "tests/teaching/test_exercises.py")
ROOM = 4 * 2**30  # bytes
# What they prepare takes longer than their tests.
TOGETHER = ("browser/test_browser.py", "notebook/test_planned_loads.py")
LONG = re.compile(r"\b(05|06|10|11|a2|a7|a8|a11)_")  # these lessons
QUICK = ("tests/notebooks/test_structure.py",
         "tests/teaching/test_claims.py", "tests/teaching/test_predictions.py")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help=(
        "the notebooks given and their exercises, or all lessons, with their "
        "structure, claims and predictions: in a minute"))
    parser.addoption("--screenshots", action="store_true", help=(
        "save what tests/browser sees of each lesson, light and dark"))


def pytest_collection_modifyitems(config, items):
    if config.option.quick and (given := notebooks(config.args)):
        config.hook.pytest_deselected(items=[
            item for item in items if of_another_lesson(item, given)])
        items[:] = [item for item in items
                    if not of_another_lesson(item, given)]

    def rank(item):
        place = item.path.relative_to(ROOT).as_posix()
        number = next((number for number, first in enumerate(FIRST)
                       if place.startswith(first)), len(FIRST))
        return number, not LONG.search(item.nodeid)

    items.sort(key=rank)


def pytest_collection_finish():
    """Keep what is loaded by now out of each collection that tests ask for."""
    gc.collect()
    gc.freeze()


def notebooks(arguments):
    """The arguments (list of str) that name a notebook."""
    return [name for name in arguments if ".ipynb" in name]


def of_another_lesson(item, given):
    """Whether a test is that of a lesson (path, E08.1, P08.1) not given."""
    lesson = re.search(r"\[[EP]?(\d\d|a\d+)[._]", item.name)
    return lesson and not any(Path(name).name.startswith(lesson[1])
                              for name in given)


def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        """A notebook is one kernel, and some files have one fixture."""

        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if file.endswith((".ipynb", *TOGETHER)) else nodeid

    return Scheduling(config, log)


def pytest_configure(config):
    if config.option.quick:
        given = notebooks(config.args)
        config.args = [*(given or sorted(
            map(str, ROOT.glob("notebooks/*.ipynb")))), *QUICK]
        if given:  # those of all lessons take longer than the lessons
            config.args.append("tests/teaching/test_exercises.py")
    if hasattr(config, "workerinput"):
        return  # a worker inherits what follows
    # A place of our own: what is left there was left by this run.
    directory = tempfile.mkdtemp(prefix="labtest-", dir=memory())
    os.chmod(directory, 0o711)  # the server's user has to reach its own part
    os.environ["TMPDIR"] = tempfile.tempdir = directory
    # The kernels' history: one file, which each locks when it starts.
    os.environ.setdefault("IPYTHONDIR", os.path.join(directory, "ipython"))
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    # Nobody's server but our own.
    for name in ("LAB_POSTGRES_URL", "LAB_PG_BINDIR",
                 "LAB_MYSQL_URL", "LAB_MARIADB_BINDIR"):
        os.environ.pop(name, None)


def memory(place="/dev/shm"):
    """A directory (str) in memory with room for all tests, or None.

    A database is 300 files, a cluster 1,000: a disk takes ten times as long.
    """
    try:
        about = os.statvfs(place)
    except (AttributeError, OSError):  # Windows; no such place
        return None
    enough = about.f_bavail * about.f_frsize > ROOM
    if enough and os.access(place, os.W_OK) \
            and not about.f_flag & os.ST_NOEXEC:
        return place
    return None


def pytest_sessionfinish(session):
    from labsupport.servers import mariadb, postgres

    for server in (mariadb, postgres):
        server.stop()  # of this process; it still lives when we look
    if hasattr(session.config, "workerinput"):
        return
    directory = Path(os.environ["TMPDIR"])
    left = leftovers(directory)
    if left:
        session.config.pluginmanager.get_plugin("terminalreporter").write_line(
            "left behind: " + "; ".join(left), red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(directory, ignore_errors=True)


def leftovers(directory, seconds=60):
    """What a run that wrote to ``directory`` left (list of str).

    Files of the lab there, and living processes that were started with it
    as their TMPDIR. Waits ``seconds`` for them to go: a server that has lost
    its kernel needs a moment.
    """
    import time

    deadline = time.monotonic() + seconds
    while True:
        left = [str(path) for path in directory.glob("lab-*")]
        left += processes(f"TMPDIR={directory}".encode())
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def processes(mark):
    """Command lines of living processes with ``mark`` in the environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes().split(b"\0")
            if process.name == str(os.getpid()) or mark not in environ:
                continue
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue  # it ended meanwhile, or is not ours to look at
        ours = (b"/pytest ", b"-m pytest ", b"execnet", b"exec(eval(")
        if words and not any(word in words for word in ours):
            found.append(f"{process.name} {words.decode().strip()}")
    return found


def need(condition, what):
    """Go on if ``condition`` holds; otherwise skip, or fail under CI."""
    if not condition:
        (pytest.fail if IN_CI else pytest.skip)(what)


@pytest.fixture
def reachable():
    """A directory that the server's user can reach, as tmp_path is not."""
    directory = Path(tempfile.mkdtemp(prefix="reachable-"))
    directory.chmod(0o755 if os.geteuid() else 0o777)
    return directory


@pytest.fixture(scope="session")
def lessons():
    """Place below notebooks/ → notebook, of all lessons and the appendix."""
    from labsupport.authoring import notebooks as authoring

    return {path.relative_to(authoring.NOTEBOOKS).as_posix():
            authoring.read(path) for path in authoring.course()}


@pytest.fixture
def mini(tmp_path):
    """Write a notebook of code cells, run it, and return its path."""
    from labsupport.authoring import notebooks as authoring

    def write(*sources, tags=(), run=True):
        notebook = nbformat.v4.new_notebook(metadata=authoring.METADATA)
        for source in sources:
            cell = nbformat.v4.new_code_cell(source)
            cell.metadata["tags"] = list(tags)
            notebook.cells.append(cell)
        path = tmp_path / "mini.ipynb"
        if run:
            authoring.execute(path, notebook, allow_errors=True)
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture
def shared(monkeypatch):
    """A PostgreSQL that a class shares, named by LAB_POSTGRES_URL.

    Gives the URL of a role that may create databases, a function that names
    another URL, and one that runs SQL as the administrator.
    """
    import asyncpg

    from labsupport.databases import postgresql
    from labsupport.servers import postgres as server

    started = server.start()
    admin = started.admin.set(drivername="postgresql") \
        .render_as_string(hide_password=False)

    async def sql(statement):
        connection = await asyncpg.connect(admin)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    def run(statement):
        return asyncio.run(sql(statement))

    run("CREATE ROLE anna LOGIN CREATEDB PASSWORD 'p@ss/word'")
    run("CREATE ROLE bert LOGIN PASSWORD 'b'")
    url = started.admin.set(drivername="postgresql", username="anna",
                            password="p@ss/word")

    def use(url):
        monkeypatch.setenv(postgresql.SHARED, url if isinstance(url, str)
                           else url.render_as_string(hide_password=False))

    use(url)
    yield url, use, run
    started.kept.stop()
