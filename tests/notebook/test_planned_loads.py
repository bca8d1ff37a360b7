"""The guard that lesson 09 gives away, as it stands there."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.authoring import notebooks as authoring
from labsupport.databases import postgres, sqlite
from labsupport.schema import seed

GUARDED = Path(__file__).with_name("guarded.py")
FOUND = {  # how often a test loads what, on each database
    "test_row_by_row": "3 x Artist.albums",
    "test_one_level_below": "6 x Album.tracks",
    "test_many_to_one": "3 x Album.artist",
    "test_without_await": "1 x Artist.albums",
    "test_in_run_sync": "3 x Artist.albums",
    "test_immediateload": "3 x Artist.albums",
    "test_get_in_a_loop": "3 x Album",
    "test_select_in_a_loop": "3 x Album",
    "test_refresh_in_a_loop": "3 x Artist",
    "test_another_is_allowed": "3 x Artist.albums",
}


def the_guard():
    """The cells of lesson 09 that make the guard (source)."""
    lesson = authoring.read(authoring.NOTEBOOKS / "09_eager_loading.ipynb")
    begin, = (number for number, cell in enumerate(lesson.cells)
              if "def your_lines" in cell.source)
    return "\n\n\n".join(cell.source
                         for cell in lesson.cells[begin:begin + 2])


@asynccontextmanager
async def shops():
    """A shop on each database: driver → URL (str)."""
    databases = {"aiosqlite": await sqlite(), "asyncpg": await postgres()}
    urls = {driver: getattr(database, driver)
            for driver, database in databases.items()}
    for url in urls.values():
        engine = create_async_engine(url)
        await seed(engine)
        await engine.dispose()
    yield {driver: url.render_as_string(hide_password=False)
           for driver, url in urls.items()}
    for database in databases.values():
        await database.drop()


def run(project, urls):
    """Run the guarded tests in a folder, as a project of their own."""
    (project / "conftest.py").write_text(the_guard())
    (project / "test_shop.py").write_text(GUARDED.read_text())
    # As with uv, the packages stand in a folder of the project.
    packages = project / "site-packages"
    packages.symlink_to(Path(sqlalchemy.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "-p", "no:nbval", "--rootdir", project, "-c", os.devnull,
         "-W", "ignore", "--junitxml", "said.xml", "test_shop.py"],
        cwd=project, capture_output=True, timeout=120,
        env={**os.environ, "URLS": json.dumps(urls), "PYTEST_ADDOPTS": "",
             "PYTHONPATH": os.pathsep.join(map(str, [packages, *sys.path]))})


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(test, driver) → what pytest said of it (str), or None."""
    project = tmp_path_factory.mktemp("project").resolve()

    async def main():
        async with shops() as urls:
            run(project, urls)

    asyncio.run(main())
    said = {}
    for case in ElementTree.parse(project / "said.xml").iter("testcase"):
        name, driver = case.get("name").rstrip("]").split("[")
        assert case.find("failure") is None  # the guard comes after the test
        error = case.find("error")
        said[name, driver] = error if error is None else error.get("message")
    return said


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg"])
@pytest.mark.parametrize("name", FOUND)
def test_what_is_found_with_its_line(said, name, driver):
    source = GUARDED.read_text()
    number = next(number for number, line
                  in enumerate(source.splitlines(), 1) if "# bad" in line
                  and number > source[:source.index(f"{name}(")].count("\n"))
    line = source.splitlines()[number - 1].strip()
    assert f"'{FOUND[name]} at test_shop.py:{number}: {line}'" \
        in said[name, driver]


def test_what_is_planned_single_or_allowed_passes(said):
    fine = {key: text for key, text in said.items() if key[0].endswith("fine")}
    assert len(fine) == 2 * 7 and set(fine.values()) == {None}


def test_each_test_is_one_or_the_other(said):
    assert {name for name, _ in said if not name.endswith("fine")} \
        == set(FOUND)
