"""The same bug on each driver: run it, and note how it ends.

    endings = Endings(await postgres(), await sqlite(), await mysql())
    await endings.run("lazy load", lazy_load, right="2 albums")

A driver whose server is missing ends as it did when the lesson was recorded:
see ``recorded``, and ``labsupport.authoring.record``.
"""

import asyncio
import gc
import inspect
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..drawing.looks import SIGNS
from ..drawing.matrix import in_html, in_signs, in_words
from ..environment import DRIVERS, release_series
from ..notebook.programs import names, run_alone
from ..notebook.progress import progress
from ..servers import NotInstalled
from .hanging import ends

FILE = Path(__file__).with_name("driver_endings.json")


@dataclass(frozen=True)
class Ending:
    """How one scenario ended on one driver.

    ``kind`` is a key of ``SIGNS``; ``word`` what came back, or the exception
    and, after an arrow, the driver's own; ``chain`` the types from the
    outside in, with their modules; ``warned`` what was warned of meanwhile.
    """

    kind: str
    word: str
    chain: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def __str__(self):
        return f"{SIGNS[self.kind][0]} {self.word}"


class Row(Mapping):
    """Driver → Ending, of one scenario."""

    def __init__(self, name, endings):
        self.name, self._endings = name, dict(endings)

    def __getitem__(self, driver):
        return self._endings[driver]

    def __iter__(self):
        return iter(self._endings)

    def __len__(self):
        return len(self._endings)

    @property
    def words(self):
        """The endings' words (list of str), in the order of the drivers."""
        return [ending.word for ending in self.values()]

    @property
    def kinds(self):
        """The endings' kinds (list of str), in the order of the drivers."""
        return [ending.kind for ending in self.values()]

    def __repr__(self):
        return in_words(self.name, self)

    def _repr_html_(self):
        return in_html(self, {self.name: self})


class Endings(Mapping):
    """Name of a scenario → Row: the matrix. Takes the databases to run on.

    ``None`` in place of a database leaves its drivers to the recorded run.
    """

    def __init__(self, *databases):
        self._rows = {}
        self._database = {driver: database for database in databases
                          for driver in DRIVERS if hasattr(database, driver)}

    def __getitem__(self, name):
        return self._rows[name]

    def __iter__(self):
        return iter(self._rows)

    def __len__(self):
        return len(self._rows)

    @property
    def urls(self):
        """Driver → URL, of the drivers that have a server here."""
        return {driver: getattr(self._database[driver], driver)
                for driver in DRIVERS if driver in self._database}

    async def run(self, name, scenario, *, right="ok"):
        """Run ``scenario`` against each driver; returns the Row.

        ``scenario`` is a coroutine function that takes a URL and returns a
        word: ``right``, or another that tells what went wrong; None where it
        does not apply. With ``right=None`` no word is judged. What waits
        while its server has nothing to do hangs; so does one that sleeps for
        seconds. A plain function gets a Python process of its own, and is
        right if that runs to its end and is silent. Raises ServerError if a
        server has gone.
        """
        with progress(name) as say:
            if inspect.iscoroutinefunction(scenario):
                found = {}
                for driver, url in self.urls.items():
                    say(f"{name}: {driver}")
                    found[driver] = await _of_coroutine(
                        scenario, url, right, self._database[driver])
            else:
                found = dict(zip(self.urls, await asyncio.gather(
                    *(_of_program(scenario, url)
                      for url in self.urls.values()))))
        for driver, ending in found.items():
            if ending.kind in ("raises", "hangs"):  # or is its server gone?
                await self._database[driver].connections()
        return self.note(Row(name, {
            driver: found.get(driver) or recorded(name, driver)
            for driver in DRIVERS}))

    def note(self, row):
        """Take the Row of a scenario that has run already; returns it."""
        self._rows[row.name] = row
        return row

    def as_json(self):
        """Name → driver → fields of the Ending, for ``FILE``."""
        return {name: {driver: {key: value for key, value
                                in asdict(ending).items() if value}
                       for driver, ending in row.items()}
                for name, row in self.items()}

    def __repr__(self):
        return in_signs(DRIVERS, self)

    def _repr_html_(self):
        return in_html(DRIVERS, self)


async def unless_missing(database, instead=None):
    """What the awaitable ``database`` gives, or None without its server.

    Then the sentence that says what to install is printed, and what comes
    ``instead`` (str): by default, which recorded run is shown. Under CI
    NotInstalled is raised.
    """
    try:
        return await database
    except NotInstalled as missing:
        if os.environ.get("CI") == "true":
            raise
        print(missing)
        if instead:
            print(instead)
            return
        run = recordings().get(release_series(), {})
        print(f"What its drivers do below is recorded: on {run['date']}, "
              f"with {run['versions']}." if run else
              "Its drivers stay empty: nothing is recorded for SQLAlchemy "
              f"{release_series()}.")


def recorded(name, driver, series=None):
    """The Ending that was recorded, on a ``series`` of SQLAlchemy.

    That is ``"2.0"`` or ``"2.1"``; None is the one in use.
    """
    run = recordings().get(series or release_series(), {})
    fields = run.get("endings", {}).get(name, {}).get(driver)
    if fields is None:
        return Ending("none", "no server, and nothing recorded")
    return Ending(**{key: tuple(value) if isinstance(value, list) else value
                     for key, value in fields.items()})


def recorded_matrix(series=None):
    """The matrix (Endings) that was recorded, on a ``series`` as above."""
    matrix = Endings()
    for name in recordings()[series or release_series()]["matrix"]:
        matrix.note(Row(name, {driver: recorded(name, driver, series)
                               for driver in DRIVERS}))
    return matrix


def recordings():
    """Series of SQLAlchemy → date, versions, endings, names in the matrix."""
    return json.loads(FILE.read_text(encoding="utf-8"))


async def _of_coroutine(scenario, url, right, database):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task = asyncio.create_task(scenario(url))
        try:
            if await ends(task, url, database):
                ending = _ended(task, right)
            else:
                ending = Ending("hangs", "never ends")
        finally:
            task.cancel()
            await asyncio.wait([task])
        del task
        gc.collect(1)  # coroutines that a failure has left unawaited
    return replace(ending, warned=tuple(
        str(one.message).splitlines()[0] for one in caught
        if one.category is UserWarning))


def _ended(task, right):
    if error := task.exception():
        return _raised(names(error))
    word = task.result()
    if word is None:
        return Ending("none", "does not apply")
    if right is None:
        return Ending("seen", word)
    return Ending("right" if word == right else "wrong", word)


async def _of_program(function, url):
    chain, ignored = await asyncio.to_thread(run_alone, function, url)
    if chain is None:
        return Ending("hangs", "never ends")
    if ignored and not chain:
        return Ending("raises", f"{ignored.partition(':')[0]} at exit",
                      warned=(ignored,))
    return _raised(chain) if chain else Ending("right", "ok")


def _raised(chain):
    """The Ending of an exception: the outermost type, and the driver's own."""
    outer = chain[0].rpartition(".")[2]
    inner = next((name for name in chain if not name.startswith("sqlalchemy")),
                 chain[-1])
    last = inner.rpartition(".")[2]
    if not inner.startswith(("builtins", "sqlalchemy")):
        last = f"{inner.partition('.')[0]}.{last}"
    word = outer if inner == chain[0] else f"{outer} ← {last}"
    return Ending("raises", word, tuple(chain))
