"""The same bug on each driver: run it, and note how it ends.

    endings = Endings(await postgres(), await sqlite(), await mysql())
    await endings.run("lazy load", lazy_load, right="2 albums")

A driver whose server is missing shows how it ended when the lesson was
recorded: see ``recording``.
"""

import asyncio
import gc
import inspect
import json
import os
import re
import warnings
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path

from ..drawing.looks import SIGNS
from ..environment import DRIVERS, release_series
from ..notebook.programs import names, run_alone
from ..notebook.progress import progress
from ..servers import NotInstalled

# What has not ended by then does not end. Turns, not seconds: on a busy
# machine, where everything takes longer, they do too. Before every tenth the
# server has to answer: while it is held up, no turn is counted.
TURNS, TURN, ASKED = 50, 0.05, 10
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
    recorded: bool = False

    def __str__(self):
        note = " (recorded)" if self.recorded else ""
        return f"{SIGNS[self.kind][0]} {self.word}{note}"


class Row(dict):
    """Driver → Ending, of one scenario."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    @property
    def words(self):
        """The endings' words (list of str), in the order of the drivers."""
        return [ending.word for ending in self.values()]

    @property
    def kinds(self):
        """The endings' kinds (list of str), in the order of the drivers."""
        return [ending.kind for ending in self.values()]

    def __repr__(self):
        return "\n".join([self.name] + [f"  {driver:<10} {ending}"
                                        for driver, ending in self.items()])

    def _repr_html_(self):
        return _table([self])


class Endings(dict):
    """Name of a scenario → Row: the matrix. Takes the databases to run on.

    ``None`` in place of a database leaves its drivers to the recorded run.
    """

    def __init__(self, *databases):
        super().__init__()
        self._database = {driver: database for database in databases
                          for driver in DRIVERS if hasattr(database, driver)}

    @property
    def urls(self):
        """Driver → URL, of the drivers that have a server here."""
        return {driver: getattr(self._database[driver], driver)
                for driver in DRIVERS if driver in self._database}

    async def run(self, name, scenario, *, right="ok"):
        """Run ``scenario`` against each driver; returns the Row.

        ``scenario`` is a coroutine function that takes a URL and returns a
        word: ``right``, or another that tells what went wrong; None where it
        does not apply. What is not over after ``TURNS`` hangs. A plain
        function gets a Python process of its own, and is right if that runs
        to its end and is silent. Raises ServerError if a server has gone.
        """
        row, urls = Row(name), self.urls
        with progress(name) as say:
            if inspect.iscoroutinefunction(scenario):
                ends = {}
                for driver, url in urls.items():
                    say(f"{name}: {driver}")
                    ends[driver] = await _of_coroutine(
                        scenario, url, right, self._database[driver])
            else:
                ends = dict(zip(urls, await asyncio.gather(
                    *(_of_program(scenario, url) for url in urls.values()))))
        for driver in DRIVERS:
            row[driver] = ends.get(driver) or recorded(name, driver)
            if row[driver].kind in ("raises", "hangs") \
                    and driver in self._database:
                await _answers(self._database[driver])
        self[name] = row
        return row

    def as_json(self):
        """Name → driver → fields of the Ending, for ``FILE``."""
        return {name: {driver: {key: value for key, value
                                in asdict(ending).items() if value}
                       for driver, ending in row.items()}
                for name, row in self.items()}

    def __repr__(self):
        width = max(map(len, self), default=0) + 2
        lines = [" " * width + "  ".join(DRIVERS)]
        for name, row in self.items():
            lines.append(name.ljust(width) + "  ".join(
                SIGNS[ending.kind][0].center(len(driver))
                for driver, ending in row.items()).rstrip())
        taken = [driver for driver in DRIVERS if driver not in self._database]
        return "\n".join(lines + ["", *_legend(self.values())]
                         + ["recorded: " + ", ".join(taken)] * bool(taken))

    def _repr_html_(self):
        return _table(self.values())


async def unless_missing(database):
    """What the awaitable ``database`` gives, or None without its server.

    Then the sentence that says what to install is printed, and which
    recorded run is shown instead. Under CI NotInstalled is raised.
    """
    try:
        return await database
    except NotInstalled as missing:
        if os.environ.get("CI") == "true":
            raise
        print(missing)
        run = _recordings().get(release_series(), {})
        print(f"Its drivers show how they ended on {run['date']}, with "
              f"{run['versions']}." if run else
              "Its drivers stay empty: nothing is recorded for SQLAlchemy "
              f"{release_series()}.")


def recorded(name, driver):
    """The Ending that was recorded on this line of SQLAlchemy."""
    rows = _recordings().get(release_series(), {}).get("endings", {})
    if driver not in rows.get(name, {}):
        return Ending("none", "no server, and nothing recorded")
    fields = rows[name][driver]
    lists = {key: tuple(fields[key]) for key in ("chain", "warned")
             if key in fields}
    return replace(Ending(**{**fields, **lists}), recorded=True)


def _recordings():
    return json.loads(FILE.read_text(encoding="utf-8"))


async def _answers(database):
    """Wait for its server to answer; raises ServerError if it has gone."""
    if hasattr(database, "connections"):
        await database.connections()


async def _of_coroutine(scenario, url, right, database):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task = asyncio.create_task(scenario(url))
        try:
            for number in range(1, TURNS + 1):
                if number % ASKED == 0:
                    await _answers(database)
                await asyncio.wait([task], timeout=TURN)
                if task.done():
                    ending = _ended(task, right)
                    break
            else:
                ending = Ending("hangs", "never ends")
        finally:
            task.cancel()
            await asyncio.wait([task])
        del task
        if ending.chain:
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


def _legend(rows):
    used = {ending.kind for row in rows for ending in row.values()}
    return [f"{mark} {meaning}" for kind, (mark, _, meaning) in SIGNS.items()
            if kind in used]


def _table(rows):
    """The matrix in HTML: mark, colour and word, on any ground."""
    left = 'style="text-align:left;max-width:9em'
    head = "".join(f'<th scope="col" {left}">{driver}</th>'
                   for driver in DRIVERS)
    body = "".join(
        f'<tr><th scope="row" {left}">{escape(row.name)}</th>' + "".join(
            f'<td {left};border-left:5px solid {SIGNS[ending.kind][1]}">'
            + re.sub(r"(?<=[a-z.])(?=[A-Z])", "<wbr>", escape(str(ending)))
            + "</td>" for ending in row.values()) + "</tr>" for row in rows)
    return (f"<table><caption>{escape(', '.join(_legend(rows)))}</caption>"
            f"<thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>")
